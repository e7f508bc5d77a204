//! What a supervisor knows of its group, and what it does when it is told of something or its time has come.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use headworks_balance::{
    self as balance, Adaptive, Changes, Gradient, Group, Kept, Sample, Tally, TargetKey, Thresholds,
};
use headworks_model::primitive::Address;
use headworks_model::target_group::{Fallback, HealthCheck, HealthProtocol, TargetGroup};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;

use super::Notice;
use super::prober::Prober;
use crate::compile::build::algorithm;
use crate::legacy::KnownGroup;
use crate::upstream::connect::Endpoint;
use crate::upstream::group::{GroupShared, Published, TargetState};
use crate::upstream::latency::Recent;
use crate::upstream::resolve::{Resolved, Resolver};
use crate::upstream::target::TargetShared;

/// How long a configuration waits for the first answer about a name; after that the target joins when it comes.
const FIRST_RESOLUTION: Duration = Duration::from_secs(2);

/// How often it is looked what requests have met, where something waits for it.
const LOOK: Duration = Duration::from_millis(250);
/// How soon a circuit breaker looks at what has failed: not at each failure by itself, of which there may be thousands a second.
const SOON: Duration = Duration::from_millis(5);

/// A target as the supervisor keeps it.
struct Target {
    shared: Arc<TargetShared>,
    /// What the workers had counted when it was last told to the group: successes and failures, by worker.
    counted: Vec<(u64, u64)>,
}

/// A target that should be registered.
struct Wanted {
    key: TargetKey,
    display: String,
    endpoint: Endpoint,
    /// The name it is declared by.
    host: Option<Arc<str>>,
    weight: u16,
}

/// A declared name.
struct HostName {
    task: AbortHandle,
    addresses: Vec<std::net::IpAddr>,
    error: Option<String>,
    answered: bool,
}

/// All that a supervisor knows.
pub(super) struct State {
    shared: Arc<GroupShared>,
    group: Group,
    settings: Arc<TargetGroup>,
    /// How targets are probed; by itself, for probes outlive settings that leave it as it is.
    check: Arc<HealthCheck>,
    started: Instant,
    /// What another process knew of targets that have not been registered yet.
    known: HashMap<TargetKey, Kept>,
    targets: HashMap<TargetKey, Target>,
    /// Told by workers of what a circuit breaker should look at.
    noted: Arc<Notify>,
    probes: HashMap<TargetKey, AbortHandle>,
    names: HashMap<Arc<str>, HostName>,
    told: HashMap<TargetKey, balance::Status>,
    /// What answers take, looked at once a second; and as often as the limit follows it.
    recent: Recent,
    loaded: Recent,
    gradient: Option<Gradient>,
    hedged: bool,
    /// Probes of an earlier round were asked by settings that are gone.
    probe_round: u64,
    workers: usize,
    resolver: Resolver,
    notices: mpsc::UnboundedSender<Notice>,
    cut: Box<dyn Fn() + Send>,
}

impl Drop for State {
    fn drop(&mut self) {
        self.probes.values().for_each(AbortHandle::abort);
        self.names.values().for_each(|name| name.task.abort());
    }
}

