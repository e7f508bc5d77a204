//! Timestamps of log lines: `2026-01-31T12:34:56.123456Z` and `[31/Jan/2026:12:34:56 +0000]`, the latter as Apache's.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use headworks_message::number::padded;

/// Ties the monotonic clock to the calendar; made anew every so often, because the calendar is corrected.
#[derive(Clone, Copy)]
pub(super) struct Anchor {
    instant: Instant,
    unix: Duration,
}

impl Anchor {
    pub(super) fn now() -> Anchor {
        Anchor { instant: Instant::now(), unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    /// Since 1970.
    pub(super) fn unix(&self, at: Instant) -> Duration {
        match at.checked_duration_since(self.instant) {
            Some(later) => self.unix + later,
            None => self.unix.saturating_sub(self.instant.saturating_duration_since(at)),
        }
    }
}

/// A day and its second, in the Gregorian calendar.
pub(super) struct Civil {
    pub(super) year: u64,
    pub(super) month: u64,
    pub(super) day: u64,
    pub(super) second_of_day: u64,
}

/// From seconds since 1970.
pub(super) fn civil(unix: u64) -> Civil {
    let (year, month_from_zero, day) = headworks_balance::imf_date::civil(unix / 86_400);
    Civil { year, month: month_from_zero + 1, day, second_of_day: unix % 86_400 }
}

fn clock(out: &mut Vec<u8>, second_of_day: u64) {
    out.extend_from_slice(&padded::<2>(second_of_day / 3_600));
    out.push(b':');
    out.extend_from_slice(&padded::<2>(second_of_day / 60 % 60));
    out.push(b':');
    out.extend_from_slice(&padded::<2>(second_of_day % 60));
}

/// The texts of the last second, because most lines share theirs with the line before.
#[derive(Default)]
pub(super) struct Stamps {
    second: Option<u64>,
    iso: Vec<u8>,
    apache: Vec<u8>,
}

impl Stamps {
    fn at(&mut self, second: u64) {
        if self.second == Some(second) {
            return;
        }
        self.second = Some(second);
        let civil = civil(second);
        self.iso.clear();
        self.iso.extend_from_slice(&padded::<4>(civil.year));
        self.iso.push(b'-');
        self.iso.extend_from_slice(&padded::<2>(civil.month));
        self.iso.push(b'-');
        self.iso.extend_from_slice(&padded::<2>(civil.day));
        self.iso.push(b'T');
        clock(&mut self.iso, civil.second_of_day);
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        self.apache.clear();
        self.apache.push(b'[');
        self.apache.extend_from_slice(&padded::<2>(civil.day));
        self.apache.push(b'/');
        let month = MONTHS.get((civil.month as usize).wrapping_sub(1)).copied().unwrap_or("???");
        self.apache.extend_from_slice(month.as_bytes());
        self.apache.push(b'/');
        self.apache.extend_from_slice(&padded::<4>(civil.year));
        self.apache.push(b':');
        clock(&mut self.apache, civil.second_of_day);
        self.apache.extend_from_slice(b" +0000]");
    }

    /// `2026-01-31T12:34:56.123456Z`
    pub(super) fn iso(&mut self, unix: Duration, out: &mut Vec<u8>) {
        self.at(unix.as_secs());
        out.extend_from_slice(&self.iso);
        out.push(b'.');
        out.extend_from_slice(&padded::<6>(u64::from(unix.subsec_micros())));
        out.push(b'Z');
    }

    /// `[31/Jan/2026:12:34:56 +0000]`
    pub(super) fn apache(&mut self, unix: Duration, out: &mut Vec<u8>) {
        self.at(unix.as_secs());
        out.extend_from_slice(&self.apache);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_the_calendars() {
        let check = |unix: u64, micros: u32, iso: &str, apache: &str| {
            let (mut stamps, mut out) = (Stamps::default(), Vec::new());
            let at = Duration::new(unix, micros * 1_000);
            stamps.iso(at, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), iso);
            out.clear();
            stamps.apache(at, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), apache);
        };
        check(0, 0, "1970-01-01T00:00:00.000000Z", "[01/Jan/1970:00:00:00 +0000]");
        check(951_782_399, 7, "2000-02-28T23:59:59.000007Z", "[28/Feb/2000:23:59:59 +0000]");
        check(951_782_400, 0, "2000-02-29T00:00:00.000000Z", "[29/Feb/2000:00:00:00 +0000]");
        check(1_798_761_599, 999_999, "2026-12-31T23:59:59.999999Z", "[31/Dec/2026:23:59:59 +0000]");
    }
}
