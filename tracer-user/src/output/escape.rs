//! The one rule for hostile strings: what may reach a terminal, a DOT file or a JSON line as it is, and what may not.
//!
//! Names of processes, hosts and namespaces are chosen by whoever runs on the machine. A name must not move the
//! cursor, reorder a line, look like another field, or end a quoted string.

use std::{
    fmt::{self, Write as _},
    io,
};

use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter};

use super::letters::{is_plain, runs};

/// A foreign string on a terminal, one line, reversible: a backslash is doubled, so no name can imitate an escape.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = *self;
        for (run, honest) in runs(text) {
            for c in run.chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    c if c.is_ascii() && is_plain(c) || honest && is_plain(c) => f.write_char(c)?,
                    c if u32::from(c) < 0x100 => write!(f, "\\x{:02x}", u32::from(c))?,
                    c => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                }
            }
        }
        Ok(())
    }
}

/// A foreign string as one word of a line: quoted when it could be taken for several, or for our own marks.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a>(pub &'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = *self;
        let ours = |c: char| matches!(c, ' ' | '"' | '[' | ']' | '?' | ',');
        if !text.is_empty() && !text.contains(ours) {
            return Shown(text).fmt(f);
        }
        f.write_char('"')?;
        for (index, part) in text.split('"').enumerate() {
            if index > 0 {
                f.write_str("\\\"")?;
            }
            Shown(part).fmt(f)?;
        }
        f.write_char('"')
    }
}

/// Text for the inside of a quoted DOT string, whatever `T` displays.
///
/// Graphviz also reads `\N`, `\l` and HTML entities in labels, so backslash and ampersand are escaped too. Line
/// breaks are added outside of this, as `\n`.
#[derive(Clone, Copy, Debug)]
pub struct Dot<T>(pub T);

impl<T: fmt::Display> fmt::Display for Dot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Quoted<'a, 'f>(&'a mut fmt::Formatter<'f>);
        impl fmt::Write for Quoted<'_, '_> {
            fn write_str(&mut self, s: &str) -> fmt::Result {
                let Self(f) = self;
                for c in s.chars() {
                    match c {
                        '"' => f.write_str("\\\"")?,
                        '\\' => f.write_str("\\\\")?,
                        '&' => f.write_str("&amp;")?,
                        c => f.write_char(c)?,
                    }
                }
                Ok(())
            }
        }
        let Self(text) = self;
        write!(Quoted(f), "{text}")
    }
}

/// Formatter for `serde_json` that also writes `\uXXXX` for whatever [`Shown`] would not show: JSON parses back to the
/// same string, and `-o json` on a terminal is as harmless as a table.
#[derive(Clone, Debug)]
pub struct Safe<F>(F);

impl Safe<CompactFormatter> {
    /// One line.
    pub const fn line() -> Self {
        Self(CompactFormatter)
    }
}

impl Safe<PrettyFormatter<'static>> {
    /// Indented by two spaces.
    pub fn pretty() -> Self {
        Self(PrettyFormatter::new())
    }
}

/// Passes a method of [`Formatter`] on to the inner one.
macro_rules! pass_on {
    ($($name:ident($($arg:ident: $kind:ty),*);)*) => {$(
        fn $name<W: ?Sized + io::Write>(&mut self, writer: &mut W $(, $arg: $kind)*) -> io::Result<()> {
            self.0.$name(writer $(, $arg)*)
        }
    )*};
}