impl State {
    pub(super) fn new(
        shared: Arc<GroupShared>,
        settings: TargetGroup,
        workers: usize,
        resolver: Resolver,
        known: Option<&KnownGroup>,
        notices: mpsc::UnboundedSender<Notice>,
        cut: Box<dyn Fn() + Send>,
    ) -> State {
        // its clock goes on: what is known is known by it
        let gradient = known.and_then(KnownGroup::gradient);
        let began = known.and_then(|known| Some((Instant::now().checked_sub(known.clock)?, known.targets())));
        let (started, known) = began.unwrap_or_else(|| (Instant::now(), HashMap::new()));
        State {
            shared,
            group: Group::new(balance::Settings::default()),
            check: Arc::new(settings.health_check.clone()),
            settings: Arc::new(settings),
            started,
            known,
            targets: HashMap::new(),
            noted: Arc::default(),
            probes: HashMap::new(),
            names: HashMap::new(),
            told: HashMap::new(),
            recent: Recent::default(),
            loaded: Recent::default(),
            gradient,
            hedged: false,
            probe_round: 0,
            workers,
            resolver,
            notices,
            cut,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Notice>) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut waiting: Option<(oneshot::Sender<()>, Instant)> = None;
        let (noted, mut soon) = (self.noted.clone(), None::<Instant>);
        loop {
            let until = |at: Option<Instant>| {
                let at = at.map(|at| at.saturating_duration_since(Instant::now()));
                tokio::time::sleep(at.unwrap_or(Duration::from_secs(3600)))
            };
            let patience = waiting.as_ref().map(|(_, until)| *until);
            let trial = self.group.next_trial().and_then(|at| self.started.checked_add(at));
            tokio::select! {
                notice = inbox.recv() => match notice {
                    None => return,
                    Some(Notice::Configure { settings, in_use, hedged, done }) => {
                        self.hedged = hedged;
                        self.configure(settings, in_use);
                        waiting = Some((done, Instant::now() + FIRST_RESOLUTION));
                    }
                    Some(Notice::Probed(key, round, outcome)) => {
                        if round == self.probe_round {
                            let changes = self.group.probe_result(key, outcome, self.now());
                            self.follow(&changes);
                        }
                    }
                    Some(Notice::Resolved(host, resolved)) => self.resolved(&host, resolved),
                    Some(Notice::Keep(answer)) => drop(answer.send(self.keep())),
                },
                _ = ticks.tick() => self.tick(),
                _ = looks.tick(), if self.looks_often() => {
                    self.look();
                    self.adapt();
                }
                () = noted.notified(), if soon.is_none() && self.settings.circuit_breaker.is_some() => {
                    // looking takes longer the more targets there are
                    let while_looking = Duration::from_micros(5).saturating_mul(self.targets.len() as u32);
                    soon = Some(Instant::now() + (SOON + while_looking).min(LOOK));
                }
                () = until(soon), if soon.is_some() => {
                    soon = None;
                    self.look();
                }
                () = until(trial), if trial.is_some() => {
                    let changes = self.group.try_ejected(self.now());
                    self.follow(&changes);
                }
                () = until(patience), if patience.is_some() => {
                    waiting = None;
                }
            }
            if self.names.values().all(|name| name.answered)
                && let Some((done, _)) = waiting.take()
            {
                let _ = done.send(());
            }
        }
    }

    fn keep(&self) -> KnownGroup {
        let targets = self.group.keep().filter_map(|kept| serde_json::to_value(kept).ok());
        let gradient = self.gradient.and_then(|gradient| serde_json::to_value(gradient).ok());
        let left = self.shared.counters.iter().map(|counters| counters.budget_left.read()).sum();
        let has_budget = self.settings.retry.is_some() || self.settings.hedge.is_some();
        let retries_left = has_budget.then_some(left);
        KnownGroup { clock: self.now(), targets: targets.collect(), gradient, retries_left }
    }

    fn now(&self) -> balance::Moment {
        self.started.elapsed()
    }

    fn configure(&mut self, settings: Arc<TargetGroup>, in_use: bool) {
        let same_check =
            self.settings.health_check == settings.health_check && self.settings.version == settings.version;
        self.settings = settings;
        if *self.check != self.settings.health_check {
            self.check = Arc::new(self.settings.health_check.clone());
        }
        let mut changes = self.group.configure(group_settings(&self.settings));
        merge(&mut changes, self.group.set_in_use(in_use));
        self.follow(&changes);
        if !same_check {
            self.probes.drain().for_each(|(_, probe)| probe.abort());
            self.probe_round += 1;
        }
        self.adapt();
        self.watch_names();
        self.follow_targets();
        self.publish();
    }

