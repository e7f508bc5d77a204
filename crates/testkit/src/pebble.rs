//! Pebble, the authority that the makers of Let's Encrypt test clients of ACME with: started on a port of its own, asking
//! for proofs at the ports it is given, with a name server of its own. It refuses some good requests on purpose.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::authority::Authority;
use crate::dns::NameServer;
use crate::wait;

/// A running authority; it is killed when this is dropped.
#[derive(Debug)]
pub struct Pebble {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
    said: Arc<Mutex<Vec<u8>>>,
    /// What it finds names by.
    pub names: NameServer,
}

/// An authority in the making.
#[derive(Clone, Debug)]
pub struct PebbleBuilder {
    http: SocketAddr,
    tls: SocketAddr,
    seconds: u64,
    keys: Vec<(String, String)>,
}

impl Pebble {
    /// Asks for proofs by HTTP at one address and by TLS at another, whatever the name.
    #[must_use]
    pub fn asking(http: SocketAddr, tls: SocketAddr) -> PebbleBuilder {
        PebbleBuilder { http, tls, seconds: 90 * 24 * 3600, keys: Vec::new() }
    }

    /// The URL of its directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The file of the authority that its own certificate is by.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What it has written so far.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl PebbleBuilder {
    /// Issues certificates for so many seconds.
    #[must_use]
    pub fn seconds(mut self, seconds: u64) -> Self {
        self.seconds = seconds;
        self
    }

    /// Registers nobody without a binding to the external account of this key, in base64url.
    #[must_use]
    pub fn external(mut self, kid: &str, key: &str) -> Self {
        self.keys.push((kid.to_owned(), key.to_owned()));
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it does not, as where it is not installed.
    #[must_use]
    pub fn start(self) -> Pebble {
        let folder = TempDir::with_prefix("headworks-pebble-").unwrap_or_else(|error| panic!("no folder: {error}"));
        let authority = Authority::new("Pebble's Own");
        authority.place(folder.path(), "ca.pem");
        let (certificate, key) = authority.issue(&["127.0.0.1"]).place(folder.path(), "pebble");
        let keys: serde_json::Map<String, Value> =
            self.keys.iter().map(|(kid, key)| (kid.clone(), key.as_str().into())).collect();
        let config = json!({ "pebble": {
            "listenAddress": "127.0.0.1:0",
            "certificate": certificate,
            "privateKey": key,
            "httpPort": self.http.port(),
            "tlsPort": self.tls.port(),
            "externalAccountBindingRequired": !keys.is_empty(),
            "externalAccountMACKeys": keys,
            "certificateValidityPeriod": self.seconds,
        } });
        let path = folder.path().join("pebble.json");
        fs::write(&path, config.to_string()).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        let names = NameServer::start();
        let mut child = Command::new("pebble")
            .args(["-strict", "-dnsserver", &names.address().to_string(), "-config"])
            .arg(&path)
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "5")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start pebble (the Debian package of this name): {error}"));
        let said = Arc::<Mutex<Vec<u8>>>::default();
        child.stdout.take().into_iter().for_each(|output| listen(output, &said));
        child.stderr.take().into_iter().for_each(|output| listen(output, &said));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut pebble = Pebble { child, folder, address: nowhere, said, names };
        let port = wait::within(wait::PATIENCE, || listening_port(pebble.child.id()));
        let port = port.unwrap_or_else(|| panic!("pebble does not listen; it said\n{}", pebble.said()));
        pebble.address.set_port(port);
        pebble
    }
}

fn listen(mut output: impl Read + Send + 'static, said: &Arc<Mutex<Vec<u8>>>) {
    let said = said.clone();
    std::thread::spawn(move || {
        let mut block = [0; 4096];
        while let Ok(read @ 1..) = output.read(&mut block) {
            said.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&block[..read]);
        }
    });
}

/// The port that a process listens on: it does not say which one it was given.
fn listening_port(pid: u32) -> Option<u16> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let sockets: BTreeSet<String> = fs::read_dir(process.join("fd"))
        .ok()?
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    ["net/tcp", "net/tcp6"].iter().find_map(|table| port_of(&process.join(table), &sockets))
}

/// The local port of the first of these sockets that listens (proc_pid_net(5)).
fn port_of(table: &Path, sockets: &BTreeSet<String>) -> Option<u16> {
    const LISTENS: &str = "0A";
    fs::read_to_string(table).ok()?.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let fits = columns.get(3) == Some(&LISTENS) && columns.get(9).is_some_and(|inode| sockets.contains(*inode));
        let port = columns.get(1).filter(|_| fits)?.rsplit_once(':')?.1;
        u16::from_str_radix(port, 16).ok()
    })
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = self.said();
            let from = said.len().saturating_sub(4000);
            let tail = said.get(from..).unwrap_or(&said);
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("--- pebble said\n{tail}\n").as_bytes());
        }
    }
}
