//! Dates in commands (RFC 3501 section 9): `date` of SEARCH, `date-time` of APPEND.

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use super::{Cursor, Result};

/// Month names as RFC 3501 writes them.
pub const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Cursor<'_> {
    /// RFC 3501 date: `1-Feb-1994`, quoted or not.
    pub fn date(&mut self) -> Result<Date> {
        let quoted = self.eat(b'"');
        let date = self.date_text()?;
        if quoted {
            self.expect(b'"', "expected a closing quote after the date")?;
        }
        Ok(date)
    }

    /// RFC 3501 date-time: `" 1-Feb-1994 21:52:25 -0800"`, as seconds since 1970 UTC.
    pub fn date_time(&mut self) -> Result<i64> {
        self.expect(b'"', "expected a date and time in quotes")?;
        self.eat(b' ');
        let date = self.date_text()?;
        self.expect(b' ', "expected a space after the date")?;
        let hour = self.two_digits()?;
        self.expect(b':', "expected hh:mm:ss")?;
        let minute = self.two_digits()?;
        self.expect(b':', "expected hh:mm:ss")?;
        // A leap second is counted as the one before it.
        let second = self.two_digits()?.min(59);
        let Ok(time) = Time::from_hms(hour, minute, second) else {
            return self.bad("no such time of day");
        };
        self.expect(b' ', "expected a space after the time")?;
        let offset = self.zone()?;
        self.expect(b'"', "expected a closing quote after the date")?;
        Ok(PrimitiveDateTime::new(date, time).assume_offset(offset).unix_timestamp())
    }

    fn date_text(&mut self) -> Result<Date> {
        let day = self.number()?;
        self.expect(b'-', "expected a date such as 1-Feb-1994")?;
        let Some(month) = MONTHS.iter().position(|name| self.eat_text(name)) else {
            return self.bad("expected a month such as Feb");
        };
        self.expect(b'-', "expected a date such as 1-Feb-1994")?;
        let year = self.run(|b| b.is_ascii_digit(), "expected a year")?;
        let year = if year.len() == 4 { year.iter().fold(0, |sum, b| sum * 10 + i32::from(b - b'0')) } else { -1 };
        let month = u8::try_from(month + 1).ok().and_then(|month| Month::try_from(month).ok());
        let day = u8::try_from(day).ok();
        match (day, month) {
            (Some(day), Some(month)) if year >= 0 => match Date::from_calendar_date(year, month, day) {
                Ok(date) => Ok(date),
                Err(_) => self.bad("no such day"),
            },
            _ => self.bad("expected a date such as 1-Feb-1994"),
        }
    }

    fn zone(&mut self) -> Result<UtcOffset> {
        let sign = match self.peek() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return self.bad("expected a time zone such as +0100"),
        };
        self.eat(b'+');
        self.eat(b'-');
        let (hours, minutes) = (i32::from(self.two_digits()?), i32::from(self.two_digits()?));
        match UtcOffset::from_whole_seconds(sign * (hours * 3600 + minutes * 60)) {
            Ok(offset) if minutes < 60 => Ok(offset),
            _ => self.bad("no such time zone"),
        }
    }

    fn two_digits(&mut self) -> Result<u8> {
        let digit = |cursor: &mut Self| match cursor.peek() {
            Some(b @ b'0'..=b'9') if cursor.eat(b) => Ok(b - b'0'),
            _ => cursor.bad("expected two digits"),
        };
        Ok(digit(self)? * 10 + digit(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        type Case = (&'static str, Option<(i32, u8, u8)>);
        let table: &[Case] = &[
            ("1-Feb-1994", Some((1994, 2, 1))),
            ("\"01-feb-1994\"", Some((1994, 2, 1))),
            ("29-Feb-2024", Some((2024, 2, 29))),
            ("29-Feb-2023", None),
            ("0-Feb-2023", None),
            ("1-Foo-2023", None),
            ("1-Feb-94", None),
            ("1-Feb-19944", None),
            ("\"1-Feb-1994", None),
        ];
        for (text, expected) in table {
            let date = Cursor::new(text.as_bytes()).date().ok();
            assert_eq!(date.map(|d| (d.year(), u8::from(d.month()), d.day())), *expected, "{text}");
        }
    }

    #[test]
    fn date_times() {
        let table: &[(&str, Option<i64>)] = &[
            ("\" 1-Jan-1970 00:00:00 +0000\"", Some(0)),
            ("\"01-Jan-1970 01:00:01 +0100\"", Some(1)),
            ("\"17-Jul-1996 02:44:25 -0700\"", Some(837_596_665)),
            ("\"31-Dec-2016 23:59:60 +0000\"", Some(1_483_228_799)),
            ("\"01-Jan-1970 24:00:00 +0000\"", None),
            ("\"01-Jan-1970 00:00:00 +9900\"", None),
            ("\"01-Jan-1970 00:00:00 +0060\"", None),
            ("\"01-Jan-1970 00:00:00\"", None),
            ("01-Jan-1970 00:00:00 +0000", None),
        ];
        for (text, expected) in table {
            assert_eq!(Cursor::new(text.as_bytes()).date_time().ok(), *expected, "{text}");
        }
    }
}
