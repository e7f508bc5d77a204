//! Places in a group and at its targets, exact over all workers, and who waits for one. Groups without limits never come here.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use headworks_balance::queue::{Full, Line, Ticket};
use headworks_balance::{Moment, Queue};
use headworks_model::target_group::TargetLimits;

use super::group::GroupShared;
use super::target::TargetShared;

/// What all workers share of a group's places.
pub(crate) struct Gate {
    started: Instant,
    taken: AtomicU32,
    /// How many wait of those that come for the first time, and of those that come again, to be looked at without the lock.
    first: AtomicU32,
    again: AtomicU32,
    queue: Mutex<Queue<Arc<Seat>>>,
    /// The limit that has been found out; 0 where none is looked for.
    found: AtomicU32,
    held_back: AtomicBool,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate {
            started: Instant::now(),
            taken: AtomicU32::new(0),
            first: AtomicU32::new(0),
            again: AtomicU32::new(0),
            queue: Mutex::default(),
            found: AtomicU32::new(0),
            held_back: AtomicBool::new(false),
        }
    }
}

/// Where one who waits is called.
#[derive(Default)]
struct Seat {
    called: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Seat {
    fn call(&self) {
        self.called.store(true, Ordering::SeqCst);
        let waker = lock(&self.waker).take();
        waker.into_iter().for_each(Waker::wake);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a place, if fewer than `limit` are taken; 0: however many are.
fn take(taken: &AtomicU32, limit: u32) -> bool {
    let limit = if limit == 0 { u32::MAX } else { limit };
    let more = |taken: u32| (taken < limit).then(|| taken + 1);
    taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
}

impl Gate {
    /// How many requests the group may have in flight; 0: any number.
    fn limit(&self, limits: &TargetLimits) -> u32 {
        match (limits.max_requests, limits.adaptive.as_ref().map(|_| self.found.load(Ordering::Relaxed))) {
            (declared, None | Some(0)) => declared,
            (0, Some(found)) => found,
            (declared, Some(found)) => declared.min(found),
        }
    }

    /// Whether the group itself has a place, whatever its targets have.
    pub(crate) fn has_place(&self, limits: &TargetLimits) -> bool {
        let limit = self.limit(limits);
        let has_place = limit == 0 || self.taken.load(Ordering::SeqCst) < limit;
        if !has_place {
            self.held_back.store(true, Ordering::Relaxed);
        }
        has_place
    }

    /// Whether others wait in this line.
    pub(crate) fn has_waiting(&self, line: Line) -> bool {
        let waiting = match line {
            Line::First => &self.first,
            Line::Again => &self.again,
        };
        waiting.load(Ordering::SeqCst) > 0
    }

    /// Requests that have a place.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn waiting(&self) -> u32 {
        self.first.load(Ordering::Relaxed) + self.again.load(Ordering::Relaxed)
    }

    /// The limit that has been found out, where one is looked for.
    pub(crate) fn found(&self) -> Option<u32> {
        Some(self.found.load(Ordering::Relaxed)).filter(|found| *found > 0)
    }

    pub(crate) fn publish_found(&self, found: Option<u32>) {
        self.found.store(found.unwrap_or(0), Ordering::Relaxed);
    }

    /// Places taken now, and whether anybody was held back since the last time.
    pub(crate) fn sample(&self) -> (u32, bool) {
        (self.taken.load(Ordering::Relaxed), self.held_back.swap(false, Ordering::Relaxed))
    }

    /// Waits from now on, behind all others of the line, for so long.
    ///
    /// # Errors
    /// When `bound` of the line wait already.
    pub(crate) fn join(&self, line: Line, patience: Duration, bound: usize) -> Result<Waiting<'_>, Full> {
        let seat = Arc::<Seat>::default();
        let until = self.now().saturating_add(patience);
        let ticket = self.queue(|queue| queue.join(seat.clone(), until, line, bound))?;
        Ok(Waiting { gate: self, ticket, seat, until, is_settled: Cell::new(false) })
    }

    fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// Does it with the queue, and notes how many wait then.
    fn queue<T>(&self, change: impl FnOnce(&mut Queue<Arc<Seat>>) -> T) -> T {
        let mut queue = lock(&self.queue);
        let changed = change(&mut queue);
        self.first.store(queue.len(Line::First) as u32, Ordering::SeqCst);
        self.again.store(queue.len(Line::Again) as u32, Ordering::SeqCst);
        changed
    }

    /// A place has come free: it is the turn of the oldest.
    fn call(&self) {
        if !self.has_waiting(Line::First) && !self.has_waiting(Line::Again) {
            return;
        }
        let now = self.now();
        if let Some(seat) = self.queue(|queue| queue.serve(now)) {
            seat.call();
        }
    }
}

/// Why one who waits has tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Called,
    /// Nobody has called it: it has looked by itself.
    Own,
}

/// One who waits. Whoever stops waiting is out of the queue, and hands a turn that was not used to the next.
pub(crate) struct Waiting<'g> {
    gate: &'g Gate,
    ticket: Ticket,
    seat: Arc<Seat>,
    until: Moment,
    /// It is neither in the queue any more, nor among those who may come back.
    is_settled: Cell<bool>,
}

