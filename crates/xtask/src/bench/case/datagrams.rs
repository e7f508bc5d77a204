//! Datagrams through every proxy that carries them, in turns: HAProxy does not.

use std::time::Duration;

use super::throughput::interleaved;
use crate::bench::datagrams::{LENGTH, WINDOW};
use crate::bench::fleet::Fleet;
use crate::bench::load::{Talk, Work};
use crate::bench::options::Options;
use crate::bench::origin::Body;
use crate::bench::outcome::{CPU, Finding, Outcome, Row};
use crate::bench::sample::Spread;
use crate::bench::trouble::Trouble;

const SOCKETS: u32 = 64;

/// Ours, and nginx by each of its settings. A request is a datagram and its answer.
pub(crate) fn run(name: &'static str, fleet: &Fleet, options: &Options) -> Result<Outcome, Trouble> {
    let contenders = fleet.carrying_datagrams();
    // what is sent is no request for a body
    let work = Work { body: Body::Tiny, connections: SOCKETS, talk: Talk::Datagrams };
    let rows = interleaved(&contenders, work, fleet, options)?;
    let title =
        format!("{LENGTH} B datagrams and their answers over UDP, {SOCKETS} clients with {WINDOW} under way each");
    let mut outcome = Outcome { name, title, pictured: CPU, rows, findings: Vec::new() };
    let ours = fleet.headworks.len();
    if ours > 1 {
        outcome.compare(CPU, 0, 1, None);
    }
    for theirs in ours..contenders.len() {
        outcome.compare(CPU, 0, theirs, Some(1.0));
    }
    let lost = outcome.rows.iter().map(|row| lost(row, options.length())).collect::<Vec<_>>();
    outcome.findings.extend(lost);
    Ok(outcome)
}

/// Datagrams that came to nothing, of all that were sent in runs of this length.
fn lost(row: &Row, length: Duration) -> Finding {
    let answered = row.values("rate").iter().map(|rate| rate * length.as_secs_f64());
    let shares = row.values("failed").iter().zip(answered).map(|(lost, answered)| lost / (lost + answered) * 1e2);
    Finding { what: format!("datagrams lost, {}", row.name), unit: "%", value: Spread::of(shares), bar: None }
}
