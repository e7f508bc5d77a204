//! Headworks as its users run it: rules, a JSON access log and metrics on.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::secret::Secret;
use super::{Door, Proxy};
use crate::bench::folder::{Folder, free_addresses};
use crate::bench::http::answers;
use crate::bench::origin::{Body, CALL, HOST, Origin};
use crate::bench::process::{PROXY_CORE, Process, pinned};
use crate::bench::trouble::{Trouble, io};

/// Rules of the large configuration. Hosts have a hundred rules each, a path of its own in each of them.
pub(crate) const MANY: u32 = 10_000;
const HOSTS: u32 = 100;

/// How many rules a configuration has. The rule that the measured requests match is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// The one that is matched.
    One,
    /// That one, with 9,999 before it.
    Many,
}

/// What is declared of resilience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resilience {
    /// What is on without being declared.
    Plain,
    /// Everything that a group can have against failures and overload, by its defaults where it has any, and by numbers that are
    /// met by no request where it has none. Hedges and mirrors are not among it: they are further requests.
    Everything,
}

impl Resilience {
    /// Lines of a target group.
    fn lines(self) -> &'static str {
        match self {
            Resilience::Plain => "",
            Resilience::Everything => {
                "    retry: { when: [connect_failure, reset_before_response, timeout], per_try_timeout: 2s, backoff: {}, buffer: 64KiB }
    circuit_breaker: { error_ratio: 0.5, latency_factor: 3 }
    limits: { max_connections: 10000, max_requests: 10000, max_pending: 100, adaptive: {} }
    connect_timeout: 2s
    response_timeout: 10s
    read_timeout: 10s
    request_timeout: 1m
    deadline_header: X-Time-Left
    fallback: { fixed_response: { status: 503 } }
"
            }
        }
    }
}

/// A running Headworks.
pub(crate) struct Headworks {
    pub(crate) proxy: Proxy,
    /// Where its admin interface listens.
    pub(crate) admin: SocketAddr,
    file: PathBuf,
    declared: Declared,
}

/// What its configuration is made of.
struct Declared {
    address: SocketAddr,
    secure: SocketAddr,
    calls: SocketAddr,
    carried: SocketAddr,
    datagrams: SocketAddr,
    admin: SocketAddr,
    origin: SocketAddr,
    services: SocketAddr,
    echo: SocketAddr,
    certificate: PathBuf,
    key: PathBuf,
    log: PathBuf,
    data: PathBuf,
    rules: Rules,
    resilience: Resilience,
}

impl Headworks {
    /// Starts it and waits until it serves.
    pub(crate) fn start(
        folder: &Folder,
        program: &Path,
        name: &str,
        (rules, resilience): (Rules, Resilience),
        origin: &Origin,
        secret: &Secret,
    ) -> Result<Headworks, Trouble> {
        let [address, secure, calls, carried, datagrams, admin] = free_addresses();
        let own: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let (log, data) = (folder.at(&format!("{own}-access.log")), folder.at(&format!("{own}-state")));
        let (certificate, key) = (secret.certificate.clone(), secret.key.clone());
        let (origin, services, echo) = (origin.address, origin.calls, origin.datagrams);
        let declared = Declared {
            address,
            secure,
            calls,
            carried,
            datagrams,
            admin,
            origin,
            services,
            echo,
            certificate,
            key,
            log,
            data,
            rules,
            resilience,
        };
        let settings = declared.text(0);
        let file = folder.write(&format!("{own}.yaml"), &settings)?;
        let mut command = pinned(PROXY_CORE, program);
        command.arg("run").arg("-c").arg(&file).env_remove("HEADWORKS_LOG");
        let mut process = Process::start(name, command, folder.at(&format!("{own}.log")))?;
        process.wait_until(Duration::from_secs(30), || {
            answers(admin, "localhost", "/readyz") && answers(address, HOST, &Body::Tiny.path())
        })?;
        let doors = vec![Door { setting: "", address }];
        let datagrams = vec![Door { setting: "", address: datagrams }];
        let (name, settings) = (name.to_owned(), shortened(&settings));
        let proxy = Proxy { name, doors, secure, calls, carried, datagrams, settings, process };
        Ok(Headworks { proxy, admin, file, declared })
    }

