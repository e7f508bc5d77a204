//! A target group: what all workers share of it, what each has of its own, and how a request's target is chosen.

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use arc_swap::ArcSwap;
use headworks_balance::queue::Line;
use headworks_balance::{
    Algorithm, Choice, Entry, Fault, GroupKey, Moment, Picker, Reason, RetryBudget, Roster, State, Supply, TargetKey,
    TargetReport,
};
use headworks_model::target_group::{TargetGroup, TargetLimits};

use super::connect::Endpoint;
use super::gate::{Gate, Permit};
use super::target::{TargetLocal, TargetShared};
use crate::error::Kind;
use crate::observe::counters::GroupCounters;
use crate::tls::dial::Dial;

/// What the supervisor publishes: the roster, and its targets in the same order.
pub(crate) struct Published {
    pub(crate) roster: Arc<Roster>,
    pub(crate) targets: Vec<Arc<TargetShared>>,
}

/// What all workers share of a group. Lives as long as the group is declared, over reloads.
pub(crate) struct GroupShared {
    pub(crate) name: Arc<str>,
    pub(crate) key: GroupKey,
    /// Retries that the process before had left, for each worker.
    carried: Option<u64>,
    published: ArcSwap<Published>,
    /// Moves with every publication; a worker looks here before every choice.
    generation: AtomicU64,
    /// By worker.
    pub(crate) counters: Vec<GroupCounters>,
    report: ArcSwap<Vec<TargetState>>,
    dial: ArcSwap<Dial>,
    /// Moves with every exchange of `dial`; a connection is good for the one it was opened in.
    epoch: AtomicU64,
    /// The log says once that a client's address was not kept.
    pub(crate) replaced: Once,
    /// What 95 of 100 answers have taken at most of late, in microseconds; 0 while that is not known.
    p95: AtomicU64,
    /// Places, where limits are declared.
    pub(crate) gate: Gate,
    /// Ejections so far, in the order of [`Fault::ALL`].
    pub(crate) ejections: [AtomicU64; Fault::ALL.len()],
}

/// What is known of a target, for status and metrics.
pub(crate) struct TargetState {
    pub(crate) address: String,
    pub(crate) weight: u32,
    /// With slow start, mitigation and the like taken off.
    pub(crate) effective_weight: f64,
    pub(crate) state: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) description: Option<Cow<'static, str>>,
    pub(crate) is_healthy: bool,
    pub(crate) in_slow_start: bool,
    pub(crate) ejected: bool,
    pub(crate) anomalous: bool,
    pub(crate) mitigated: bool,
    pub(crate) shared: Option<Arc<TargetShared>>,
}

impl TargetState {
    pub(crate) fn of(report: &TargetReport, shared: Arc<TargetShared>, effective_weight: f64) -> TargetState {
        TargetState {
            address: shared.display.clone(),
            weight: report.weight,
            effective_weight,
            state: report.status.state.as_str(),
            reason: report.status.reason.map(|r| r.as_str()),
            description: report.status.description(),
            is_healthy: matches!(report.status.state, State::Healthy | State::Unavailable),
            in_slow_start: report.in_slow_start,
            ejected: report.ejected,
            anomalous: report.anomalous,
            mitigated: report.mitigated,
            shared: Some(shared),
        }
    }

    /// A declared name that stands for no address.
    pub(crate) fn unresolved(address: String, weight: u16, error: String) -> TargetState {
        TargetState {
            address,
            weight: u32::from(weight),
            effective_weight: 0.0,
            state: State::Unavailable.as_str(),
            reason: Some(Reason::IpUnusable.as_str()),
            description: Some(error.into()),
            is_healthy: false,
            in_slow_start: false,
            ejected: false,
            anomalous: false,
            mitigated: false,
            shared: None,
        }
    }
}

impl GroupShared {
    /// `carried`: how many retries the process before had left.
    pub(crate) fn new(name: Arc<str>, first: Published, workers: usize, carried: Option<u64>) -> GroupShared {
        GroupShared {
            carried: carried.map(|left| left / workers.max(1) as u64),
            key: GroupKey::of(&*name),
            name,
            published: ArcSwap::from_pointee(first),
            generation: AtomicU64::new(1),
            counters: (0..workers).map(|_| GroupCounters::default()).collect(),
            report: ArcSwap::default(),
            dial: ArcSwap::default(),
            epoch: AtomicU64::new(0),
            replaced: Once::new(),
            p95: AtomicU64::new(0),
            gate: Gate::default(),
            ejections: Default::default(),
        }
    }

