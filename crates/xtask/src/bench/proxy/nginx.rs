//! nginx with the settings that its documentation recommends for a proxy: upstream keep-alive, no log, one worker.

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

/// Started by root, the worker must stay root to reach the temporary folder; started by another, nginx warns of `user`.
pub(crate) fn user_line() -> &'static str {
    if rustix::process::geteuid().is_root() { "user root;\n" } else { "" }
}

/// The module by which nginx carries bytes; where Debian puts it.
pub(crate) const STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Starts nginx and waits until it serves.
pub(crate) fn start(folder: &Folder, program: &Path, origin: &Origin, secret: &Secret) -> Result<Proxy, Trouble> {
    let [buffered, direct, secure, calls, carried, flows, answers_once] = free_addresses();
    let settings = settings(folder, [buffered, direct, secure, calls, carried, flows, answers_once], origin, secret);
    let file = folder.write("nginx.conf", &settings)?;
    let mut command = pinned(PROXY_CORE, program);
    command.args(["-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(file);
    let mut process = Process::start("nginx", command, folder.at("nginx.log"))?;
    process.wait_until(Duration::from_secs(5), || answers(buffered, HOST, &Body::Tiny.path()))?;
    let doors = vec![Door { setting: "", address: buffered }, Door { setting: "proxy_buffering off", address: direct }];
    let datagrams = vec![
        Door { setting: "proxy_responses 1", address: answers_once },
        Door { setting: "sessions kept", address: flows },
    ];
    Ok(Proxy { name: "nginx".to_owned(), doors, secure, calls, carried, datagrams, settings, process })
}

fn settings(
    folder: &Folder,
    [buffered, direct, secure, calls, carried, flows, answers_once]: [SocketAddr; 7],
    origin: &Origin,
    secret: &Secret,
) -> String {
    let Origin { address: origin, calls: services, datagrams: echo, .. } = origin;
    let (certificate, key) = (secret.certificate.display(), secret.key.display());
    let dir = folder.path().display();
    format!(
        "{user}load_module {STREAM};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {dir}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 16384; }}
stream {{
  tcp_nodelay on;
  proxy_buffer_size 32k;
  upstream origin {{ server {origin}; }}
  server {{
    listen {carried} backlog=4096 reuseport;
    proxy_pass origin;
  }}
  upstream echo {{ server {echo}; }}
  server {{
    listen {answers_once} udp reuseport;
    proxy_responses 1;
    proxy_pass echo;
  }}
  server {{
    listen {flows} udp reuseport;
    proxy_pass echo;
  }}
}}
http {{
  access_log off;
  server_tokens off;
  tcp_nodelay on;
  keepalive_timeout 10m;
  keepalive_requests 1000000000;
  proxy_http_version 1.1;
  proxy_set_header Connection \"\";
  proxy_set_header Host $host;
  proxy_max_temp_file_size 0;
  client_body_temp_path {dir}/nginx-body;
  proxy_temp_path {dir}/nginx-proxy;
  fastcgi_temp_path {dir}/nginx-fastcgi;
  uwsgi_temp_path {dir}/nginx-uwsgi;
  scgi_temp_path {dir}/nginx-scgi;
  upstream origin {{
    server {origin};
    keepalive 1024;
    keepalive_requests 1000000000;
    keepalive_timeout 10m;
  }}
  server {{
    listen {buffered} backlog=4096 reuseport;
    proxy_buffers 16 32k;
    proxy_busy_buffers_size 64k;
    location / {{ proxy_pass http://origin; }}
  }}
  server {{
    listen {secure} ssl http2 backlog=4096 reuseport;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    http2_max_concurrent_streams 128;
    proxy_buffers 16 32k;
    proxy_busy_buffers_size 64k;
    location / {{ proxy_pass http://origin; }}
  }}
  upstream calls {{
    server {services};
    keepalive 1024;
    keepalive_requests 1000000000;
    keepalive_timeout 10m;
  }}
  server {{
    listen {calls} ssl http2 backlog=4096 reuseport;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    http2_max_concurrent_streams 128;
    location / {{ grpc_pass grpc://calls; }}
  }}
  server {{
    listen {direct} backlog=4096 reuseport;
    proxy_buffering off;
    proxy_buffer_size 64k;
    proxy_buffers 4 64k;
    proxy_busy_buffers_size 64k;
    location / {{ proxy_pass http://origin; }}
  }}
}}
",
        user = user_line(),
    )
}