    /// Starts and ends the look-up of declared names.
    fn watch_names(&mut self) {
        let declared: Vec<Arc<str>> = self
            .settings
            .targets
            .iter()
            .filter_map(|t| match &t.address {
                Address::Host { host, .. } => Some(host.clone()),
                _ => None,
            })
            .collect();
        self.names.retain(|host, name| {
            let kept = declared.contains(host);
            if !kept {
                name.task.abort();
            }
            kept
        });
        for host in declared {
            let (resolver, notices) = (self.resolver.clone(), self.notices.clone());
            self.names.entry(host.clone()).or_insert_with(|| {
                let task = tokio::spawn(async move {
                    loop {
                        let resolved = resolver.resolve(&host).await;
                        let valid = resolved.valid;
                        if notices.send(Notice::Resolved(host.clone(), resolved)).is_err() {
                            return;
                        }
                        tokio::time::sleep(valid).await;
                    }
                })
                .abort_handle();
                HostName { task, addresses: Vec::new(), error: None, answered: false }
            });
        }
    }

    fn resolved(&mut self, host: &Arc<str>, resolved: Resolved) {
        let Some(name) = self.names.get_mut(host) else { return };
        name.answered = true;
        name.error = resolved.error;
        if let Some(error) = &name.error {
            tracing::warn!(group = %self.shared.name, %host, %error, "target does not resolve");
            // what it was last known as is a better guess than nothing
            self.publish_report();
            return;
        }
        if name.addresses != resolved.addresses {
            name.addresses = resolved.addresses;
            self.follow_targets();
            self.publish();
        }
    }

