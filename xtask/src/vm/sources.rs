//! Reads this machine's package sources, so that kernels come from the archive its administrator chose.

/// One archive, as apt's configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Archive {
    pub(super) uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    /// Keyring file; `None` for apt's default keys.
    pub(super) signed_by: Option<String>,
}

/// The archive that holds `suite` of Debian: the one that holds this machine's own base or security suite.
pub(super) fn archive_of<'a>(suite: &str, codename: &str, archives: &'a [Archive]) -> Option<&'a Archive> {
    let own = if suite.ends_with("-security") {
        format!("{codename}-security")
    } else {
        codename.to_owned()
    };
    let fits = |archive: &&Archive| {
        archive.suites.contains(&own) && archive.components.iter().any(|name| name == "main")
    };
    // Other vendors name their suites after Debian's; Debian's own archives end in its name.
    let debian = |archive: &&Archive| {
        archive
            .uri
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .is_some_and(|end| end.starts_with("debian"))
    };
    archives
        .iter()
        .filter(fits)
        .find(debian)
        .or_else(|| archives.iter().find(fits))
}

/// Entries of a `sources.list` file, or of a deb822 file when `stanzas`.
pub(super) fn parse(text: &str, stanzas: bool) -> Vec<Archive> {
    if stanzas {
        text.split("\n\n").flat_map(parse_stanza).collect()
    } else {
        text.lines().filter_map(parse_line).collect()
    }
}

/// `deb [signed-by=/k.gpg arch=amd64] URI SUITE COMPONENT...`
fn parse_line(line: &str) -> Option<Archive> {
    let rest = line.split('#').next()?.trim().strip_prefix("deb")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    let signed_by = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="));
    uri.contains(':').then(|| Archive {
        uri,
        suites: vec![suite],
        components: words.collect(),
        signed_by: signed_by.map(str::to_owned),
    })
}

/// A deb822 stanza; one archive for each of its addresses.
fn parse_stanza(stanza: &str) -> Vec<Archive> {
    let field = |name: &str| {
        stanza
            .lines()
            .filter(|line| !line.starts_with('#'))
            .find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim()
                    .eq_ignore_ascii_case(name)
                    .then(|| value.trim().to_owned())
            })
    };
    let words = |name: &str| -> Vec<String> {
        field(name)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    if field("Enabled").is_some_and(|value| value == "no") || !words("Types").iter().any(|kind| kind == "deb")
    {
        return Vec::new();
    }
    // A key may also be written out in the stanza; then it is not a path and apt's default keys must do.
    let signed_by = field("Signed-By").filter(|value| value.starts_with('/'));
    let archive = |uri: String| Archive {
        uri,
        suites: words("Suites"),
        components: words("Components"),
        signed_by: signed_by.clone(),
    };
    words("URIs").into_iter().map(archive).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZAS: &str = "\
# a snapshot
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
# commented
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://src.example/debian
Suites: bookworm
Components: main
";

    fn uri(suite: &str, archives: &[Archive]) -> Option<String> {
        archive_of(suite, "bookworm", archives).map(|archive| archive.uri.clone())
    }

    #[test]
    fn stanza_files_give_base_and_security_archives() {
        let archives = parse(STANZAS, true);
        assert_eq!(archives.len(), 2, "{archives:?}");
        assert_eq!(
            uri("trixie", &archives).as_deref(),
            Some("http://mirror.example/debian")
        );
        assert_eq!(
            uri("bullseye-security", &archives).as_deref(),
            Some("http://mirror.example/debian-security")
        );
        assert_eq!(
            archives.first().and_then(|archive| archive.signed_by.as_deref()),
            Some("/usr/share/keyrings/k.gpg")
        );
    }

    #[test]
    fn one_line_files_are_understood_and_other_vendors_passed_over() {
        let text = "\
# deb http://commented.example/debian bookworm main
deb-src http://src.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://vendor.example/apt bookworm main # theirs
deb http://mirror.example/debian/ bookworm main contrib
deb http://vendor.example/apt bookworm stable
";
        let archives = parse(text, false);
        assert_eq!(archives.len(), 3, "{archives:?}");
        assert_eq!(
            uri("bookworm", &archives).as_deref(),
            Some("http://mirror.example/debian/")
        );
        assert_eq!(uri("bullseye-security", &archives), None);
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        for text in [
            "deb",
            "deb [",
            "deb http://x",
            "deb [a] ",
            "debug x y z",
            "\n\n",
            "Types deb\nURIs",
        ] {
            assert_eq!(parse(text, false), [], "line: {text:?}");
            assert_eq!(parse(text, true), [], "stanza: {text:?}");
        }
    }
}
