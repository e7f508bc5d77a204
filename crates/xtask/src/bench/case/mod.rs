//! The cases. To add one: a file here that returns an `Outcome`, and a line in [`CASES`].

mod datagrams;
mod idle;
mod reload;
mod resilience;
mod rules;
mod slow_clients;
mod throughput;

use super::fleet::Fleet;
use super::load::{Talk, Work};
use super::options::Options;
use super::origin::Body;
use super::outcome::Outcome;
use super::trouble::Trouble;

/// Whether `--quick` runs a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Both,
    FullOnly,
}

/// A case by name.
pub(crate) struct Case {
    /// As `--only` takes it.
    pub(crate) name: &'static str,
    modes: In,
    run: fn(&'static str, &Fleet, &Options) -> Result<Outcome, Trouble>,
}

/// All cases, in the order they run.
const CASES: &[Case] = &[
    Case { name: "128b-64", modes: In::Both, run: |n, f, o| throughput::run(n, Work::plain(Body::Tiny, 64), f, o) },
    Case { name: "rules", modes: In::Both, run: rules::run },
    Case { name: "reload", modes: In::Both, run: reload::run },
    Case { name: "resilience", modes: In::FullOnly, run: resilience::run },
    Case { name: "128b-1", modes: In::FullOnly, run: |n, f, o| throughput::run(n, Work::plain(Body::Tiny, 1), f, o) },
    Case {
        name: "128b-512",
        modes: In::FullOnly,
        run: |n, f, o| throughput::run(n, Work::plain(Body::Tiny, 512), f, o),
    },
    Case { name: "10k-64", modes: In::FullOnly, run: |n, f, o| throughput::run(n, Work::plain(Body::Page, 64), f, o) },
    Case { name: "1m-64", modes: In::FullOnly, run: |n, f, o| throughput::run(n, Work::plain(Body::Bulk, 64), f, o) },
    Case { name: "tls-64", modes: In::FullOnly, run: |n, f, o| throughput::run(n, secure(Talk::Secure), f, o) },
    Case {
        name: "tls-handshakes",
        modes: In::FullOnly,
        run: |n, f, o| throughput::run(n, secure(Talk::Handshakes), f, o),
    },
    Case { name: "tls-resumed", modes: In::FullOnly, run: |n, f, o| throughput::run(n, secure(Talk::Resumed), f, o) },
    Case { name: "h2-64", modes: In::FullOnly, run: |n, f, o| throughput::run(n, secure(Talk::Http2), f, o) },
    Case { name: "h3-64", modes: In::FullOnly, run: |n, f, o| throughput::run(n, secure(Talk::Http3), f, o) },
    Case { name: "grpc-unary", modes: In::FullOnly, run: |n, f, o| throughput::run(n, secure(Talk::Grpc), f, o) },
    Case { name: "tcp-echo", modes: In::FullOnly, run: |n, f, o| throughput::run(n, carried(Body::Tiny), f, o) },
    Case { name: "tcp-stream", modes: In::FullOnly, run: |n, f, o| throughput::run(n, carried(Body::Bulk), f, o) },
    Case { name: "tcp-short", modes: In::FullOnly, run: |n, f, o| throughput::run(n, once(), f, o) },
    Case { name: "udp", modes: In::FullOnly, run: datagrams::run },
    Case { name: "slow-clients", modes: In::FullOnly, run: slow_clients::run },
    Case { name: "idle", modes: In::FullOnly, run: idle::run },
];

fn secure(talk: Talk) -> Work {
    Work { body: Body::Tiny, connections: 64, talk }
}

fn carried(body: Body) -> Work {
    Work { body, connections: 64, talk: Talk::Carried }
}

fn once() -> Work {
    Work { body: Body::Tiny, connections: 64, talk: Talk::CarriedOnce }
}

/// The cases that were asked for.
pub(crate) fn chosen(options: &Options) -> Result<Vec<&'static Case>, Trouble> {
    if let Some(unknown) = options.only.iter().find(|only| CASES.iter().all(|case| case.name != *only)) {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        return Err(Trouble::Usage(format!("{unknown} is not a case; there are {}", names.join(" "))));
    }
    let wanted = |case: &&Case| match options.only.is_empty() {
        true => case.modes == In::Both || !options.quick,
        false => options.only.iter().any(|only| only == case.name),
    };
    Ok(CASES.iter().filter(wanted).collect())
}

impl Case {
    /// Runs it.
    pub(crate) fn run(&self, fleet: &Fleet, options: &Options) -> Result<Outcome, Trouble> {
        (self.run)(self.name, fleet, options)
    }
}
