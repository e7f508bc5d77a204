//! Times as AWS writes them, in both directions; all of them UTC.

/// `20150830T123600Z` as seconds since 1970; none when it is not that.
pub fn parse_basic(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (year, month, day) = (number(date, 0, 4)?, number(date, 4, 6)?, number(date, 6, 8)?);
    let (hour, minute, second) = (number(time, 0, 2)?, number(time, 2, 4)?, number(time, 4, 6)?);
    if date.len() != 8 || time.len() != 6 {
        return None;
    }
    seconds(year, month, day, hour, minute, second)
}

/// `2013-08-16T12:00:00Z`, with a fraction, with an offset, a date alone, or seconds since 1970.
pub fn parse_iso(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds.is_finite().then_some(seconds);
    }
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00Z"));
    let mut parts = date.splitn(3, '-');
    let mut part = |length| parts.next().filter(|text| text.len() == length).and_then(|text| number(text, 0, length));
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let zone = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    // an exponent is none
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
    let fraction: f64 = format!("0.{fraction}").parse().ok().filter(|_| digits)?;
    let mut parts = clock.split(':');
    let mut part = || parts.next().filter(|text| text.len() == 2).and_then(|text| number(text, 0, 2));
    let (hour, minute) = (part()?, part()?);
    let second = part().unwrap_or(0);
    let offset = match zone.split_at_checked(1)? {
        ("Z", "") => 0.0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':').filter(|_| offset.len() == 5)?;
            let (hours, minutes) = (number(hours, 0, 2)?, number(minutes, 0, 2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let minutes = hours * 60 + minutes;
            if sign == "-" { -60.0 * f64::from(minutes) } else { 60.0 * f64::from(minutes) }
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "a float is asked for")]
    let whole = seconds(year, month, day, hour, minute, second)? as f64;
    Some(whole + fraction - offset)
}

/// `2013-08-16T12:00:00Z`, with a fraction and an offset if need be (RFC 3339, section 5.6), or a date alone, which is its first
/// moment, as milliseconds since 1970; none when it is not that.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let text = text.to_ascii_uppercase();
    let shape: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    let (date, time) = shape.split_once('T').unwrap_or((&shape, "00:00:00Z"));
    let (clock, rest) = time.split_at_checked(8)?;
    let zone = rest.strip_prefix('.').map_or(Some(rest), |fraction| {
        let zone = fraction.trim_start_matches('0');
        (zone.len() < fraction.len()).then_some(zone)
    })?;
    if date != "0000-00-00" || clock != "00:00:00" || !["Z", "+00:00", "-00:00"].contains(&zone) {
        return None;
    }
    let ms = parse_iso(&text)? * 1000.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "years have four digits, and it is not below 0"
    )]
    (ms >= 0.0).then_some(ms.round() as u64)
}

/// `20150830T123600Z`.
pub fn basic(seconds: u64) -> String {
    let ([year, month, day], [hour, minute, second]) = civil(seconds);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// `2015-08-30T12:36:00Z`.
pub fn iso(seconds: u64) -> String {
    let ([year, month, day], [hour, minute, second]) = civil(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn number(text: &str, from: usize, to: usize) -> Option<u32> {
    let digits = text.get(from..to)?;
    let fine = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    fine.then(|| digits.parse().ok()).flatten()
}

/// Days from civil by Howard Hinnant's algorithm, counted from March.
fn seconds(year: u32, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    };
    let fine = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=longest).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !fine {
        return None;
    }
    let (year, month, day) = (u64::from(year), u64::from(month), u64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let of_era = year % 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + u64::from(hour * 3600 + minute * 60 + second))
}

fn civil(seconds: u64) -> ([u64; 3], [u64; 3]) {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    ([year, month, day], [second / 3600, second / 60 % 60, second % 60])
}

#[cfg(test)]
mod tests {
    use super::{basic, iso, parse_basic, parse_iso, parse_rfc3339};

    #[test]
    fn times_go_there_and_back() {
        for (text, seconds) in [
            ("19700101T000000Z", 0),
            ("20150830T123600Z", 1_440_938_160),
            ("20000229T235959Z", 951_868_799),
            ("21000301T000000Z", 4_107_542_400),
        ] {
            assert_eq!(parse_basic(text), Some(seconds), "{text}");
            assert_eq!(basic(seconds), text);
        }
        assert_eq!(iso(1_440_938_160), "2015-08-30T12:36:00Z");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "20150830T123600", "20150230T000000Z", "20151301T000000Z", "2015083T0123600Z", "20150830T243600Z"]
        {
            assert_eq!(parse_basic(text), None, "{text}");
        }
        for (text, seconds) in [
            ("2015-08-30T12:36:00Z", Some(1_440_938_160.0)),
            ("2015-08-30T14:36:00+02:00", Some(1_440_938_160.0)),
            ("2015-08-30T12:36:00.5Z", Some(1_440_938_160.5)),
            ("2015-08-30", Some(1_440_892_800.0)),
            ("1440938160", Some(1_440_938_160.0)),
            ("yesterday", None),
            ("2015-08-30T12:36:00.1e5Z", None),
            ("2015-08-30T12:36:00.9e999Z", None),
            ("2015-08-30T12:36:00+99:00", None),
            ("2015-08-30T12:36:00+02xx:00yy", None),
            ("2015-8-30", None),
        ] {
            assert_eq!(parse_iso(text), seconds, "{text}");
        }
        for (text, ms) in [
            ("2015-08-30T12:36:00Z", Some(1_440_938_160_000)),
            ("2015-08-30t14:36:00.25+02:00", Some(1_440_938_160_250)),
            ("2015-08-30", Some(1_440_892_800_000)),
            ("1970-01-01T00:00:00+02:00", None),
            ("1440938160", None),
            ("2015-08-30T12:36Z", None),
            ("2015-08-30T12:36:00", None),
            ("2015-08-30T12:36:00.Z", None),
            ("2015-08-30T12:36:00+02:00x", None),
            ("2015-08-30T12:36:00 02:00", None),
            ("2015-02-30", None),
            ("", None),
            ("2015-08-30Té", None),
        ] {
            assert_eq!(parse_rfc3339(text), ms, "{text}");
        }
    }
}
