//! `events -o compact`: one line for each event, for people.

use std::{fmt, io::Write};

use super::{
    EventSink, Loss, SinkError,
    escape::{Shown, Word},
    name::{End, ViaText},
    style::{Paint, Tone},
    units::{Bytes, Count, Span, TimeOfDay},
};
use crate::{
    graph::Health,
    report::{ClosedBy, Happened, Happening},
    signal::{Degraded, Session},
};

/// The stream as lines of text. Keeps one buffer, so that a line is one write.
#[derive(Debug, Default)]
pub struct CompactEvents {
    paint: Paint,
    line: Vec<u8>,
    host_netns: u32,
}

impl CompactEvents {
    /// A stream that has not begun.
    pub fn new(paint: Paint) -> Self {
        Self {
            paint,
            ..Self::default()
        }
    }

    fn write(line: &mut Vec<u8>, out: &mut dyn Write, text: fmt::Arguments<'_>) -> Result<(), SinkError> {
        line.clear();
        line.write_fmt(text)?;
        line.push(b'\n');
        Ok(out.write_all(line)?)
    }

    /// ` (netns/blue)` for what is not in the host's namespace: loopback addresses mean little without.
    fn place<'a>(&self, happening: &'a Happening) -> Option<Place<'a>> {
        let Happening {
            source, destination, ..
        } = happening;
        let inode = if source.netns == 0 {
            destination.netns
        } else {
            source.netns
        };
        (inode != 0 && inode != self.host_netns).then_some(Place {
            inode,
            name: happening.netns_name.as_deref(),
        })
    }
}

struct Place<'a> {
    inode: u32,
    name: Option<&'a str>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, " (netns/{})", Word(name)),
            None => write!(f, " (netns/{})", self.inode),
        }
    }
}

impl EventSink for CompactEvents {
    fn start(&mut self, _: &mut dyn Write, session: &Session, _: i64) -> Result<(), SinkError> {
        self.host_netns = session.host_netns;
        Ok(())
    }

    fn happening(&mut self, out: &mut dyn Write, happening: &Happening) -> Result<(), SinkError> {
        let mut line = std::mem::take(&mut self.line);
        let at = self.paint.text(Tone::Quiet, TimeOfDay(happening.at_unix_ns));
        let place = self
            .place(happening)
            .map(|place| place.to_string())
            .unwrap_or_default();
        let place = self.paint.text(Tone::Quiet, place);
        let outcome = Outcome {
            happening,
            paint: self.paint,
        };
        let destination = End(&happening.destination);
        let done = match happening.what {
            Happened::ListenerOpened | Happened::ListenerClosed => Self::write(
                &mut line,
                out,
                format_args!("{at} {destination} {outcome}{place}"),
            ),
            Happened::Opened | Happened::Accepted | Happened::Failed { .. } | Happened::Closed { .. } => {
                let source = End(&happening.source);
                let via = happening.via.as_ref().map(|via| format!(" {}", ViaText(via)));
                let via = via.unwrap_or_default();
                let subflows = match happening.subflows {
                    0 | 1 => String::new(),
                    many => format!(", {many} subflows"),
                };
                let guessed = if happening.direction_guessed {
                    ", direction guessed"
                } else {
                    ""
                };
                Self::write(
                    &mut line,
                    out,
                    format_args!("{at} {source} -> {destination}{via} {outcome}{subflows}{guessed}{place}"),
                )
            }
        };
        self.line = line;
        done
    }

    fn lost(&mut self, out: &mut dyn Write, loss: &Loss<'_>, at_unix_ns: i64) -> Result<(), SinkError> {
        let (at, total) = (self.paint.text(Tone::Quiet, TimeOfDay(at_unix_ns)), loss.total);
        let what = format_args!(
            "LOST {} ({}), {total} so far",
            Count(loss.count, "record"),
            Shown(loss.place)
        )
        .to_string();
        Self::write(
            &mut self.line,
            out,
            format_args!("{at} {}", self.paint.text(Tone::Bad, what)),
        )
    }

    fn degraded(&mut self, out: &mut dyn Write, what: &Degraded, at_unix_ns: i64) -> Result<(), SinkError> {
        let at = self.paint.text(Tone::Quiet, TimeOfDay(at_unix_ns));
        let word = self.paint.text(Tone::Doubt, "DEGRADED");
        let Degraded { what, why, remedy } = what;
        let (what, why, remedy) = (Shown(what), Shown(why), Shown(remedy));
        Self::write(
            &mut self.line,
            out,
            format_args!("{at} {word} {what}: {why}. Remedy: {remedy}."),
        )
    }

    fn recovered(&mut self, out: &mut dyn Write, what: &Degraded, at_unix_ns: i64) -> Result<(), SinkError> {
        let at = self.paint.text(Tone::Quiet, TimeOfDay(at_unix_ns));
        let word = self.paint.text(Tone::Good, "RECOVERED");
        Self::write(
            &mut self.line,
            out,
            format_args!("{at} {word} {}", Shown(&what.what)),
        )
    }

    /// A person sees that the cursor is still there.
    fn heartbeat(&mut self, _: &mut dyn Write, _: &Health, _: i64) -> Result<(), SinkError> {
        Ok(())
    }

    /// The summary for people goes to stderr, see [`super::health::write_notes`].
    fn summary(&mut self, _: &mut dyn Write, _: &Health, _: i64) -> Result<(), SinkError> {
        Ok(())
    }
}

/// What happened, in words.
struct Outcome<'a> {
    happening: &'a Happening,
    paint: Paint,
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { happening, paint } = self;
        match happening.what {
            Happened::Opened => paint.text(Tone::Good, "opened").fmt(f),
            Happened::Accepted => f.write_str("accepted"),
            Happened::ListenerOpened => paint.text(Tone::Good, "listening").fmt(f),
            Happened::ListenerClosed => f.write_str("stopped listening"),
            Happened::Failed { failure, errno } => {
                write!(
                    f,
                    "{}",
                    paint.text(Tone::Bad, format_args!("failed: {}", failure.name()))
                )?;
                if let Some(errno) = errno.filter(|errno| *errno != 0) {
                    write!(f, " (errno {errno})")?;
                }
                happening
                    .duration_ns
                    .map_or(Ok(()), |ns| write!(f, " after {}", Span(ns)))
            }
            Happened::Closed { by } => {
                match by {
                    ClosedBy::Source | ClosedBy::Destination => write!(f, "closed by {}", by.name())?,
                    ClosedBy::Reset => paint.text(Tone::Doubt, "closed by reset").fmt(f)?,
                    ClosedBy::Unseen => paint.text(Tone::Doubt, "closed unseen").fmt(f)?,
                }
                if let Some(ns) = happening.duration_ns {
                    write!(f, " after {}", Span(ns))?;
                }
                self.counters(f)
            }
        }
    }
}

impl Outcome<'_> {
    fn counters(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(counters) = self.happening.counters else {
            return Ok(());
        };
        write!(
            f,
            ", {} out, {} in",
            Bytes(counters.sent_bytes),
            Bytes(counters.received_bytes)
        )?;
        if counters.rtt_us > 0 {
            write!(f, ", rtt {}", Span(u64::from(counters.rtt_us) * 1000))?;
        }
        if counters.retransmits > 0 {
            let text = Count(counters.retransmits.into(), "retransmit");
            write!(f, ", {}", self.paint.text(Tone::Doubt, text))?;
        }
        Ok(())
    }
}
