//! What clients that are slow on purpose cost those that are not: the same load without them, and beside thousands that send a
//! head a line at a time and never end it.

use std::time::{Duration, Instant};

use crate::bench::fleet::{Contender, Fleet};
use crate::bench::load::{Talk, Work};
use crate::bench::machine::raise_descriptors;
use crate::bench::options::Options;
use crate::bench::origin::{Body, FOLDER};
use crate::bench::outcome::{Outcome, P99, Row};
use crate::bench::process::{LOAD_CORE, Process, pinned};
use crate::bench::sample::Sample;
use crate::bench::trouble::{Trouble, io};

/// Slow clients, if descriptors allow.
const SLOW: usize = 5000;
/// Connections of those that are not, and what they ask for in a second: a proxy that is saturated has no latency of its own.
const CONNECTIONS: u32 = 16;
const RATE: u32 = 5_000;
/// Until what came with slow clients is done with.
const SETTLING: Duration = Duration::from_secs(1);
/// How long slow clients may take to connect, or to be gone.
const PATIENCE: Duration = Duration::from_secs(90);

/// All proxies, without slow clients and with them, in turns.
pub(crate) fn run(name: &'static str, fleet: &Fleet, options: &Options) -> Result<Outcome, Trouble> {
    let allowed = usize::try_from(raise_descriptors()).unwrap_or(usize::MAX);
    let slow = SLOW.min(allowed.saturating_sub(1000));
    let work = Work { body: Body::Tiny, connections: CONNECTIONS, talk: Talk::Steady(RATE) };
    let contenders = fleet.everybody();
    for contender in &contenders {
        fleet.measure(contender, work, SETTLING)?;
    }
    let mut samples: Vec<[Vec<Sample>; 2]> = contenders.iter().map(|_| Default::default()).collect();
    for round in 0..options.runs() as usize {
        for turn in 0..contenders.len() {
            let at = (round + turn) % contenders.len();
            let (Some(contender), Some([calm, beside])) = (contenders.get(at), samples.get_mut(at)) else { continue };
            calm.push(fleet.measure(contender, work, options.length())?);
            let clients = SlowClients::start(fleet, contender, slow)?;
            // that thousands come at once is not what is to be measured
            fleet.measure(contender, work, SETTLING)?;
            beside.push(fleet.measure(contender, work, options.length())?);
            clients.end()?;
        }
    }
    let rows = contenders.iter().zip(&samples).flat_map(|(contender, [calm, beside])| {
        [Row::of(contender.name(), calm), Row::of(format!("{}, slow clients", contender.name()), beside)]
    });
    let title = format!(
        "{} bodies, {RATE} requests/s on {CONNECTIONS} connections; beside {slow} slow clients",
        Body::Tiny.title()
    );
    let mut outcome = Outcome { name, title, pictured: P99, rows: rows.collect(), findings: Vec::new() };
    for of in 0..contenders.len() {
        outcome.compare(P99, 2 * of + 1, 2 * of, (of == 0).then_some(1.25));
    }
    outcome.demand_no_failures();
    Ok(outcome)
}

/// Slow clients of one proxy.
struct SlowClients<'a> {
    crowd: Process,
    proxy: &'a Process,
    /// Files that the proxy had open before.
    before: usize,
    count: usize,
}

impl<'a> SlowClients<'a> {
    /// Starts them and waits until all their connections are open.
    fn start(fleet: &Fleet, contender: &Contender<'a>, count: usize) -> Result<SlowClients<'a>, Trouble> {
        let (proxy, address) = (contender.process(), contender.address());
        let before = proxy.descriptors();
        let own = std::env::current_exe().map_err(io("xtask"))?;
        let mut command = pinned(LOAD_CORE, &own);
        command.args(["dawdle", &address.to_string(), &format!("{FOLDER}/128"), &count.to_string()]);
        let mut crowd = Process::start("slow clients", command, fleet.folder.at("dawdle.log"))?;
        // of those it had open before, some may be closed by now
        crowd.wait_until(PATIENCE, || proxy.descriptors() >= count)?;
        Ok(SlowClients { crowd, proxy, before, count })
    }

    /// Ends it and waits until the proxy has seen that.
    fn end(self) -> Result<(), Trouble> {
        let SlowClients { crowd, proxy, before, count } = self;
        // those that were closed meanwhile slowed nobody down
        let open = proxy.descriptors();
        drop(crowd);
        if open < count * 9 / 10 {
            return Err(Trouble::Invalid(format!("{open} files were open at the end, of {count} slow clients")));
        }
        let deadline = Instant::now() + PATIENCE;
        while proxy.descriptors() > before + count / 10 {
            if Instant::now() > deadline {
                return Err(Trouble::Invalid("slow clients that have gone are not noticed".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}
