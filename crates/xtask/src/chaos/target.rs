//! A target that can be told to misbehave: a program of its own (`xtask chaos-target ...`), so that it can be killed and frozen.

use std::cell::Cell;
use std::io::BufRead;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

/// How it behaves towards requests and health checks alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// It answers at once.
    Well,
    /// It answers after a while.
    Slow,
    /// It resets a connection that brings a request; in HTTP/2, the stream.
    Resets,
    /// It answers with what is no HTTP; in HTTP/2, it calls everything an error.
    Garbage,
}

impl Mood {
    /// As it is told.
    pub(super) fn word(self) -> &'static str {
        match self {
            Mood::Well => "well",
            Mood::Slow => "slow",
            Mood::Resets => "resets",
            Mood::Garbage => "garbage",
        }
    }

    fn of(word: &str) -> Option<Mood> {
        [Mood::Well, Mood::Slow, Mood::Resets, Mood::Garbage].into_iter().find(|mood| mood.word() == word)
    }
}

/// What a slow one takes.
const WHILE: Duration = Duration::from_millis(200);
/// The longest request.
const HEAD: usize = 16 * 1024;

/// Serves at the argument ADDRESS, in the mood of the last line on standard input, until that ends. 1: it cannot listen there;
/// 2: usage.
pub(crate) fn main(mut args: impl Iterator<Item = String>) -> ExitCode {
    let Some(address) = args.next().and_then(|address| address.parse::<SocketAddr>().ok()) else {
        return ExitCode::from(2);
    };
    let (told, moods) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if let Some(mood) = Mood::of(line.trim()) {
                let _ = told.send(mood);
            }
        }
    });
    let run = || -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(LocalSet::new().run_until(serve(address, moods)))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{address}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: SocketAddr, mut moods: mpsc::UnboundedReceiver<Mood>) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let mood = Rc::new(Cell::new(Mood::Well));
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::task::spawn_local(converse(stream, mood.clone()));
                }
            }
            told = moods.recv() => match told {
                Some(told) => mood.set(told),
                // whoever started it is gone
                None => return Ok(()),
            },
        }
    }
}

async fn converse(stream: TcpStream, mood: Rc<Cell<Mood>>) {
    let _ = stream.set_nodelay(true);
    let mut start = [0; PREFACE.len()];
    match stream.peek(&mut start).await {
        Ok(1..) if start == *PREFACE => {
            let _ = streams(stream, mood).await;
        }
        Ok(1..) => requests(stream, mood).await,
        _ => {}
    }
}

/// HTTP/1.1.
async fn requests(mut stream: TcpStream, mood: Rc<Cell<Mood>>) {
    let (mut room, mut filled) = (vec![0; HEAD], 0);
    loop {
        let Some(free) = room.get_mut(filled..).filter(|free| !free.is_empty()) else { return };
        match stream.read(free).await {
            Ok(n @ 1..) => filled += n,
            Ok(0) | Err(_) => return,
        }
        let read = room.get(..filled).unwrap_or_default();
        let Some((head, body)) = parted(read) else { continue };
        if body.len() < length(head) {
            continue;
        }
        let is_whole = body.iter().all(|byte| *byte == FILLING);
        let is_last = head.windows(CLOSE.len()).any(|piece| piece.eq_ignore_ascii_case(CLOSE));
        filled = 0;
        let answer: &[u8] = match mood.get() {
            Mood::Resets => {
                let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                return;
            }
            Mood::Garbage => b"\x16\x03\x01 this is no answer\r\n\r\n",
            Mood::Slow | Mood::Well if !is_whole => SPOILED,
            Mood::Slow => {
                tokio::time::sleep(WHILE).await;
                ANSWER
            }
            Mood::Well => ANSWER,
        };
        if stream.write_all(answer).await.is_err() || is_last {
            return;
        }
    }
}

/// Head and body.
fn parted(read: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = read.windows(4).position(|piece| piece == b"\r\n\r\n")?;
    read.split_at_checked(at + 4)
}

/// Of the body.
fn length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// HTTP/2, from a target that is well with all it may do: now and then it turns a stream away, and it ends connections in good order.
async fn streams(stream: TcpStream, mood: Rc<Cell<Mood>>) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    let mut count = 0_u32;
    while let Some(accepted) = connection.accept().await {
        let (_, mut respond) = accepted?;
        count += 1;
        match mood.get() {
            Mood::Resets => respond.send_reset(Reason::INTERNAL_ERROR),
            Mood::Garbage => connection.abrupt_shutdown(Reason::PROTOCOL_ERROR),
            Mood::Well if count.is_multiple_of(TURNED_AWAY) => respond.send_reset(Reason::REFUSED_STREAM),
            told @ (Mood::Well | Mood::Slow) => {
                tokio::task::spawn_local(async move {
                    if told == Mood::Slow {
                        tokio::time::sleep(WHILE).await;
                    }
                    if let Ok(mut body) = respond.send_response(http::Response::new(()), false) {
                        let _ = body.send_data(Bytes::from_static(b"ok\n"), true);
                    }
                });
            }
        }
        if count == LAST {
            connection.graceful_shutdown();
        }
    }
    Ok(())
}

/// What a client of HTTP/2 says first (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// One stream in so many is turned away unseen.
const TURNED_AWAY: u32 = 97;
/// After so many streams, a connection ends.
const LAST: u32 = 1000;
/// What bodies are made of, so that it shows when one comes again as another.
pub(super) const FILLING: u8 = b'x';
const CLOSE: &[u8] = b"connection: close";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";
const SPOILED: &[u8] = b"HTTP/1.1 422 Spoiled\r\nContent-Length: 0\r\n\r\n";
