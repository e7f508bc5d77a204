//! What the streams of a connection share: who is open, windows, and what waits to be sent.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use headworks_message::h2::{self, Code, DEFAULT_WINDOW, FRAME_LIMIT, FrameKind, Settings, flag};
use headworks_message::hpack;
use tokio::io::AsyncWrite;

use super::closed::{By, Closed, Fate};
use super::state::{Break, Sleeper, State, TooWide, widen};
use crate::l7::connection::Peer;
use crate::l7::multiplexed::{Allowance, CONCURRENT_STREAMS, CONNECTION_WINDOW};
use crate::listen::slot::ListenerSlot;
use crate::runtime::worker::Worker;

/// Bytes of answers that wait for the socket, on all streams.
const WAITING: usize = 128 * 1024;
/// Bytes sent that earn a client one empty frame: whoever downloads acknowledges. Much longer than our answer to any such
/// frame.
const EARNING: usize = 128;

/// One connection.
pub(super) struct Session {
    pub(super) worker: Rc<Worker>,
    pub(super) peer: Rc<Peer>,
    pub(super) slot: Rc<ListenerSlot>,
    pub(super) empty_frames: Allowance,
    pub(super) futile_requests: Allowance,
    settings: Cell<Settings>,
    /// Bytes that the client takes on all streams.
    send_window: Cell<i64>,
    /// Bytes of answers' content that were put in line.
    content: Cell<u64>,
    /// Bytes that the client may still send on all streams, and those that it could be allowed again.
    window: Cell<u32>,
    released: Cell<u32>,
    out: RefCell<Out>,
    /// A field block has been put in line.
    has_spoken: Cell<bool>,
    /// By identifier, in order.
    open: RefCell<Vec<Rc<State>>>,
    closed: RefCell<Closed>,
    /// Streams that have something to send and wait for room, the next one first.
    turns: RefCell<VecDeque<Rc<State>>>,
    /// Streams that wait until no more is in line than may be.
    settling: RefCell<Vec<Rc<State>>>,
    /// Requests that are being answered: streams that were reset go on to their end.
    busy: Cell<u32>,
    /// Who carries the connection's bytes.
    carrier: Sleeper,
}

/// Frames in line.
#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    /// Of those, the bytes that have gone.
    gone: usize,
    /// Nothing is sent any more.
    is_over: bool,
}

impl Session {
    pub(super) fn new(worker: Rc<Worker>, peer: Rc<Peer>, slot: Rc<ListenerSlot>) -> Rc<Session> {
        let tick = worker.clock.tick();
        Rc::new(Session {
            worker,
            peer,
            slot,
            empty_frames: Allowance::of_empty_frames(tick),
            futile_requests: Allowance::of_futile_requests(tick),
            settings: Cell::default(),
            send_window: Cell::new(i64::from(DEFAULT_WINDOW)),
            content: Cell::new(0),
            window: Cell::new(CONNECTION_WINDOW),
            released: Cell::new(0),
            out: RefCell::default(),
            has_spoken: Cell::new(false),
            open: RefCell::default(),
            closed: RefCell::default(),
            turns: RefCell::default(),
            settling: RefCell::default(),
            busy: Cell::new(0),
            carrier: Sleeper::default(),
        })
    }

