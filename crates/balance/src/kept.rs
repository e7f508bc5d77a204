//! What a group knows of a target, for the process that takes over: nobody is to start with targets of which nothing is
//! known while the process before knows them well.
//!
//! Moments in it are those of the group that it comes from: whoever restores it lets the same clock go on.

use serde::{Deserialize, Serialize};

use crate::Moment;
use crate::anomaly::Anomaly;
use crate::breaker::Breaker;
use crate::group::Group;
use crate::health::TargetHealth;
use crate::key::TargetKey;
use crate::member::Member;
use crate::report::Changes;
use crate::slow_start::Ramp;

/// What is known of one registered target: its health, its way through slow start, its breaker, its share of errors.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Kept {
    key: TargetKey,
    health: TargetHealth,
    #[serde(default)]
    ramp: Option<Ramp>,
    #[serde(default)]
    first_batch: bool,
    #[serde(default)]
    breaker: Breaker,
    #[serde(default)]
    anomaly: Anomaly,
    #[serde(default)]
    unhealthy_until: Option<Moment>,
}

impl Kept {
    pub(crate) fn of(member: &Member) -> Kept {
        Kept {
            key: member.key,
            health: member.health.clone(),
            ramp: member.ramp,
            first_batch: member.first_batch,
            breaker: member.breaker,
            anomaly: member.anomaly,
            unhealthy_until: member.unhealthy_until,
        }
    }

    pub(crate) fn put_into(self, member: &mut Member) {
        member.health = self.health;
        member.ramp = self.ramp;
        member.first_batch = self.first_batch;
        member.breaker = self.breaker;
        member.anomaly = self.anomaly;
        member.unhealthy_until = self.unhealthy_until;
    }

    /// Which target it is of.
    #[must_use]
    pub fn key(&self) -> TargetKey {
        self.key
    }
}

impl Group {
    /// What is known of every registered target.
    pub fn keep(&self) -> impl Iterator<Item = Kept> {
        self.members().filter(|member| member.is_registered()).map(Kept::of)
    }

    /// Takes up what another process knew of a target that is registered here.
    pub fn restore(&mut self, kept: Kept) -> Changes {
        let key = kept.key;
        self.expect_trial(kept.breaker.due());
        self.change_registered(key, |member| kept.put_into(member))
    }
}
