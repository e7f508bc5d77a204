//! `headworks proxy`: a load balancer without a file.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::check::{REFUSED, complain};
use crate::cli::Proxy;
use crate::run::{self, Beginning, Order, Source};

pub(crate) fn main(args: &Proxy) -> ExitCode {
    let text = match configuration(args) {
        Ok(text) => text,
        Err(what) => {
            complain(what);
            return ExitCode::from(REFUSED);
        }
    };
    let folder = std::env::temp_dir().join(format!("headworks-proxy-{}", std::process::id()));
    let source = Source::Text { label: "command line".to_owned(), text, folder: folder.clone() };
    let order = Order { source, watch: false, beginning: Beginning::Anew, held: Vec::new() };
    let end = run::run(order, |_| {});
    let _ = std::fs::remove_dir_all::<PathBuf>(folder);
    end.into()
}

/// `:8080` and `8080` are every address, `127.0.0.1:8080` is one.
fn bind(from: &str) -> Result<String, String> {
    let port = from.strip_prefix(':').unwrap_or(from);
    if let Ok(port) = port.parse::<u16>() {
        return Ok(format!("port: {port}"));
    }
    match from.parse::<SocketAddr>() {
        Ok(address) => Ok(format!("address: \"{address}\"")),
        Err(_) => Err(format!("--from {from}: not an address, expected :8080, 8080 or 127.0.0.1:8080")),
    }
}

fn configuration(args: &Proxy) -> Result<String, String> {
    let bind = bind(&args.from)?;
    let admin = args.admin.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut targets = String::new();
    for target in &args.to {
        target
            .parse::<headworks_model::primitive::Address>()
            .map_err(|_| format!("--to {target}: not an address, expected ip:port, host:port or unix:/path"))?;
        let _ = write!(targets, "\"{target}\", ");
    }
    Ok(format!(
        "admin: {{ address: \"{admin}\", data: . }}\n\
         load_balancers:\n  proxy:\n    listeners:\n      http: {{ {bind}, default: {{ forward: targets }} }}\n\
         target_groups:\n  targets:\n    targets: [{targets}]\n    health_check: {{ protocol: tcp, interval: 5s, timeout: 2s, healthy_threshold: 2 }}\n\
         \x20   retry: {{ attempts: 2, when: [connect_failure, reset_before_response] }}\n"
    ))
}
