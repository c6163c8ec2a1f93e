//! Instants: read leniently as RFC 3339, kept in UTC, stored as text that sorts as they do.

use std::fmt;
use std::ops::RangeInclusive;

use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// The years that an instant may fall in, in UTC: those that RFC 3339 can write.
const YEARS: RangeInclusive<i32> = 0..=9999;

/// An instant in UTC, exact to a nanosecond, between the years 0 and 9999.
///
/// `Display` is how answers show it (`2025-12-31T23:30:00Z`); [`Timestamp::to_sortable`] is how stores keep it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(OffsetDateTime);

/// What a text about time means in a filter: an instant, or a whole day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// One instant.
    Instant(Timestamp),
    /// A bare date: from its first instant up to, not including, the next day's. The last day of the year 9999 has no end.
    Day {
        /// The day's first instant.
        start: Timestamp,
        /// The next day's first instant.
        end: Option<Timestamp>,
    },
}

impl Timestamp {
    /// Reads [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) as data writes it: small `t` and `z`, a space for the `T`, missing
    /// seconds, any number of fraction digits (those beyond nanoseconds are cut), offsets with or without a colon. Without a zone it is
    /// UTC; a date alone is its first instant; a leap second is the last nanosecond before the next day. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match Moment::parse(text)? {
            Moment::Instant(instant) | Moment::Day { start: instant, .. } => Some(instant),
        }
    }

    /// The text to store: `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ`, always 30 bytes, which sort as the instants do.
    pub fn to_sortable(self) -> String {
        format!("{}.{:09}Z", self.to_seconds(), self.0.nanosecond())
    }

    fn to_seconds(self) -> String {
        let (year, month, day) = self.0.to_calendar_date();
        let (hour, minute, second) = self.0.to_hms();
        format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}", u8::from(month))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_seconds())?;
        if self.0.nanosecond() != 0 {
            let digits = format!("{:09}", self.0.nanosecond());
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl Moment {
    /// Reads a text as [`Timestamp::parse`] does, but keeps a bare date as a whole day.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = Cursor(text.as_bytes());
        let year = rest.number(4)?;
        rest.expect(b"-")?;
        let month = rest.number(2)?;
        rest.expect(b"-")?;
        let day = rest.number(2)?;
        let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
        let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
        if rest.0.is_empty() {
            let start = Timestamp(date.midnight().assume_utc());
            let end = date.next_day().filter(|next| YEARS.contains(&next.year()));
            return Some(Self::Day { start, end: end.map(|next| Timestamp(next.midnight().assume_utc())) });
        }
        rest.expect(b"Tt ")?;
        let (time, is_leap) = rest.time()?;
        let offset = rest.offset()?;
        let mut instant = PrimitiveDateTime::new(date, time).assume_offset(offset).checked_to_offset(UtcOffset::UTC)?;
        if is_leap {
            // RFC 3339 has leap seconds only at the end of a day of UTC; they stay in that day.
            let last = instant.replace_nanosecond(999_999_999).ok()?;
            if (last + Duration::NANOSECOND).time() != Time::MIDNIGHT {
                return None;
            }
            instant = last;
        }
        YEARS.contains(&instant.year()).then_some(Self::Instant(Timestamp(instant)))
    }
}

/// What is left of a text to read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn expect(&mut self, any_of: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        any_of.contains(&first).then(|| self.0 = rest).map(|()| first)
    }

    /// Exactly so many digits, nine at most.
    fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.iter().try_fold(0u32, |n, byte| byte.is_ascii_digit().then(|| n * 10 + u32::from(byte - b'0')))
    }

    /// The time of day, and whether it is a leap second (then given as the second before).
    fn time(&mut self) -> Option<(Time, bool)> {
        let hour = self.number(2)?;
        self.expect(b":")?;
        let minute = self.number(2)?;
        let mut second = 0;
        let mut nanosecond = 0;
        if self.expect(b":").is_some() {
            second = self.number(2)?;
            if self.expect(b".,").is_some() {
                nanosecond = self.fraction()?;
            }
        }
        let is_leap = second == 60;
        let second = if is_leap { 59 } else { second };
        let [hour, minute, second] = [hour, minute, second].map(|n| u8::try_from(n).unwrap_or(u8::MAX));
        Some((Time::from_hms_nano(hour, minute, second, nanosecond).ok()?, is_leap))
    }

    fn fraction(&mut self) -> Option<u32> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.0.split_at_checked(digits).filter(|(fraction, _)| !fraction.is_empty())?;
        self.0 = rest;
        Some(fraction.iter().chain(std::iter::repeat(&b'0')).take(9).fold(0, |n, byte| n * 10 + u32::from(byte - b'0')))
    }

    /// The zone at the end of the text; none is UTC.
    fn offset(&mut self) -> Option<UtcOffset> {
        if self.0.is_empty() || matches!(self.0, b"Z" | b"z") {
            return Some(UtcOffset::UTC);
        }
        let sign = if self.expect(b"+-")? == b'-' { -1 } else { 1 };
        let hours = i8::try_from(self.number(2)?).ok()?;
        let mut minutes = 0;
        if !self.0.is_empty() {
            let _colon = self.expect(b":");
            minutes = i8::try_from(self.number(2)?).ok()?;
        }
        let is_real = self.0.is_empty() && hours < 24 && minutes < 60;
        is_real.then(|| UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok())?
    }
}

#[cfg(test)]
#[path = "timestamp_tests.rs"]
mod tests;