    /// The targets that should be registered: declared addresses, and what declared names resolve to.
    fn wanted(&self) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut known = HashSet::new();
        let mut add = |display: String, endpoint: Endpoint, host: Option<Arc<str>>, weight: u16| {
            let key = TargetKey::of(&display);
            if known.insert(key) {
                wanted.push(Wanted { key, display, endpoint, host, weight });
            }
        };
        for target in &*self.settings.targets {
            match &target.address {
                Address::Ip(address) => add(address.to_string(), Endpoint::Ip(*address), None, target.weight),
                Address::Unix(path) => {
                    add(target.address.to_string(), Endpoint::Unix(path.clone()), None, target.weight);
                }
                Address::Host { host, port } => {
                    for ip in self.names.get(host).map_or(&[][..], |n| n.addresses.as_slice()) {
                        let address = SocketAddr::new(*ip, *port);
                        add(address.to_string(), Endpoint::Ip(address), Some(host.clone()), target.weight);
                    }
                }
            }
        }
        wanted
    }

    fn follow_targets(&mut self) {
        let now = self.now();
        let wanted = self.wanted();
        let kept: HashSet<TargetKey> = wanted.iter().map(|wanted| wanted.key).collect();
        let gone: Vec<TargetKey> = self.targets.keys().filter(|key| !kept.contains(key)).copied().collect();
        // followed as one: what is published of a thousand targets is not to be published a thousand times
        let mut changes = Changes::default();
        for key in gone {
            merge(&mut changes, self.group.deregister(key, now));
        }
        self.group.expect(wanted.len());
        for Wanted { key, display, endpoint, host, weight } in wanted {
            let workers = self.workers;
            self.targets.entry(key).or_insert_with(|| Target {
                shared: Arc::new(TargetShared::new(key, display, endpoint, host, workers, self.noted.clone())),
                counted: vec![(0, 0); workers],
            });
            merge(&mut changes, self.group.register(key, u32::from(weight), now));
            if let Some(kept) = self.known.remove(&key) {
                merge(&mut changes, self.group.restore(kept));
            }
        }
        self.follow(&changes);
        self.follow_probes();
    }

    /// Starts and ends probes so that they are of the targets that the group wants probed.
    fn follow_probes(&mut self) {
        let probed: HashSet<TargetKey> = self.group.probed().collect();
        self.probes.retain(|key, probe| {
            let kept = probed.contains(key);
            if !kept {
                probe.abort();
            }
            kept
        });
        for key in probed {
            let Some(target) = self.targets.get(&key).filter(|_| !self.probes.contains_key(&key)) else { continue };
            let prober = Prober {
                key,
                target: target.shared.clone(),
                group: self.shared.clone(),
                check: self.check.clone(),
                version: self.settings.version,
                notices: self.notices.clone(),
                round: self.probe_round,
            };
            let task = tokio::spawn(prober.run());
            self.probes.insert(key, task.abort_handle());
        }
    }

    /// Looks what requests have met since the last time.
    fn look(&mut self) {
        let now = self.now();
        for key in self.targets.keys().copied().collect::<Vec<_>>() {
            let Some(target) = self.targets.get_mut(&key) else { continue };
            let tally = target.tally();
            let changes = self.group.observe(key, tally, now);
            self.follow(&changes);
        }
    }

    fn looks_often(&self) -> bool {
        self.settings.circuit_breaker.is_some() || self.settings.limits.adaptive.is_some()
    }

    /// Finds out how many requests the group can have in flight, where that is asked for.
    fn adapt(&mut self) {
        let Some(adaptive) = &self.settings.limits.adaptive else {
            self.gradient = None;
            self.shared.gate.publish_found(None);
            return;
        };
        let bounds = Adaptive { minimum: adaptive.minimum, maximum: adaptive.maximum, tolerance: adaptive.tolerance };
        let fresh = self.loaded.advance(self.targets.values().map(|target| &*target.shared));
        let (in_flight, held_back) = self.shared.gate.sample();
        let median = Duration::from_micros(fresh.quantile(0.5));
        let gradient = self.gradient.get_or_insert_with(|| Gradient::new(&bounds));
        gradient.update(Sample { answers: fresh.count, median, in_flight, held_back }, &bounds);
        self.shared.gate.publish_found(Some(gradient.limit()));
    }

    fn tick(&mut self) {
        self.look();
        self.look_at_latency();
        let changes = self.group.tick(self.now());
        self.follow(&changes);
    }

    /// Works out what answers take, where something depends on it.
    fn look_at_latency(&mut self) {
        let breaker = self.settings.circuit_breaker.as_ref().filter(|breaker| breaker.latency_factor.is_some());
        if breaker.is_none() && !self.hedged {
            self.shared.publish_p95(None);
            return;
        }
        self.recent.advance(self.targets.values().map(|target| &*target.shared));
        self.shared.publish_p95(self.recent.p95());
        let now = self.now();
        if let Some(breaker) = breaker
            && let Some(latencies) = self.recent.window(breaker.window, now)
        {
            let changes = self.group.compare(&latencies, now);
            self.follow(&changes);
        }
    }

    /// Does what a change of the group asks for.
    fn follow(&mut self, changes: &Changes) {
        for transition in &changes.transitions {
            self.log(transition);
        }
        for (key, fault) in &changes.ejected {
            if let Some(count) = self.shared.ejections.get(*fault as usize) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            let (group, target, why) = (&self.shared.name, self.display(*key), fault.as_str());
            tracing::warn!(%group, target, why, "target ejected by its circuit breaker");
        }
        for key in &changes.restored {
            tracing::info!(group = %self.shared.name, target = self.display(*key), "target back from ejection");
        }
        if !changes.expired.is_empty() {
            let known: HashSet<TargetKey> = self.group.targets().map(|t| t.key).collect();
            for key in &changes.expired {
                let Some(target) = self.targets.get(key) else { continue };
                let is_gone = !known.contains(key);
                if !is_gone {
                    target.shared.resets.fetch_add(1, Ordering::Relaxed);
                } else if self.settings.protocol.is_http() || self.settings.deregistration_connection_termination {
                    target.shared.cut.store(true, Ordering::Relaxed);
                }
            }
            (self.cut)();
            self.targets.retain(|key, _| known.contains(key));
        }
        if changes.roster_changed {
            self.publish();
        } else if !changes.transitions.is_empty() || !changes.expired.is_empty() {
            self.publish_report();
        }
    }

    fn log(&mut self, transition: &balance::Transition) {
        let to = transition.to;
        // of what nobody uses there is nothing to tell: a thousand that are declared would be as many lines
        if transition.from.state == balance::State::Unused && to.state == balance::State::Unused {
            return;
        }
        // of a replica that lags, every check has another number
        if self.told.insert(transition.key, to).is_some_and(|before| before.is_like(&to)) {
            return;
        }
        let target = self.display(transition.key);
        let description = to.description().unwrap_or_default();
        let (group, from, state) = (&self.shared.name, transition.from.state.as_str(), to.state.as_str());
        match to.state {
            balance::State::Unhealthy => tracing::warn!(%group, target, from, state, %description, "target health"),
            _ => tracing::info!(%group, target, from, state, %description, "target health"),
        }
    }

    fn display(&self, key: TargetKey) -> &str {
        self.targets.get(&key).map_or("?", |t| &t.shared.display)
    }

    fn publish(&mut self) {
        let roster = self.group.roster();
        let targets: Option<Vec<_>> =
            roster.entries.iter().map(|entry| self.targets.get(&entry.key).map(|t| t.shared.clone())).collect();
        // every entry was registered from `targets`; if one is missing, the roster before is still right
        if let Some(targets) = targets {
            self.shared.publish(Published { roster, targets });
        }
        self.publish_report();
    }

    fn publish_report(&self) {
        let published = self.shared.published();
        let weights: HashMap<TargetKey, u32> = published.roster.entries.iter().map(|e| (e.key, e.weight)).collect();
        let mut report: Vec<TargetState> = self
            .group
            .targets()
            .filter_map(|t| {
                let shared = self.targets.get(&t.key)?.shared.clone();
                let effective = f64::from(weights.get(&t.key).copied().unwrap_or(0)) / 1000.0;
                Some(TargetState::of(&t, shared, effective))
            })
            .collect();
        for target in &*self.settings.targets {
            let Address::Host { host, .. } = &target.address else { continue };
            if let Some(error) = self.names.get(host).filter(|n| n.addresses.is_empty()).and_then(|n| n.error.clone()) {
                report.push(TargetState::unresolved(target.address.to_string(), target.weight, error));
            }
        }
        self.shared.publish_report(report);
    }
}

