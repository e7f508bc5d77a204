//! Origins: what stands behind the product. They do what their scripts say, echo what has no script, and remember
//! everything they were sent, byte by byte. Whatever is not by RFC 9112 fails the test that made them.

use std::collections::HashMap;
use std::fmt;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::script::Step;
use crate::serving::{Log, Serving, Shared};
use crate::stream::{End, Stream};
use crate::tls::{Agreed, Serves};
use crate::wait::PATIENCE;
use crate::wire::{Body, Request};

/// What the product's health checks call themselves.
pub const PROBE: &str = "ELB-HealthChecker/2.0";

/// A running origin. It stops when it is dropped, and fails the test then if it saw something malformed.
#[derive(Debug)]
pub struct Origin {
    shared: Arc<Shared>,
    place: Place,
}

/// An origin in the making.
#[derive(Debug)]
pub struct OriginBuilder {
    name: String,
    place: Place,
    scripts: HashMap<String, Vec<Step>>,
    at_accept: Vec<Step>,
    lenient: bool,
    tls: Option<Serves>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// Number of its connection, from 1.
    pub connection: usize,
    /// Number on that connection, from 1.
    pub number: usize,
    /// Its head.
    pub request: Request,
    /// Its body, once it is whole.
    pub body: Option<Body>,
}

/// What health checks get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// An answer with this status.
    Status(u16),
    /// No answer.
    Silent,
    /// A reset.
    Reset,
}

#[derive(Clone, Debug)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl OriginBuilder {
    /// What happens to requests for this path.
    #[must_use]
    pub fn on(mut self, path: &str, steps: impl Into<Vec<Step>>) -> OriginBuilder {
        self.scripts.insert(path.to_owned(), steps.into());
        self
    }

    /// What happens to a connection before a request is read.
    #[must_use]
    pub fn at_accept(mut self, steps: impl Into<Vec<Step>>) -> OriginBuilder {
        self.at_accept = steps.into();
        self
    }

    /// Listen on this address, which ends in `:0`.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn at(mut self, address: &str) -> OriginBuilder {
        self.place = Place::Tcp(address.parse().unwrap_or_else(|_| panic!("{address} is no address")));
        self
    }

    /// Listen on a Unix socket.
    #[must_use]
    pub fn at_path(mut self, path: &Path) -> OriginBuilder {
        self.place = Place::Unix(path.to_owned());
        self
    }

    /// Speak TLS.
    #[must_use]
    pub fn tls(mut self, serves: Serves) -> OriginBuilder {
        self.tls = Some(serves);
        self
    }

    /// Do not fail the test for malformed requests; [`Origin::malformed`] has them.
    #[must_use]
    pub fn lenient(mut self) -> OriginBuilder {
        self.lenient = true;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When its address cannot be listened on.
    #[must_use]
    pub fn start(self) -> Origin {
        let OriginBuilder { name, place, scripts, at_accept, lenient, tls } = self;
        let (listening, place) =
            listen(&place).unwrap_or_else(|error| panic!("origin {name} cannot listen on {place:?}: {error}"));
        let log = Log {
            health: Health::Status(200),
            received: Vec::new(),
            probes: Vec::new(),
            ends: Vec::new(),
            twins: Vec::new(),
            handshakes: Vec::new(),
            malformed: Vec::new(),
        };
        let shared = Arc::new(Shared {
            name,
            scripts,
            at_accept,
            lenient,
            tls,
            stopped: AtomicBool::new(false),
            log: Mutex::new(log),
            changed: Condvar::new(),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || accept(&accepting, &listening));
        Origin { shared, place }
    }
}

fn listen(place: &Place) -> std::io::Result<(Listening, Place)> {
    Ok(match place {
        Place::Tcp(address) => {
            let listener = TcpListener::bind(address)?;
            let address = listener.local_addr()?;
            (Listening::Tcp(listener), Place::Tcp(address))
        }
        Place::Unix(path) => (Listening::Unix(UnixListener::bind(path)?), place.clone()),
    })
}

fn accept(shared: &Arc<Shared>, listening: &Listening) {
    loop {
        let accepted = match listening {
            Listening::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::from(stream)),
            Listening::Unix(listener) => listener.accept().map(|(stream, _)| Stream::from(stream)),
        };
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = accepted else { continue };
        // a connection may rest between requests for as long as a test takes
        if stream.prepare(PATIENCE * 6).is_err() {
            continue;
        }
        let mut log = shared.log();
        log.ends.push(None);
        log.twins.push(stream.twin().ok());
        let connection = log.ends.len();
        drop(log);
        let shared = shared.clone();
        std::thread::spawn(move || Serving::begin(shared, connection, stream));
    }
}