impl Waiting<'_> {
    /// Whether it may look by itself: nobody of its line came before. One that comes again is particular, so that those before
    /// it may have passed over what it can use.
    pub(crate) fn may_look(&self) -> bool {
        self.ticket.line() == Line::Again || lock(&self.gate.queue).is_oldest(self.ticket)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.until <= self.gate.now()
    }

    /// What is left of its time.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_sub(self.gate.now())
    }

    pub(crate) fn poll_called(&self, cx: &mut Context<'_>) -> Poll<()> {
        *lock(&self.seat.waker) = Some(cx.waker().clone());
        if self.seat.called.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The turn has come to nothing: somebody was faster, or the place is none that it can use, which those behind it may. It
    /// keeps its place, and has to look once more, if this says so: a place may have come free while nobody could be called.
    pub(crate) fn stay(&self, turn: Turn) -> Option<Turn> {
        if turn == Turn::Own {
            // who was called meanwhile has that turn still
            return None;
        }
        self.seat.called.store(false, Ordering::SeqCst);
        let now = self.gate.now();
        let behind = self.gate.queue(|queue| {
            queue.rejoin(self.ticket, self.seat.clone(), self.until);
            let is_particular = self.ticket.line() == Line::Again;
            is_particular.then(|| queue.serve_behind(self.ticket, now)).flatten()
        });
        behind.iter().for_each(|seat| seat.call());
        self.may_look().then_some(Turn::Own)
    }

    /// It has a place. One that was not called for it, but was called meanwhile, hands that turn on.
    pub(crate) fn served(self, turn: Turn) {
        self.leave();
        if turn == Turn::Called {
            self.seat.called.store(false, Ordering::SeqCst);
        }
    }

    fn leave(&self) {
        if self.is_settled.replace(true) {
            return;
        }
        self.gate.queue(|queue| {
            if !queue.leave(self.ticket) && self.seat.called.load(Ordering::SeqCst) {
                queue.settled(self.ticket);
            }
        });
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.leave();
        if self.seat.called.load(Ordering::SeqCst) {
            self.gate.call();
        }
    }
}

/// A place in a group and at a target, while it lives.
pub(crate) struct Permit {
    group: Arc<GroupShared>,
    target: Arc<TargetShared>,
}

impl Permit {
    /// Takes a place in the group and at the target, if both have one.
    pub(crate) fn take(group: &Arc<GroupShared>, target: &Arc<TargetShared>, limits: &TargetLimits) -> Option<Permit> {
        if !take(&group.gate.taken, group.gate.limit(limits)) {
            group.gate.held_back.store(true, Ordering::Relaxed);
            return None;
        }
        if !take(&target.places, limits.max_connections) {
            group.gate.taken.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(Permit { group: group.clone(), target: target.clone() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.target.places.fetch_sub(1, Ordering::SeqCst);
        self.group.gate.taken.fetch_sub(1, Ordering::SeqCst);
        self.group.gate.call();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn is_called(waiting: &Waiting<'_>) -> bool {
        waiting.poll_called(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// How many can still join.
    fn room(gate: &Gate, bound: usize) -> usize {
        let joined: Vec<_> = std::iter::from_fn(|| gate.join(Line::First, PATIENCE, bound).ok()).collect();
        joined.len()
    }

    #[test]
    fn whoever_is_served_leaves_once() {
        for turn in [Turn::Called, Turn::Own] {
            let gate = Gate::default();
            let [first, second, third] = [(); 3].map(|()| gate.join(Line::First, PATIENCE, 3).unwrap());
            gate.call();
            gate.call();
            assert!(is_called(&first) && is_called(&second) && !is_called(&third));
            first.served(turn);
            // one who found a place by itself hands the turn that it was called for to the next
            assert_eq!(is_called(&third), turn == Turn::Own);
            assert_eq!(room(&gate, 3), 1, "{turn:?}: two are still there");
            drop((second, third));
            assert_eq!((room(&gate, 3), gate.waiting()), (3, 0));
        }
    }

    #[test]
    fn who_comes_again_goes_first_and_passes_on_what_it_cannot_use() {
        let gate = Gate::default();
        let first = gate.join(Line::First, PATIENCE, 2).unwrap();
        let [one, two] = [(); 2].map(|()| gate.join(Line::Again, PATIENCE, 2).unwrap());
        assert!(gate.join(Line::Again, PATIENCE, 2).is_err() && gate.waiting() == 3);
        gate.call();
        assert!(is_called(&one) && !is_called(&two) && !is_called(&first));
        assert_eq!(one.stay(Turn::Called), Some(Turn::Own));
        assert!(!is_called(&one) && is_called(&two) && !is_called(&first));
        assert_eq!(two.stay(Turn::Called), Some(Turn::Own));
        assert!(!is_called(&two) && is_called(&first) && [&one, &two].iter().all(|again| again.may_look()));
        first.served(Turn::Called);
        assert_eq!((one.stay(Turn::Own), gate.waiting()), (None, 2));
        drop((one, two));
        assert!(!gate.has_waiting(Line::Again) && gate.waiting() == 0);
    }

    #[test]
    fn who_was_called_in_vain_looks_once_more_and_stays_first() {
        let gate = Gate::default();
        let [first, second] = [(); 2].map(|()| gate.join(Line::First, PATIENCE, 2).unwrap());
        gate.call();
        assert_eq!((is_called(&first), gate.has_waiting(Line::First)), (true, true));
        assert_eq!(first.stay(Turn::Called), Some(Turn::Own));
        assert!(!is_called(&first) && first.may_look() && !second.may_look());
        // called while it looked by itself: that turn is not lost
        gate.call();
        assert_eq!((first.stay(Turn::Own), is_called(&first)), (None, true));
        assert_eq!(room(&gate, 2), 0);
        drop(first);
        assert!(is_called(&second), "who goes away hands its turn on");
    }
}
