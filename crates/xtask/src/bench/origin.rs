//! What stands behind every proxy: one nginx that answers as cheaply as it can, and an echo of datagrams, on the load
//! generator's core.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::datagrams;
use super::folder::{Folder, free_addresses};
use super::http::answers;
use super::process::{LOAD_CORE, Process, pinned};
use super::proxy::nginx::user_line;
use super::trouble::{Trouble, io};

/// The host that every measured request asks for: that of the last of 10,000 rules.
pub(crate) const HOST: &str = "shop-99.example.com";
/// The folder that every measured request asks for: that of the last of 10,000 rules.
pub(crate) const FOLDER: &str = "/service-9999";

/// The method that every measured call asks for.
pub(crate) const CALL: &str = "/bench.Echo/Unary";

/// A body that the origin serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// 128 bytes.
    Tiny,
    /// 10 KiB.
    Page,
    /// 1 MiB.
    Bulk,
}

impl Body {
    /// Its size in words.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Body::Tiny => "128 B",
            Body::Page => "10 KiB",
            Body::Bulk => "1 MiB",
        }
    }

    /// Its path at the origin, and so at the proxies.
    pub(crate) fn path(self) -> String {
        let file = match self {
            Body::Tiny => "128",
            Body::Page => "10k",
            Body::Bulk => "1m",
        };
        format!("{FOLDER}/{file}")
    }
}

/// The running origin.
pub(crate) struct Origin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where it answers calls of gRPC, over HTTP/2 without TLS.
    pub(crate) calls: SocketAddr,
    /// Where it sends back datagrams.
    pub(crate) datagrams: SocketAddr,
    /// Its configuration.
    pub(crate) settings: String,
    _process: Process,
    _echo: Process,
}

impl Origin {
    /// Starts it and waits until it serves.
    pub(crate) fn start(folder: &Folder, nginx: &Path) -> Result<Origin, Trouble> {
        let root = folder.at(&format!("origin{FOLDER}"));
        std::fs::create_dir_all(&root).map_err(io(root.display()))?;
        for (body, size) in [(Body::Page, 10 * 1024), (Body::Bulk, 1024 * 1024)] {
            folder.write(&format!("origin{}", body.path()), vec![b'x'; size])?;
        }
        // the same message of 128 bytes for all; its first five are flag and length
        let message = [&[0, 0, 0, 0, 128][..], &[b'x'; 128]].concat();
        let services = folder.at(&format!("origin{CALL}"));
        std::fs::create_dir_all(services.parent().unwrap_or(&root)).map_err(io(services.display()))?;
        folder.write(&format!("origin{CALL}"), message)?;
        let [address, calls, datagrams] = free_addresses();
        let settings = settings(folder, address, calls);
        let file = folder.write("origin.conf", &settings)?;
        let mut command = pinned(LOAD_CORE, nginx);
        command.args(["-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(file);
        let mut process = Process::start("the origin (nginx)", command, folder.at("origin.log"))?;
        process.wait_until(Duration::from_secs(5), || answers(address, "origin", "/"))?;
        let echo = echo(folder, datagrams)?;
        Ok(Origin { address, calls, datagrams, settings, _process: process, _echo: echo })
    }
}

/// This program itself: there is no server of Debian's that sends datagrams back as cheaply.
fn echo(folder: &Folder, address: SocketAddr) -> Result<Process, Trouble> {
    let own = std::env::current_exe().map_err(io("xtask"))?;
    let mut command = pinned(LOAD_CORE, &own);
    command.arg("echo").arg(address.to_string());
    let mut process = Process::start("the echo of datagrams", command, folder.at("echo.log"))?;
    process.wait_until(Duration::from_secs(5), || datagrams::answers(address))?;
    Ok(process)
}

fn settings(folder: &Folder, address: SocketAddr, calls: SocketAddr) -> String {
    let dir = folder.path().display();
    let tiny = "x".repeat(128);
    format!(
        "{user}daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {dir}/origin.pid;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  server_tokens off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  open_file_cache max=16 inactive=1h;
  open_file_cache_valid 1h;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/origin-body;
  proxy_temp_path {dir}/origin-proxy;
  fastcgi_temp_path {dir}/origin-fastcgi;
  uwsgi_temp_path {dir}/origin-uwsgi;
  scgi_temp_path {dir}/origin-scgi;
  server {{
    listen {address} backlog=4096 reuseport;
    location / {{ return 200 \"{tiny}\"; }}
    location = {page} {{ root {dir}/origin; }}
    location = {bulk} {{ root {dir}/origin; }}
  }}
  server {{
    listen {calls} http2 backlog=4096 reuseport;
    http2_max_concurrent_streams 1024;
    location / {{
      root {dir}/origin;
      default_type application/grpc;
      add_trailer grpc-status 0;
      error_page 405 =200 $uri;      # files are for GET: a POST gets them this way
    }}
  }}
}}
",
        user = user_line(),
        page = Body::Page.path(),
        bulk = Body::Bulk.path(),
    )
}
