//! Targets die, recover, flap, fail requests, come and go, while settings and use change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headworks_balance::hash::mix;
use headworks_balance::{
    Algorithm, Changes, Choice, CircuitBreaker, Entry, Group, HealthCheck, Moment, Outcome, Picker, Roster, Settings,
    State, Supply, Tally, TargetKey, Thresholds, Unfit,
};

use super::{Dice, worlds};

const SEEDS: u64 = 300;
const STEPS: u64 = 250;
const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::RoundRobin, Algorithm::LeastOutstandingRequests, Algorithm::WeightedRandom, Algorithm::ConsistentHash];

/// What a target really does, which the group can only find out.
#[derive(Clone, Copy, Default)]
struct Truth {
    down: bool,
    fails_requests: bool,
    registered: bool,
    deregistered_at: Moment,
    last_weight: Option<u32>,
}

struct World {
    dice: Dice,
    now: Moment,
    settings: Settings,
    group: Group,
    pickers: Vec<Picker>,
    roster: Arc<Roster>,
    targets: BTreeMap<TargetKey, Truth>,
    pending: BTreeMap<TargetKey, Tally>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let settings = settings(&mut dice);
        let mut group = Group::new(settings.clone());
        let _ = group.set_in_use(true);
        let pickers = (0..2).map(|_| Picker::new(settings.algorithm)).collect();
        Self {
            now: Duration::from_secs(dice.below(1_000_000)),
            dice,
            roster: group.roster(),
            settings,
            group,
            pickers,
            targets: (1..=8).map(|key| (TargetKey(mix(key)), Truth::default())).collect(),
            pending: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        let keys: Vec<_> = self.targets.keys().copied().collect();
        let key = keys[self.dice.below(keys.len() as u64) as usize];
        match self.dice.below(20) {
            0 | 1 => self.register(key),
            2 if self.dice.one_in(2) => self.deregister(key),
            3 | 4 => self.truth(key).down ^= true,
            5 => self.truth(key).fails_requests ^= true,
            6 => {
                let weight = 1 + self.dice.below(4) as u32;
                self.truth(key).last_weight = None;
                let changes = self.group.set_weight(key, weight);
                self.take(&changes);
            }
            7 if self.dice.one_in(20) => {
                let in_use = self.dice.one_in(2);
                let changes = self.group.set_in_use(in_use);
                self.take(&changes);
            }
            8..=11 => self.probe(),
            12..=16 => self.requests(),
            _ => self.pass(),
        }
    }

    fn truth(&mut self, key: TargetKey) -> &mut Truth {
        self.targets.get_mut(&key).unwrap()
    }

    fn register(&mut self, key: TargetKey) {
        let weight = 1 + self.dice.below(4) as u32;
        let changes = self.group.register(key, weight, self.now);
        *self.truth(key) = Truth { registered: true, last_weight: None, ..*self.truth(key) };
        self.take(&changes);
    }

    fn deregister(&mut self, key: TargetKey) {
        let now = self.now;
        let truth = self.truth(key);
        if truth.registered {
            *truth = Truth { registered: false, deregistered_at: now, last_weight: None, ..*truth };
        }
        let changes = self.group.deregister(key, now);
        self.take(&changes);
    }

    fn probe(&mut self) {
        for key in self.group.probed().collect::<Vec<_>>() {
            let outcome = match (self.truth(key).down, self.dice.below(20)) {
                (false, 1..) => Outcome::Success,
                (_, 0..5) => Outcome::CodeMismatch(500),
                (_, 5..7) => Outcome::Unfit(Unfit::NotPrimary),
                (_, 7..14) => Outcome::Timeout,
                _ => Outcome::Failed,
            };
            let changes = self.group.probe_result(key, outcome, self.now);
            self.take(&changes);
        }
    }