    /// Who carries the connection's bytes is woken when there are some.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        self.carrier.waits(cx);
    }

    /// Puts frames in line.
    pub(super) fn put(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = self.out.borrow_mut();
        if out.is_over {
            return;
        }
        let was_empty = out.bytes.is_empty();
        write(&mut out.bytes);
        if was_empty {
            self.carrier.wake();
        }
    }

    /// Sends what is in line. Ready when nothing is left.
    ///
    /// # Errors
    /// Those of the socket.
    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut sent = 0;
        let result = {
            let mut out = self.out.borrow_mut();
            loop {
                let Some(rest) = out.bytes.get(out.gone..).filter(|rest| !rest.is_empty()) else {
                    out.gone = 0;
                    if self.busy.get() == 0 {
                        // an idle connection holds no buffer
                        out.bytes = Vec::new();
                    } else {
                        out.bytes.clear();
                    }
                    break Pin::new(&mut *stream).poll_flush(cx);
                };
                match Pin::new(&mut *stream).poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(n)) => {
                        out.gone += n;
                        sent += n;
                    }
                    Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                    Poll::Pending => break Poll::Pending,
                }
            }
        };
        if sent > 0 {
            self.empty_frames.earn((sent / EARNING) as u32);
            self.next_turn();
            if self.waiting() <= WAITING {
                self.settling.take().iter().for_each(|state| state.wake());
            }
        }
        ready!(result)?;
        Poll::Ready(Ok(sent))
    }

    /// Bytes of content that the socket has taken so far, of all streams: other frames are no progress of anybody's.
    pub(super) fn carried(&self) -> u64 {
        self.content.get().saturating_sub(self.waiting() as u64)
    }

    /// Bytes that wait for the socket.
    fn waiting(&self) -> usize {
        let out = self.out.borrow();
        out.bytes.len() - out.gone
    }

    /// The connection is over: so is all that is open on it.
    pub(super) fn end(&self) {
        *self.out.borrow_mut() = Out { is_over: true, ..Out::default() };
        self.turns.take();
        self.settling.take();
        for state in self.open.take() {
            state.break_off(Break::Client);
        }
    }

    /// Whether no request is being answered.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.get() == 0
    }

    /// A request begins on a stream, which is `ended` with its head. None when there are enough.
    pub(super) fn open(&self, id: u32, ended: bool) -> Option<Rc<State>> {
        let mut open = self.open.borrow_mut();
        // those that were reset take a moment to notice
        if open.len() >= CONCURRENT_STREAMS as usize || self.busy.get() >= 2 * CONCURRENT_STREAMS {
            return None;
        }
        let state = Rc::new(State::new(id, self.settings.get().initial_window, ended));
        open.push(state.clone());
        self.busy.set(self.busy.get() + 1);
        Some(state)
    }

    /// The answer to a request is over, one way or the other.
    pub(super) fn answered(&self) {
        self.busy.set(self.busy.get().saturating_sub(1));
        if self.busy.get() == 0 {
            self.carrier.wake();
        }
    }

    /// The stream, while it is open.
    pub(super) fn find(&self, id: u32) -> Option<Rc<State>> {
        let open = self.open.borrow();
        let at = open.binary_search_by_key(&id, |state| state.id).ok()?;
        open.get(at).cloned()
    }

    /// What became of a stream that is not open.
    pub(super) fn fate(&self, id: u32) -> Fate {
        self.closed.borrow().fate(id)
    }

    fn forget(&self, state: &Rc<State>) {
        let mut open = self.open.borrow_mut();
        if let Ok(at) = open.binary_search_by_key(&state.id, |state| state.id) {
            open.remove(at);
        }
        drop(open);
        self.give_up_turn(state);
        let unread = state.content.borrow().unread();
        self.release(unread);
    }

    /// Both sides have said their last.
    pub(super) fn finished(&self, state: &Rc<State>) {
        self.forget(state);
        self.closed.borrow_mut().ended(state.id);
    }

    /// The client has reset a stream.
    pub(super) fn reset_by_client(&self, state: &Rc<State>) {
        self.forget(state);
        self.closed.borrow_mut().reset(state.id, By::Client);
        state.break_off(Break::Client);
    }

    /// Resets a stream, which need not be open.
    pub(super) fn reset(&self, id: u32, code: Code) {
        if let Some(state) = self.find(id) {
            self.forget(&state);
            state.break_off(Break::Malformed);
        }
        self.closed.borrow_mut().reset(id, By::Us);
        self.put(|out| h2::put_reset(out, id, code));
    }

    /// Takes in what the client says of itself.
    ///
    /// # Errors
    /// The code with which the connection ends.
    pub(super) fn update(&self, payload: &[u8]) -> Result<(), Code> {
        let mut settings = self.settings.get();
        let before = i64::from(settings.initial_window);
        settings.update(payload)?;
        self.settings.set(settings);
        let moved = i64::from(settings.initial_window) - before;
        if moved == 0 {
            return Ok(());
        }
        for state in &*self.open.borrow() {
            state.move_window(moved).map_err(|TooWide| Code::FlowControlError)?;
        }
        Ok(())
    }

    /// The client takes more on all streams.
    ///
    /// # Errors
    /// When that is more than there can be.
    pub(super) fn open_window(&self, increment: u32) -> Result<(), TooWide> {
        widen(&self.send_window, increment.into())?;
        self.next_turn();
        Ok(())
    }

    /// Takes `length` bytes of the window of all streams.
    ///
    /// # Errors
    /// When the client has sent more than it may.
    pub(super) fn receive(&self, length: u32) -> Result<(), Code> {
        self.window.set(self.window.get().checked_sub(length).ok_or(Code::FlowControlError)?);
        Ok(())
    }

    /// So many of the bytes that were received are not held any more.
    pub(super) fn release(&self, length: u32) {
        let released = self.released.get() + length;
        self.released.set(released);
        if released >= CONNECTION_WINDOW / 2 {
            self.released.set(0);
            self.window.set(self.window.get() + released);
            self.put(|out| h2::put_window_update(out, 0, released));
        }
    }

    /// Has a stream's client send more, when that is worth a frame.
    pub(super) fn release_stream(&self, state: &State) {
        let update = state.content.borrow_mut().window_update();
        if let Some(increment) = update {
            self.put(|out| h2::put_window_update(out, state.id, increment));
        }
    }

    /// Bytes that may be put in line now, apart from what a stream's own window says.
    fn room(&self) -> usize {
        let window = usize::try_from(self.send_window.get()).unwrap_or(0);
        window.min(WAITING.saturating_sub(self.waiting()))
    }

    /// Bytes of an answer that a stream may send. Streams that wait for room get it in turns, a frame each.
    pub(super) fn poll_room(&self, state: &Rc<State>, cx: &Context<'_>) -> Poll<usize> {
        let of_stream = state.window();
        if of_stream == 0 {
            self.give_up_turn(state);
            state.waits(cx);
            return Poll::Pending;
        }
        let room = self.room();
        let mut turns = self.turns.borrow_mut();
        let is_next = turns.front().is_none_or(|first| Rc::ptr_eq(first, state));
        if room == 0 || !is_next {
            if !turns.iter().any(|other| Rc::ptr_eq(other, state)) {
                turns.push_back(state.clone());
            }
            state.waits(cx);
            return Poll::Pending;
        }
        turns.pop_front();
        Poll::Ready(room.min(of_stream).min(FRAME_LIMIT))
    }

    /// Whoever waits for room first is told that there is some.
    fn next_turn(&self) {
        if let Some(next) = self.turns.borrow().front()
            && self.room() > 0
        {
            next.wake();
        }
    }

    fn give_up_turn(&self, state: &Rc<State>) {
        let mut turns = self.turns.borrow_mut();
        let Some(at) = turns.iter().position(|other| Rc::ptr_eq(other, state)) else { return };
        turns.remove(at);
        drop(turns);
        if at == 0 {
            self.next_turn();
        }
    }

    /// Waits until no more is in line than may be.
    pub(super) fn poll_settled(&self, state: &Rc<State>, cx: &Context<'_>) -> Poll<()> {
        if self.waiting() <= WAITING {
            return Poll::Ready(());
        }
        self.settling.borrow_mut().push(state.clone());
        state.waits(cx);
        Poll::Pending
    }

    /// Puts DATA in line that there is room for.
    pub(super) fn put_data(&self, state: &State, bytes: &[u8], ends: bool) {
        state.sends(bytes.len());
        self.send_window.set(self.send_window.get() - bytes.len() as i64);
        self.content.set(self.content.get() + bytes.len() as u64);
        self.put(|out| {
            h2::put_frame_head(out, FrameKind::Data, if ends { flag::END_STREAM } else { 0 }, state.id, bytes.len());
            out.extend_from_slice(bytes);
        });
        self.next_turn();
    }

    /// Puts a field block in line, which has `size` bytes as [`FIELD_OVERHEAD`](headworks_message::section::FIELD_OVERHEAD)
    /// counts.
    ///
    /// # Errors
    /// When the client takes none as long.
    pub(super) fn put_headers(
        &self,
        state: &State,
        ends: bool,
        size: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        let settings = self.settings.get();
        if size > settings.max_header_list_size as usize {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let is_first = !self.has_spoken.replace(true);
        self.put(|out| {
            h2::put_headers(out, state.id, ends, settings.max_frame_size, |block| {
                if is_first {
                    hpack::begin(block);
                }
                write(block);
            });
        });
        Ok(())
    }
}
