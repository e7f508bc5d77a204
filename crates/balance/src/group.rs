//! The state of one target group: who is registered, how they fare, who is eligible.
//!
//! It lives in the control thread. Every call that changes something answers with [`Changes`]; when those say that the
//! roster changed, [`Group::roster`] has the new one. Calls take constant time, except `tick` and `roster`, which look at
//! every target; a caller that applies many changes should ask for the roster once, after the last.
//!
//! It does not probe and does not know what is in flight: [`Group::probed`] says whom to probe, [`Changes::expired`] whose
//! connections to cut.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crate::Moment;
use crate::anomaly::{Anomaly, Judgement};
use crate::breaker::{Fault, Passed, Wish};
use crate::health::{Outcome, TargetHealth, Verdict};
use crate::key::TargetKey;
use crate::member::Member;
use crate::outlier::{self, Latency};
use crate::report::{Changes, TargetReport, Transition};
use crate::roster::{Entry, Roster, Supply};
use crate::settings::{HealthCheck, Settings};
use crate::slow_start::{Climb, Ramp};
use crate::status::{Reason, State, Status};
use crate::tally::Tally;

/// One target group. See the module's description.
#[derive(Debug)]
pub struct Group {
    settings: Settings,
    in_use: bool,
    members: Vec<Member>,
    places: HashMap<TargetKey, usize>,
    judgement: Judgement,
    /// The moment of the latest registration, and whether the group was empty of serving targets then.
    batch: Option<(Moment, bool)>,
    roster: Arc<Roster>,
    changes: Changes,
    stale: bool,
    /// No later than when time changes a breaker next.
    next_trial: Option<Moment>,
}