    fn requests(&mut self) {
        for _ in 0..self.dice.below(40) {
            let worker = self.dice.below(2) as usize;
            let choice = Choice { random: self.dice.roll(), hash: self.dice.roll(), load: &|_| 0, exclude: &[] };
            let Some(index) = self.pickers[worker].pick(choice) else { continue };
            let entry = self.roster.entries[index];
            assert!(entry.eligible, "picked an ineligible target");
            self.check_retry(worker, choice, index);
            let fails = self.targets[&entry.key].fails_requests || self.targets[&entry.key].down;
            let (successes, failures) = if fails { (0, 1) } else { (1, 0) };
            let tally = Tally { successes, failures, consecutive_failures: failures };
            self.pending.entry(entry.key).or_default().merge(tally);
        }
    }

    /// A retry goes elsewhere, if there is an elsewhere.
    fn check_retry(&mut self, worker: usize, choice: Choice<'_, impl Fn(usize) -> u32>, first: usize) {
        let second = self.pickers[worker].pick(Choice { exclude: &[first], ..choice });
        assert_eq!(second.is_some(), self.roster.eligible() > 1, "a retry finds another target if there is one");
        assert_ne!(second, Some(first));
    }

    fn pass(&mut self) {
        self.now += Duration::from_secs(1 + self.dice.below(3));
        for (key, tally) in std::mem::take(&mut self.pending) {
            let changes = self.group.observe(key, tally, self.now);
            self.take(&changes);
        }
        let changes = self.group.tick(self.now);
        self.take(&changes);
        for (key, truth) in &self.targets {
            let gone = truth.deregistered_at + self.settings.deregistration_delay <= self.now;
            let present = self.group.targets().any(|report| report.key == *key);
            assert_eq!(present, truth.registered || (!gone && self.drains(*key)), "gone after the delay, not before");
        }
    }

    fn drains(&self, key: TargetKey) -> bool {
        self.group.status(key).state == State::Draining
    }

    fn take(&mut self, changes: &Changes) {
        for transition in &changes.transitions {
            assert_ne!(transition.from, transition.to);
        }
        self.check(changes.roster_changed);
    }

    fn check(&mut self, said_changed: bool) {
        let before = Arc::clone(&self.roster);
        self.roster = self.group.roster();
        let same = (&before.entries, before.supply) == (&self.roster.entries, self.roster.supply);
        let grown = self.roster.generation - before.generation;
        assert_eq!(grown, u64::from(!same), "the generation grows with every change, and only then");
        assert!(same || said_changed, "a change is announced");
        if !same {
            for (worker, picker) in self.pickers.iter_mut().enumerate() {
                picker.update(&self.roster, worker);
            }
        }
        self.check_eligibility();
        self.check_slow_start();
    }

    fn check_eligibility(&self) {
        let reports: BTreeMap<_, _> = self.group.targets().map(|report| (report.key, report)).collect();
        assert_eq!(reports.len(), self.roster.entries.len());
        let routable = |state| matches!(state, State::Healthy | State::Unavailable);
        let registered = reports.values().filter(|report| report.status.state != State::Draining).count();
        let healthy = reports.values().filter(|report| routable(report.status.state)).count();
        let usable = reports.values().filter(|report| routable(report.status.state) && !report.ejected).count();
        let ejected = reports.values().filter(|report| report.ejected).count();
        // What is not in use has no health to speak of.
        let in_use = reports.values().all(|report| report.status.state != State::Unused);
        if let Some(breaker) = self.settings.circuit_breaker {
            assert!(ejected as f64 <= breaker.max_ejected * registered as f64, "{ejected} of {registered} ejected");
        }
        if in_use {
            assert_eq!(self.roster.supply.is_short(), registered > 0 && healthy == 0);
            let is_out = self.roster.supply == Supply::Ejected;
            assert!(!is_out || healthy > 0, "what is out is healthy");
            assert!(is_out || healthy == 0 || usable > 0, "where nothing can be used, it is said");
        }
        for Entry { key, eligible, draining, weight, .. } in &self.roster.entries {
            let report = reports[key];
            assert_eq!(*draining, report.status.state == State::Draining);
            assert!(*weight > 0 && *weight <= report.weight * 1000);
            assert!(!(*draining && *eligible), "a draining target is never eligible");
            if in_use && usable > 0 {
                assert_eq!(*eligible, routable(report.status.state) && !report.ejected, "only what can be used is");
            }
            assert!(!in_use || !*eligible || routable(report.status.state) || self.roster.supply == Supply::FailOpen);
            if self.roster.supply == Supply::FailOpen {
                assert_eq!(*eligible, !*draining, "failing open, every registered target is eligible");
            }
        }
    }