    pub(crate) fn publish(&self, published: Published) {
        self.published.store(Arc::new(published));
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn publish_report(&self, report: Vec<TargetState>) {
        self.report.store(Arc::new(report));
    }

    /// The addresses of its targets, registered and draining.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let address = |target: &TargetState| match &target.shared.as_ref()?.endpoint {
            Endpoint::Ip(address) => Some(address.ip()),
            Endpoint::Unix(_) => None,
        };
        self.report.load().iter().filter_map(address).collect()
    }

    /// Its targets, registered and draining.
    pub(crate) fn report(&self) -> Arc<Vec<TargetState>> {
        self.report.load_full()
    }

    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }

    /// How its targets are spoken to.
    pub(crate) fn dial(&self) -> Arc<Dial> {
        self.dial.load_full()
    }

    /// Has targets spoken to like this from now on. Requests in flight end as they began.
    pub(crate) fn exchange_dial(&self, dial: Dial) {
        self.dial.store(Arc::new(dial));
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// What 95 of 100 answers have taken at most of late, if that is looked at and known.
    pub(crate) fn p95(&self) -> Option<Duration> {
        Some(self.p95.load(Ordering::Relaxed)).filter(|micros| *micros > 0).map(Duration::from_micros)
    }

    pub(crate) fn publish_p95(&self, p95: Option<Duration>) {
        self.p95.store(p95.map_or(0, |p95| p95.as_micros() as u64), Ordering::Relaxed);
    }

    /// Which way of speaking to its targets is current.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }
}

/// What one worker has of a group.
pub(crate) struct GroupLocal {
    pub(crate) shared: Arc<GroupShared>,
    pub(crate) name: Rc<str>,
    worker: usize,
    seen: Cell<u64>,
    picker: RefCell<Picker>,
    budget: RefCell<Option<RetryBudget>>,
    /// Retries that the process before had left, until the first budget begins with them.
    carried: Cell<Option<u64>>,
    /// Copies of other groups' requests that are under way to it, and their bytes.
    copies: Cell<(u32, usize)>,
    view: RefCell<View>,
}

struct View {
    published: Arc<Published>,
    targets: Vec<Rc<TargetLocal>>,
}

impl View {
    /// Whether the target at this place of the roster has room for one more.
    fn has_room(&self, place: usize, limits: &TargetLimits) -> bool {
        let limit = limits.max_connections;
        limit == 0 || self.targets.get(place).is_some_and(|target| target.shared.places() < limit)
    }

    fn chosen(&self, place: usize, permit: Option<Permit>) -> Result<Chosen, Kind> {
        let target = self.targets.get(place).ok_or(Kind::NoTarget)?.clone();
        target.count_trial();
        Ok(Chosen { place, target, permit })
    }
}

/// A target for one attempt.
pub(crate) struct Chosen {
    /// Its place in the roster.
    pub(crate) place: usize,
    pub(crate) target: Rc<TargetLocal>,
    /// Where places are bounded.
    pub(crate) permit: Option<Permit>,
}

/// How often a place that another worker took first is looked for anew.
const RACES: usize = 8;

/// What is known of a request that matters for choosing its target.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    /// The target its stickiness cookie names.
    pub(crate) sticky: Option<TargetKey>,
    /// Hash of what `consistent_hash` hashes.
    pub(crate) hash: u64,
    /// It goes before those that wait: it has waited for its turn, which this is, or had a place before them.
    pub(crate) goes_first: bool,
}

/// Indices of the targets that an attempt has been made on.
pub(crate) type Tried = [usize];

/// How many requests a worker sends to a target on trial.
fn probes(settings: &TargetGroup) -> u32 {
    settings.circuit_breaker.as_ref().map_or(u32::MAX, |breaker| breaker.probes)
}

impl GroupLocal {
    /// Nothing is known of its targets until one is chosen: of a thousand groups, many serve no request of this worker.
    pub(crate) fn new(shared: Arc<GroupShared>, algorithm: Algorithm, worker: usize) -> Rc<GroupLocal> {
        let published = shared.published();
        let carried = shared.carried;
        Rc::new(GroupLocal {
            name: Rc::from(&*shared.name),
            shared,
            worker,
            seen: Cell::new(0),
            picker: RefCell::new(Picker::new(algorithm)),
            budget: RefCell::new(None),
            carried: Cell::new(carried),
            copies: Cell::default(),
            view: RefCell::new(View { published, targets: Vec::new() }),
        })
    }

