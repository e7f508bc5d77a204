//! What an origin's threads share, and one connection's way through its scripts.

use std::collections::HashMap;
use std::net::Shutdown;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::echo;
use crate::origin::{Health, PROBE, Received};
use crate::script::Step;
use crate::stream::{Buffered, End, Stream};
use crate::tls::{Agreed, Serves};
use crate::wait::PATIENCE;
use crate::wire::{Body, Request};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) scripts: HashMap<String, Vec<Step>>,
    pub(crate) at_accept: Vec<Step>,
    pub(crate) lenient: bool,
    pub(crate) tls: Option<Serves>,
    pub(crate) stopped: AtomicBool,
    pub(crate) log: Mutex<Log>,
    pub(crate) changed: Condvar,
}

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) health: Health,
    pub(crate) received: Vec<Received>,
    pub(crate) probes: Vec<Request>,
    /// How each connection ended, in the order they were accepted.
    pub(crate) ends: Vec<Option<End>>,
    pub(crate) twins: Vec<Option<Stream>>,
    /// What each handshake agreed on, or how it failed.
    pub(crate) handshakes: Vec<Result<Agreed, String>>,
    pub(crate) malformed: Vec<String>,
}

impl Shared {
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Log)) {
        change(&mut self.log());
        self.changed.notify_all();
    }

    /// Waits until the log has something.
    pub(crate) fn wait<T>(&self, what: &str, mut probe: impl FnMut(&Log) -> Option<T>) -> T {
        let mut log = self.log();
        let started = Instant::now();
        loop {
            if let Some(found) = probe(&log) {
                return found;
            }
            let left = PATIENCE.saturating_sub(started.elapsed());
            if left.is_zero() {
                let seen: Vec<_> =
                    log.received.iter().map(|r| format!("{} {}", r.request.method, r.request.target)).collect();
                let (ends, malformed) = (&log.ends, &log.malformed);
                let text = format!(
                    "origin {} waited {PATIENCE:?} in vain for {what}; it has seen {seen:?}, connections {ends:?}, \
                     malformed {malformed:?}",
                    self.name
                );
                drop(log);
                panic!("{text}");
            }
            let pause = left.min(Duration::from_millis(200));
            log = self.changed.wait_timeout(log, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// One connection of an origin.
pub(crate) struct Serving {
    pub(crate) shared: Arc<Shared>,
    pub(crate) connection: usize,
    pub(crate) wire: Buffered,
}

/// What a script leaves of its connection.
enum Left {
    /// It waits for the next request.
    Open,
    /// It is over.
    Ended(End),
    /// It is to be reset.
    Reset,
}

impl Serving {
    /// Serves a connection that was just accepted.
    pub(crate) fn begin(shared: Arc<Shared>, connection: usize, stream: Stream) {
        let (stream, agreed) = match (&shared.tls, stream) {
            (Some(tls), Stream::Tcp(socket)) => match tls.accept(socket) {
                Ok(secured) => {
                    let agreed = secured.agreed();
                    (Stream::Tls(Box::new(secured)), Some(agreed))
                }
                Err(error) => {
                    shared.change(|log| {
                        log.handshakes.push(Err(error.to_string()));
                        log.twins.get_mut(connection - 1).and_then(Option::take);
                        if let Some(slot) = log.ends.get_mut(connection - 1) {
                            *slot = Some(End::Malformed(format!("no handshake: {error}")));
                        }
                    });
                    return;
                }
            },
            (_, stream) => (stream, None),
        };
        if let Some(agreed) = agreed {
            shared.change(|log| log.handshakes.push(Ok(agreed)));
        }
        Serving { shared, connection, wire: Buffered::new(stream) }.run();
    }

    fn run(mut self) {
        let at_accept = self.shared.at_accept.clone();
        let mut left = self.steps(&at_accept, None);
        let mut number = 0;
        while matches!(left, Left::Open) {
            left = match self.wire.request() {
                Ok(None) => Left::Ended(End::Closed),
                Err(end) => Left::Ended(end),
                Ok(Some(request)) if request.fields.all("User-Agent").iter().any(|agent| agent.starts_with(PROBE)) => {
                    self.probe(request)
                }
                Ok(Some(request)) => {
                    number += 1;
                    self.serve(request, number)
                }
            };
        }
        let Serving { shared, connection, wire } = self;
        let end = match left {
            Left::Open | Left::Reset => {
                // the twin would keep the socket open, and with it the reset from being sent
                let twin = shared.log().twins.get_mut(connection - 1).and_then(Option::take);
                drop(twin);
                wire.stream.reset();
                End::Reset
            }
            Left::Ended(end) => end,
        };
        shared.change(|log| {
            if let End::Malformed(why) = &end {
                log.malformed.push(why.clone());
            }
            if let Some(slot) = log.twins.get_mut(connection - 1) {
                *slot = None;
            }
            if let Some(slot) = log.ends.get_mut(connection - 1) {
                *slot = Some(end);
            }
        });
    }

    fn probe(&mut self, request: Request) -> Left {
        let mut health = Health::Silent;
        self.shared.change(|log| {
            log.probes.push(request);
            health = log.health;
        });
        match health {
            Health::Status(status) => {
                let answer = format!("HTTP/1.1 {status} Status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                self.steps(&[Step::send(answer), Step::Close], None)
            }
            Health::Silent => self.steps(&[Step::ReadToEnd], None),
            Health::Reset => Left::Reset,
        }
    }

    fn serve(&mut self, request: Request, number: usize) -> Left {
        let mut place = 0;
        let received = Received { connection: self.connection, number, request: request.clone(), body: None };
        self.shared.change(|log| {
            place = log.received.len();
            log.received.push(received);
        });
        let mut reading = Reading { place, request, body: None };
        match self.shared.scripts.get(reading.request.path()).cloned() {
            Some(steps) => match self.steps(&steps, Some(&mut reading)) {
                Left::Open => self.body(&mut reading).map_or_else(Left::Ended, |()| Left::Open),
                left => left,
            },
            None => match self.body(&mut reading) {
                Ok(()) => {
                    let (request, body) = (&reading.request, reading.body.unwrap_or_default());
                    let answer = echo::answer(&self.shared.name, self.connection, number, request, &body);
                    self.wire.stream.write(&answer).map_or_else(Left::Ended, |()| Left::Open)
                }
                Err(end) => Left::Ended(end),
            },
        }
    }

    /// Reads the body, if that has not been done yet.
    fn body(&mut self, reading: &mut Reading) -> Result<(), End> {
        if reading.body.is_none() {
            let body = self.wire.body(reading.request.framing)?;
            reading.body = Some(body.clone());
            self.shared.change(|log| {
                if let Some(received) = log.received.get_mut(reading.place) {
                    received.body = Some(body);
                }
            });
        }
        Ok(())
    }

    fn steps(&mut self, steps: &[Step], mut reading: Option<&mut Reading>) -> Left {
        for step in steps {
            let done = match step {
                Step::Body => reading.as_mut().map_or(Ok(()), |reading| self.body(reading)),
                Step::Read(length) => self.wire.take(*length).map(drop),
                Step::ReadThrough(mark) => self.wire.take_through(mark).map(drop),
                Step::Send(bytes) => self.wire.stream.write(bytes),
                Step::Wait(gate) if gate.wait() => Ok(()),
                Step::Wait(_) => Err(End::TimedOut),
                Step::Open(gate) => {
                    gate.open();
                    Ok(())
                }
                Step::Pause(length) => {
                    std::thread::sleep(*length);
                    Ok(())
                }
                Step::HalfClose => {
                    self.wire.stream.shutdown(Shutdown::Write);
                    Ok(())
                }
                Step::Close => {
                    // what the peer still sends is read: a close with unread bytes would be a reset
                    self.wire.stream.shutdown(Shutdown::Write);
                    Err(self.wire.take_rest().1)
                }
                Step::CutOff => {
                    self.wire.stream.cut_off();
                    Err(self.wire.take_rest().1)
                }
                Step::Reset => return Left::Reset,
                Step::ReadToEnd => Err(self.wire.take_rest().1),
                Step::Mirror => Err(self.mirror()),
            };
            if let Err(end) = done {
                return Left::Ended(end);
            }
        }
        Left::Open
    }

    fn mirror(&mut self) -> End {
        loop {
            let bytes = std::mem::take(&mut self.wire.buffer);
            if let Err(end) = self.wire.stream.write(&bytes) {
                return end;
            }
            if let Err(end) = self.wire.fill() {
                self.wire.stream.shutdown(Shutdown::Write);
                return end;
            }
        }
    }
}

/// A request that is being answered.
struct Reading {
    place: usize,
    request: Request,
    body: Option<Body>,
}
