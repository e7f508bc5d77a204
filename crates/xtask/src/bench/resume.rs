//! A load generator for what neither wrk nor h2load can do: connections that resume a TLS 1.3 session, one request on each.
//!
//! It is a program of its own (`xtask resume ...`), because it is pinned to another core than the bench's proxies. Offered is
//! X25519 alone, as the other generators do in effect, so that all servers agree on the same.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs::{default_provider, kx_group::X25519};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, Stream};

use super::origin::HOST;

/// How long one connection may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One connection after another, each of which resumes the session of the one before.
struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    request: Vec<u8>,
    /// How long each connection took, in microseconds.
    times: Vec<u64>,
    /// Connections that failed, were not answered with 200, or did not resume.
    failed: u64,
}

/// Runs it with the arguments ADDRESS CERTIFICATE PATH CONNECTIONS SECONDS, and prints what it counted as one line of JSON,
/// as wrk's script does. 0: counted, whatever it was; 2: usage.
pub(crate) fn main(args: impl Iterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.collect();
    let [address, certificate, path, connections, seconds] = args.as_slice() else { return ExitCode::from(2) };
    let (Ok(address), Ok(connections), Ok(seconds)) = (address.parse(), connections.parse(), seconds.parse()) else {
        return ExitCode::from(2);
    };
    let config = match config(Path::new(certificate)) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{certificate}: {error}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(seconds);
    let run = || {
        let mut client = Client::new(address, config.clone(), path);
        client.run(deadline);
        client
    };
    let clients: Vec<Client> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_: u32| scope.spawn(run)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let took = begun.elapsed();
    let mut times: Vec<u64> = clients.iter().flat_map(|client| client.times.iter().copied()).collect();
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    let failed: u64 = clients.iter().map(|client| client.failed).sum();
    println!(
        "{{\"requests\":{},\"micros\":{},\"p50\":{},\"p99\":{},\"failed\":{failed}}}",
        times.len(),
        took.as_micros(),
        at(50),
        at(99)
    );
    ExitCode::SUCCESS
}

/// TLS 1.3 with whoever shows this certificate.
fn config(certificate: &Path) -> Result<ClientConfig, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let mut provider = default_provider();
    provider.kx_groups = vec![X25519];
    let builder = ClientConfig::builder_with_provider(provider.into());
    Ok(builder.with_protocol_versions(&[&rustls::version::TLS13])?.with_root_certificates(roots).with_no_client_auth())
}

impl Client {
    fn new(address: SocketAddr, mut config: ClientConfig, path: &str) -> Client {
        // tickets of its own: others' would have it wait for a lock
        config.resumption = rustls::client::Resumption::in_memory_sessions(4);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").into_bytes();
        let name = ServerName::try_from(HOST).unwrap_or_else(|_| ServerName::IpAddress(address.ip().into()));
        Client { address, config: Arc::new(config), name, request, times: Vec::new(), failed: 0 }
    }

    fn run(&mut self, deadline: Instant) {
        let mut is_first = true;
        while Instant::now() < deadline {
            let begun = Instant::now();
            match self.connect() {
                Ok(HandshakeKind::Resumed) => {}
                Ok(_) if is_first => {}
                Ok(_) | Err(_) => self.failed += 1,
            }
            is_first = false;
            self.times.push(begun.elapsed().as_micros() as u64);
        }
    }

    /// One connection with one request, to its end.
    fn connect(&self) -> io::Result<HandshakeKind> {
        let mut socket = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let mut tls = ClientConnection::new(self.config.clone(), self.name.clone()).map_err(io::Error::other)?;
        let mut stream = Stream::new(&mut tls, &mut socket);
        stream.write_all(&self.request)?;
        let mut answer = Vec::with_capacity(1024);
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            // some end without saying so; the answer has a length
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !answer.is_empty() => {}
            Err(error) => return Err(error),
        }
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(io::ErrorKind::InvalidData.into());
        }
        tls.handshake_kind().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
