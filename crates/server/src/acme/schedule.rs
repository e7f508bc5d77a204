//! When a certificate is asked for: at once while there is none, again before it ends, later and later while that fails.
//! Pure: clock and randomness are arguments.

use std::time::{Duration, SystemTime};

use headworks_edge::Validity;

/// After the first failure.
const SHORTEST: Duration = Duration::from_secs(60);
/// After many.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// What an authority may ask to be left alone for.
pub(super) const LONGEST_ASKED: Duration = Duration::from_secs(7 * 24 * 3600);

/// When one certificate is asked for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) due: SystemTime,
    /// Attempts since the last one that came to something.
    pub(crate) failures: u32,
    /// Of the certificate there is.
    pub(crate) validity: Option<Validity>,
}

/// Where in a span of time something happens, so that not all instances do it at once: 0 up to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jitter(pub(crate) f64);

impl Schedule {
    /// For a certificate that is there, or not yet. `renew_before` is the time before its end, when that is declared.
    pub(crate) fn new(
        validity: Option<Validity>,
        renew_before: Option<Duration>,
        now: SystemTime,
        jitter: Jitter,
    ) -> Schedule {
        let due = validity.map_or(now, |validity| renewal(validity, renew_before, jitter));
        Schedule { due, failures: 0, validity }
    }

    /// An attempt came to nothing. `asked` is what the authority asked to be left alone for.
    pub(crate) fn fail(&mut self, asked: Option<Duration>, now: SystemTime, jitter: Jitter) {
        self.failures = self.failures.saturating_add(1);
        let wait = back_off(self.failures, self.validity.map(life), jitter);
        self.due = now + wait.max(asked.unwrap_or_default().min(LONGEST_ASKED));
    }

    /// How long to wait until it is due.
    pub(crate) fn wait(&self, now: SystemTime) -> Duration {
        self.due.duration_since(now).unwrap_or_default()
    }
}

fn at(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

fn life(validity: Validity) -> Duration {
    at(validity.not_after).duration_since(at(validity.not_before)).unwrap_or_default()
}

/// When two thirds of its life are used up, or at the time before its end that was declared, but never in its first third:
/// an authority would be asked without end. A fiftieth of its life earlier at most.
fn renewal(validity: Validity, renew_before: Option<Duration>, jitter: Jitter) -> SystemTime {
    let life = life(validity);
    let before = renew_before.unwrap_or(life / 3).min(life * 2 / 3);
    at(validity.not_after) - before - (life / 50).mul_f64(jitter.0)
}

/// Twice as long each time. A certificate of a short life is tried for more often than a tenth of it.
fn back_off(failures: u32, life: Option<Duration>, jitter: Jitter) -> Duration {
    let doubled = SHORTEST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let ceiling = life.map_or(LONGEST, |life| LONGEST.min(life / 10)).max(SHORTEST * 5 / 4);
    doubled.min(ceiling * 4 / 5).mul_f64(1.0 + jitter.0 / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;
    const MINUTE: u64 = 60;

    fn day(days: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(days * DAY)
    }

    /// A certificate of so many days that begins at day 100.
    fn of_days(days: i64) -> Validity {
        Validity { not_before: 100 * DAY as i64, not_after: (100 + days) * DAY as i64 }
    }

    #[test]
    fn when_a_certificate_is_renewed() {
        let days = |days: u64| Some(Duration::from_secs(days * DAY));
        let rows = [
            // nothing there: at once
            (None, None, 0.5, day(7)),
            (Some(of_days(90)), None, 0.0, day(160)),
            (Some(of_days(6)), None, 0.0, day(104)),
            // as declared
            (Some(of_days(90)), days(10), 0.0, day(180)),
            (Some(of_days(90)), days(45), 0.0, day(145)),
            // but not in its first third
            (Some(of_days(90)), days(90), 0.0, day(130)),
            (Some(of_days(6)), days(30), 0.0, day(102)),
            // earlier, never later
            (Some(of_days(100)), days(10), 0.5, day(189)),
        ];
        for (validity, renew_before, jitter, expected) in rows {
            let schedule = Schedule::new(validity, renew_before, day(7), Jitter(jitter));
            assert_eq!((schedule.due, schedule.failures), (expected, 0), "{validity:?} {renew_before:?}");
        }
    }

    #[test]
    fn failures_are_followed_by_longer_waits() {
        let asked = |seconds: u64| Some(Duration::from_secs(seconds));
        // failures before, life in days, jitter, what the authority asked for, seconds to wait
        let rows = [
            (0, None, 0.0, None, MINUTE),
            (0, None, 0.8, None, 72),
            (1, None, 0.0, None, 2 * MINUTE),
            (5, None, 0.0, None, 32 * MINUTE),
            (30, None, 0.0, None, 12 * 3600 * 4 / 5),
            (30, None, 1.0, None, 12 * 3600),
            (u32::MAX, None, 1.0, None, 12 * 3600),
            // six days: never more than 14.4 hours, which is no bound; one day: 2.4 hours
            (30, Some(6), 1.0, None, 12 * 3600),
            (30, Some(1), 1.0, None, 8640),
            (0, None, 0.0, asked(3600), 3600),
            (0, None, 0.0, asked(10), MINUTE),
            (0, None, 0.0, asked(365 * DAY), 7 * DAY),
        ];
        for (failures, days, jitter, asked, seconds) in rows {
            let validity = days.map(of_days);
            let mut schedule = Schedule { due: day(1), failures, validity };
            schedule.fail(asked, day(200), Jitter(jitter));
            assert_eq!(
                schedule.wait(day(200)),
                Duration::from_secs(seconds),
                "after {failures} {validity:?} {asked:?}"
            );
            assert_eq!(schedule.wait(day(300)), Duration::ZERO);
        }
    }

    /// A certificate of seconds is not tried for in a loop.
    #[test]
    fn the_shortest_life_has_the_shortest_wait() {
        let validity = Some(Validity { not_before: 0, not_after: 6 });
        let mut schedule = Schedule::new(validity, None, SystemTime::UNIX_EPOCH, Jitter(0.0));
        assert_eq!(schedule.wait(SystemTime::UNIX_EPOCH), Duration::from_secs(4));
        schedule.fail(None, SystemTime::UNIX_EPOCH, Jitter(0.0));
        assert_eq!(schedule.wait(SystemTime::UNIX_EPOCH), SHORTEST);
    }
}