    /// While a target is in slow start and nothing else bears on its weight, the weight never falls.
    fn check_slow_start(&mut self) {
        if self.settings.circuit_breaker.is_some() || self.settings.anomaly_mitigation {
            return;
        }
        for report in self.group.targets() {
            let entry = self.roster.entries.iter().find(|entry| entry.key == report.key).unwrap();
            let truth = self.targets.get_mut(&report.key).unwrap();
            let healthy = report.status.state == State::Healthy;
            if let Some(last) = truth.last_weight.filter(|_| healthy) {
                assert!(entry.weight >= last, "slow start never goes back");
            }
            assert!(report.in_slow_start || entry.weight == report.weight * 1000, "a full share outside slow start");
            truth.last_weight = healthy.then_some(entry.weight);
        }
    }

    /// With a roster that stands still, each target's share is its weight's.
    fn check_shares(&mut self) {
        let total: f64 =
            self.roster.entries.iter().filter(|entry| entry.eligible).map(|entry| f64::from(entry.weight)).sum();
        let picks = 20_000;
        let mut counts = vec![0u32; self.roster.entries.len()];
        for _ in 0..picks {
            let choice = Choice { random: self.dice.roll(), hash: self.dice.roll(), load: &|_| 0, exclude: &[] };
            if let Some(index) = self.pickers[0].pick(choice) {
                counts[index] += 1;
            }
        }
        for (entry, count) in self.roster.entries.iter().zip(counts) {
            let share = if entry.eligible { f64::from(entry.weight) / total } else { 0.0 };
            let seen = f64::from(count) / f64::from(picks);
            assert!((seen - share).abs() < 0.02, "{seen} for {share} with {:?}", self.settings.algorithm);
        }
    }
}

fn settings(dice: &mut Dice) -> Settings {
    let algorithm = ALGORITHMS[dice.below(4) as usize];
    let thresholds = Thresholds { healthy: 1 + dice.below(4) as u32, unhealthy: 1 + dice.below(3) as u32 };
    let breaker = CircuitBreaker {
        consecutive_failures: dice.below(5) as u32,
        error_ratio: [None, Some(0.3), Some(0.6)][dice.below(3) as usize],
        latency_factor: [None, Some(3.0)][dice.below(2) as usize],
        minimum_requests: 1 + dice.below(30) as u32,
        window: Duration::from_secs(2 + dice.below(15)),
        probes: 1 + dice.below(4) as u32,
        open_for: Duration::from_secs(1 + dice.below(20)),
        max_ejected: [0.1, 0.3, 0.5, 1.0][dice.below(4) as usize],
    };
    Settings {
        algorithm,
        health_check: if dice.one_in(10) { HealthCheck::Disabled } else { HealthCheck::Enabled(thresholds) },
        slow_start: Duration::from_secs([0, 30, 60][dice.below(3) as usize]),
        deregistration_delay: Duration::from_secs([0, 5, 30][dice.below(3) as usize]),
        unhealthy_draining: dice.one_in(3).then_some(Duration::from_secs(7)),
        circuit_breaker: dice.one_in(2).then_some(breaker),
        anomaly_mitigation: dice.one_in(2),
        fails_open: !dice.one_in(3),
        has_stand_in: dice.one_in(4),
        ..Settings::default()
    }
}

#[test]
fn hostile_worlds() {
    worlds(SEEDS, |seed| {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.check_shares();
    });
}
