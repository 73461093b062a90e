//! Values of flags: durations, sizes, and what is wrong with others, with the remedy.

use std::time::Duration;

/// Smallest ring buffer: one page of the smallest kind.
const RING_BYTES_MIN: u32 = 4096;

/// `500ms`, `3s`, `2m`, `1h`, `1m30s`; a number alone is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || {
        format!("`{text}` is not a duration: write a number with ms, s, m or h, as in 500ms, 3s, 2m or 1h")
    };
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let number: u64 = number.parse().ok().ok_or_else(bad)?;
        let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
        let part = match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => seconds(1),
            "m" => seconds(60),
            "h" => seconds(3600),
            _ => None,
        };
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(bad)?;
        rest = tail;
    }
    if text.is_empty() { Err(bad()) } else { Ok(total) }
}

/// A duration that is not zero.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("0 would never wait: use at least 1ms".to_owned()),
        interval => Ok(interval),
    }
}

/// `4096`, `64K`, `8M`, `1G`: powers of 1024.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is not a size: write bytes, or a number with K, M or G, as in 64K or 8M");
    let (number, shift) = match text.strip_suffix(['K', 'k', 'M', 'm', 'G', 'g']) {
        None => (text, 0),
        Some(number) => (
            number,
            if text.ends_with(['K', 'k']) {
                10
            } else if text.ends_with(['M', 'm']) {
                20
            } else {
                30
            },
        ),
    };
    let number: u64 = number.parse().ok().ok_or_else(bad)?;
    number.checked_mul(1 << shift).ok_or_else(bad)
}

/// A size the kernel takes for a ring buffer.
pub(super) fn ring_bytes(text: &str) -> Result<u32, String> {
    const MOST: u32 = 1 << 30;
    let bytes = bytes(text)?;
    let fits = u32::try_from(bytes)
        .ok()
        .filter(|bytes| (RING_BYTES_MIN..=MOST).contains(bytes));
    match fits {
        Some(bytes) if bytes.is_power_of_two() => Ok(bytes),
        Some(bytes) => Err(format!(
            "a ring buffer's size is a power of two: use {} or {}",
            short(bytes.next_power_of_two() / 2),
            short(bytes.next_power_of_two()),
        )),
        None => Err(format!(
            "a ring buffer has at least {} and at most {} bytes",
            short(RING_BYTES_MIN),
            short(MOST)
        )),
    }
}

/// A power of two from 4 KiB on, the way [`bytes`] reads it.
fn short(bytes: u32) -> String {
    if bytes >= 1 << 20 {
        format!("{}M", bytes >> 20)
    } else {
        format!("{}K", bytes >> 10)
    }
}

/// A number of sockets the socket table may hold.
pub(super) fn sockets_max(text: &str) -> Result<u32, String> {
    const MOST: u32 = 1 << 24;
    match text.parse() {
        Ok(count) if (16..=MOST).contains(&count) => Ok(count),
        Ok(_) | Err(_) => Err(format!("`{text}` is not a number of sockets from 16 to {MOST}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        let cases = [
            ("500ms", Some(500)),
            ("3s", Some(3_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("1m30s", Some(90_000)),
            ("5", Some(5_000)),
            ("0", Some(0)),
            ("", None),
            ("s", None),
            ("5 s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1d", None),
            ("5s3", None),
            ("18446744073709551615h", None),
            ("99999999999999999999", None),
        ];
        for (text, want) in cases {
            assert_eq!(
                duration(text).ok(),
                want.map(Duration::from_millis),
                "case: {text}"
            );
        }
        assert!(interval("0s").is_err() && interval("1ms").is_ok());
    }

    #[test]
    fn sizes_of_rings_are_powers_of_two_and_the_error_says_which() {
        let cases = [
            ("4096", Ok(4096)),
            ("64K", Ok(65_536)),
            ("8M", Ok(8 << 20)),
            ("1g", Ok(1 << 30)),
            (
                "5000",
                Err("a ring buffer's size is a power of two: use 4K or 8K"),
            ),
            ("3M", Err("a ring buffer's size is a power of two: use 2M or 4M")),
            (
                "2048",
                Err("a ring buffer has at least 4K and at most 1024M bytes"),
            ),
            ("0", Err("a ring buffer has at least 4K and at most 1024M bytes")),
            ("4G", Err("a ring buffer has at least 4K and at most 1024M bytes")),
            (
                "8MB",
                Err("`8MB` is not a size: write bytes, or a number with K, M or G, as in 64K or 8M"),
            ),
            (
                "99999999999G",
                Err("`99999999999G` is not a size: write bytes, or a number with K, M or G, as in 64K or 8M"),
            ),
        ];
        for (text, want) in cases {
            assert_eq!(ring_bytes(text), want.map_err(str::to_owned), "case: {text}");
        }
        assert!(sockets_max("16").is_ok() && sockets_max("15").is_err() && sockets_max("x").is_err());
    }
}
