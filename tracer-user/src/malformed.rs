//! Why a text from outside could not be parsed: the place and the kind, and nothing of the text, which may be secret.
//!
//! Parsers quote what they refuse: the line beside a token, the value that has the wrong type. Their errors are turned
//! into this one where they arise, and go no further.
#![forbid(unsafe_code)]

use std::fmt;

/// What is wrong with a text, without the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    kind: Kind,
    /// From 1; 0 where it is not known.
    line: u64,
    /// From 1; 0 where it is not known.
    column: u64,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Syntax,
    Type,
    /// The field's name is the program's own word.
    Missing(&'static str),
    Incomplete,
    Unfit,
    Encoding,
    TooLarge,
}

impl Malformed {
    /// The line, from 1; 0 where it is not known.
    pub const fn line(&self) -> u64 {
        self.line
    }
}

impl std::error::Error for Malformed {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Syntax => f.write_str("a syntax error"),
            Kind::Type => f.write_str("a value of another type than expected"),
            Kind::Missing(field) => write!(f, "no field `{field}`"),
            Kind::Incomplete => f.write_str("it ends too early"),
            Kind::Unfit => f.write_str("not of the expected form"),
            Kind::Encoding => f.write_str("it is not UTF-8"),
            Kind::TooLarge => f.write_str("it holds more than any such text may"),
        }?;
        match (self.line, self.column) {
            (0, _) => Ok(()),
            (line, 0) => write!(f, " (line {line})"),
            (line, column) => write!(f, " (line {line}, column {column})"),
        }
    }
}

