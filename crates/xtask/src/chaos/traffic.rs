//! What is asked in a run: several kinds of traffic side by side, each judged by what its target group declares.

use std::time::{Duration, Instant};

use super::world::{HOST, World};
use super::{PATIENCE, verifier};
use crate::bench::trouble::Trouble;
use crate::steady::{Asked, Load};

/// One kind of traffic.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) title: &'static str,
    /// How much of the whole it is.
    share: u32,
    is_secure: bool,
    manner: Manner,
    /// What a rule tells its target group by.
    path: &'static str,
    /// How long one attempt may take: of one target that is silent, no request feels more than that.
    pub(super) per_try: Duration,
    /// A silent target's request is given to another: it must not fail. Without it, it may, by 504.
    pub(super) retries_silence: bool,
}

#[derive(Clone, Copy, Debug)]
enum Manner {
    Kept,
    OneEach,
    Cookies,
    Put,
    Streams,
}

/// What an attempt is made of in a group that does not bound it as a whole: `connect_timeout`, for the queue of a frozen target's
/// connections soon is full, and `response_timeout`.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);
/// What bounds attempts elsewhere.
pub(super) const PER_TRY: Duration = Duration::from_millis(300);
/// Of the body of a PUT.
const BODY: usize = 2048;
/// Connections, or streams, of each kind, besides those on which a silent target's answers are awaited.
const CONNECTIONS: u32 = 16;

const fn patient(title: &'static str, share: u32, path: &'static str, manner: Manner) -> Traffic {
    Traffic { title, share, is_secure: false, manner, path, per_try: PER_TRY, retries_silence: true }
}

const fn default(title: &'static str, share: u32, is_secure: bool, manner: Manner) -> Traffic {
    Traffic {
        title,
        share,
        is_secure,
        manner,
        path: "/web",
        per_try: RESPONSE_TIMEOUT.saturating_add(CONNECT_TIMEOUT),
        retries_silence: false,
    }
}

/// All kinds.
pub(super) const ALL: [Traffic; 9] = [
    default("GET, default retry", 5, false, Manner::Kept),
    default("  over TLS", 3, true, Manner::Kept),
    default("  a connection each", 1, false, Manner::OneEach),
    default("  over HTTP/2", 4, true, Manner::Streams),
    Traffic { is_secure: true, ..patient("GET, HTTP/2 targets", 2, "/streams", Manner::Streams) },
    patient("PUT, body kept", 2, "/put", Manner::Put),
    patient("GET, sticky", 1, "/sticky", Manner::Cookies),
    patient("GET, two targets", 1, "/pair", Manner::Kept),
    patient("GET, with a queue", 1, "/queue", Manner::Kept),
];

impl Traffic {
    /// So much of it that all are `rate` requests a second together.
    pub(super) fn load(&self, world: &World, begun: Instant, rate: u32, length: Duration) -> Result<Load, Trouble> {
        let shares: u32 = ALL.iter().map(|traffic| traffic.share).sum();
        let rate = rate * self.share / shares;
        let is_h2 = matches!(self.manner, Manner::Streams);
        let tls = if self.is_secure { Some(verifier::config(is_h2)?) } else { None };
        Ok(Load {
            address: if self.is_secure { world.secure } else { world.plain },
            request: self.request()?,
            // half of the requests at most go to a target that is silent
            connections: CONNECTIONS + (f64::from(rate) * self.per_try.as_secs_f64() / 2.0) as u32,
            rate,
            length,
            patience: PATIENCE,
            begun,
            tls,
        })
    }

    fn request(&self) -> Result<Asked, Trouble> {
        let path = self.path;
        let get = |line: &str| format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{line}\r\n").into_bytes();
        Ok(match self.manner {
            Manner::Kept => Asked::Http1(get("")),
            Manner::OneEach => Asked::Http1(get("Connection: close\r\n")),
            Manner::Cookies => Asked::WithCookies(get("")),
            Manner::Put => {
                let head = format!("PUT {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {BODY}\r\n\r\n");
                Asked::Http1([head.as_bytes(), &[super::target::FILLING; BODY]].concat())
            }
            Manner::Streams => {
                let request = http::Request::get(format!("https://{HOST}{path}")).version(http::Version::HTTP_2);
                Asked::Http2(request.body(()).map_err(|error| Trouble::Invalid(error.to_string()))?)
            }
        })
    }
}
