// SPDX-License-Identifier: GPL-3.0-or-later
//! Windows file times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 100-nanosecond ticks since 1601-01-01 00:00 UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct FileTime(pub u64);

/// Seconds from 1601-01-01 to 1970-01-01.
const UNIX_OFFSET_SECONDS: u64 = 11_644_473_600;
const TICKS_PER_SECOND: u64 = 10_000_000;

impl FileTime {
    /// The time that `seconds` and `nanoseconds` after the Unix epoch name; clamped to the range.
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        let seconds = seconds.saturating_add_unsigned(UNIX_OFFSET_SECONDS).max(0).unsigned_abs();
        Self(seconds.saturating_mul(TICKS_PER_SECOND).saturating_add(u64::from(nanoseconds) / 100))
    }

    /// Seconds and nanoseconds since the Unix epoch.
    pub fn to_unix(self) -> (i64, u32) {
        let seconds = (self.0 / TICKS_PER_SECOND).cast_signed() - UNIX_OFFSET_SECONDS.cast_signed();
        (seconds, ((self.0 % TICKS_PER_SECOND) * 100) as u32)
    }

    /// Midnight UTC of a civil date, or nothing for a date that does not exist or lies before 1601.
    pub fn from_date(year: i32, month: u32, day: u32) -> Option<Self> {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let days_in_month = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        if year < 1601 || day == 0 || day > days_in_month {
            return None;
        }
        // Days from civil, counted in years that begin in March so that the leap day is last.
        let shifted = i64::from(year) - i64::from(month <= 2);
        let era = shifted.div_euclid(400);
        let year_of_era = shifted.rem_euclid(400);
        let month_from_march = i64::from((month + 9) % 12);
        let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let unix_days = era * 146_097 + day_of_era - 719_468;
        Some(Self::from_unix(unix_days.checked_mul(86_400)?, 0))
    }

    /// Year, month and day in UTC.
    pub fn date(self) -> (i32, u32, u32) {
        let days = self.to_unix().0.div_euclid(86_400) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year as i32, month as u32, day as u32)
    }
}

impl From<SystemTime> for FileTime {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self::from_unix(after.as_secs().cast_signed(), after.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                let ticks = (before.as_nanos() / 100) as u64;
                Self((UNIX_OFFSET_SECONDS * TICKS_PER_SECOND).saturating_sub(ticks))
            }
        }
    }
}

impl From<FileTime> for SystemTime {
    fn from(time: FileTime) -> Self {
        let (seconds, nanoseconds) = time.to_unix();
        if seconds >= 0 {
            UNIX_EPOCH + Duration::new(seconds.unsigned_abs(), nanoseconds)
        } else {
            UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs())
                + Duration::from_nanos(nanoseconds.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        assert_eq!(FileTime::from_unix(0, 0), FileTime(116_444_736_000_000_000));
        let date = FileTime::from_date(2021, 12, 2).unwrap();
        assert_eq!(date, FileTime(132_828_768_000_000_000));
        assert_eq!(date.date(), (2021, 12, 2));
        assert_eq!(FileTime(0).date(), (1601, 1, 1));
        assert_eq!(FileTime::from_date(2023, 2, 29), None);
        assert_eq!(FileTime::from_date(2024, 2, 29).map(FileTime::date), Some((2024, 2, 29)));
        assert_eq!(FileTime::from_date(1600, 1, 1), None);
    }

    #[test]
    fn system_time_round_trips() {
        for time in [FileTime(0), FileTime(1), FileTime(132_828_768_000_000_007)] {
            assert_eq!(FileTime::from(SystemTime::from(time)), time);
        }
    }
}
