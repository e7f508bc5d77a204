//! The health checks of one target, one after the other. Between two it is small: of a hundred thousand targets, few are being
//! asked at any moment.

use std::sync::Arc;

use headworks_balance::TargetKey;
use headworks_model::target_group::{HealthCheck, HttpVersion};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};

use super::Notice;
use crate::upstream::group::GroupShared;
use crate::upstream::probe;
use crate::upstream::target::TargetShared;

/// Checks at the same time, of all groups: each has a connection. Those that wait for a place are asked in order; a target that
/// answers has its place for milliseconds.
static PLACES: Semaphore = Semaphore::const_new(4096);

/// What asks a target again and again.
pub(super) struct Prober {
    pub(super) key: TargetKey,
    pub(super) target: Arc<TargetShared>,
    pub(super) group: Arc<GroupShared>,
    pub(super) check: Arc<HealthCheck>,
    pub(super) version: HttpVersion,
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    pub(super) round: u64,
}

impl Prober {
    /// Asks until nobody wants to know.
    pub(super) async fn run(self) {
        let mut next = Instant::now();
        let mut gap = probe::offset(self.key.0, self.check.interval).max(self.check.interval / 2);
        loop {
            // never closed
            let place = PLACES.acquire().await;
            let outcome = Box::pin(self.ask()).await;
            drop(place);
            if self.notices.send(Notice::Probed(self.key, self.round, outcome)).is_err() {
                return;
            }
            // the interval does not depend on how long answers take (T3)
            next = (next + gap).max(Instant::now());
            gap = self.check.interval;
            sleep_until(next).await;
        }
    }

    async fn ask(&self) -> headworks_balance::Outcome {
        let endpoint = probe::endpoint(&self.target.endpoint, &self.check);
        let dial = self.group.dial();
        probe::probe(&endpoint, self.target.host.as_deref(), &self.check, self.version, &dial).await
    }
}
