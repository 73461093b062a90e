//! Label selectors as Kubernetes writes them: `app=web,tier!=db`, `app in (a,b)`, `app notin (a)`, `app`, `!app`.

use std::{fmt, str::FromStr, sync::Arc};

/// Requirements that must all hold. As in Kubernetes, `!=` and `notin` hold where the label is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    /// One of these; `=` is a list of one.
    In(Vec<String>),
    NotIn(Vec<String>),
}

/// What is wrong with a selector, and how one is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError(String);

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; write it as kubectl takes it: app=web, app!=web, 'app in (a,b)', 'app notin (a,b)', app, '!app'",
            self.0
        )
    }
}

impl std::error::Error for SelectorError {}

impl Selector {
    /// Whether labels, as pairs of key and value, meet all requirements.
    pub fn matches(&self, labels: &[(Arc<str>, Arc<str>)]) -> bool {
        self.0.iter().all(|Requirement { key, test }| {
            let value = labels
                .iter()
                .find(|(name, _)| **name == **key)
                .map(|(_, value)| value);
            match test {
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::In(wanted) => value.is_some_and(|value| wanted.iter().any(|one| **one == **value)),
                Test::NotIn(unwanted) => {
                    value.is_none_or(|value| unwanted.iter().all(|one| **one != **value))
                }
            }
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let requirements = split(text)?.into_iter().map(requirement);
        Ok(Self(requirements.collect::<Result<_, _>>()?))
    }
}

/// At the commas that are not in parentheses.
fn split(text: &str) -> Result<Vec<&str>, SelectorError> {
    let mut parts = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' if !inside => inside = true,
            ')' if inside => inside = false,
            '(' | ')' => return Err(SelectorError(format!("`{text}` has a parenthesis too many"))),
            ',' if !inside => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err(SelectorError(format!("`{text}` lacks a closing parenthesis")));
    }
    parts.push(text.get(start..).unwrap_or_default());
    Ok(parts)
}

fn requirement(text: &str) -> Result<Requirement, SelectorError> {
    let text = text.trim();
    let made = |key: &str, test| {
        Ok(Requirement {
            key: checked_key(key)?,
            test,
        })
    };
    if let Some(key) = text.strip_prefix('!') {
        return made(key, Test::Absent);
    }
    if let Some((key, value)) = text.split_once("!=") {
        return made(key, Test::NotIn(vec![checked_value(value)?]));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return made(key, Test::In(vec![checked_value(value)?]));
    }
    if let Some((words, list)) = text.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
        let values: Vec<String> = list.split(',').map(checked_value).collect::<Result<_, _>>()?;
        return match words.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, "in"] => made(key, Test::In(values)),
            [key, "notin"] => made(key, Test::NotIn(values)),
            _ => Err(SelectorError(format!("`{text}` is neither `in` nor `notin`"))),
        };
    }
    made(text, Test::Exists)
}

/// `[prefix/]name`: what Kubernetes allows, so that a typing error does not pass for a label that nobody has.
fn checked_key(key: &str) -> Result<String, SelectorError> {
    let key = key.trim();
    let (prefix, name) = key
        .rsplit_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let good_prefix = prefix.is_none_or(|prefix| is_part(prefix, 253));
    if name.is_empty() || !is_part(name, 63) || !good_prefix {
        return Err(SelectorError(format!("`{key}` is not a label's name")));
    }
    Ok(key.to_owned())
}

/// A value may be empty.
fn checked_value(value: &str) -> Result<String, SelectorError> {
    let value = value.trim();
    if !value.is_empty() && !is_part(value, 63) {
        return Err(SelectorError(format!("`{value}` is not a label's value")));
    }
    Ok(value.to_owned())
}

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_part(text: &str, longest: usize) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= longest
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.chars().all(|c| ends(c) || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn selectors_mean_what_kubernetes_means() {
        let labels: [(Arc<str>, Arc<str>); 3] = [
            ("app".into(), "web".into()),
            ("app.kubernetes.io/name".into(), "nginx".into()),
            ("empty".into(), "".into()),
        ];
        let cases = [
            ("equal", "app=web", true),
            ("equal, twice the sign", "app==web", true),
            ("another value", "app=db", false),
            ("blanks", " app = web , empty ", true),
            ("not equal", "app!=db", true),
            ("not equal, and it is", "app!=web", false),
            ("not equal, and absent", "tier!=db", true),
            ("exists", "app", true),
            ("does not exist", "tier", false),
            ("must not exist, and does not", "!tier", true),
            ("must not exist, and does", "!app", false),
            ("one of a set", "app in (db, web)", true),
            ("none of a set", "app in (db,cache)", false),
            ("not in a set", "app notin (db,cache)", true),
            ("not in a set, and it is", "app notin (web)", false),
            ("not in a set, and absent", "tier notin (web)", true),
            ("all must hold", "app=web,empty=", true),
            ("all must hold, and one does not", "app=web,empty=x", false),
            (
                "a set among others",
                "app in (web,db),app.kubernetes.io/name=nginx,!tier",
                true,
            ),
            ("a name called in", "in", false),
        ];
        for (case, text, want) in cases {
            let selector: Selector = text
                .parse()
                .unwrap_or_else(|error| panic!("case: {case}: {error}"));
            assert_eq!(selector.matches(&labels), want, "case: {case}");
        }
        assert!(!"app".parse::<Selector>().unwrap().matches(&[]));
    }

    #[test]
    fn what_is_no_selector_is_refused_with_the_reason() {
        let cases = [
            ("nothing", "", "`` is not a label's name"),
            ("a comma too many", "a=b,", "`` is not a label's name"),
            ("no name", "=b", "`` is not a label's name"),
            ("a blank in a name", "my app=b", "`my app` is not a label's name"),
            (
                "a blank in a value",
                "app=my web",
                "`my web` is not a label's value",
            ),
            ("an escape sequence", "app=\x1b[2J", "is not a label's value"),
            ("no closing parenthesis", "a in (b", "lacks a closing parenthesis"),
            ("no opening parenthesis", "a in b)", "a parenthesis too many"),
            ("a set in a set", "a in ((b))", "a parenthesis too many"),
            ("another word", "a within (b)", "neither `in` nor `notin`"),
            ("a comparison", "a>1", "`a>1` is not a label's name"),
            ("no prefix", "/a=b", "`/a` is not a label's name"),
        ];
        for (case, text, says) in cases {
            let error = text.parse::<Selector>().expect_err(case).to_string();
            assert!(error.contains(says), "case: {case}: {error}");
            assert!(error.contains("notin (a,b)"), "case: {case}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,64}|[a-z!=, ()]{0,32}") {
            if let Ok(selector) = text.parse::<Selector>() {
                prop_assert!(!selector.0.is_empty());
            }
        }
    }
}
