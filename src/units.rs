//! Units as types, each with its own text form.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A position in PostgreSQL's write-ahead log, in bytes from its beginning. Text form `16/B374D848`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Bytes from `earlier` to here; zero where `earlier` is not earlier.
    pub const fn bytes_after(self, earlier: Self) -> Bytes {
        Bytes(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// Text that is not a WAL position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a WAL position; one looks like 16/B374D848")]
pub struct NotAnLsn(pub String);

impl FromStr for Lsn {
    type Err = NotAnLsn;

    fn from_str(text: &str) -> Result<Self, NotAnLsn> {
        let wrong = || NotAnLsn(text.chars().take(40).collect());
        let (high, low) = text.split_once('/').ok_or_else(wrong)?;
        let part = |digits: &str| {
            let plain = !digits.is_empty() && digits.len() <= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            plain.then(|| u64::from_str_radix(digits, 16).ok()).flatten().ok_or_else(wrong)
        };
        Ok(Self((part(high)? << 32) | part(low)?))
    }
}

/// An amount of data in bytes. Text form `64MiB`; plain digits are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

const BYTE_UNITS: [(&str, u64); 10] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl Bytes {
    /// `count` mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// As a sample's value.
    #[allow(clippy::cast_precision_loss, reason = "a sample is a float by definition")]
    pub const fn as_f64(self) -> f64 {
        self.0 as f64
    }
}

impl fmt::Display for Bytes {
    /// For people: at most one decimal, binary units.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, size)| self.0 >= *size) {
            None => write!(f, "{} B", self.0),
            Some((unit, size)) if self.0.is_multiple_of(*size) => {
                write!(f, "{} {unit}", self.0 / size)
            }
            Some((unit, size)) => write!(f, "{:.1} {unit}", self.as_f64() / Self(*size).as_f64()),
        }
    }
}

/// Text that is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size; write for example 64MiB, 4GiB or 1048576")]
pub struct NotASize(pub String);

impl FromStr for Bytes {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let wrong = || NotASize(text.chars().take(40).collect());
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (digits, unit) = trimmed.split_at(split);
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        let unit = unit.trim();
        let size =
            if unit.is_empty() { 1 } else { BYTE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1 };
        count.checked_mul(size).map(Self).ok_or_else(wrong)
    }
}

/// Text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration; write for example 15s, 1m30s or 250ms")]
pub struct NotADuration(pub String);

/// Reads `1m30s`, `250ms`, `4h`.
///
/// # Errors
/// Text without a unit is refused, since nobody can tell whether `5` means seconds or minutes.
pub fn parse_duration(text: &str) -> Result<Duration, NotADuration> {
    humantime::parse_duration(text.trim()).map_err(|_| NotADuration(text.chars().take(40).collect()))
}

/// A duration as it is written in configurations and rules: `1m30s`, `5m`, `250ms`.
pub fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

/// A duration for people at a glance: at most two units, `3h 5m`, `21s`, `0.4s`.
pub fn short_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_lsn_reads_back_what_it_prints(value: u64) {
            prop_assert_eq!(Lsn(value).to_string().parse(), Ok(Lsn(value)));
        }

        #[test]
        fn no_text_crashes_a_parser(text in ".{0,40}") {
            let _ = text.parse::<Lsn>();
            let _ = text.parse::<Bytes>();
            let _ = parse_duration(&text);
        }

        #[test]
        fn a_duration_reads_back_what_it_prints(millis in 0_u64..10_000_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&duration_text(duration)), Ok(duration));
        }
    }

    #[test]
    fn positions_and_sizes_by_example() {
        assert_eq!("16/B374D848".parse(), Ok(Lsn(0x16_B374_D848)));
        assert_eq!("FFFFFFFF/FFFFFFFF".parse(), Ok(Lsn(u64::MAX)));
        for wrong in ["", "/", "1/", "/1", "1/123456789", "G/0", "1/2/3", "+1/0", "-1/0"] {
            assert!(wrong.parse::<Lsn>().is_err(), "{wrong}");
        }
        assert_eq!("64MiB".parse(), Ok(Bytes::mib(64)));
        assert_eq!("64 MiB".parse(), Ok(Bytes::mib(64)));
        assert_eq!("1048576".parse(), Ok(Bytes::mib(1)));
        for wrong in ["", "MiB", "1.5MiB", "1 mb", "-1", "99999999999TiB"] {
            assert!(wrong.parse::<Bytes>().is_err(), "{wrong}");
        }
        assert_eq!(Bytes(19_922_944).to_string(), "19 MiB");
        assert_eq!(Bytes(1_500).to_string(), "1.5 KiB");
        assert_eq!(Lsn(5).bytes_after(Lsn(9)), Bytes(0));
    }

    #[test]
    fn a_duration_needs_a_unit() {
        assert!(parse_duration("5").is_err());
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration_text(Duration::from_secs(90)), "1m30s");
    }
}
