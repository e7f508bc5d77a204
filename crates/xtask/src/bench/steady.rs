//! A load of a fixed rate for the bench's cases in which a proxy is not to be saturated, and clients that are slow on purpose.
//! Programs of their own (`xtask steady ...`, `xtask dawdle ...`) for the same reason as [`super::resume`].

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::machine::raise_descriptors;
use super::origin::HOST;
use super::resume::Tally;
use crate::steady::{Asked, Load, Outcome, run};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two lines of one slow client.
const PAUSE: Duration = Duration::from_secs(10);

/// Asks with the arguments ADDRESS PATH CONNECTIONS RATE SECONDS, and prints what it counted as one line of JSON, as wrk's
/// script does. 0: counted, whatever it was; 2: usage.
pub(crate) fn main(args: impl Iterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.collect();
    let [address, path, connections, rate, seconds] = args.as_slice() else { return ExitCode::from(2) };
    let (Ok(address), Ok(connections), Ok(rate), Ok(seconds)) =
        (address.parse(), connections.parse(), rate.parse(), seconds.parse())
    else {
        return ExitCode::from(2);
    };
    let request = Asked::Http1(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").into_bytes());
    let length = Duration::from_secs(seconds);
    let (mut tally, begun) = (Tally::default(), Instant::now());
    let load = Load { address, request, connections, rate, length, patience: PATIENCE, begun, tls: None };
    let told = run(&load, |told| {
        tally.times.push(told.took.as_micros() as u64);
        tally.failed += u64::from(!matches!(told.outcome, Outcome::Answered(200..400)));
    });
    if let Err(error) = told {
        eprintln!("{address}: {error}");
        return ExitCode::from(2);
    }
    tally.took = begun.elapsed();
    tally.print();
    ExitCode::SUCCESS
}

/// Opens connections and sends a line of a head on each every ten seconds, and never the head's end, until it is ended. The
/// arguments are ADDRESS PATH CONNECTIONS. 1: it cannot connect; 2: usage.
///
/// slowhttptest does the same, but looks at all its connections over and over, and what it takes from the core it shares with
/// the load then passes for the proxy's doing.
pub(crate) fn dawdle(args: impl Iterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.collect();
    let [address, path, connections] = args.as_slice() else { return ExitCode::from(2) };
    let (Ok(address), Ok(connections)) = (address.parse::<SocketAddr>(), connections.parse::<u32>()) else {
        return ExitCode::from(2);
    };
    raise_descriptors();
    let begin = |_| -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nonblocking(true)?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n").as_bytes())?;
        Ok(stream)
    };
    let mut clients = match (0..connections).map(begin).collect::<Result<Vec<_>, _>>() {
        Ok(clients) => clients,
        Err(error) => {
            eprintln!("{address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    loop {
        for client in &mut clients {
            std::thread::sleep(PAUSE / connections.max(1));
            // one that was sent away is the proxy's to count
            let _ = client.write_all(b"X-Slow: 1\r\n");
        }
    }
}
