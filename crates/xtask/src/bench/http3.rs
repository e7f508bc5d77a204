//! A load generator for HTTP/3, which those of Debian do not speak: connections with many requests at once on each.
//!
//! A program of its own (`xtask http3 ...`) for the same reason as [`super::resume`]. QUIC is `quinn`'s; requests are made once,
//! and answers are looked at no further than to their status.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use headworks_message::h3::{FrameHead, FrameKind, Settings, put_headers, put_integer, stream};
use headworks_message::qpack;
use headworks_message::section::FieldSection;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint};

use super::origin::HOST;
use super::resume::{Tally, config};

/// Requests at once on a connection.
const STREAMS: usize = 16;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const ANSWER: usize = 16 * 1024 * 1024;

/// Runs it with the arguments ADDRESS CERTIFICATE PATH CONNECTIONS SECONDS, and prints what it counted as one line of JSON,
/// as wrk's script does. 0: counted, whatever it was; 2: usage.
pub(crate) fn main(args: impl Iterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.collect();
    let [address, certificate, path, connections, seconds] = args.as_slice() else { return ExitCode::from(2) };
    let (Ok(address), Ok(connections), Ok(seconds)) = (address.parse(), connections.parse(), seconds.parse()) else {
        return ExitCode::from(2);
    };
    let run = || -> Result<Tally, Box<dyn std::error::Error>> {
        let mut config = config(Path::new(certificate))?;
        config.alpn_protocols = vec![b"h3".to_vec()];
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config)?));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(load(address, &config, path, connections, Duration::from_secs(seconds)))?)
    };
    match run() {
        Ok(tally) => {
            tally.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{address}: {error}");
            ExitCode::from(2)
        }
    }
}

async fn load(
    address: SocketAddr,
    config: &ClientConfig,
    path: &str,
    connections: u32,
    length: Duration,
) -> std::io::Result<Tally> {
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    let request: Arc<[u8]> = request(address, path).into();
    let mut open = Vec::new();
    for _ in 0..connections {
        let connecting = endpoint.connect_with(config.clone(), address, HOST).map_err(std::io::Error::other)?;
        let connection = connecting.await?;
        let mut control = connection.open_uni().await?;
        control.write_all(&settings()).await?;
        open.push((connection, control));
    }
    let begun = Instant::now();
    let deadline = begun + length;
    let asking: Vec<_> = open
        .iter()
        .flat_map(|(connection, _)| std::iter::repeat_n(connection, STREAMS))
        .map(|connection| tokio::spawn(ask(connection.clone(), request.clone(), deadline)))
        .collect();
    let mut tally = Tally::default();
    for asking in asking {
        let (times, failed) = asking.await.map_err(std::io::Error::other)?;
        tally.times.extend(times);
        tally.failed += failed;
    }
    tally.took = begun.elapsed();
    Ok(tally)
}

/// One request after the other; how long each took, in microseconds, and how many failed.
async fn ask(connection: Connection, request: Arc<[u8]>, deadline: Instant) -> (Vec<u64>, u64) {
    let (mut times, mut failed) = (Vec::new(), 0);
    while Instant::now() < deadline {
        let begun = Instant::now();
        match tokio::time::timeout(PATIENCE, exchange(&connection, &request)).await {
            Ok(Some(200)) => {}
            _ => failed += 1,
        }
        times.push(begun.elapsed().as_micros() as u64);
        if connection.close_reason().is_some() {
            break;
        }
    }
    (times, failed)
}

/// The status of an answer that came whole.
async fn exchange(connection: &Connection, request: &[u8]) -> Option<u16> {
    let (mut send, mut recv) = connection.open_bi().await.ok()?;
    send.write_all(request).await.ok()?;
    send.finish().ok()?;
    let answer = recv.read_to_end(ANSWER).await.ok()?;
    let mut rest = answer.as_slice();
    loop {
        let (head, length) = FrameHead::parse(rest)?;
        let end = length + usize::try_from(head.length).ok()?;
        let payload = rest.get(length..end)?;
        rest = rest.get(end..)?;
        if head.kind == FrameKind::Headers {
            let mut section = FieldSection::default();
            qpack::decode(payload, ANSWER, &mut section).ok()?;
            let (_, status) = section.iter().find(|(name, _)| *name == b":status")?;
            return std::str::from_utf8(status).ok()?.parse().ok();
        }
    }
}

fn request(address: SocketAddr, path: &str) -> Vec<u8> {
    let (mut section, mut out) = (Vec::new(), Vec::new());
    qpack::begin(&mut section);
    let authority = format!("{HOST}:{}", address.port());
    for (name, value) in [(":method", "GET"), (":scheme", "https"), (":authority", &authority), (":path", path)] {
        qpack::put(&mut section, name.as_bytes(), value.as_bytes());
    }
    put_headers(&mut out, &section);
    out
}

fn settings() -> Vec<u8> {
    let mut out = Vec::new();
    put_integer(&mut out, stream::CONTROL);
    Settings::default().put(&mut out);
    out
}