    /// Starts the access log anew, so that a long bench fills no disk.
    pub(crate) fn empty_log(&self) -> Result<(), Trouble> {
        match std::fs::remove_file(&self.declared.log) {
            Ok(()) => self.proxy.process.signal(Signal::USR1),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Trouble::Io(self.declared.log.display().to_string(), error)),
        }
    }

    /// Writes the file anew, with one rule that is not the same in each `generation`. The running program is not told.
    pub(crate) fn rewrite(&self, generation: u32) -> Result<(), Trouble> {
        let new = self.file.with_extension("new");
        std::fs::write(&new, self.declared.text(generation))
            .and_then(|()| std::fs::rename(&new, &self.file))
            .map_err(io(self.file.display()))
    }
}

impl Declared {
    fn text(&self, generation: u32) -> String {
        let Declared { address, secure, calls, carried, datagrams, admin, origin, services, echo, .. } = self;
        let (certificate, key) = (self.certificate.display(), self.key.display());
        let (log, data) = (self.log.display(), self.data.display());
        let mut text = format!(
            "workers: 1
admin: {{ address: \"{admin}\", data: {data} }}
load_balancers:
  carried:
    type: network
    access_log: {log}
    listeners:
      tcp: {{ address: \"{carried}\", protocol: tcp, default: {{ forward: carried }} }}
      udp: {{ address: \"{datagrams}\", protocol: udp, default: {{ forward: echo }} }}
  bench:
    type: application
    idle_timeout: 10m
    access_log: {{ path: {log}, format: json }}
    listeners:
      https:
        address: {secure}
        protocol: https
        http3: true
        certificates: [bench]
        default: {{ fixed_response: {{ status: 404 }} }}
        rules: [ {{ if: {{ host: [shop-99.example.com], path: [/service-9999/*] }}, then: {{ forward: origin }} }} ]
      calls:
        address: {calls}
        protocol: https
        certificates: [bench]
        default: {{ fixed_response: {{ status: 404 }} }}
        rules: [ {{ if: {{ host: [shop-99.example.com], path: [/bench.Echo/*] }}, then: {{ forward: calls }} }} ]
      http:
        address: {address}
        default: {{ fixed_response: {{ status: 404, content_type: text/plain, body: \"generation {generation}\" }} }}
        rules:
"
        );
        let first = match self.rules {
            Rules::One => MANY - 1,
            Rules::Many => 0,
        };
        for n in first..MANY {
            let host = n / (MANY / HOSTS);
            // a rule in the middle changes with each generation; the last stays as the requests need it
            let path = if n == MANY / 2 { format!("/generation-{generation}") } else { format!("/service-{n}") };
            text += &format!("          - if: {{ host: [shop-{host}.example.com], path: [{path}/*] }}\n");
            text += "            then: { forward: origin }\n";
        }
        text += &format!("certificates: {{ bench: {{ certificate: {certificate}, key: {key} }} }}\n");
        text += &format!("target_groups:\n  carried: {{ protocol: tcp, targets: [\"{origin}\"] }}\n");
        text += &format!("  echo: {{ protocol: udp, targets: [\"{echo}\"], health_check: {{ protocol: none }} }}\n");
        text += &format!("  origin:\n    protocol: http\n    targets: [\"{origin}\"]\n{}", self.resilience.lines());
        text += &format!("  calls:\n    protocol: grpc\n    targets: [\"{services}\"]\n");
        text += &format!("    health_check: {{ path: {CALL}, matcher: \"0\" }}\n");
        text
    }
}

/// A configuration without what repeats itself.
fn shortened(settings: &str) -> String {
    let lines: Vec<&str> = settings.lines().collect();
    if lines.len() < 100 {
        return settings.to_owned();
    }
    let (head, tail) = (lines.get(..24).unwrap_or_default(), lines.get(lines.len() - 13..).unwrap_or_default());
    format!("{}\n          # ... {MANY} rules in all\n{}\n", head.join("\n"), tail.join("\n"))
}
