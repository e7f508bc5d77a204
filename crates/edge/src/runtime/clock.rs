//! A worker's coarse clock: read from a cell, moved by the sweep. The hot path asks the kernel only where a log or a
//! histogram needs microseconds.

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headworks_message::number::hex;
use tokio::time::Instant;

/// Length of a tick. Deadlines of whole seconds are precise enough with it; shorter ones use the runtime's timer.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Coarse time, and the texts that change with it once a second.
pub(crate) struct Clock {
    start: Instant,
    tick: Cell<u32>,
    unix: Cell<u64>,
    date: RefCell<[u8; 29]>,
    trace_root: Cell<[u8; 8]>,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        let clock = Clock {
            start: Instant::now(),
            tick: Cell::new(0),
            unix: Cell::new(0),
            date: RefCell::new([b' '; 29]),
            trace_root: Cell::new([b'0'; 8]),
        };
        clock.advance();
        clock
    }

    /// Catches up with the real clock.
    pub(crate) fn advance(&self) {
        self.tick.set((self.start.elapsed().as_millis() / TICK.as_millis()) as u32);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        if unix != self.unix.replace(unix) {
            if let Ok(date) = <[u8; 29]>::try_from(headworks_balance::imf_date::imf_date(unix).as_bytes()) {
                *self.date.borrow_mut() = date;
            }
            self.trace_root.set(hex(unix));
        }
    }

    /// Ticks since the worker started.
    #[inline]
    pub(crate) fn tick(&self) -> u32 {
        self.tick.get()
    }

    /// Coarse time since the worker started, for the pure engines.
    pub(crate) fn now(&self) -> Duration {
        TICK * self.tick.get()
    }

    /// Seconds since 1970.
    pub(crate) fn unix(&self) -> u64 {
        self.unix.get()
    }

    /// The value of a Date field (RFC 9110 section 5.6.7).
    pub(crate) fn date(&self) -> [u8; 29] {
        *self.date.borrow()
    }

    /// The time part of a trace root, eight hexadecimal digits.
    pub(crate) fn trace_root(&self) -> [u8; 8] {
        self.trace_root.get()
    }
}

/// `duration` in ticks, rounded up, and one more because the current tick has begun.
pub(crate) fn ticks(duration: Duration) -> u32 {
    // in 64 bits: 128, which milliseconds have by default, take a function call to divide
    let millis =
        duration.as_secs().saturating_mul(1_000).saturating_add(duration.subsec_nanos().div_ceil(1_000_000).into());
    u32::try_from(millis.div_ceil(TICK.as_millis() as u64)).unwrap_or(u32::MAX / 2).saturating_add(1)
}
