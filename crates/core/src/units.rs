//! Sizes and durations as people write them.

use std::time::Duration;

use crate::{Error, Result};

const DURATIONS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Reads a duration such as `250ms`, `5m` or `1h30m`: whole numbers, each with one of the units ms, s, m, h, d, w.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(stead_core::parse_duration("1h30m")?, Duration::from_secs(5_400));
/// assert!(stead_core::parse_duration("5").is_err());
/// # Ok::<(), stead_core::Error>(())
/// ```
///
/// # Errors
///
/// `Invalid` for anything else, a missing unit and more milliseconds than 64 bits hold.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let wrong = || {
        Error::invalid("not a duration; write a number and a unit (ms, s, m, h, d, w), as in 250ms or 1h30m")
            .with("duration", text.escape_default())
    };
    let too_long =
        || Error::invalid("duration is longer than 2^64 ms").with("duration", text.escape_default());
    let (mut rest, mut total) = (text, 0u64);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (number, unit, behind) = number_and_unit(rest).ok_or_else(wrong)?;
        let (_, millis) = DURATIONS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(wrong)?;
        let part = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*millis));
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(too_long)?;
        rest = behind;
    }
    Ok(Duration::from_millis(total))
}

/// Reads a size such as `4096`, `64KiB` or `1GB`: a whole number of bytes, or one with a binary or decimal unit.
///
/// ```
/// assert_eq!(stead_core::parse_bytes("256MiB")?, 256 << 20);
/// # Ok::<(), stead_core::Error>(())
/// ```
///
/// # Errors
///
/// `Invalid` for anything else and for more bytes than 64 bits hold.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let wrong = || {
        Error::invalid("not a size; write a number of bytes, or one with a unit, as in 64KiB or 256MiB")
            .with("size", text.escape_default())
    };
    let (number, unit, behind) = number_and_unit(text).ok_or_else(wrong)?;
    if !behind.is_empty() {
        return Err(wrong());
    }
    let unit = if unit.is_empty() { "B" } else { unit };
    let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*bytes))
        .ok_or_else(wrong)
}

/// Splits `12ab34` into `12`, `ab` and `34`; `None` without a number in front.
fn number_and_unit(text: &str) -> Option<(&str, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, behind) = rest.split_at(letters);
    (!number.is_empty()).then_some((number, unit, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("2w1d", 1_296_000_000),
        ] {
            assert_eq!(
                parse_duration(text).unwrap(),
                Duration::from_millis(millis),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "5 m",
            "5x",
            "1.5h",
            "5m3",
            "99999999999999999999s",
            "18446744073709551615s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("1GB", 1_000_000_000),
        ] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "1.5MiB",
            "1kib",
            "1MiB2",
            "18446744073709551615KiB",
        ] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
