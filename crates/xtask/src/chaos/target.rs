//! A target that can be told to misbehave: a program of its own (`xtask chaos-target ...`), so that it can be killed and frozen.

use std::cell::Cell;
use std::io::BufRead;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

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
    /// It resets a connection that brings a request.
    Resets,
    /// It answers with what is no HTTP.
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
/// The longest head.
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

async fn converse(mut stream: TcpStream, mood: Rc<Cell<Mood>>) {
    let _ = stream.set_nodelay(true);
    let (mut room, mut filled) = (vec![0; HEAD], 0);
    loop {
        let Some(free) = room.get_mut(filled..).filter(|free| !free.is_empty()) else { return };
        match stream.read(free).await {
            Ok(n @ 1..) => filled += n,
            Ok(0) | Err(_) => return,
        }
        let head = room.get(..filled).unwrap_or_default();
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let is_last = head.windows(CLOSE.len()).any(|piece| piece.eq_ignore_ascii_case(CLOSE));
        filled = 0;
        let answer: &[u8] = match mood.get() {
            Mood::Resets => {
                let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                return;
            }
            Mood::Garbage => b"\x16\x03\x01 this is no answer\r\n\r\n",
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

const CLOSE: &[u8] = b"connection: close";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";
