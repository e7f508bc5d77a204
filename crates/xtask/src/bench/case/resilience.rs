//! What it costs to have everything against failures and overload switched on, while nothing fails.

use super::throughput::interleaved;
use crate::bench::fleet::{Contender, Fleet};
use crate::bench::load::Work;
use crate::bench::options::Options;
use crate::bench::origin::Body;
use crate::bench::outcome::{CPU, Outcome};
use crate::bench::proxy::headworks::{Headworks, Resilience, Rules};
use crate::bench::trouble::Trouble;

/// The most that it may add to a request.
const BAR: f64 = 1.03;

/// Ours against ours.
pub(crate) fn run(name: &'static str, fleet: &Fleet, options: &Options) -> Result<Outcome, Trouble> {
    let start = |(name, program): &(&str, std::path::PathBuf)| {
        let declared = (Rules::One, Resilience::Everything);
        Headworks::start(&fleet.folder, program, &format!("{name}, all on"), declared, &fleet.origin, &fleet.secret)
    };
    let all_on: Vec<Headworks> = fleet.binaries.iter().map(start).collect::<Result<_, _>>()?;
    let contenders: Vec<Contender<'_>> = fleet.headworks.iter().chain(&all_on).filter_map(Contender::of).collect();
    let rows = interleaved(&contenders, Work::plain(Body::Tiny, 64), fleet, options)?;
    let title = "retries, breaker, limits, deadlines and fallback, and none of them; 128 B, 64 connections".to_owned();
    let mut outcome = Outcome { name, title, pictured: CPU, rows, findings: Vec::new() };
    let binaries = fleet.headworks.len();
    for binary in 0..binaries {
        outcome.compare(CPU, binaries + binary, binary, Some(BAR));
    }
    outcome.demand_no_failures();
    Ok(outcome)
}
