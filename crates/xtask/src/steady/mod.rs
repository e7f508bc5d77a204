//! Requests at a fixed rate: each begins when it is due, whether or not those before it have been answered.
//!
//! A load that asks again only when it is answered waits with a proxy that stalls, and hardly sees it. Here what is due
//! meanwhile waits for a free connection, and that wait is part of how long it took.

mod http1;
mod http2;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;

/// How often it is looked what is due: the runtime's timers are no finer.
const TICK: Duration = Duration::from_millis(1);
/// What is asked, where and how often.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) request: Asked,
    /// Connections that are kept open, in HTTP/2 streams; no more requests than that are under way at once.
    pub(crate) connections: u32,
    /// Requests a second.
    pub(crate) rate: u32,
    pub(crate) length: Duration,
    /// How long one answer may take.
    pub(crate) patience: Duration,
    /// What the times of requests are counted from.
    pub(crate) begun: Instant,
    /// How TLS is spoken, if it is.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// What is asked, again and again.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// A whole request of HTTP/1.1, by a method other than HEAD.
    Http1(Vec<u8>),
    /// The same by clients of whom each sends back the cookies it was given last.
    WithCookies(Vec<u8>),
    /// A request of HTTP/2 without a body.
    Http2(http::Request<()>),
}

/// What came of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// When it was due, from [`Load::begun`] on.
    pub(crate) due: Duration,
    /// From then to the last byte of its answer, or to its failure.
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// With an answer that is whole.
    Answered(u16),
    /// No connection could be made.
    Refused,
    /// The connection broke off before the answer began.
    Reset,
    /// It broke off inside the answer.
    CutOff,
    /// What came is no answer.
    Malformed,
    /// Nothing came of it in time.
    TimedOut,
}

/// What connections share.
#[derive(Default)]
struct Desk {
    due: RefCell<VecDeque<Instant>>,
    came: Notify,
    is_over: Cell<bool>,
}

/// Runs it, and tells of each request as it ends.
pub(crate) fn run(load: &Load, tell: impl FnMut(Told)) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(all(load, tell)));
    Ok(())
}

async fn all(load: &Load, tell: impl FnMut(Told)) {
    let desk = Rc::new(Desk::default());
    let teller = Teller { load, desk: &desk, tell: RefCell::new(tell) };
    let asking = async {
        match &load.request {
            Asked::Http1(request) => http1::all(&teller, request, false).await,
            Asked::WithCookies(request) => http1::all(&teller, request, true).await,
            Asked::Http2(request) => http2::all(&teller, request).await,
        }
    };
    tokio::join!(dispatch(load, &desk), asking);
}

/// Gives out what is due, and tells what came of it.
struct Teller<'a, T> {
    load: &'a Load,
    desk: &'a Desk,
    tell: RefCell<T>,
}

impl<T: FnMut(Told)> Teller<'_, T> {
    /// The next request that is due; none when all have been given out.
    async fn next(&self) -> Option<Instant> {
        loop {
            let next = self.desk.due.borrow_mut().pop_front();
            if next.is_some() || self.desk.is_over.get() {
                return next;
            }
            self.desk.came.notified().await;
        }
    }

    /// What comes of a request that was due then, which is not waited for longer than there is patience.
    async fn settle(&self, due: Instant, asked: impl Future<Output = Outcome>) -> Outcome {
        let outcome = timeout(self.load.patience, asked).await.unwrap_or(Outcome::TimedOut);
        let told = Told { due: due.duration_since(self.load.begun), took: due.elapsed(), outcome };
        (self.tell.borrow_mut())(told);
        outcome
    }
}

/// What bytes go over.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Opens a connection, with TLS where it is spoken.
async fn connect(load: &Load) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(load.address).await?;
    let _ = stream.set_nodelay(true);
    let Some(tls) = &load.tls else { return Ok(Box::new(stream)) };
    let name = ServerName::IpAddress(load.address.ip().into());
    Ok(Box::new(TlsConnector::from(tls.clone()).connect(name, stream).await?))
}

/// Puts on the desk what is due.
async fn dispatch(load: &Load, desk: &Desk) {
    let begun = Instant::now();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut given = 0;
    loop {
        let now = ticks.tick().await.into_std();
        let elapsed = now.duration_since(begun).min(load.length);
        let wanted = (elapsed.as_secs_f64() * f64::from(load.rate)) as u64;
        for _ in given..wanted {
            desk.due.borrow_mut().push_back(Instant::now());
            desk.came.notify_one();
        }
        given = wanted;
        if elapsed >= load.length {
            desk.is_over.set(true);
            desk.came.notify_waiters();
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// What is told of a load against a server that answers each request on a connection with the next of these.
    fn check(answers: &'static [&'static str], expected: &[Outcome]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut answers = answers.iter();
            while answers.len() > 0 {
                let (mut client, _) = listener.accept().unwrap();
                let mut room = [0; 1024];
                while client.read(&mut room).is_ok_and(|n| n > 0) {
                    let Some(answer) = answers.next() else { return };
                    client.write_all(answer.as_bytes()).unwrap();
                    if answer.is_empty() || answer.contains("close") {
                        break;
                    }
                }
            }
        });
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        let (rate, length) = (expected.len() as u32 * 10, Duration::from_millis(100));
        let load = Load {
            address,
            request: Asked::Http1(request),
            connections: 1,
            rate,
            length,
            patience: Duration::from_secs(10),
            begun: Instant::now(),
            tls: None,
        };
        let mut outcomes = Vec::new();
        run(&load, |told| outcomes.push(told.outcome)).unwrap();
        server.join().unwrap();
        assert_eq!(outcomes, expected);
    }

    #[test]
    fn each_request_is_told_of_once() {
        use Outcome::{Answered, CutOff, Malformed, Reset};
        check(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"; 3], &[Answered(200); 3]);
        check(
            &[
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto its end",
                "",
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nok",
                "nonsense, close",
            ],
            &[Answered(200), Answered(503), Answered(200), Reset, CutOff, Malformed],
        );
    }
}