impl Origin {
    /// An origin of this name.
    #[must_use]
    #[expect(clippy::new_ret_no_self, reason = "an origin is configured before it listens")]
    pub fn new(name: &str) -> OriginBuilder {
        OriginBuilder {
            name: name.to_owned(),
            place: Place::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            scripts: HashMap::new(),
            at_accept: Vec::new(),
            lenient: false,
            tls: None,
        }
    }

    /// An origin without scripts.
    #[must_use]
    pub fn echo(name: &str) -> Origin {
        Origin::new(name).start()
    }

    /// Where it listens on IP.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match &self.place {
            Place::Tcp(address) => *address,
            Place::Unix(path) => panic!("{} is no IP address", path.display()),
        }
    }

    /// What health checks get from now on.
    pub fn set_health(&self, health: Health) {
        self.shared.log().health = health;
    }

    /// The health checks so far.
    #[must_use]
    pub fn probes(&self) -> Vec<Request> {
        self.shared.log().probes.clone()
    }

    /// Waits for this many health checks.
    pub fn wait_probes(&self, count: usize) -> Vec<Request> {
        let enough = |log: &Log| (log.probes.len() >= count).then(|| log.probes.clone());
        self.shared.wait(&format!("{count} health checks"), enough)
    }

    /// The requests so far, whole or not.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.log().received.clone()
    }

    /// Waits until this many request heads have arrived.
    pub fn wait_heads(&self, count: usize) -> Vec<Received> {
        let enough = |log: &Log| (log.received.len() >= count).then(|| log.received.clone());
        self.shared.wait(&format!("{count} request heads"), enough)
    }

    /// The TLS handshakes so far: what each agreed on, or how it failed.
    #[must_use]
    pub fn handshakes(&self) -> Vec<Result<Agreed, String>> {
        self.shared.log().handshakes.clone()
    }

    /// The number of connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.log().ends.len()
    }

    /// How a connection has ended, if it has; they are numbered from 1.
    #[must_use]
    pub fn end(&self, connection: usize) -> Option<End> {
        self.shared.log().ends.get(connection - 1).cloned().flatten()
    }

    /// Waits until the product has ended a connection; they are numbered from 1.
    pub fn wait_end(&self, connection: usize) -> End {
        let ended = |log: &Log| log.ends.get(connection - 1).cloned().flatten();
        self.shared.wait(&format!("the end of connection {connection}"), ended)
    }

    /// What was malformed so far; it counts as seen.
    #[must_use]
    pub fn malformed(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.log().malformed)
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        let mut log = self.shared.log();
        log.received.clear();
        log.probes.clear();
    }

    /// Ends all connections with a reset, and keeps listening.
    pub fn reset_connections(&self) {
        for twin in &mut self.shared.log().twins {
            if let Some(mut stream) = twin.take() {
                stream.shutdown(Shutdown::Both);
            }
        }
    }
}

impl fmt::Display for Origin {
    /// The address as the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(address) => write!(f, "\"{address}\""),
            Place::Unix(path) => write!(f, "\"unix:{}\"", path.display()),
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // wakes the accepting thread, which then ends
        match &self.place {
            Place::Tcp(address) => drop(TcpStream::connect(address)),
            Place::Unix(path) => drop(UnixStream::connect(path)),
        }
        self.reset_connections();
        let malformed = self.malformed();
        if !self.shared.lenient && !std::thread::panicking() {
            assert!(
                malformed.is_empty(),
                "origin {} was sent what is not by RFC 9112: {malformed:?}",
                self.shared.name
            );
        }
    }
}
