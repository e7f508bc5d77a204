//! Caddy with the settings that its documentation recommends for a proxy: no log, one thread. The only one of Debian's servers
//! that speaks HTTP/3; in that case alone it takes part.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::secret::Secret;
use super::{Door, Proxy};
use crate::bench::folder::{Folder, free_addresses};
use crate::bench::http::answers;
use crate::bench::origin::{Body, HOST, Origin};
use crate::bench::process::{PROXY_CORE, Process, pinned};
use crate::bench::trouble::Trouble;

/// Starts Caddy and waits until it serves.
pub(crate) fn start(folder: &Folder, program: &Path, origin: &Origin, secret: &Secret) -> Result<Proxy, Trouble> {
    let [plain, secure] = free_addresses();
    let settings = settings([plain, secure], origin, secret);
    let file = folder.write("Caddyfile", &settings)?;
    let mut command = pinned(PROXY_CORE, program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
    command.env("GOMAXPROCS", "1").env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
    let mut process = Process::start("caddy", command, folder.at("caddy.log"))?;
    process.wait_until(Duration::from_secs(10), || answers(plain, HOST, &Body::Tiny.path()))?;
    let doors = vec![Door { setting: "", address: plain }];
    Ok(Proxy {
        name: "caddy".to_owned(),
        doors,
        secure,
        calls: secure,
        carried: plain,
        datagrams: Vec::new(),
        settings,
        process,
    })
}

fn settings([plain, secure]: [SocketAddr; 2], origin: &Origin, secret: &Secret) -> String {
    let (certificate, key) = (secret.certificate.display(), secret.key.display());
    let (origin, secure) = (origin.address, secure.port());
    format!(
        "{{
  admin off
  auto_https off
  log {{
    level ERROR
  }}
}}
(origin) {{
  bind 127.0.0.1
  reverse_proxy {origin} {{
    transport http {{
      keepalive 10m
      keepalive_idle_conns 1024
      keepalive_idle_conns_per_host 1024
    }}
  }}
}}
http://:{plain} {{
  import origin
}}
https://{HOST}:{secure} {{
  tls {certificate} {key}
  import origin
}}
",
        plain = plain.port(),
    )
}
