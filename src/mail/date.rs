//! Dates as mail writes them (RFC 5322 section 3.3 with the obsolete forms of 4.3) and as IMAP does (RFC 3501 section 9).
//!
//! Reading is generous, since the dates of old mail are what they are: day names may be missing or wrong, the year
//! may have two digits, the zone a name. What names no day is `None`. Writing is in UTC, so that no date depends on
//! where the server stands.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use super::lex::Lexer;

/// Names of months as mail and IMAP write them.
pub const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Zones by name (RFC 5322 section 4.3), hours from UTC. All other names, the military letters too, mean UTC there.
const ZONES: [(&str, i32); 8] =
    [("EDT", -4), ("EST", -5), ("CDT", -5), ("CST", -6), ("MDT", -6), ("MST", -7), ("PDT", -7), ("PST", -8)];

/// Read the value of a Date field. A date without a time is at midnight, one without a zone in UTC.
pub fn parse(value: &[u8]) -> Option<OffsetDateTime> {
    let mut lexer = Lexer::new(value);
    lexer.cfws();
    lexer.run(|b| b.is_ascii_alphabetic());
    lexer.cfws();
    if lexer.eat(b',') || lexer.eat(b'.') {
        lexer.cfws();
    }
    let day = number(&mut lexer)?;
    separator(&mut lexer);
    let month = month(&mut lexer)?;
    separator(&mut lexer);
    let year_at = lexer.mark();
    let year = number(&mut lexer)?;
    let year = match (lexer.mark() - year_at, year) {
        // RFC 5322 section 4.3.
        (2, 0..=49) => 2000 + year,
        (2 | 3, _) => 1900 + year,
        _ => year,
    };
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    lexer.cfws();
    let time = clock(&mut lexer).unwrap_or(Time::MIDNIGHT);
    let zone = zone(&mut lexer).unwrap_or(UtcOffset::UTC);
    Some(PrimitiveDateTime::new(date, time).assume_offset(zone))
}

/// White space, or the dash of `1-Jan-97`.
fn separator(lexer: &mut Lexer<'_>) {
    lexer.cfws();
    if lexer.eat(b'-') {
        lexer.cfws();
    }
}

fn number(lexer: &mut Lexer<'_>) -> Option<u32> {
    std::str::from_utf8(lexer.run(|b| b.is_ascii_digit())).ok()?.parse().ok()
}

fn month(lexer: &mut Lexer<'_>) -> Option<Month> {
    let name = lexer.run(|b| b.is_ascii_alphabetic()).get(..3)?;
    let index = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
    Month::try_from(u8::try_from(index + 1).ok()?).ok()
}

/// `hh:mm` or `hh:mm:ss`.
fn clock(lexer: &mut Lexer<'_>) -> Option<Time> {
    let part = |lexer: &mut Lexer<'_>| {
        let part = number(lexer).and_then(|n| u8::try_from(n).ok());
        lexer.cfws();
        part
    };
    let hour = part(lexer)?;
    if !lexer.eat(b':') {
        return None;
    }
    lexer.cfws();
    let minute = part(lexer)?;
    let mut second = 0;
    if lexer.eat(b':') {
        lexer.cfws();
        // 60 is a leap second, which our calendar does not have.
        second = part(lexer)?.min(59);
    }
    Time::from_hms(hour, minute, second).ok()
}

fn zone(lexer: &mut Lexer<'_>) -> Option<UtcOffset> {
    let sign = match lexer.peek()? {
        b'+' => 1,
        b'-' => -1,
        _ => {
            let name = lexer.run(|b| b.is_ascii_alphabetic());
            let hours = ZONES.iter().find(|zone| zone.0.as_bytes().eq_ignore_ascii_case(name))?.1;
            return UtcOffset::from_hms(i8::try_from(hours).ok()?, 0, 0).ok();
        }
    };
    lexer.skip();
    let offset = i32::try_from(number(lexer)?).ok()?;
    // Four digits; more would also be more seconds than the sum below has room for.
    if offset > 9999 || offset % 100 > 59 {
        return None;
    }
    UtcOffset::from_whole_seconds(sign * (offset / 100 * 3600 + offset % 100 * 60)).ok()
}

