//! Clients that ask without pause until they are told to stop, in whatever they speak. Each failure is remembered: a request
//! that a well-behaved client could not know to be lost before it was sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use headworks_testkit::{Caller, Client, ask, wait};

/// What clients speak.
#[derive(Clone)]
pub(crate) enum Speaks {
    /// HTTP/1.1. Half of the clients keep their connection, half open one for each request.
    Plain,
    /// The same over TLS, with this name.
    Tls(Caller, &'static str),
    /// HTTP/2 with prior knowledge: one connection until it is told to go.
    Http2,
}

/// Clients at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    pub(crate) fn start(to: SocketAddr, clients: usize, speaks: &Speaks) -> Load {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let run = |number: usize| {
            let (stop, asked, speaks) = (stop.clone(), asked.clone(), speaks.clone());
            move || match speaks {
                Speaks::Plain => ask_http1(|| Client::connect(to), number, &stop, &asked),
                Speaks::Tls(caller, name) => ask_http1(|| caller.connect(to, name), number, &stop, &asked),
                Speaks::Http2 => ask_http2(to, &stop, &asked),
            }
        };
        let threads = (0..clients).map(|number| std::thread::spawn(run(number))).collect();
        Load { stop, asked, threads }
    }

    /// Waits for so many more requests.
    pub(crate) fn wait_more(&self, count: usize) {
        let wanted = self.asked.load(Ordering::Relaxed) + count;
        wait::until("further requests", || (self.asked.load(Ordering::Relaxed) >= wanted).then_some(()));
    }

    /// How many requests there were; none of them failed.
    #[track_caller]
    pub(crate) fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let failures: Vec<String> = self
            .threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|_| vec!["a client could not go on".to_owned()]))
            .collect();
        let (first, asked) = (failures.first().cloned().unwrap_or_default(), self.asked.load(Ordering::Relaxed));
        assert!(failures.is_empty(), "{} of {asked} requests failed, such as\n{first}", failures.len());
        asked
    }
}

fn ask_http1(connect: impl Fn() -> Client, number: usize, stop: &AtomicBool, asked: &AtomicUsize) -> Vec<String> {
    let mut failures = Vec::new();
    let mut client = connect();
    while !stop.load(Ordering::Relaxed) {
        if number % 2 == 1 {
            client = connect();
        }
        let request = if number.is_multiple_of(3) { ask("POST", "/").body("body") } else { ask("GET", "/") };
        match client.ask(&request).try_response_to("GET") {
            Ok(response) if response.status == 200 => {
                if response.field("Connection") == Some("close") {
                    client = connect();
                }
            }
            Ok(response) => failures.push(response.to_string()),
            Err(end) => {
                failures.push(end.to_string());
                client = connect();
            }
        }
        asked.fetch_add(1, Ordering::Relaxed);
    }
    failures
}

fn ask_http2(to: SocketAddr, stop: &AtomicBool, asked: &AtomicUsize) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    runtime.block_on(async {
        let mut failures = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            if let Err(failure) = converse(to, stop, asked).await {
                failures.push(failure);
            }
        }
        failures
    })
}

/// One connection, until it is told to go.
async fn converse(to: SocketAddr, stop: &AtomicBool, asked: &AtomicUsize) -> Result<(), String> {
    let say = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let stream = tokio::net::TcpStream::connect(to).await.map_err(|error| say("cannot connect", &error))?;
    let shaken = h2::client::handshake(stream).await;
    let (send, connection) = shaken.map_err(|error| say("no handshake", &error))?;
    let driver = tokio::spawn(connection);
    while !stop.load(Ordering::Relaxed) {
        // it says so when it takes no more, and nothing is lost by that
        let Ok(mut send) = send.clone().ready().await else { break };
        let request = http::Request::get("http://test.example/").body(()).map_err(|error| say("no request", &error))?;
        let Ok((answer, _)) = send.send_request(request, true) else { break };
        let answered = async {
            let (head, mut body) = answer.await?.into_parts();
            while let Some(piece) = body.data().await {
                let _ = body.flow_control().release_capacity(piece?.len());
            }
            Ok::<_, h2::Error>(head.status)
        };
        match answered.await {
            Ok(status) if status == 200 => {}
            Ok(status) => return Err(format!("status {status}")),
            // RFC 9113 section 6.8: a stream above the last one that is named was not looked at
            Err(error) if error.is_go_away() && error.is_remote() => break,
            Err(error) => return Err(say("no answer", &error)),
        }
        asked.fetch_add(1, Ordering::Relaxed);
    }
    drop(send);
    driver.abort();
    Ok(())
}
