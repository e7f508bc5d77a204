//! One stream, as far as both its ends must know: the connection, which takes its frames in, and the task that answers it.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

use headworks_message::h2::GREATEST;

use super::content::Content;

/// One stream.
pub(super) struct State {
    pub(super) id: u32,
    /// Bytes that the client takes; below 0 when it has changed its mind (RFC 9113 section 6.9.2).
    send_window: Cell<i64>,
    pub(super) content: RefCell<Content>,
    /// Why it is over before its time.
    broken: Cell<Option<Break>>,
    /// The task that answers it.
    answerer: Sleeper,
}

/// Who has broken a stream off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// The client has reset it, or is gone.
    Client,
    /// We have reset it, for what the client said.
    Malformed,
}

/// A window that would be wider than 2^31-1 (RFC 9113 section 6.9.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct TooWide;

impl State {
    /// Of a stream whose head has come; `ended` with it.
    pub(super) fn new(id: u32, send_window: u32, ended: bool) -> State {
        State {
            id,
            send_window: Cell::new(send_window.into()),
            content: RefCell::new(Content::new(ended)),
            broken: Cell::new(None),
            answerer: Sleeper::default(),
        }
    }

    /// Has the task that answers it wait until something comes.
    pub(super) fn waits(&self, cx: &Context<'_>) {
        self.answerer.waits(cx);
    }

    /// Something has come.
    pub(super) fn wake(&self) {
        self.answerer.wake();
    }

    /// Why it is over before its time; who asks is woken when it comes to that.
    pub(super) fn broken(&self, cx: &Context<'_>) -> Option<Break> {
        let broken = self.broken.get();
        if broken.is_none() {
            self.waits(cx);
        }
        broken
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.get().is_some()
    }

    pub(super) fn break_off(&self, how: Break) {
        self.broken.set(Some(how));
        self.wake();
    }

    /// Bytes that the client takes now.
    pub(super) fn window(&self) -> usize {
        usize::try_from(self.send_window.get()).unwrap_or(0)
    }

    /// So many of them have been put in line.
    pub(super) fn sends(&self, bytes: usize) {
        self.send_window.set(self.send_window.get() - bytes as i64);
    }

    /// The client takes so much more, or less.
    ///
    /// # Errors
    /// When that is more than there can be.
    pub(super) fn move_window(&self, by: i64) -> Result<(), TooWide> {
        widen(&self.send_window, by)?;
        self.wake();
        Ok(())
    }
}

/// Moves a window, of a stream or of all.
///
/// # Errors
/// When it would be too wide.
pub(super) fn widen(window: &Cell<i64>, by: i64) -> Result<(), TooWide> {
    let widened = window.get() + by;
    if widened > i64::from(GREATEST) {
        return Err(TooWide);
    }
    window.set(widened);
    Ok(())
}

/// A task that waits for what another does.
#[derive(Default)]
pub(super) struct Sleeper(RefCell<Option<Waker>>);

impl Sleeper {
    /// It is this one, from now on.
    pub(super) fn waits(&self, cx: &Context<'_>) {
        let mut waker = self.0.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.0.borrow() {
            waker.wake_by_ref();
        }
    }
}