/// Seconds since 1970 as calendar time in UTC; what no calendar reaches is its nearest end.
fn utc(unix: i64) -> OffsetDateTime {
    const YEAR_0: i64 = -62_167_219_200;
    const YEAR_9999: i64 = 253_402_300_799;
    // RFC 3501 section 9 date-year: four digits.
    OffsetDateTime::from_unix_timestamp(unix.clamp(YEAR_0, YEAR_9999)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The day of an INTERNALDATE, in the zone that [`imap`] tells.
pub fn day(unix: i64) -> Date {
    utc(unix).date()
}

/// IMAP's date-time without its quotes: `17-Jul-1996 02:44:25 +0000`.
pub fn imap(unix: i64) -> String {
    let mut text = Vec::with_capacity(26);
    write_imap(&mut text, unix);
    text.into_iter().map(char::from).collect()
}

/// As [`imap`], added to `out`.
pub fn write_imap(out: &mut Vec<u8>, unix: i64) {
    let t = utc(unix);
    let month = MONTHS[usize::from(u8::from(t.month())) - 1];
    // No year has more than four digits.
    let year = t.year().unsigned_abs();
    two_digits(out, t.day().into(), b"-");
    out.extend_from_slice(month.as_bytes());
    out.push(b'-');
    two_digits(out, year / 100, b"");
    two_digits(out, year % 100, b" ");
    two_digits(out, t.hour().into(), b":");
    two_digits(out, t.minute().into(), b":");
    two_digits(out, t.second().into(), b" +0000");
}

fn two_digits(out: &mut Vec<u8>, number: u32, behind: &[u8]) {
    out.extend([b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
    out.extend_from_slice(behind);
}

/// A date for Date and Received fields: `Wed, 17 Jul 1996 02:44:25 +0000`.
pub fn rfc5322(unix: i64) -> String {
    let t = utc(unix);
    let day = DAYS[usize::from(t.weekday().number_days_from_monday())];
    let month = MONTHS[usize::from(u8::from(t.month())) - 1];
    format!("{day}, {} {month} {:04} {:02}:{:02}:{:02} +0000", t.day(), t.year(), t.hour(), t.minute(), t.second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_of_mail() {
        let table = [
            ("plain", "Fri, 21 Nov 1997 09:55:06 -0600", Some(880_127_706)),
            ("no day name", "21 Nov 1997 09:55:06 -0600", Some(880_127_706)),
            ("wrong day name", "Mon, 21 Nov 1997 09:55:06 -0600", Some(880_127_706)),
            ("no seconds", "Fri, 21 Nov 1997 09:55 -0600", Some(880_127_700)),
            ("comments", "Fri (x), 21 (y) Nov 1997 09(c):55:06 -0600 (CST)", Some(880_127_706)),
            ("two digits", "21 Nov 97 09:55:06 GMT", Some(880_106_106)),
            ("two digits of this century", "1 Jan 00 00:00:00 GMT", Some(946_684_800)),
            ("three digits", "1 Jan 100 00:00:00 GMT", Some(946_684_800)),
            ("zone by name", "21 Nov 1997 09:55:06 CST", Some(880_127_706)),
            ("military zone", "21 Nov 1997 09:55:06 Z", Some(880_106_106)),
            ("unknown zone", "21 Nov 1997 09:55:06 MEZ", Some(880_106_106)),
            ("no zone", "21 Nov 1997 09:55:06", Some(880_106_106)),
            ("zone out of range", "21 Nov 1997 09:55:06 +9999", Some(880_106_106)),
            ("zone of no clock", "21 Nov 1997 09:55:06 +2147483600", Some(880_106_106)),
            ("no time", "21 Nov 1997", Some(880_070_400)),
            ("impossible time", "21 Nov 1997 25:00:00 GMT", Some(880_070_400)),
            ("leap second", "31 Dec 1998 23:59:60 GMT", Some(915_148_799)),
            ("dashes", "21-Nov-97 09:55:06 GMT", Some(880_106_106)),
            ("long names", "Friday, 21 November 1997 09:55:06 GMT", Some(880_106_106)),
            ("folded", "Fri, 21 Nov\r\n 1997 09:55:06 GMT", Some(880_106_106)),
            ("no such day", "31 Feb 1997 00:00:00 GMT", None),
            ("no such month", "1 Foo 1997 00:00:00 GMT", None),
            ("year of no calendar", "1 Jan 99999999 00:00:00 GMT", None),
            ("words", "yesterday", None),
            ("nothing", "", None),
        ];
        for (case, value, want) in table {
            assert_eq!(parse(value.as_bytes()).map(OffsetDateTime::unix_timestamp), want, "{case}");
        }
    }

    #[test]
    fn the_day_is_the_senders() {
        let date = parse(b"1 Jan 2020 00:30:00 +1000").unwrap();
        assert_eq!((date.year(), date.day()), (2020, 1));
    }

    #[test]
    fn written() {
        assert_eq!(imap(837_571_465), "17-Jul-1996 02:44:25 +0000");
        assert_eq!(imap(-5), "31-Dec-1969 23:59:55 +0000");
        assert_eq!(imap(i64::MIN), "01-Jan-0000 00:00:00 +0000");
        assert_eq!(imap(i64::MAX), "31-Dec-9999 23:59:59 +0000");
        assert_eq!(rfc5322(837_571_465), "Wed, 17 Jul 1996 02:44:25 +0000");
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(unix in 0_i64..253_402_300_799) {
            prop_assert_eq!(parse(rfc5322(unix).as_bytes()).unwrap().unix_timestamp(), unix);
            prop_assert_eq!(parse(imap(unix).as_bytes()).unwrap().unix_timestamp(), unix);
        }

        #[test]
        fn never_panics(value in any::<Vec<u8>>(), text in "[0-9A-Za-z:+, -]{0,40}") {
            parse(&value);
            parse(text.as_bytes());
        }
    }
}