impl From<&serde_json::Error> for Malformed {
    fn from(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;

        Self {
            kind: match error.classify() {
                Category::Io | Category::Syntax => Kind::Syntax,
                Category::Data => Kind::Unfit,
                Category::Eof => Kind::Incomplete,
            },
            line: number(error.line()),
            column: number(error.column()),
        }
    }
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&serde_saphyr::Error> for Malformed {
    fn from(error: &serde_saphyr::Error) -> Self {
        let kind = kind(error.without_snippet());
        let place = error.location();
        Self {
            kind,
            line: place.map_or(0, |place| place.line()),
            column: place.map_or(0, |place| place.column()),
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "some forty kinds, and new ones: for a reader they are all errors of syntax"
)]
const fn kind(error: &serde_saphyr::Error) -> Kind {
    use serde_saphyr::Error;

    match error {
        Error::SerdeInvalidType { .. }
        | Error::SerdeInvalidValue { .. }
        | Error::SerdeInvalidLength { .. }
        | Error::InvalidScalar { .. }
        | Error::NullIntoString { .. }
        | Error::InvalidBooleanStrict { .. } => Kind::Type,
        Error::Unexpected { .. }
        | Error::SerdeUnknownVariant { .. }
        | Error::SerdeUnknownField { .. }
        | Error::DuplicateMappingKey { .. }
        | Error::SerdeVariantId { .. } => Kind::Unfit,
        Error::SerdeMissingField { field, .. } => Kind::Missing(field),
        Error::Eof { .. } => Kind::Incomplete,
        Error::InvalidUtf8Input | Error::BinaryNotUtf8 { .. } => Kind::Encoding,
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => Kind::TooLarge,
        _ => Kind::Syntax,
    }
}

impl From<serde_saphyr::Error> for Malformed {
    fn from(error: serde_saphyr::Error) -> Self {
        Self::from(&error)
    }
}

/// What a TOML parser says, without what it found: what was expected is the program's own word, and so is a field that
/// is missing. An unknown field is named where it can only be a word.
pub fn toml_problem(error: &toml::de::Error) -> String {
    let message = error.message();
    let mut words = message.split(' ');
    let found = match (words.next(), words.next(), words.next()) {
        (Some("invalid"), Some("type:" | "value:" | "length"), _) => "a value of another type than expected",
        (Some("unknown"), Some("field"), Some(field)) if is_word(field) => {
            return message.replace('\n', ", ");
        }
        (Some("missing"), Some("field"), _) => return message.replace('\n', ", "),
        (Some("unknown"), Some("field"), _) => "an unknown field",
        (Some("unknown"), Some("variant"), _) => "an unknown value",
        (Some("duplicate"), _, _) => "a key that is there twice",
        _ => "a syntax error",
    };
    // The last one: what comes before it may be quoted from the file.
    match message.rsplit_once(", expected ") {
        Some((_quoted, expected)) => format!("{found}, expected {}", expected.replace('\n', ", ")),
        None => found.to_owned(),
    }
}

/// Whether it is a quoted name as rules have them: short, of small letters.
fn is_word(quoted: &str) -> bool {
    let name = quoted.trim_end_matches(',').trim_matches('`');
    name.len() <= 16 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn number(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    const SECRET: &str = "eyJhbGciOi.geheim.S3CRET";

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct User {
        name: String,
        #[serde(default)]
        token: Option<u64>,
        #[serde(default)]
        mode: Option<Mode>,
        #[serde(default)]
        list: BTreeMap<String, bool>,
    }

    #[derive(Debug, Deserialize)]
    enum Mode {
        Never,
    }

    fn yaml(text: &str) -> String {
        Malformed::from(serde_saphyr::from_str::<Vec<User>>(text).unwrap_err()).to_string()
    }

    fn json(text: &str) -> String {
        Malformed::from(serde_json::from_str::<Vec<User>>(text).unwrap_err()).to_string()
    }

    fn toml(text: &str) -> String {
        toml_problem(&toml::from_str::<User>(text).unwrap_err())
    }

    #[test]
    fn place_and_kind_are_told_and_nothing_of_the_text() {
        let s = SECRET;
        let cases = [
            (
                "a string for a number",
                yaml(&format!("- name: a\n  token: {s}")),
                "a value of another type than expected (line 2, column 10)",
            ),
            ("a list for a string", yaml(&format!("- name: [{s}]")), "(line 1"),
            (
                "a bad indent",
                yaml(&format!("- name: a\n   token: {s}\n  b")),
                "(line ",
            ),
            (
                "a missing field",
                yaml(&format!("- token: 1\n# {s}")),
                "no field `name`",
            ),
            (
                "an unknown field",
                yaml(&format!("- name: a\n  {s}: 1")),
                "not of the expected form (line 2",
            ),
            (
                "an unknown variant",
                yaml(&format!("- name: a\n  mode: {s}")),
                "(line 2",
            ),
            (
                "twice",
                yaml(&format!("- name: a\n  list: {{{s}: true, {s}: false}}")),
                "not of the expected form",
            ),
            (
                "an alias without anchor",
                yaml(&format!("- name: *{s}")),
                "(line 1",
            ),
            (
                "JSON of another type",
                json(&format!(r#"[{{"name": "a", "token": "{s}"}}]"#)),
                "not of the expected form (line 1",
            ),
            (
                "JSON cut short",
                json(&format!(r#"[{{"name": "{s}"#)),
                "it ends too early (line 1",
            ),
            ("no JSON", json(s), "a syntax error (line 1, column 1)"),
            (
                "TOML of another type",
                toml(&format!("name = 'a'\ntoken = '{s}, expected {s}'")),
                "a value of another type than expected, expected u64",
            ),
            (
                "TOML with an unknown key",
                toml(&format!("name = 'a'\n'{s}' = 1")),
                "an unknown field, expected one of",
            ),
            (
                "TOML with a key that is a word",
                toml("name = 'a'\nexes = 1"),
                "unknown field `exes`, expected one of",
            ),
            (
                "TOML that is none",
                toml(&format!("users:\n- token: {s}")),
                "a syntax error",
            ),
            ("TOML that lacks a key", toml("token = 1"), "missing field `name`"),
        ];
        for (case, said, want) in cases {
            assert!(said.contains(want), "case: {case}: {said}");
            for part in s.split('.') {
                assert!(!said.contains(part), "case: {case}: {said}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_damage_to_a_file_shows_what_it_holds(at in 0_usize..90, put in "[ \n:\\[\\]{}\"'*&!|>\\-\t]{1,3}") {
            let mut text = format!("- name: a\n  token: {SECRET}\n  mode: {SECRET}\n  list: {{ {SECRET}: {SECRET} }}\n");
            text.insert_str(text.floor_char_boundary(at.min(text.len())), &put);
            if let Err(error) = serde_saphyr::from_str::<Vec<User>>(&text) {
                let said = Malformed::from(error).to_string();
                prop_assert!(["geheim", "S3CR", "eyJh"].iter().all(|part| !said.contains(part)), "{said}");
            }
        }
    }
}