impl Target {
    /// What workers counted since the last time.
    fn tally(&mut self) -> Tally {
        let mut whole = Tally::default();
        for (counters, (successes, failures)) in self.shared.counters.iter().zip(&mut self.counted) {
            let (now_successes, now_failures) = (counters.successes.read(), counters.failures.read());
            let failed = now_failures.wrapping_sub(*failures).min(u64::from(u32::MAX)) as u32;
            whole.merge(Tally {
                successes: now_successes.wrapping_sub(*successes).min(u64::from(u32::MAX)) as u32,
                failures: failed,
                consecutive_failures: counters.consecutive_failures.load(Ordering::Relaxed).min(failed),
            });
            (*successes, *failures) = (now_successes, now_failures);
        }
        whole
    }
}

fn merge(into: &mut Changes, from: Changes) {
    into.transitions.extend(from.transitions);
    into.expired.extend(from.expired);
    into.ejected.extend(from.ejected);
    into.restored.extend(from.restored);
    into.roster_changed |= from.roster_changed;
}

fn group_settings(settings: &TargetGroup) -> balance::Settings {
    let check = &settings.health_check;
    balance::Settings {
        algorithm: algorithm(settings),
        health_check: match check.protocol {
            HealthProtocol::None => balance::HealthCheck::Disabled,
            _ => balance::HealthCheck::Enabled(Thresholds {
                healthy: u32::from(check.healthy_threshold),
                unhealthy: u32::from(check.unhealthy_threshold),
            }),
        },
        // a role keeps out the others also while another group stands in
        fails_open: check.role.is_none() && settings.fallback != Fallback::Refuse,
        has_stand_in: !matches!(settings.fallback, Fallback::FailOpen | Fallback::Refuse),
        slow_start: settings.slow_start,
        deregistration_delay: settings.deregistration_delay,
        circuit_breaker: settings.circuit_breaker.as_ref().map(|breaker| balance::CircuitBreaker {
            consecutive_failures: breaker.consecutive_failures,
            error_ratio: breaker.error_ratio,
            latency_factor: breaker.latency_factor,
            minimum_requests: breaker.minimum_requests,
            window: breaker.window,
            probes: breaker.probes,
            open_for: breaker.open_for,
            max_ejected: breaker.max_ejected,
        }),
        anomaly_mitigation: settings.anomaly_mitigation,
        // the flows of one that stays are cut (N6); requests in flight are left alone
        unhealthy_draining: match settings.unhealthy_connection_termination {
            true => Some(Duration::ZERO),
            false => settings.unhealthy_draining_interval,
        },
        ..balance::Settings::default()
    }
}
