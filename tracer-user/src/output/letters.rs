//! Which letters of a foreign string are shown as themselves: none that draw nothing, turn a line or imitate others.
#![forbid(unsafe_code)]

use unicode_security::{
    RestrictionLevel, RestrictionLevelDetection as _, is_potential_mixed_script_confusable_char,
};

/// Whether a character of a foreign string is shown as itself. Everything else becomes a visible escape.
///
/// An allow-list: printable ASCII, and letters and digits of scripts written left to right. That leaves out
/// controls, bidi marks, zero-width and combining signs, line separators and private use, known or yet to come.
pub(super) fn is_plain(c: char) -> bool {
    match c {
        // The second is what bytes that are not UTF-8 were replaced by.
        ' '..='~' | char::REPLACEMENT_CHARACTER => true,
        _ => c.is_alphanumeric() && !is_right_to_left(c) && !is_blank_letter(c),
    }
}

/// Pieces of `text`: runs of letters and digits, and the single characters between them; and whether a run is shown as
/// it is. One whose letters imitate others is not.
pub(super) fn runs(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = match rest.find(|c: char| !c.is_alphanumeric()) {
            Some(0) => first.len_utf8(),
            Some(end) => end,
            None => rest.len(),
        };
        let (run, after) = rest.split_at(end);
        rest = after;
        Some((run, !first.is_alphanumeric() || !imitates(run)))
    })
}

/// Whether a run of letters and digits mixes scripts as no language does (Latin and Cyrillic, not Japanese's three), uses
/// letters that are there for compatibility (fullwidth, mathematical), or consists of letters that look like Latin ones.
fn imitates(run: &str) -> bool {
    let foreign = || run.chars().filter(|c| !c.is_ascii());
    if run.is_ascii() {
        return false;
    }
    let confusable = |c: char| is_potential_mixed_script_confusable_char(c);
    match run.detect_restriction_level() {
        RestrictionLevel::ASCIIOnly | RestrictionLevel::SingleScript => {
            let mut letters = run.chars().filter(|c| c.is_alphabetic()).peekable();
            letters.peek().is_some() && letters.all(confusable)
        }
        RestrictionLevel::HighlyRestrictive => foreign().any(confusable),
        RestrictionLevel::ModeratelyRestrictive
        | RestrictionLevel::MinimallyRestrictive
        | RestrictionLevel::Unrestricted => true,
    }
}

/// Blocks of scripts written right to left: a letter of these reorders the digits and punctuation beside it.
fn is_right_to_left(c: char) -> bool {
    matches!(u32::from(c), 0x0590..=0x08ff | 0xfb1d..=0xfdff | 0xfe70..=0xfeff | 0x1_0800..=0x1_0fff | 0x1_e800..=0x1_efff)
}

/// Letters by category that draw nothing: the Hangul fillers.
fn is_blank_letter(c: char) -> bool {
    matches!(u32::from(c), 0x115f | 0x1160 | 0x3164 | 0xffa0)
}
