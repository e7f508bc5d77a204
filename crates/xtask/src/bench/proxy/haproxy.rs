//! HAProxy with the settings that its documentation recommends for speed, and nothing on that it need not do.

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

/// Starts HAProxy and waits until it serves.
pub(crate) fn start(folder: &Folder, program: &Path, origin: &Origin, secret: &Secret) -> Result<Proxy, Trouble> {
    let [plain, spliced, secure, calls, carried] = free_addresses();
    let settings = settings([plain, spliced, secure, calls, carried], origin, secret);
    let file = folder.write("haproxy.cfg", &settings)?;
    let mut command = pinned(PROXY_CORE, program);
    command.arg("-db").arg("-f").arg(file);
    let mut process = Process::start("haproxy", command, folder.at("haproxy.log"))?;
    process.wait_until(Duration::from_secs(5), || answers(plain, HOST, &Body::Tiny.path()))?;
    let doors = vec![Door { setting: "", address: plain }, Door { setting: "splice-auto", address: spliced }];
    Ok(Proxy { name: "haproxy".to_owned(), doors, secure, calls, carried, datagrams: Vec::new(), settings, process })
}

fn settings([plain, spliced, secure, calls, carried]: [SocketAddr; 5], origin: &Origin, secret: &Secret) -> String {
    let Origin { address: origin, calls: services, .. } = origin;
    let both = secret.both.display();
    format!(
        "global
  nbthread 1
  maxconn 12000
  no strict-limits                 # half of the connections have no partner: descriptors suffice
defaults
  mode http
  option http-keep-alive
  http-reuse always
  no log
  timeout connect 5s
  timeout client 10m
  timeout server 1m
  timeout http-keep-alive 10m
  maxconn 12000
# tune.bufsize is the default, 16384
frontend plain
  bind {plain} backlog 4096
  default_backend origin
frontend secure
  bind {secure} backlog 4096 ssl crt {both} alpn h2,http/1.1 ssl-min-ver TLSv1.3
  default_backend origin
frontend spliced
  bind {spliced} backlog 4096
  option splice-auto
  default_backend origin-spliced
frontend calls
  bind {calls} backlog 4096 ssl crt {both} alpn h2 ssl-min-ver TLSv1.3
  default_backend calls
# splice-auto does not find that it pays here, which costs twice as much
frontend carried
  mode tcp
  option splice-request
  option splice-response
  bind {carried} backlog 4096
  default_backend origin-carried
backend origin-carried
  mode tcp
  option splice-request
  option splice-response
  server one {origin}
backend origin
  server one {origin} pool-max-conn -1
backend origin-spliced
  option splice-auto
  server one {origin} pool-max-conn -1
backend calls
  server one {services} proto h2 pool-max-conn -1
"
    )
}
