//! Connections to the admin address: so many at once, and none that waits for ever. Whoever only connects keeps nobody out for
//! long, and takes no descriptors from those who are served.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use headworks_control::{Carrier, Pass};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tower::Service;

use super::proxied::{Greeting, Known};

/// Connections at once: most of the descriptors that are kept for all but clients and targets.
const MOST: usize = 96;
/// How long one may take to ask, and to ask again.
const HEADER: Duration = Duration::from_secs(30);
/// How long one may read nothing of what it is told.
const STALLED: Duration = Duration::from_secs(60);
/// Pause after an accept that failed for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `left`; what was asked by then is answered.
/// What is told of clients is believed by `pass`.
pub(super) async fn serve(listener: TcpListener, app: Router, pass: Pass, left: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(MOST));
    let open = GracefulShutdown::new();
    let mut left = pin!(left);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut left => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let (app, watcher) = (app.clone(), open.watcher());
                let known = Known::default();
                let greeting = Greeting::new(pass.clone(), known.clone());
                tokio::spawn(async move {
                    let direct = (peer, Carrier::Plain);
                    let answer =
                        service_fn(move |request| answer(app.clone(), *known.get().unwrap_or(&direct), request));
                    let mut settings = http1::Builder::new();
                    settings.timer(TokioTimer::new()).header_read_timeout(HEADER);
                    let stream = TokioIo::new(Patient { stream, greeting, stalled: None });
                    // that somebody goes away is nothing to tell
                    let _ = watcher.watch(settings.serve_connection(stream, answer)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept at the admin address");
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    open.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // it is never closed
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                return Ok((stream, peer, place));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

async fn answer(
    mut app: Router,
    (peer, carrier): (SocketAddr, Carrier),
    mut request: hyper::Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(carrier);
    app.call(request.map(Body::new)).await
}

/// A connection that breaks off when nothing of what is written is taken for a while.
struct Patient {
    stream: TcpStream,
    greeting: Greeting,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn poll_sent<T>(&mut self, sent: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.stalled = None;
            return sent;
        }
        ready!(self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, greeting, .. } = self.get_mut();
        greeting.poll_read(Pin::new(stream), cx, into)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.poll_sent(sent, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.poll_sent(sent, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    /// A listener of this program says who asks; nobody else does.
    #[tokio::test]
    async fn who_asks_is_told_by_the_program_alone() {
        use axum::extract::Extension;
        use headworks_message::proxy_protocol::{Ends, Secured, Tlvs, Told, put_v1, put_v2};

        let told = |ConnectInfo(peer): ConnectInfo<SocketAddr>, Extension(carrier): Extension<Carrier>| async move {
            format!("{} {carrier:?}", peer.ip())
        };
        let app = Router::new().route("/", get(told));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pass = Pass::new(b"pass".as_slice());
        let serving = tokio::spawn(serve(listener, app, pass, std::future::pending()));
        let secured = Secured { protocol: None, version: "TLSv1.3", cipher: "x", certified: None };
        let ends = Ends { source: "192.0.2.7:9".parse().unwrap(), destination: address };
        let v2 = |ends: Option<Ends>, pass: Option<&[u8]>, secured: Option<Secured<'_>>, passed: &[u8]| {
            let mut header = Vec::new();
            put_v2(ends, Told { server_name: None, secured, pass }, Tlvs::of(passed), &mut header);
            header
        };
        let v1 = |ends: Option<Ends>| {
            let mut header = Vec::new();
            put_v1(ends, &mut header);
            header
        };
        let cut = v2(Some(ends), Some(b"pass"), None, &[]);
        let mut broken = cut.clone();
        *broken.last_mut().unwrap() ^= 1;
        for (header, answer) in [
            (Vec::new(), Some("127.0.0.1 Plain")),
            (b"\r\n".to_vec(), Some("127.0.0.1 Plain")),
            (v2(Some(ends), Some(b"pass"), None, &[]), Some("192.0.2.7 Plain")),
            (v2(Some(ends), Some(b"pass"), Some(secured), &[]), Some("192.0.2.7 Secured")),
            (v2(Some(ends), None, Some(secured), &[]), None),
            (v2(Some(ends), Some(b"pass "), Some(secured), &[]), None),
            (v2(Some(ends), None, None, b"\xe5\0\x04pass"), None),
            (v2(None, None, None, &[]), None),
            (v1(Some(ends)), None),
            (v1(None), None),
            (broken, None),
        ] {
            for pieces in [usize::MAX, 5] {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let bytes = [&*header, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"].concat();
                for piece in bytes.chunks(pieces.min(bytes.len())) {
                    // whoever is refused is not waited for
                    let _ = stream.write_all(piece).await;
                    tokio::task::yield_now().await;
                }
                let mut response = Vec::new();
                let _ = stream.read_to_end(&mut response).await;
                let response = String::from_utf8(response).unwrap();
                let body = response.split_once("\r\n\r\n").map(|(_, body)| body);
                assert_eq!(body, answer, "{} {response}", header.escape_ascii());
            }
        }
        serving.abort();
    }

    /// Whoever only connects has its place taken away, and others are served then.
    #[tokio::test(start_paused = true)]
    async fn nobody_keeps_others_out() {
        let app = Router::new().route("/", get(|| async { "here" }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (leave, left) = oneshot::channel::<()>();
        let pass = Pass::new(b"pass".as_slice());
        let serving = tokio::spawn(serve(listener, app, pass, async {
            let _ = left.await;
        }));
        let mut idle = Vec::new();
        for _ in 0..MOST {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
            idle.push(stream);
        }
        let mut late = TcpStream::connect(address).await.unwrap();
        late.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        late.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
        drop(leave);
        serving.await.unwrap();
    }
}
