//! Times, durations and sizes as people read them, and as machines do.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// Unix nanoseconds as RFC 3339 in UTC with nine digits: the only form of time in JSON.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub i64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.9}", timestamp(self.0))
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Unix nanoseconds as the time of day in UTC: `17:21:45.123Z`.
#[derive(Clone, Copy, Debug)]
pub struct TimeOfDay(pub i64);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MS_PER_DAY: i64 = 24 * 60 * 60 * 1000;
        let ms = self.0.div_euclid(1_000_000).rem_euclid(MS_PER_DAY);
        let (s, ms) = (ms / 1000, ms % 1000);
        write!(f, "{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
    }
}

/// Every `i64` of nanoseconds lies within the years 1677 to 2262, which jiff holds; the fallback is never taken.
fn timestamp(unix_ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Nanoseconds with the unit that leaves one to three digits before the point: `850ns`, `41.2us`, `5.01s`, `2h05m`.
#[derive(Clone, Copy, Debug)]
pub struct Span(pub u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0;
        match ns {
            0..1_000 => write!(f, "{ns}ns"),
            1_000..1_000_000 => three_digits(f, ns, 1_000, "us"),
            1_000_000..1_000_000_000 => three_digits(f, ns, 1_000_000, "ms"),
            1_000_000_000..60_000_000_000 => three_digits(f, ns, 1_000_000_000, "s"),
            _ => {
                let seconds = ns / 1_000_000_000;
                let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
                match (days, hours) {
                    (0, 0) => write!(f, "{minutes}m{:02}s", seconds % 60),
                    (0, _) => write!(f, "{hours}h{minutes:02}m"),
                    _ => write!(f, "{days}d{hours:02}h"),
                }
            }
        }
    }
}

/// A number of bytes in binary units with three digits: `812B`, `53.8KiB`, `1.20GiB`.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        match bytes {
            0..0x400 => write!(f, "{bytes}B"),
            0x400..0x10_0000 => three_digits(f, bytes, 0x400, "KiB"),
            0x10_0000..0x4000_0000 => three_digits(f, bytes, 0x10_0000, "MiB"),
            0x4000_0000..0x100_0000_0000 => three_digits(f, bytes, 0x4000_0000, "GiB"),
            _ => three_digits(f, bytes, 0x100_0000_0000, "TiB"),
        }
    }
}

/// `value / unit` cut (never rounded up to the next unit) to three digits.
fn three_digits(f: &mut fmt::Formatter<'_>, value: u64, unit: u64, name: &str) -> fmt::Result {
    let (whole, rest) = (value / unit, u128::from(value % unit));
    let part = |scale: u128| rest * scale / u128::from(unit);
    match whole {
        0..10 => write!(f, "{whole}.{:02}{name}", part(100)),
        10..100 => write!(f, "{whole}.{}{name}", part(10)),
        _ => write!(f, "{whole}{name}"),
    }
}

/// `1 record`, `2 records`.
#[derive(Clone, Copy, Debug)]
pub struct Count<'a>(pub u64, pub &'a str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, noun) = self;
        write!(f, "{count} {noun}{}", if *count == 1 { "" } else { "s" })
    }
}

/// Parts per million as a percentage that never rounds up to 100: `100%`, `99.9998%`.
#[derive(Clone, Copy, Debug)]
pub struct Percent(pub u32);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 10_000, self.0 % 10_000);
        if part == 0 {
            write!(f, "{whole}%")
        } else {
            write!(f, "{whole}.{part:04}%")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_rounded_up() {
        let cases: &[(&str, String, &str)] = &[
            ("no time", Span(0).to_string(), "0ns"),
            ("nanoseconds", Span(999).to_string(), "999ns"),
            ("microseconds", Span(41_250).to_string(), "41.2us"),
            ("milliseconds", Span(999_999_999).to_string(), "999ms"),
            ("seconds", Span(5_012_345_678).to_string(), "5.01s"),
            ("minutes", Span(61_000_000_000).to_string(), "1m01s"),
            ("hours", Span(7_500_000_000_000).to_string(), "2h05m"),
            ("days", Span(90_000_000_000_000).to_string(), "1d01h"),
            ("longest", Span(u64::MAX).to_string(), "213503d23h"),
            ("bytes", Bytes(1023).to_string(), "1023B"),
            ("kibibytes", Bytes(8123).to_string(), "7.93KiB"),
            (
                "just below a mebibyte",
                Bytes(0x10_0000 - 1).to_string(),
                "1023KiB",
            ),
            ("gibibytes", Bytes(5 << 30).to_string(), "5.00GiB"),
            ("most", Bytes(u64::MAX).to_string(), "16777215TiB"),
            ("one", Count(1, "record").to_string(), "1 record"),
            ("none", Count(0, "record").to_string(), "0 records"),
            ("perfect", Percent(1_000_000).to_string(), "100%"),
            ("almost perfect", Percent(999_998).to_string(), "99.9998%"),
            (
                "instant",
                Rfc3339(1_795_195_305_123_456_789).to_string(),
                "2026-11-20T17:21:45.123456789Z",
            ),
            (
                "instant on a full second",
                Rfc3339(0).to_string(),
                "1970-01-01T00:00:00.000000000Z",
            ),
            (
                "earliest",
                Rfc3339(i64::MIN).to_string(),
                "1677-09-21T00:12:43.145224192Z",
            ),
            (
                "time of day",
                TimeOfDay(1_795_195_305_123_456_789).to_string(),
                "17:21:45.123Z",
            ),
            ("before 1970", TimeOfDay(-1).to_string(), "23:59:59.999Z"),
        ];
        for (name, got, want) in cases {
            assert_eq!(got, want, "case: {name}");
        }
    }
}
