//! What the number of rules costs: the same request, matched by the only rule and by the last of 10,000.

use super::throughput::interleaved;
use crate::bench::fleet::{Contender, Fleet};
use crate::bench::load::Work;
use crate::bench::options::Options;
use crate::bench::origin::Body;
use crate::bench::outcome::{CPU, Outcome};
use crate::bench::trouble::Trouble;

/// Ours against ours.
pub(crate) fn run(name: &'static str, fleet: &Fleet, options: &Options) -> Result<Outcome, Trouble> {
    let contenders: Vec<Contender<'_>> =
        fleet.headworks.iter().chain(&fleet.scaled).filter_map(Contender::of).collect();
    let rows = interleaved(&contenders, Work::plain(Body::Tiny, 64), fleet, options)?;
    let title = "1 and 10,000 rules, the last matches; hosts and paths, 128 B, 64 connections".to_owned();
    let mut outcome = Outcome { name, title, pictured: CPU, rows, findings: Vec::new() };
    let binaries = fleet.headworks.len();
    for binary in 0..binaries {
        outcome.compare(CPU, binaries + binary, binary, Some(1.1));
    }
    outcome.demand_no_failures();
    Ok(outcome)
}
