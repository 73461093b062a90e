//! Colour: whether to use it, and what it means. It only repeats what words already say.

use std::fmt;

use anstyle::{AnsiColor, Style};

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// On a terminal, unless the environment says no.
    #[default]
    Auto,
    /// Also into pipes and files.
    Always,
    /// Nowhere.
    Never,
}

/// What decides under [`Choice::Auto`]: values of the environment, as <https://no-color.org> and
/// <https://bixense.com/clicolors> have them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// Whether the stream is a terminal.
    pub terminal: bool,
    /// `NO_COLOR`.
    pub no_color: Option<&'a str>,
    /// `CLICOLOR_FORCE`.
    pub clicolor_force: Option<&'a str>,
    /// `TERM`.
    pub term: Option<&'a str>,
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Text.
    Plain,
    /// Titles and names that were recognised.
    Strong,
    /// Of less interest.
    Quiet,
    /// It worked.
    Good,
    /// It did not.
    Bad,
    /// Not to be relied on.
    Doubt,
}

/// Puts colour on text, or leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// No colour.
    pub const PLAIN: Self = Self { on: false };

    /// Decides for one stream.
    pub fn choose(choice: Choice, around: &Surroundings<'_>) -> Self {
        let set = |value: Option<&str>| value.is_some_and(|value| !value.is_empty());
        let on = match choice {
            Choice::Always => true,
            Choice::Never => false,
            Choice::Auto if set(around.no_color) => false,
            Choice::Auto if set(around.clicolor_force) && around.clicolor_force != Some("0") => true,
            Choice::Auto => {
                around.terminal && around.term.is_some_and(|term| !term.is_empty() && term != "dumb")
            }
        };
        Self { on }
    }

    /// `text` in the style of `tone`. The text must be escaped already.
    pub fn text<T: fmt::Display>(self, tone: Tone, text: T) -> Painted<T> {
        Painted {
            style: if self.on { style(tone) } else { Style::new() },
            text,
        }
    }
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Strong => Style::new().bold(),
        Tone::Quiet => Style::new().dimmed(),
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Bad => AnsiColor::Red.on_default().bold(),
        Tone::Doubt => AnsiColor::Yellow.on_default(),
    }
}

/// Text with its style.
#[derive(Clone, Copy, Debug)]
pub struct Painted<T> {
    style: Style,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { style, text } = self;
        write!(f, "{style}{text}{style:#}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_decided_by_flag_then_environment_then_terminal() {
        let tty = Surroundings {
            terminal: true,
            term: Some("xterm"),
            ..Surroundings::default()
        };
        let pipe = Surroundings {
            terminal: false,
            ..tty
        };
        let cases = [
            ("a terminal", Choice::Auto, tty, true),
            ("a pipe", Choice::Auto, pipe, false),
            (
                "NO_COLOR",
                Choice::Auto,
                Surroundings {
                    no_color: Some("1"),
                    ..tty
                },
                false,
            ),
            (
                "an empty NO_COLOR says nothing",
                Choice::Auto,
                Surroundings {
                    no_color: Some(""),
                    ..tty
                },
                true,
            ),
            (
                "a dumb terminal",
                Choice::Auto,
                Surroundings {
                    term: Some("dumb"),
                    ..tty
                },
                false,
            ),
            (
                "a terminal without a name",
                Choice::Auto,
                Surroundings { term: None, ..tty },
                false,
            ),
            (
                "forced into a pipe",
                Choice::Auto,
                Surroundings {
                    clicolor_force: Some("1"),
                    ..pipe
                },
                true,
            ),
            (
                "CLICOLOR_FORCE=0 forces nothing",
                Choice::Auto,
                Surroundings {
                    clicolor_force: Some("0"),
                    ..pipe
                },
                false,
            ),
            (
                "the flag beats NO_COLOR",
                Choice::Always,
                Surroundings {
                    no_color: Some("1"),
                    ..pipe
                },
                true,
            ),
            ("never", Choice::Never, tty, false),
        ];
        for (name, choice, around, want) in cases {
            assert_eq!(Paint::choose(choice, &around), Paint { on: want }, "case: {name}");
        }
    }

    #[test]
    fn plain_paint_adds_no_byte() {
        assert_eq!(Paint::PLAIN.text(Tone::Bad, "x").to_string(), "x");
        assert_eq!(
            Paint { on: true }.text(Tone::Strong, "x").to_string(),
            "\x1b[1mx\x1b[0m"
        );
    }
}
