//! Requests at a fixed rate: each begins when it is due, whether or not those before it have been answered.
//!
//! A load that asks again only when it is answered waits with a proxy that stalls, and hardly sees it. Here what is due
//! meanwhile waits for a free connection, and that wait is part of how long it took.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headworks_message::{Body, Parsed, ResponseHead, response};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;

/// How often it is looked what is due: the runtime's timers are no finer.
const TICK: Duration = Duration::from_millis(1);
/// Bytes of an answer that are read at once.
const ROOM: usize = 64 * 1024;

/// What is asked, where and how often.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// A whole request of HTTP/1.1 without a body, by a method other than HEAD.
    pub(crate) request: Vec<u8>,
    /// Connections that are kept open; no more requests than that are under way at once.
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
    let tell = RefCell::new(tell);
    let connections = futures(load.connections, || Connection { load, tell: &tell, stream: None });
    let asking = async {
        let all = connections.into_iter().map(|connection| connection.live(&desk));
        futures_util::future::join_all(all).await;
    };
    tokio::join!(dispatch(load, &desk), asking);
}

fn futures<T>(count: u32, make: impl Fn() -> T) -> Vec<T> {
    (0..count).map(|_| make()).collect()
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

/// One connection, opened again whenever it ends.
struct Connection<'a, T> {
    load: &'a Load,
    tell: &'a RefCell<T>,
    stream: Option<Box<dyn Stream>>,
}

/// What bytes go over.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl<T: FnMut(Told)> Connection<'_, T> {
    async fn live(mut self, desk: &Desk) {
        let (mut room, mut head) = (vec![0; ROOM], ResponseHead::default());
        loop {
            let next = desk.due.borrow_mut().pop_front();
            let Some(due) = next else {
                if desk.is_over.get() {
                    return;
                }
                desk.came.notified().await;
                continue;
            };
            let outcome = match timeout(self.load.patience, self.ask(&mut room, &mut head)).await {
                Ok(outcome) => outcome,
                Err(_) => Outcome::TimedOut,
            };
            if !matches!(outcome, Outcome::Answered(_)) {
                self.stream = None;
            }
            let told = Told { due: due.duration_since(self.load.begun), took: due.elapsed(), outcome };
            (self.tell.borrow_mut())(told);
        }
    }

    async fn ask(&mut self, room: &mut [u8], head: &mut ResponseHead) -> Outcome {
        if self.stream.is_none() {
            let Ok(stream) = self.connect().await else { return Outcome::Refused };
            self.stream = Some(stream);
        }
        let Some(stream) = self.stream.as_mut() else { return Outcome::Refused };
        if stream.write_all(&self.load.request).await.is_err() || stream.flush().await.is_err() {
            return Outcome::Reset;
        }
        let (mut filled, mut body) = (0, None::<Body>);
        loop {
            let read = match room.get_mut(filled..) {
                Some(free) if !free.is_empty() => stream.read(free).await.ok(),
                _ => return Outcome::Malformed,
            };
            match (read, &body) {
                (Some(1..), _) => {}
                (Some(0), Some(Body::UntilClose)) => return self.answered(head, false),
                (_, None) if filled == 0 => return Outcome::Reset,
                _ => return Outcome::CutOff,
            }
            filled += read.unwrap_or_default();
            let mut at = 0;
            if body.is_none() {
                match response::parse(room.get(..filled).unwrap_or_default(), head) {
                    Ok(Parsed::Incomplete) => continue,
                    Ok(Parsed::Complete) if !head.is_interim() => {
                        at = head.len;
                        body = Some(Body::new(head.framing(false)));
                    }
                    _ => return Outcome::Malformed,
                }
            }
            let Some(walk) = &mut body else { return Outcome::Malformed };
            let Ok(taken) = walk.take(room.get(at..filled).unwrap_or_default()) else { return Outcome::Malformed };
            at += taken.total();
            if walk.is_done() {
                return self.answered(head, at == filled);
            }
            room.copy_within(at..filled, 0);
            filled -= at;
        }
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.load.address).await?;
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.load.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::IpAddress(self.load.address.ip().into());
        Ok(Box::new(TlsConnector::from(tls.clone()).connect(name, stream).await?))
    }

    /// The answer is whole; `clean`: nothing stands behind it.
    fn answered(&mut self, head: &ResponseHead, clean: bool) -> Outcome {
        if !clean || head.connection.close || !head.connection.keep_alive {
            self.stream = None;
        }
        Outcome::Answered(head.status)
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
            request,
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