impl Group {
    /// An empty group that is used by no rule yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let roster = Arc::new(Roster::empty(settings.algorithm));
        Self {
            settings,
            in_use: false,
            members: Vec::new(),
            places: HashMap::new(),
            judgement: Judgement::default(),
            batch: None,
            roster,
            changes: Changes::default(),
            stale: false,
            next_trial: None,
        }
    }

    /// Says how many targets there will be: room for them and for few others is taken at once.
    pub fn expect(&mut self, targets: usize) {
        self.members.reserve_exact(targets.saturating_sub(self.members.len()));
    }

    /// Registers a target. One that drains is taken back and judged anew; one that is registered keeps all but its weight.
    pub fn register(&mut self, key: TargetKey, weight: u32, now: Moment) -> Changes {
        let known = self.places.get(&key).copied();
        if known.and_then(|place| self.members.get(place)).is_some_and(Member::is_registered) {
            return self.set_weight(key, weight);
        }
        let first_batch = self.is_first_batch(now);
        let place = known.unwrap_or_else(|| {
            self.places.insert(key, self.members.len());
            self.members.push(Member::new(key, weight));
            self.members.len() - 1
        });
        if let Some(member) = self.members.get_mut(place) {
            member.weight = weight;
            member.draining_since = None;
            member.first_batch = first_batch;
            member.forget();
        }
        if self.settings.health_check == HealthCheck::Disabled {
            self.became_healthy(place, now);
        }
        self.finish(place)
    }

    /// Registers a target whose health is known already, from another process or an earlier life of this group. It does
    /// not enter slow start.
    pub fn adopt(&mut self, key: TargetKey, weight: u32, verdict: Verdict, now: Moment) -> Changes {
        let mut before = self.register(key, weight, now);
        let Some(place) = self.places.get(&key).copied() else { return before };
        if let Some(member) = self.members.get_mut(place) {
            member.health = TargetHealth::adopted(verdict);
            member.ramp = None;
        }
        let after = self.finish(place);
        before.transitions.extend(after.transitions);
        before
    }

    /// Starts to deregister a target: nothing new is sent to it. It stays, draining, for the whole deregistration delay
    /// whether or not anything is in flight; the tick after that reports it as expired and forgets it.
    pub fn deregister(&mut self, key: TargetKey, now: Moment) -> Changes {
        let Some(place) = self.places.get(&key).copied() else { return Changes::default() };
        if let Some(member) = self.members.get_mut(place).filter(|member| member.is_registered()) {
            member.draining_since = Some(now);
            member.forget();
            self.note(place);
        }
        self.take_changes()
    }

    /// Says whether any rule uses the group. One that is not used is not probed, and starts from nothing when it is again.
    pub fn set_in_use(&mut self, in_use: bool) -> Changes {
        if self.in_use != in_use {
            self.in_use = in_use;
            for place in 0..self.members.len() {
                if let Some(member) = self.members.get_mut(place).filter(|member| member.is_registered()) {
                    member.forget();
                    member.first_batch = true;
                }
                self.note(place);
            }
            self.touch();
        }
        self.take_changes()
    }

    /// Applies changed settings. Health and draining go on; healthy targets do not enter a slow start that is new.
    pub fn configure(&mut self, settings: Settings) -> Changes {
        if self.settings != settings {
            let breaker_gone = settings.circuit_breaker.is_none();
            let mitigation_gone = !settings.mitigates_anomalies();
            self.settings = settings;
            for place in 0..self.members.len() {
                if let Some(member) = self.members.get_mut(place) {
                    if breaker_gone && member.breaker.is_open() {
                        self.changes.restored.push(member.key);
                    }
                    if breaker_gone {
                        member.breaker = Default::default();
                    }
                    if mitigation_gone {
                        member.anomaly = Anomaly::default();
                    }
                }
                self.note(place);
            }
            self.touch();
        }
        self.take_changes()
    }

    /// Changes a target's weight.
    pub fn set_weight(&mut self, key: TargetKey, weight: u32) -> Changes {
        if let Some(member) = self.member_mut(key).filter(|member| member.weight != weight) {
            member.weight = weight;
            self.touch();
        }
        self.take_changes()
    }

    /// Takes in the result of one health check. Late results for targets that are not probed any more are ignored.
    pub fn probe_result(&mut self, key: TargetKey, outcome: Outcome, now: Moment) -> Changes {
        let HealthCheck::Enabled(thresholds) = self.settings.health_check else { return Changes::default() };
        let Some(place) = self.places.get(&key).copied().filter(|_| self.in_use) else { return Changes::default() };
        let Some(member) = self.members.get_mut(place).filter(|member| member.is_registered()) else {
            return Changes::default();
        };
        match member.health.record(outcome, thresholds) {
            Some(Verdict::Healthy) => {
                member.unhealthy_until = None;
                self.became_healthy(place, now);
            }
            Some(Verdict::Unhealthy) => {
                member.forget_traffic();
                member.first_batch = false;
                match self.settings.unhealthy_draining {
                    Some(Duration::ZERO) => self.changes.expired.push(key),
                    interval => member.unhealthy_until = interval.map(|interval| now.saturating_add(interval)),
                }
            }
            Some(Verdict::Initial) | None => {}
        }
        self.finish(place)
    }

    /// Takes in what workers observed of one target since the last time.
    pub fn observe(&mut self, key: TargetKey, tally: Tally, now: Moment) -> Changes {
        let Some(place) = self.places.get(&key).copied() else { return Changes::default() };
        let Some(member) = self.members.get_mut(place) else { return Changes::default() };
        if tally.is_empty() || !member.is_healthy(&self.settings) {
            return Changes::default();
        }
        if self.settings.mitigates_anomalies() {
            member.anomaly.observe(tally);
        }
        let Some(breaker) = self.settings.circuit_breaker else { return self.take_changes() };
        match member.breaker.observe(tally, &breaker, now) {
            Wish::Nothing => {}
            Wish::Close => {
                member.breaker.close();
                self.return_slowly(place, now);
                self.touch();
            }
            Wish::Open(fault) => self.eject(place, fault, now),
        }
        self.take_changes()
    }

    /// Takes in what the answers of all targets took, over one window, and ejects those that are far slower than their
    /// peers.
    pub fn compare(&mut self, latencies: &[(TargetKey, Latency)], now: Moment) -> Changes {
        let Some(breaker) = self.settings.circuit_breaker else { return Changes::default() };
        let Some(factor) = breaker.latency_factor else { return Changes::default() };
        let usable = |key: &TargetKey| {
            let member = self.places.get(key).and_then(|place| self.members.get(*place));
            member.is_some_and(|member| member.is_healthy(&self.settings) && member.breaker.is_closed())
        };
        let compared: Vec<_> = latencies.iter().filter(|(key, _)| usable(key)).copied().collect();
        let of: Vec<Latency> = compared.iter().map(|(_, latency)| *latency).collect();
        for slow in outlier::slow(&of, factor, u64::from(breaker.minimum_requests)) {
            let place = compared.get(slow).and_then(|(key, _)| self.places.get(key).copied());
            place.into_iter().for_each(|place| self.eject(place, Fault::Latency, now));
        }
        self.take_changes()
    }

    /// When the next ejection is over, or the next trial undecided: what [`Group::try_ejected`] is for.
    #[must_use]
    pub fn next_trial(&self) -> Option<Moment> {
        self.next_trial
    }

    /// Half-opens breakers whose time has come.
    pub fn try_ejected(&mut self, now: Moment) -> Changes {
        self.half_open(now);
        self.take_changes()
    }

    fn half_open(&mut self, now: Moment) {
        if self.next_trial.is_none_or(|at| at > now) {
            return;
        }
        // one that was kept from before may be open though none is declared any more
        let breaker = self.settings.circuit_breaker.unwrap_or_default();
        let mut moved = false;
        for member in &mut self.members {
            let passed = member.breaker.tick(&breaker, now);
            moved |= passed != Passed::Nothing;
            if passed == Passed::HalfOpened {
                self.changes.restored.push(member.key);
            }
        }
        self.next_trial = self.members.iter().filter_map(|member| member.breaker.due()).min();
        if moved {
            self.touch();
        }
    }

    /// Lets time pass: ends draining, climbs slow starts, half-opens breakers, judges anomalies. Call it once a second.
    pub fn tick(&mut self, now: Moment) -> Changes {
        self.remove_drained(now);
        self.half_open(now);
        let mut moved = false;
        for place in 0..self.members.len() {
            let Some(member) = self.members.get_mut(place) else { continue };
            if let Some(ramp) = &mut member.ramp {
                let climb = ramp.climb(self.settings.slow_start, now);
                moved |= climb != Climb::Same;
                if climb == Climb::Done {
                    member.ramp = None;
                }
            }
            if member.unhealthy_until.is_some_and(|until| until <= now) {
                member.unhealthy_until = None;
                self.changes.expired.push(member.key);
                self.note(place);
            }
        }
        if self.settings.mitigates_anomalies() {
            let settings = &self.settings;
            let healthy = self.members.iter_mut().filter(|member| member.is_healthy(settings));
            let mut anomalies: Vec<_> = healthy.map(|member| &mut member.anomaly).collect();
            moved |= self.judgement.tick(&mut anomalies, now);
        }
        if moved {
            self.touch();
        }
        self.take_changes()
    }

    /// The current roster; a new one, of the next generation, if anything that matters to workers changed.
    pub fn roster(&mut self) -> Arc<Roster> {
        if mem::take(&mut self.stale) {
            self.settle();
            let (entries, supply) = self.entries();
            if !self.roster.says_the_same(self.settings.algorithm, &entries, supply) {
                let generation = self.roster.generation + 1;
                self.roster = Arc::new(Roster::new(self.settings.algorithm, entries, supply, generation));
            }
        }
        Arc::clone(&self.roster)
    }

    /// The targets to probe: none while the group is not used or its health checks are off, and none that drain.
    pub fn probed(&self) -> impl Iterator<Item = TargetKey> {
        let probing = self.in_use && self.settings.health_check != HealthCheck::Disabled;
        self.members.iter().filter(move |member| probing && member.is_registered()).map(|member| member.key)
    }

    /// All targets, registered and draining, in the order they were registered.
    pub fn targets(&self) -> impl Iterator<Item = TargetReport> {
        self.members.iter().map(|member| TargetReport {
            key: member.key,
            weight: member.weight,
            status: member.status(&self.settings, self.in_use),
            in_slow_start: member.ramp.is_some(),
            ejected: member.breaker.is_open(),
            anomalous: member.anomaly.is_anomalous(),
            mitigated: member.anomaly.is_mitigated(),
        })
    }

    /// The status of one target; unused, as not registered, if the group does not know it.
    #[must_use]
    pub fn status(&self, key: TargetKey) -> Status {
        let member = self.places.get(&key).and_then(|place| self.members.get(*place));
        member.map_or(Status::new(State::Unused, Reason::NotRegistered), |member| {
            member.status(&self.settings, self.in_use)
        })
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When the target that drains will be cut off, if it drains.
    #[must_use]
    pub fn drains_until(&self, key: TargetKey) -> Option<Moment> {
        let member = self.places.get(&key).and_then(|place| self.members.get(*place))?;
        member.draining_since.map(|since| since.saturating_add(self.settings.deregistration_delay))
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// Changes a target that is registered, and tells of it.
    pub(crate) fn change_registered(&mut self, key: TargetKey, change: impl FnOnce(&mut Member)) -> Changes {
        let Some(place) = self.places.get(&key).copied() else { return Changes::default() };
        if let Some(member) = self.members.get_mut(place).filter(|member| member.is_registered()) {
            change(member);
            self.touch();
            self.note(place);
        }
        self.take_changes()
    }

    fn member_mut(&mut self, key: TargetKey) -> Option<&mut Member> {
        self.places.get(&key).and_then(|place| self.members.get_mut(*place))
    }

    fn registered(&self) -> usize {
        self.members.iter().filter(|member| member.is_registered()).count()
    }

    /// Targets registered at the same moment are one batch. It is the first if no other target carries its full share.
    fn is_first_batch(&mut self, now: Moment) -> bool {
        match self.batch {
            Some((moment, first)) if moment == now => first,
            _ => {
                let first = !self.members.iter().any(|member| member.carries_fully(&self.settings));
                self.batch = Some((now, first));
                first
            }
        }
    }

    /// A target enters slow start when it becomes healthy while another carries its full share: without one there is
    /// nobody to take what it is spared.
    fn became_healthy(&mut self, place: usize, now: Moment) {
        let settings = &self.settings;
        let carried = !settings.slow_start.is_zero()
            && self.members.iter().enumerate().any(|(other, member)| other != place && member.carries_fully(settings));
        if let Some(member) = self.members.get_mut(place) {
            member.ramp = (carried && !member.first_batch).then(|| Ramp::new(now));
        }
    }

    /// A target that has passed its trial comes back as one that has become healthy does.
    fn return_slowly(&mut self, place: usize, now: Moment) {
        if let Some(member) = self.members.get_mut(place) {
            member.first_batch = false;
        }
        self.became_healthy(place, now);
    }

    fn eject(&mut self, place: usize, fault: Fault, now: Moment) {
        let Some(breaker) = self.settings.circuit_breaker else { return };
        if !self.may_eject(place, breaker.most_ejected(self.registered())) {
            return;
        }
        if let Some(member) = self.members.get_mut(place) {
            member.breaker.open(&breaker, now);
            member.ramp = None;
            let due = member.breaker.due();
            self.changes.ejected.push((member.key, fault));
            self.expect_trial(due);
        }
        self.touch();
    }

    /// Never the last one that can be used, unless something stands in for it, and never more than the settings allow. One
    /// on trial is still out: it takes a few requests only, and nobody knows yet what becomes of them.
    fn may_eject(&self, place: usize, most: usize) -> bool {
        let others = || self.members.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, member)| member);
        let out = others().filter(|member| !member.breaker.is_closed()).count();
        let is_left = others().any(|member| member.is_healthy(&self.settings) && member.breaker.is_closed());
        (is_left || self.settings.has_stand_in) && out < most
    }

    fn remove_drained(&mut self, now: Moment) {
        let delay: Duration = self.settings.deregistration_delay;
        let over = |member: &Member| member.draining_since.is_some_and(|since| since.saturating_add(delay) <= now);
        if !self.members.iter().any(over) {
            return;
        }
        let gone = Status::new(State::Unused, Reason::NotRegistered);
        for member in self.members.extract_if(.., |member| over(member)) {
            self.changes.expired.push(member.key);
            self.changes.transitions.push(Transition { key: member.key, from: member.told, to: gone });
        }
        self.places = self.members.iter().enumerate().map(|(place, member)| (member.key, place)).collect();
        self.touch();
    }

    /// Restores what must hold over all targets after any of them changed. What it restores is told with the next call.
    fn settle(&mut self) {
        if let Some(breaker) = self.settings.circuit_breaker {
            let most = breaker.most_ejected(self.registered());
            let mut out: Vec<_> = self.members.iter_mut().filter(|member| !member.breaker.is_closed()).collect();
            out.sort_by_key(|member| member.breaker.last_trip());
            let excess = out.len().saturating_sub(most);
            for member in out.into_iter().take(excess) {
                // one on trial has been told of already
                if member.breaker.is_open() {
                    self.changes.restored.push(member.key);
                }
                member.breaker.close();
            }
        }
        let settings = &self.settings;
        let mut healthy = self.members.iter_mut().filter(|member| member.is_healthy(settings));
        if let (Some(only), None) = (healthy.next(), healthy.next()) {
            only.ramp = None;
        }
    }

    fn entries(&self) -> (Vec<Entry>, Supply) {
        let healthy = self.members.iter().filter(|member| member.is_healthy(&self.settings)).count();
        let registered = self.registered();
        let is_short = registered > 0 && healthy < self.settings.healthy_needed(registered);
        let is_left = |member: &Member| member.is_healthy(&self.settings) && member.breaker.is_closed();
        let supply = match (is_short, self.settings.fails_open) {
            (false, _) if healthy == 0 || self.members.iter().any(is_left) => Supply::Enough,
            (false, _) => Supply::Ejected,
            (true, true) => Supply::FailOpen,
            (true, false) => Supply::FailClosed,
        };
        let usable = |member: &Member| member.is_healthy(&self.settings) && !member.breaker.is_open();
        // Ejected targets still beat unhealthy ones, should all that are healthy be ejected.
        let any_usable = self.members.iter().any(usable);
        let eligible = |member: &Member| match (supply, any_usable) {
            (Supply::FailOpen, _) => member.is_registered(),
            (_, true) => usable(member),
            (_, false) => member.is_healthy(&self.settings),
        };
        let entry = |member: &Member| Entry {
            key: member.key,
            weight: member.effective_weight(),
            eligible: eligible(member),
            draining: !member.is_registered(),
            trial: member.breaker.trial(),
        };
        (self.members.iter().map(entry).collect(), supply)
    }

    /// A breaker changes then, if time does it.
    pub(crate) fn expect_trial(&mut self, at: Option<Moment>) {
        self.next_trial = self.next_trial.into_iter().chain(at).min();
    }

    fn touch(&mut self) {
        self.stale = true;
        self.changes.roster_changed = true;
    }

    /// Reports a target's status if it is another than last told.
    fn note(&mut self, place: usize) {
        let Some(member) = self.members.get_mut(place) else { return };
        let status = member.status(&self.settings, self.in_use);
        let before = mem::replace(&mut member.told, status);
        if before == status {
            return;
        }
        self.changes.transitions.push(Transition { key: member.key, from: before, to: status });
        self.touch();
    }

    fn finish(&mut self, place: usize) -> Changes {
        self.note(place);
        self.take_changes()
    }

    fn take_changes(&mut self) -> Changes {
        mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests;