    #[expect(clippy::indexing_slicing, reason = "made with one entry a worker")]
    pub(crate) fn counters(&self) -> &GroupCounters {
        &self.shared.counters[self.worker]
    }

    /// Follows a change of what is declared; `ratio` is that of the budget of retries and hedges, where there are any.
    pub(crate) fn configure(&self, algorithm: Algorithm, ratio: Option<f64>, now: Moment) {
        let mut budget = self.budget.borrow_mut();
        match (budget.as_mut(), ratio, self.carried.take()) {
            // a reload does not make up for what was spent, nor does a replacement forget what was earned
            (Some(budget), Some(ratio), _) => budget.set_ratio(ratio),
            (_, Some(ratio), Some(left)) => *budget = Some(RetryBudget::with_left(ratio, left, now)),
            (_, ratio, _) => *budget = ratio.map(RetryBudget::new),
        }
        self.counters().budget_left.set(budget.as_mut().map_or(0, |budget| budget.left(now)));
        let mut picker = self.picker.borrow_mut();
        if picker.algorithm() != algorithm {
            *picker = Picker::new(algorithm);
            self.seen.set(0);
        }
    }

    /// Takes in what the supervisor has published since.
    #[inline]
    pub(crate) fn refresh(&self) {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if generation != self.seen.get() {
            self.adopt(generation);
        }
    }

    #[cold]
    fn adopt(&self, generation: u64) {
        self.seen.set(generation);
        let published = self.shared.published();
        let mut view = self.view.borrow_mut();
        let old = std::mem::take(&mut view.targets);
        let mut old: HashMap<_, _> = old.into_iter().map(|target| (Arc::as_ptr(&target.shared), target)).collect();
        view.targets.reserve_exact(published.targets.len());
        for shared in &published.targets {
            let kept = old.remove(&Arc::as_ptr(shared));
            view.targets.push(kept.unwrap_or_else(|| TargetLocal::new(shared.clone(), self.worker)));
        }
        old.values().for_each(|gone| gone.retire());
        for (entry, target) in published.roster.entries.iter().zip(&view.targets) {
            if entry.draining {
                target.retire();
            }
            target.enter_trial(entry.trial);
        }
        self.picker.borrow_mut().update(&published.roster, self.worker);
        view.published = published;
    }

