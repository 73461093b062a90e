//! What of a command line may be kept: `argv[0]`, a word the rules ask for, and flags known to be harmless.
//!
//! Everything else is dropped unread: tokens and passwords are passed as arguments more often than they should be.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::{
    Component, Rules,
    schema::Interpreter,
    text::{argv0_name, base_name, is_tame, without_deleted},
};

/// Flags kept of one process.
const FLAGS_MAX: usize = 32;

/// Bytes kept of one value; etcd's `--initial-cluster` with 9 members stays below.
const VALUE_BYTES: usize = 1024;

/// Stands for a value that may hold a credential.
const HIDDEN: &str = "(hidden)";

impl Rules {
    /// The harmless part of a command line as /proc gives it: `argv[0]`, then perhaps a word without `=`,
    /// then flags as `--key=value`.
    pub fn harmless_args(&self, exe: Option<&str>, cmdline: &[u8]) -> Vec<String> {
        let line = split(cmdline);
        let Some(arg0) = line.first().filter(|arg0| !arg0.is_empty()) else {
            return Vec::new();
        };
        let name = argv0_name(arg0);
        let exe = exe
            .map(|exe| base_name(without_deleted(exe)))
            .filter(|base| !base.is_empty());
        let base = exe.unwrap_or(name);
        let mut kept = vec![arg0.to_string()];
        let mut component = self.by_exe(base).or_else(|| self.argv0s.get(base));
        let word = if self.applets.contains(base) && name == base {
            line.get(1).filter(|word| is_tame(word)).map(|word| &**word)
        } else if let Some(interpreter) = self.interpreter(base).or_else(|| self.applet_shell(base, name)) {
            script(interpreter, &line)
        } else {
            let word = line.get(1).map(|word| &**word);
            word.filter(|word| {
                let inside = self.commands.get(base).and_then(|words| words.get(*word));
                let role = component.is_some_and(|component| component.subcommands.contains(*word));
                component = inside.or(component);
                inside.is_some() || role
            })
        };
        kept.extend(word.map(String::from));
        if let Some(component) = component {
            component.harmless_flags(&line, &mut kept);
        }
        kept
    }

    /// The interpreter that busybox plays under this `argv[0]`.
    fn applet_shell(&self, base: &str, name: &str) -> Option<&std::sync::Arc<Interpreter>> {
        self.interpreter(name).filter(|_| self.applets.contains(base))
    }
}

impl Component {
    fn harmless_flags(&self, argv: &[Cow<'_, str>], kept: &mut Vec<String>) {
        let words = kept.len();
        let mut rest = argv.iter().skip(1).peekable();
        while let Some(arg) = rest.next() {
            if &**arg == "--" || kept.len() - words >= FLAGS_MAX {
                break;
            }
            let (written, value) = match arg.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (&**arg, None),
            };
            let Some(key) = long(written) else { continue };
            let value = if self.switches.contains(&*key) {
                value.unwrap_or("true")
            } else if !self.flags.contains(&*key) {
                continue;
            } else if let Some(value) = value {
                value
            } else if let Some(next) = rest.next_if(|next| !next.starts_with('-')) {
                next
            } else {
                continue;
            };
            // The last of several wins, as it does in the program.
            let same = format!("{key}=");
            let earlier = kept.iter().skip(words).position(|flag| flag.starts_with(&same));
            if let Some(earlier) = earlier {
                kept.remove(words + earlier);
            }
            kept.push(same + &without_credentials(value));
        }
    }
}

/// Go takes `-name` for `--name`; single letters are flags of their own.
fn long(written: &str) -> Option<Cow<'_, str>> {
    let name = written.strip_prefix('-')?;
    let short = name.len() > 1 && !name.starts_with('-');
    Some(if short {
        Cow::Owned(format!("-{written}"))
    } else {
        Cow::Borrowed(written)
    })
}

/// Splits at NULs. A title that replaced the arguments is split at its first spaces: `/usr/bin/k3s server`.
fn split(cmdline: &[u8]) -> Vec<Cow<'_, str>> {
    let end = cmdline
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let argv: Vec<_> = cmdline
        .get(..end)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    let Some(first) = argv.first().filter(|first| first.contains(char::is_whitespace)) else {
        return argv;
    };
    let mut words = first
        .split_whitespace()
        .map(|word| Cow::<str>::Owned(word.to_owned()));
    let head: Vec<_> = words.by_ref().take(if argv.len() == 1 { 2 } else { 1 }).collect();
    // What follows `nginx:` is prose, not an argument.
    let title = head.first().is_some_and(|word| word.ends_with(':'));
    let head = head.into_iter().take(if title { 1 } else { 2 });
    head.chain(argv.iter().skip(1).cloned()).collect()
}

/// Base name of the script an interpreter runs.
fn script<'a>(interpreter: &Interpreter, line: &'a [Cow<'_, str>]) -> Option<&'a str> {
    let mut args = line.iter().skip(1).map(|arg| &**arg);
    let is_switch = |arg: &str| {
        interpreter
            .switches
            .iter()
            .any(|known| match known.strip_suffix('*') {
                Some(start) => arg.starts_with(start),
                None => arg == known,
            })
    };
    let first = args.find(|arg| !is_switch(arg))?;
    let program = if interpreter.before_script.iter().any(|known| known == first) {
        args.next()?
    } else {
        first
    };
    // An option that is not known may take code as its value: `sh -c`, `perl -e`.
    Some(base_name(program)).filter(|name| !program.starts_with('-') && is_tame(name))
}

/// The value without user names, passwords and queries of the addresses in it.
fn without_credentials(value: &str) -> String {
    let shown = if names_a_secret(value) {
        None
    } else {
        without_user_info(value)
    };
    shown.map_or_else(
        || HIDDEN.into(),
        |shown| super::text::cut(&shown, VALUE_BYTES).into(),
    )
}

fn names_a_secret(value: &str) -> bool {
    // No address, path or name has them, but `Authorization: Bearer ...` does.
    if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return true;
    }
    let lower = value.to_ascii_lowercase();
    let telling = [
        "password",
        "passwd",
        "pwd",
        "token",
        "secret",
        "apikey",
        "api_key",
        "access_key",
    ];
    telling.iter().any(|word| {
        let assigned = |at: usize| {
            lower
                .get(at + word.len()..)
                .is_some_and(|rest| rest.starts_with(['=', ':']))
        };
        lower.match_indices(word).any(|(at, _)| assigned(at))
    })
}

/// Absent when there is no telling where a password ends.
fn without_user_info(value: &str) -> Option<Cow<'_, str>> {
    let query = value.find('?').filter(|_| value.contains("://"));
    let value = match (query, value.rfind('@')) {
        (Some(query), Some(at)) if query < at => return None,
        (Some(query), _) => value.get(..query)?,
        (None, _) => value,
    };
    if !value.contains('@') {
        return Some(Cow::Borrowed(value));
    }
    let mut parts = value.split("://");
    let mut clean = parts.next().filter(|scheme| !scheme.contains('@'))?.to_owned();
    for part in parts {
        // An address without `@` beside one that has it: perhaps the middle of a password.
        let (_, host) = part.rsplit_once('@')?;
        clean.push_str("://");
        clean.push_str(host);
    }
    Some(Cow::Owned(clean))
}
