//! Anomaly detection and mitigation: a target that fails far more often than its peers gets less weight until it no longer
//! does (Automatic Target Weights).
//!
//! As documented: server errors and connection failures count; at least three healthy targets are needed; a target is
//! normal or anomalous; mitigation takes traffic away and gives it back little by little. How much is not documented; here
//! the weight is halved per anomalous period and grows by a tenth of the full weight per normal one, like TCP's window.
//! A target keeps a twentieth, so that its recovery can be seen.
//!
//! Source: Elastic Load Balancing, "Automatic Target Weights".

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Moment;
use crate::tally::Tally;

/// How often targets are judged.
const PERIOD: Duration = Duration::from_secs(10);
/// Fewer healthy targets than this are not compared.
const FEWEST_PEERS: usize = 3;
/// Fewer requests than this do not make a judgement; they are kept for the next period.
const FEWEST_REQUESTS: u32 = 20;
const FULL: u32 = 1000;
const LEAST: u32 = 50;
const GIVEN_BACK: u32 = 100;

/// One target's part.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Anomaly {
    seen: Tally,
    /// What is left of the weight, in thousandths.
    permille: u32,
    anomalous: bool,
}

impl Default for Anomaly {
    fn default() -> Self {
        Self { seen: Tally::default(), permille: FULL, anomalous: false }
    }
}

impl Anomaly {
    pub(crate) fn observe(&mut self, tally: Tally) {
        self.seen.merge(tally);
    }

    pub(crate) fn permille(&self) -> u32 {
        self.permille
    }

    pub(crate) fn is_anomalous(&self) -> bool {
        self.anomalous
    }

    pub(crate) fn is_mitigated(&self) -> bool {
        self.permille < FULL
    }

    fn requests(&self) -> f64 {
        f64::from(self.seen.successes) + f64::from(self.seen.failures)
    }

    /// Judged against all the others together.
    fn stands_out(&self, others: &Tally) -> bool {
        let others_requests = f64::from(others.successes) + f64::from(others.failures);
        if others_requests < f64::from(FEWEST_REQUESTS) {
            return false;
        }
        let (own, rest) =
            (f64::from(self.seen.failures) / self.requests(), f64::from(others.failures) / others_requests);
        let both = (f64::from(self.seen.failures) + f64::from(others.failures)) / (self.requests() + others_requests);
        // Two proportions are compared (z-test); the further conditions keep tiny but certain differences out.
        let deviation = (both * (1.0 - both) * (1.0 / self.requests() + 1.0 / others_requests)).sqrt();
        own > rest + 0.05 && own > 2.0 * rest && (own - rest) > 3.0 * deviation
    }

    fn judge(&mut self, anomalous: bool) -> bool {
        let before = self.permille;
        self.anomalous = anomalous;
        self.permille = if anomalous { (before / 2).max(LEAST) } else { before.saturating_add(GIVEN_BACK).min(FULL) };
        self.seen = Tally::default();
        self.permille != before
    }
}

/// When the targets of a group are next judged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Judgement {
    due: Moment,
}

impl Judgement {
    /// Judges the healthy targets' anomalies if it is time; true if a weight changed. At most half of them are reduced.
    pub(crate) fn tick(&mut self, healthy: &mut [&mut Anomaly], now: Moment) -> bool {
        if now < self.due {
            return false;
        }
        self.due = now.saturating_add(PERIOD);
        let mut all = Tally::default();
        for anomaly in healthy.iter() {
            all.merge(anomaly.seen);
        }
        let comparable = healthy.len() >= FEWEST_PEERS;
        let mut room = healthy.len() / 2;
        let mut changed = false;
        for anomaly in healthy {
            if comparable && anomaly.requests() < f64::from(FEWEST_REQUESTS) && !anomaly.seen.is_empty() {
                continue;
            }
            let others = Tally {
                successes: all.successes.saturating_sub(anomaly.seen.successes),
                failures: all.failures.saturating_sub(anomaly.seen.failures),
                consecutive_failures: 0,
            };
            let anomalous = comparable && room > 0 && !anomaly.seen.is_empty() && anomaly.stands_out(&others);
            room -= usize::from(anomalous);
            changed |= anomaly.judge(anomalous);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each period: failures out of 100 requests per target. Expected: what is left of each weight.
    #[track_caller]
    fn check(periods: &[&[u32]], expected: &[u32]) {
        let mut anomalies = vec![Anomaly::default(); expected.len()];
        let mut judgement = Judgement { due: PERIOD };
        let mut now = Moment::ZERO;
        for failures in periods {
            for (anomaly, failures) in anomalies.iter_mut().zip(*failures) {
                anomaly.observe(Tally { successes: 100 - failures, failures: *failures, consecutive_failures: 0 });
            }
            now += PERIOD;
            judgement.tick(&mut anomalies.iter_mut().collect::<Vec<_>>(), now);
        }
        assert_eq!(anomalies.iter().map(Anomaly::permille).collect::<Vec<_>>(), expected, "{periods:?}");
    }

    #[test]
    fn mitigation() {
        check(&[&[0, 0, 50]], &[1000, 1000, 500]);
        check(&[&[0, 0, 50], &[0, 0, 50]], &[1000, 1000, 250]);
        check([&[0, 0, 50][..]; 9].as_slice(), &[1000, 1000, 50]); // never to nothing
        check(&[&[0, 0, 50], &[0, 0, 0], &[0, 1, 0]], &[1000, 1000, 700]); // given back step by step
        check(&[&[0, 0, 4]], &[1000, 1000, 1000]); // too small to matter
        check(&[&[40, 45, 50]], &[1000, 1000, 1000]); // all fail alike
        check(&[&[0, 50]], &[1000, 1000]); // too few to compare
        check(&[&[0, 0, 50, 60, 0]], &[1000, 1000, 500, 500, 1000]);
    }

    #[test]
    fn too_few_requests_wait() {
        let mut anomalies = [Anomaly::default(); 3];
        let mut judgement = Judgement { due: PERIOD };
        for period in 1..=2 {
            for (anomaly, failures) in anomalies.iter_mut().zip([0, 0, 10]) {
                anomaly.observe(Tally { successes: 10 - failures, failures, consecutive_failures: 0 });
            }
            judgement.tick(&mut anomalies.iter_mut().collect::<Vec<_>>(), PERIOD * period);
            assert_eq!(anomalies[2].is_anomalous(), period == 2, "period {period}");
        }
    }
}