    /// What was last published.
    pub(crate) fn published(&self) -> Ref<'_, Arc<Published>> {
        self.refresh();
        Ref::map(self.view.borrow(), |v| &v.published)
    }

    /// Whether it has nothing healthy, or nothing at all, or all that it has is ejected and not to be tried just now: what
    /// stands in for it is asked.
    pub(crate) fn is_short(&self, settings: &TargetGroup) -> bool {
        self.refresh();
        let view = self.view.borrow();
        let roster = &view.published.roster;
        if roster.supply != Supply::Ejected {
            return roster.supply.is_short() || roster.eligible() == 0;
        }
        let entries = roster.entries.iter().zip(&view.targets);
        let mut eligible = entries.filter(|(entry, _)| entry.eligible).map(|(_, target)| target);
        !eligible.any(|target| target.is_on_trial() && target.tried() < probes(settings))
    }

    /// Whether a request that has a place could have another in its stead, as far as can be told, at such a target.
    pub(crate) fn has_room(&self, settings: &TargetGroup, is_wanted: impl Fn(TargetKey) -> bool) -> bool {
        self.refresh();
        let view = self.view.borrow();
        let is_fit = |(place, entry): (usize, &Entry)| {
            entry.eligible && is_wanted(entry.key) && view.has_room(place, &settings.limits)
        };
        !self.shared.gate.has_waiting(Line::Again) && view.published.roster.entries.iter().enumerate().any(is_fit)
    }

    /// Chooses a target that has not been tried, and takes a place at it where places are bounded.
    ///
    /// # Errors
    /// [`Kind::NoTarget`] when the group has none, [`Kind::Overloaded`] when those that could be are at their limit, or others
    /// wait for them already.
    pub(crate) fn choose(
        &self,
        settings: &TargetGroup,
        wish: Wish,
        random: u64,
        tried: &Tried,
    ) -> Result<Chosen, Kind> {
        self.refresh();
        let view = self.view.borrow();
        let limits = &settings.limits;
        if !limits.is_any() {
            let place = self.pick(&view, settings, wish, random, tried)?;
            return view.chosen(place, None);
        }
        let gate = &self.shared.gate;
        if gate.has_waiting(Line::First) && !wish.goes_first || !gate.has_place(limits) {
            return Err(Kind::Overloaded);
        }
        for _ in 0..RACES {
            let place = self.pick(&view, settings, wish, random, tried)?;
            let target = view.targets.get(place).ok_or(Kind::NoTarget)?;
            // another worker may have been faster
            if let Some(permit) = Permit::take(&self.shared, &target.shared, limits) {
                return view.chosen(place, Some(permit));
            }
        }
        Err(Kind::Overloaded)
    }

    /// The place of a target that has room, by stickiness or in its turn.
    fn pick(&self, view: &View, settings: &TargetGroup, wish: Wish, random: u64, tried: &Tried) -> Result<usize, Kind> {
        let probes = probes(settings);
        let has_room = |i: usize| view.has_room(i, &settings.limits);
        let is_spent =
            |i: usize| view.targets.get(i).is_some_and(|target| target.is_on_trial() && target.tried() >= probes);
        let is_free = |i: usize| has_room(i) && !is_spent(i);
        if let Some(key) = wish.sticky {
            let found = view.published.roster.find_eligible(key).filter(|i| !tried.contains(i) && is_free(*i));
            if let Some(place) = found {
                return Ok(place);
            }
            self.counters().non_sticky_requests.add(1);
        }
        let load = |i: usize| view.targets.get(i).map_or(u32::MAX, |t| t.shared.in_flight());
        let mut picker = self.picker.borrow_mut();
        let mut pick = |exclude: &[usize]| picker.pick(Choice { random, hash: wish.hash, load: &load, exclude });
        let picked = pick(tried).ok_or(Kind::NoTarget)?;
        if is_free(picked) {
            return Ok(picked);
        }
        // the limit is the exception: only here are lists of those made that are at one
        let mut out = |is_out: &dyn Fn(usize) -> bool| {
            let out = (0..view.targets.len()).filter(|i| is_out(*i));
            pick(&tried.iter().copied().chain(out).collect::<Vec<_>>())
        };
        // a trial spares its target what others can take, and refuses nothing
        out(&|i| !is_free(i)).or_else(|| out(&|i| !has_room(i))).ok_or(Kind::Overloaded)
    }

    /// The target of this key, whether or not it may be chosen.
    pub(crate) fn target(&self, key: TargetKey) -> Option<Rc<TargetLocal>> {
        self.refresh();
        let view = self.view.borrow();
        let place = view.published.roster.find(key)?;
        view.targets.get(place).cloned()
    }

    /// A request has come that retries may be spent on.
    #[inline]
    pub(crate) fn count_request(&self, now: Moment) {
        self.counters().requests.add(1);
        if let Some(budget) = self.budget.borrow_mut().as_mut() {
            budget.on_request(now);
        }
    }

    /// A copy of so many bytes is to be sent to it. False when there are as many as may be under way.
    pub(crate) fn begin_copy(&self, bytes: usize, most: u32, most_bytes: usize) -> bool {
        let (copies, sum) = self.copies.get();
        let has_room = copies < most && sum + bytes <= most_bytes;
        if has_room {
            self.copies.set((copies + 1, sum + bytes));
        }
        has_room
    }

    /// That copy is through.
    pub(crate) fn end_copy(&self, bytes: usize) {
        let (copies, sum) = self.copies.get();
        self.copies.set((copies.saturating_sub(1), sum.saturating_sub(bytes)));
    }

    /// Spends a retry, if the budget has one left.
    pub(crate) fn spend_retry(&self, now: Moment) -> bool {
        self.budget.borrow_mut().as_mut().is_some_and(|budget| budget.try_retry(now))
    }

    /// Closes idle connections whose time, by the tick, is over, and tells what is left of the budget.
    pub(crate) fn sweep(&self, tick: u32, now: Moment) {
        // one that has served nothing yet has nothing that could be over
        if !self.view.borrow().targets.is_empty() {
            self.refresh();
            self.view.borrow().targets.iter().for_each(|t| t.sweep(tick));
        }
        if let Some(budget) = self.budget.borrow_mut().as_mut() {
            self.counters().budget_left.set(budget.left(now));
        }
    }

    /// The group is no longer declared: idle connections are closed.
    pub(crate) fn retire(&self) {
        self.view.borrow().targets.iter().for_each(|t| t.retire());
    }
}
