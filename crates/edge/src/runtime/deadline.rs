//! Deadlines of connections: a coarse one in a table that the sweep goes over, a sharp one on the runtime's timer.
//!
//! A deadline that is moved on every read costs a store this way; the runtime's timer would cost a re-registration.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::clock::ticks;
use super::worker::Worker;

/// Below this the coarse tick would be too rough.
const SHARP_BELOW: Duration = Duration::from_secs(4);

/// No deadline.
const NEVER: u32 = u32::MAX;

/// Those of every connection of a worker. What the sweep reads of them lies side by side: with thousands of connections it would
/// otherwise fetch as many places of memory, and put those out of the caches that requests need.
#[derive(Default)]
pub(crate) struct Deadlines {
    /// The tick of each.
    ticks: RefCell<Vec<u32>>,
    /// Who waits for it.
    wakers: RefCell<Vec<Option<Waker>>>,
    /// Places that nobody has.
    free: RefCell<Vec<usize>>,
}

impl Deadlines {
    /// Wakes every connection whose time has come.
    pub(crate) fn sweep(&self, now: u32) {
        let is_due = |(place, tick): (usize, &u32)| (*tick <= now).then_some(place);
        let due: Vec<usize> = self.ticks.borrow().iter().enumerate().filter_map(is_due).collect();
        due.into_iter().for_each(|place| self.wake(place));
    }

    /// Wakes every connection, so that it looks at what has changed (draining, a cut target).
    pub(crate) fn wake_all(&self) {
        let count = self.wakers.borrow().len();
        (0..count).for_each(|place| self.wake(place));
    }

    fn wake(&self, place: usize) {
        if let Some(waker) = self.exchange(place, None) {
            waker.wake();
        }
    }

    fn insert(&self) -> usize {
        if let Some(place) = self.free.borrow_mut().pop() {
            return place;
        }
        let mut ticks = self.ticks.borrow_mut();
        ticks.push(NEVER);
        self.wakers.borrow_mut().push(None);
        ticks.len() - 1
    }

    fn remove(&self, place: usize) {
        self.set(place, NEVER);
        self.exchange(place, None);
        self.free.borrow_mut().push(place);
    }

    fn set(&self, place: usize, tick: u32) {
        if let Some(at) = self.ticks.borrow_mut().get_mut(place) {
            *at = tick;
        }
    }

    fn is_over(&self, place: usize, now: u32) -> bool {
        self.ticks.borrow().get(place).is_none_or(|at| *at <= now)
    }

    fn wait(&self, place: usize, waker: &Waker) {
        let is_known = |known: &Option<Waker>| known.as_ref().is_some_and(|known| known.will_wake(waker));
        if !self.wakers.borrow().get(place).is_some_and(is_known) {
            self.exchange(place, Some(waker.clone()));
        }
    }

    /// The one before is let go of when nothing is borrowed any more: nobody knows what goes with it.
    fn exchange(&self, place: usize, waker: Option<Waker>) -> Option<Waker> {
        self.wakers.borrow_mut().get_mut(place).and_then(|known| std::mem::replace(known, waker))
    }
}

/// The deadline of one connection, whatever it currently waits for.
pub(crate) struct Timer {
    worker: Rc<Worker>,
    /// Among the worker's.
    place: usize,
    sharp: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Timer {
    pub(crate) fn new(worker: &Rc<Worker>) -> Timer {
        Timer { worker: worker.clone(), place: worker.deadlines.insert(), sharp: None }
    }

    /// Starts anew: expires `wait` from now.
    #[inline]
    pub(crate) fn arm(&mut self, wait: Duration) {
        if wait >= SHARP_BELOW {
            self.arm_roughly(wait);
        } else {
            self.arm_sharp(wait);
        }
    }

    /// The coarse clock's tick.
    pub(crate) fn tick(&self) -> u32 {
        self.worker.clock.tick()
    }

    /// Starts anew: expires at this tick.
    pub(crate) fn arm_until(&mut self, tick: u32) {
        self.worker.deadlines.set(self.place, tick);
        self.sharp = None;
    }

    /// Starts anew, by the coarse clock however short the wait: late by up to two ticks, but it costs a store.
    #[inline]
    pub(crate) fn arm_roughly(&mut self, wait: Duration) {
        self.arm_ticks(ticks(wait));
    }

    /// So many ticks of the coarse clock from now.
    pub(crate) fn arm_ticks(&mut self, wait: u32) {
        self.arm_until(self.worker.clock.tick().saturating_add(wait));
    }

    #[cold]
    fn arm_sharp(&mut self, wait: Duration) {
        self.worker.deadlines.set(self.place, NEVER);
        let at = tokio::time::Instant::now() + wait;
        match &mut self.sharp {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.sharp = Some(Box::pin(tokio::time::sleep_until(at))),
        }
    }

    /// Whether the time is up; if not, the task is woken when it is.
    #[inline]
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(sleep) = &mut self.sharp
            && sleep.as_mut().poll(cx).is_ready()
        {
            self.arm_until(0);
        }
        let deadlines = &self.worker.deadlines;
        let is_over = deadlines.is_over(self.place, self.worker.clock.tick());
        if !is_over {
            deadlines.wait(self.place, cx.waker());
        }
        is_over
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.worker.deadlines.remove(self.place);
    }
}
