//! What is refused when the program itself has too much to do: the least critical first, little by little, so that the rest
//! is served in time.
//!
//! Pressure is the share used up of whatever is scarcest; 1 is all of it. It rises at once, and falls slowly: what was just
//! refused comes again. But it is over within two seconds, however far beyond all of it that was.
//!
//! Source: "Handling Overload" in Site Reliability Engineering (criticality); Envoy's overload manager (scaled triggers).

use std::time::Duration;

use crate::Moment;

/// Up to where nothing is refused, and where all that is sheddable is.
const SHEDDABLE: (f64, f64) = (0.80, 0.90);
/// The same for what is neither sheddable nor critical. Even at the worst, some of it goes through: a program that answers
/// nothing has no way to find out that it could.
const NORMAL: (f64, f64) = (0.90, 1.00);
const MOST_NORMAL: f64 = 0.95;
/// More than all of it, several times over, is no longer remembered.
const MOST: f64 = 1.5;
/// How much of the pressure is left after a second without any.
const DECAY: f64 = 0.7;

/// How much it matters that a request is served while there is too much to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Criticality {
    /// Refused first.
    Sheddable,
    /// Refused when that is not enough.
    #[default]
    Normal,
    /// Never refused.
    Critical,
}

/// The pressure so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overload {
    pressure: f64,
    at: Moment,
}

impl Overload {
    /// Takes in the share used up of each thing that can run out.
    pub fn update(&mut self, used: &[f64], now: Moment) {
        let highest = used.iter().copied().filter(|used| used.is_finite()).fold(0.0, f64::max);
        let passed: Duration = now.saturating_sub(self.at);
        let left = self.pressure * DECAY.powf(passed.as_secs_f64());
        self.pressure = left.max(highest.min(MOST));
        self.at = now;
    }

    /// The pressure, from 0.
    #[must_use]
    pub fn pressure(&self) -> f64 {
        self.pressure
    }

    /// Whether anything is refused at all.
    #[inline]
    #[must_use]
    pub fn is_high(&self) -> bool {
        self.pressure > SHEDDABLE.0
    }

    /// Whether a request is refused; `random` is 64 fresh random bits.
    #[must_use]
    pub fn refuses(&self, criticality: Criticality, random: u64) -> bool {
        let share = self.share(criticality);
        share > 0.0 && (random as f64 / u64::MAX as f64) < share
    }

    /// The share of requests that is refused.
    #[must_use]
    pub fn share(&self, criticality: Criticality) -> f64 {
        let along = |(from, to): (f64, f64)| ((self.pressure - from) / (to - from)).clamp(0.0, 1.0);
        match criticality {
            Criticality::Sheddable => along(SHEDDABLE),
            Criticality::Normal => along(NORMAL) * MOST_NORMAL,
            Criticality::Critical => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected: the shares of sheddable and of normal requests that are refused, in hundredths.
    #[track_caller]
    fn check(used: &[f64], expected: (u32, u32)) {
        let mut overload = Overload::default();
        overload.update(used, Duration::from_secs(1));
        let hundredths = |criticality| (overload.share(criticality) * 100.0).round() as u32;
        assert_eq!((hundredths(Criticality::Sheddable), hundredths(Criticality::Normal)), expected, "{used:?}");
        assert_eq!(overload.share(Criticality::Critical), 0.0);
    }

    #[test]
    fn the_least_critical_first() {
        check(&[0.1, 0.79], (0, 0));
        check(&[0.85, 0.2], (50, 0));
        check(&[0.9], (100, 0));
        check(&[0.94], (100, 38));
        check(&[7.0], (100, 95));
        check(&[f64::NAN, f64::INFINITY, 0.3], (0, 0));
        check(&[], (0, 0));
    }

    #[test]
    fn rises_at_once_and_falls_slowly() {
        let mut overload = Overload::default();
        overload.update(&[1.0], Duration::from_secs(10));
        overload.update(&[0.0], Duration::from_millis(10_250));
        assert!(overload.share(Criticality::Sheddable) > 0.9, "{}", overload.pressure());
        overload.update(&[0.0], Duration::from_secs(12));
        assert_eq!(overload.share(Criticality::Sheddable), 0.0);
        // however much was missing, two seconds after it is enough of it
        overload.update(&[1000.0], Duration::from_secs(20));
        overload.update(&[0.0], Duration::from_secs(22));
        assert_eq!(overload.share(Criticality::Sheddable), 0.0);
    }
}
