//! Whole-product tests: the binary as its users run it, real sockets on both sides, one file per theme. What a table here
//! expects is the documentation's or an RFC's word, not the code's.

mod acme;
mod actions;
mod api;
mod backups;
mod bad_input;
mod behind;
mod body;
mod breakers;
mod browser;
mod carrying;
mod check_command;
mod choosing;
mod commands;
mod compression;
mod conditions;
mod console;
mod control;
mod databases;
mod datagrams;
mod deadlines;
mod description;
mod desync;
mod errors;
mod escalation;
mod explain;
mod fallbacks;
mod firewall;
mod forwarded;
mod grpc;
mod guards;
mod health;
mod http;
mod http2;
mod http2_floods;
mod http2_frames;
mod http2_targets;
mod http3;
mod iam;
mod identities;
mod life;
mod limits;
mod lists;
mod load;
mod mariadb;
mod mirroring;
mod mixing;
mod mutual_tls;
mod network;
mod network_tls;
mod observability;
mod older;
mod operate;
mod overload;
mod pace;
mod postgres;
mod preserve;
mod proxy_protocol;
mod python;
mod redis;
mod releases;
mod reloads;
mod replacement;
mod response_headers;
mod retries;
mod revisions;
mod rules;
mod scanner;
mod sealing;
mod second_factor;
mod sight;
mod signing_in;
mod slow_clients;
mod stickiness;
mod systemd;
mod takeovers;
mod target_tls;
mod telling;
mod tls;
mod turned_away;
mod upgrade;
mod wholeness;
mod yaml_cases;

use headworks_testkit::program::Parts;
use headworks_testkit::{Headworks, Program};

/// The binary under test.
pub(crate) const HEADWORKS: Program = Program(env!("CARGO_BIN_EXE_headworks"));

/// Starts it with this configuration; each `<name>` is replaced.
pub(crate) fn start(yaml: &str, parts: &Parts<'_>) -> Headworks {
    HEADWORKS.start(yaml, parts)
}

/// One listener that forwards everything to the group `web`, whose target is `<web>`, with further lines for the load
/// balancer and the target group in flow style: `, idle_timeout: 1s`.
pub(crate) fn proxy(balancer: &str, group: &str) -> String {
    format!(
        "load_balancers:\n  shop: {{ listeners: {{ http: {{ address: 127.0.0.1:0, default: {{ forward: web }} }} }}{balancer} }}\n\
         target_groups:\n  web: {{ targets: [<web>], health_check: {{ protocol: none }}{group} }}\n"
    )
}