impl<F: Formatter> Formatter for Safe<F> {
    pass_on! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
        write_char_escape(escape: CharEscape);
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // serde_json has taken out quotes, backslashes and controls below 0x20 before.
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        for (run, honest) in runs(fragment) {
            for c in run.chars() {
                if c.is_ascii() && is_plain(c) || honest && is_plain(c) {
                    writer.write_all(c.encode_utf8(&mut [0; 4]).as_bytes())?;
                } else {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    fn json(text: &str) -> String {
        let mut out = Vec::new();
        text.serialize(&mut serde_json::Serializer::with_formatter(
            &mut out,
            Safe::line(),
        ))
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn letters_that_imitate_others_are_shown_as_what_they_are() {
        let cases = [
            (
                "Cyrillic in Latin",
                "kube-\u{430}piserver",
                "kube-\\u{430}piserver",
            ),
            ("Greek in Latin", "\u{3bf}pen", "\\u{3bf}pen"),
            (
                "a whole word of lookalikes",
                "k-\u{435}\u{455}",
                "k-\\u{435}\\u{455}",
            ),
            (
                "with a letter that is escaped anyway",
                "k\u{430}\u{5d0}",
                "k\\u{430}\\u{5d0}",
            ),
            ("fullwidth", "\u{ff45}tcd", "\\u{ff45}tcd"),
            ("mathematical", "\u{1d41e}tcd", "\\u{1d41e}tcd"),
            ("a numeral that is a letter", "et\u{217d}d", "et\\u{217d}d"),
            ("Lisu capitals", "\u{a4d0}\u{a4e2}", "\\u{a4d0}\\u{a4e2}"),
            (
                "a stroke of Han as a hyphen",
                "kube\u{4e00}proxy",
                "kube\\u{4e00}proxy",
            ),
            (
                "a Russian word",
                "\u{43a}\u{43b}\u{438}\u{435}\u{43d}\u{442}",
                "\u{43a}\u{43b}\u{438}\u{435}\u{43d}\u{442}",
            ),
            (
                "a Russian word beside a Latin one",
                "etcd-\u{436}\u{443}\u{43a}",
                "etcd-\u{436}\u{443}\u{43a}",
            ),
            (
                "a Greek word",
                "\u{3bb}\u{3cc}\u{3b3}\u{3bf}\u{3c2}",
                "\u{3bb}\u{3cc}\u{3b3}\u{3bf}\u{3c2}",
            ),
            (
                "Japanese and Latin",
                "web\u{3055}\u{3070}\u{65e5}",
                "web\u{3055}\u{3070}\u{65e5}",
            ),
            ("French", "caf\u{e9}", "caf\u{e9}"),
            ("one accented letter", "\u{e9}", "\u{e9}"),
        ];
        for (case, raw, shown) in cases {
            assert_eq!(Shown(raw).to_string(), shown, "case: {case}");
            assert_eq!(json(raw).is_ascii(), shown.is_ascii(), "JSON, case: {case}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn hostile_strings_are_shown_and_harmless() {
        let cases: &[(&str, &str, &str, &str, &str)] = &[
            (
                "a plain name stays",
                "kube-apiserver",
                "kube-apiserver",
                "kube-apiserver",
                "kube-apiserver",
            ),
            ("empty is visible as a word", "", "", "\"\"", ""),
            (
                "a space makes quotes",
                "tmux: server",
                "tmux: server",
                "\"tmux: server\"",
                "tmux: server",
            ),
            (
                "escape sequence",
                "a\x1b[2Jb",
                "a\\x1b[2Jb",
                "\"a\\x1b[2Jb\"",
                "a\\\\x1b[2Jb",
            ),
            ("line break", "a\nb", "a\\x0ab", "a\\x0ab", "a\\\\x0ab"),
            ("eight-bit CSI", "a\u{9b}2J", "a\\x9b2J", "a\\x9b2J", "a\\\\x9b2J"),
            (
                "bidi override",
                "a\u{202e}b",
                "a\\u{202e}b",
                "a\\u{202e}b",
                "a\\\\u{202e}b",
            ),
            (
                "right-to-left letters",
                "\u{5d0}1",
                "\\u{5d0}1",
                "\\u{5d0}1",
                "\\\\u{5d0}1",
            ),
            (
                "zero width",
                "a\u{200b}b",
                "a\\u{200b}b",
                "a\\u{200b}b",
                "a\\\\u{200b}b",
            ),
            (
                "tag characters",
                "a\u{e0041}",
                "a\\u{e0041}",
                "a\\u{e0041}",
                "a\\\\u{e0041}",
            ),
            (
                "what looks like an escape",
                "a\\x1b",
                "a\\\\x1b",
                "a\\\\x1b",
                "a\\\\\\\\x1b",
            ),
            ("quote", "a\"b", "a\"b", "\"a\\\"b\"", "a\\\"b"),
            (
                "entity",
                "&lt;&#x202e;",
                "&lt;&#x202e;",
                "&lt;&#x202e;",
                "&amp;lt;&amp;#x202e;",
            ),
            ("our mark for a guess", "etcd?", "etcd?", "\"etcd?\"", "etcd?"),
            (
                "accents and other scripts",
                "caf\u{e9}\u{65e5}",
                "caf\u{e9}\u{65e5}",
                "caf\u{e9}\u{65e5}",
                "caf\u{e9}\u{65e5}",
            ),
            (
                "bytes that were not UTF-8",
                "a\u{fffd}",
                "a\u{fffd}",
                "a\u{fffd}",
                "a\u{fffd}",
            ),
        ];
        for (name, raw, shown, word, dot) in cases {
            assert_eq!(Shown(raw).to_string(), *shown, "shown: {name}");
            assert_eq!(Word(raw).to_string(), *word, "word: {name}");
            assert_eq!(Dot(Shown(raw)).to_string(), *dot, "dot: {name}");
        }
        assert_eq!(
            json("a\u{9b}\u{202e}\u{e0041}\u{7f}\"\\\n"),
            r#""a\u009b\u202e\udb40\udc41\u007f\"\\\n""#
        );
    }

    proptest! {
        #[test]
        fn no_output_holds_anything_but_plain_characters(text in any::<String>()) {
            for out in [Shown(&text).to_string(), Word(&text).to_string(), Dot(Shown(&text)).to_string(), json(&text)] {
                prop_assert!(out.chars().all(is_plain), "{out:?}");
            }
        }

        #[test]
        fn json_parses_back_to_the_same_string(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&json(&text)).unwrap(), text);
        }

        #[test]
        fn a_word_is_one_word(text in any::<String>()) {
            let word = Word(&text).to_string();
            let quoted = word.starts_with('"');
            prop_assert!(quoted && word.ends_with('"') && word.len() > 1 || !word.contains([' ', '"']) && !word.is_empty());
        }

        #[test]
        fn different_strings_are_shown_differently(a in ".{0,4}", b in ".{0,4}") {
            prop_assert_eq!(a == b, Shown(&a).to_string() == Shown(&b).to_string());
            prop_assert_eq!(a == b, Word(&a).to_string() == Word(&b).to_string());
        }

        #[test]
        fn no_quote_ends_a_dot_string(text in any::<String>()) {
            let mut escaped = false;
            for c in Dot(Shown(&text)).to_string().chars() {
                prop_assert!(escaped || c != '"');
                escaped = !escaped && c == '\\';
            }
            prop_assert!(!escaped);
        }
    }
}
