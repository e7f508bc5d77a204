//! A target group: what all workers share of it, what each has of its own, and how a request's target is chosen.

use std::borrow::Cow;
use std::cell::{Cell, Ref, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

use arc_swap::ArcSwap;
use headworks_balance::{
    Algorithm, Choice, GroupKey, Moment, Picker, Reason, RetryBudget, Roster, State, TargetKey, TargetReport,
};
use headworks_model::target_group::TargetGroup;

use super::connect::Endpoint;
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
    pub(crate) fn new(name: Arc<str>, first: Published, workers: usize) -> GroupShared {
        GroupShared {
            key: GroupKey::of(&*name),
            name,
            published: ArcSwap::from_pointee(first),
            generation: AtomicU64::new(1),
            counters: (0..workers).map(|_| GroupCounters::default()).collect(),
            report: ArcSwap::default(),
            dial: ArcSwap::default(),
            epoch: AtomicU64::new(0),
            replaced: Once::new(),
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
    view: RefCell<View>,
}

struct View {
    published: Arc<Published>,
    targets: Vec<Rc<TargetLocal>>,
}

/// What is known of a request that matters for choosing its target.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    /// The target its stickiness cookie names.
    pub(crate) sticky: Option<TargetKey>,
    /// Hash of what `consistent_hash` hashes.
    pub(crate) hash: u64,
}

/// Indices of the targets that an attempt has been made on.
pub(crate) type Tried = [usize];

impl GroupLocal {
    pub(crate) fn new(shared: Arc<GroupShared>, algorithm: Algorithm, worker: usize) -> Rc<GroupLocal> {
        let published = shared.published();
        let group = GroupLocal {
            name: Rc::from(&*shared.name),
            shared,
            worker,
            seen: Cell::new(0),
            picker: RefCell::new(Picker::new(algorithm)),
            budget: RefCell::new(None),
            view: RefCell::new(View { published, targets: Vec::new() }),
        };
        group.refresh();
        Rc::new(group)
    }

    #[expect(clippy::indexing_slicing, reason = "made with one entry a worker")]
    pub(crate) fn counters(&self) -> &GroupCounters {
        &self.shared.counters[self.worker]
    }

    /// Follows a change of what is declared.
    pub(crate) fn configure(&self, algorithm: Algorithm, settings: &TargetGroup) {
        *self.budget.borrow_mut() = settings.retry.as_ref().map(|retry| RetryBudget::new(retry.budget));
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
        let mut old = std::mem::take(&mut view.targets);
        for shared in &published.targets {
            let kept = old.iter().position(|t| Arc::ptr_eq(&t.shared, shared)).map(|i| old.swap_remove(i));
            view.targets.push(kept.unwrap_or_else(|| TargetLocal::new(shared.clone(), self.worker)));
        }
        old.iter().for_each(|gone| gone.retire());
        for (entry, target) in published.roster.entries.iter().zip(&view.targets) {
            if entry.draining {
                target.retire();
            }
        }
        self.picker.borrow_mut().update(&published.roster, self.worker);
        view.published = published;
    }

    /// What was last published.
    pub(crate) fn published(&self) -> Ref<'_, Arc<Published>> {
        self.refresh();
        Ref::map(self.view.borrow(), |v| &v.published)
    }

    /// Chooses a target that has not been tried.
    ///
    /// # Errors
    /// [`Kind::NoTarget`] when the group has none, [`Kind::Overloaded`] when those that could be are at their limit.
    pub(crate) fn choose(
        &self,
        settings: &TargetGroup,
        wish: Wish,
        random: u64,
        tried: &Tried,
    ) -> Result<(usize, Rc<TargetLocal>), Kind> {
        self.refresh();
        let view = self.view.borrow();
        let limit = settings.limits.max_connections;
        let has_room = |i: usize| limit == 0 || view.targets.get(i).is_some_and(|t| t.shared.in_flight() < limit);
        if let Some(key) = wish.sticky {
            let found = view.published.roster.find_eligible(key).filter(|i| !tried.contains(i) && has_room(*i));
            if let Some((i, target)) = found.and_then(|i| Some((i, view.targets.get(i)?.clone()))) {
                return Ok((i, target));
            }
            self.counters().non_sticky_requests.add(1);
        }
        let load = |i: usize| view.targets.get(i).map_or(u32::MAX, |t| t.shared.in_flight());
        let mut picker = self.picker.borrow_mut();
        let mut pick = |exclude: &[usize]| picker.pick(Choice { random, hash: wish.hash, load: &load, exclude });
        let mut picked = pick(tried);
        if picked.is_some_and(|i| !has_room(i)) {
            // the limit is the exception: only here is a list of the full ones made
            let mut full: Vec<usize> = tried.to_vec();
            full.extend((0..view.targets.len()).filter(|i| !has_room(*i)));
            picked = pick(&full);
            if picked.is_none() {
                return Err(Kind::Overloaded);
            }
        }
        picked.and_then(|i| Some((i, view.targets.get(i)?.clone()))).ok_or(Kind::NoTarget)
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

    /// Spends a retry, if the budget has one left.
    pub(crate) fn spend_retry(&self, now: Moment) -> bool {
        self.budget.borrow_mut().as_mut().is_some_and(|budget| budget.try_retry(now))
    }

    /// Closes idle connections whose time is over.
    pub(crate) fn sweep(&self, now: u32) {
        self.refresh();
        self.view.borrow().targets.iter().for_each(|t| t.sweep(now));
    }

    /// The group is no longer declared: idle connections are closed.
    pub(crate) fn retire(&self) {
        self.view.borrow().targets.iter().for_each(|t| t.retire());
    }
}
