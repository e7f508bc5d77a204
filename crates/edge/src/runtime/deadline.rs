//! Deadlines of connections: a coarse one in a slab that the sweep goes over, a sharp one on the runtime's timer.
//!
//! A deadline that is moved on every read costs a store this way; the runtime's timer would cost a re-registration.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::clock::ticks;
use super::worker::Worker;

/// Below this the coarse tick would be too rough.
const SHARP_BELOW: Duration = Duration::from_secs(4);

/// What the sweep sees of a connection.
pub(crate) struct Entry {
    at: Cell<u32>,
    waker: RefCell<Option<Waker>>,
}

/// Every connection of a worker.
#[derive(Default)]
pub(crate) struct Deadlines {
    entries: RefCell<Vec<Option<Rc<Entry>>>>,
    free: RefCell<Vec<u32>>,
}

impl Deadlines {
    /// Wakes every connection whose time has come.
    pub(crate) fn sweep(&self, now: u32) {
        for entry in self.entries.borrow().iter().flatten() {
            if entry.at.get() <= now {
                entry.wake();
            }
        }
    }

    /// Wakes every connection, so that it looks at what has changed (draining, a cut target).
    pub(crate) fn wake_all(&self) {
        for entry in self.entries.borrow().iter().flatten() {
            entry.wake();
        }
    }

    fn insert(&self, entry: Rc<Entry>) -> u32 {
        let mut entries = self.entries.borrow_mut();
        if let Some(slot) = self.free.borrow_mut().pop() {
            if let Some(place) = entries.get_mut(slot as usize) {
                *place = Some(entry);
            }
            return slot;
        }
        entries.push(Some(entry));
        (entries.len() - 1) as u32
    }

    fn remove(&self, slot: u32) {
        if let Some(place) = self.entries.borrow_mut().get_mut(slot as usize) {
            *place = None;
            self.free.borrow_mut().push(slot);
        }
    }
}

impl Entry {
    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The deadline of one connection, whatever it currently waits for.
pub(crate) struct Timer {
    worker: Rc<Worker>,
    entry: Rc<Entry>,
    slot: u32,
    sharp: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Timer {
    pub(crate) fn new(worker: &Rc<Worker>) -> Timer {
        let entry = Rc::new(Entry { at: Cell::new(u32::MAX), waker: RefCell::new(None) });
        let slot = worker.deadlines.insert(entry.clone());
        Timer { worker: worker.clone(), entry, slot, sharp: None }
    }

    /// Starts anew: expires `wait` from now.
    #[inline]
    pub(crate) fn arm(&mut self, wait: Duration) {
        if wait >= SHARP_BELOW {
            self.entry.at.set(self.worker.clock.tick().saturating_add(ticks(wait)));
            self.sharp = None;
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
        self.entry.at.set(tick);
        self.sharp = None;
    }

    /// Starts anew, by the coarse clock however short the wait: late by up to two ticks, but it costs a store.
    #[inline]
    pub(crate) fn arm_roughly(&mut self, wait: Duration) {
        self.entry.at.set(self.worker.clock.tick().saturating_add(ticks(wait)));
        self.sharp = None;
    }

    /// So many ticks of the coarse clock from now.
    pub(crate) fn arm_ticks(&mut self, wait: u32) {
        self.entry.at.set(self.worker.clock.tick().saturating_add(wait));
        self.sharp = None;
    }

    #[cold]
    fn arm_sharp(&mut self, wait: Duration) {
        self.entry.at.set(u32::MAX);
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
            self.sharp = None;
            self.entry.at.set(0);
        }
        if self.worker.clock.tick() >= self.entry.at.get() {
            return true;
        }
        let mut waker = self.entry.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        false
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.worker.deadlines.remove(self.slot);
    }
}
