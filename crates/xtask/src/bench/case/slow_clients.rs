//! What clients that are slow on purpose cost those that are not: the same load without them, and beside thousands that send a
//! head a line at a time and never end it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::fleet::{Contender, Fleet};
use crate::bench::folder::Folder;
use crate::bench::load::Work;
use crate::bench::machine::raise_descriptors;
use crate::bench::options::Options;
use crate::bench::origin::{Body, FOLDER};
use crate::bench::outcome::{Outcome, P99, Row};
use crate::bench::process::{LOAD_CORE, Process, pinned};
use crate::bench::sample::Sample;
use crate::bench::trouble::Trouble;

/// Slow clients, if descriptors allow.
const SLOW: usize = 5000;
/// Connections of those that are not.
const CONNECTIONS: u32 = 16;
/// How long slow clients may take to connect, or to be gone.
const PATIENCE: Duration = Duration::from_secs(90);

/// All proxies, without slow clients and with them, in turns.
pub(crate) fn run(name: &'static str, fleet: &Fleet, options: &Options) -> Result<Outcome, Trouble> {
    let allowed = usize::try_from(raise_descriptors()).unwrap_or(usize::MAX);
    let slow = SLOW.min(allowed.saturating_sub(1000));
    let work = Work::plain(Body::Tiny, CONNECTIONS);
    let contenders = fleet.everybody();
    for contender in &contenders {
        fleet.measure(contender, work, Duration::from_secs(1))?;
    }
    let mut samples: Vec<[Vec<Sample>; 2]> = contenders.iter().map(|_| Default::default()).collect();
    for round in 0..options.runs() as usize {
        for turn in 0..contenders.len() {
            let at = (round + turn) % contenders.len();
            let (Some(contender), Some([calm, beside])) = (contenders.get(at), samples.get_mut(at)) else { continue };
            calm.push(fleet.measure(contender, work, options.length())?);
            let clients = SlowClients::start(&fleet.folder, &fleet.programs.slowhttptest, contender, slow)?;
            beside.push(fleet.measure(contender, work, options.length())?);
            clients.end()?;
        }
    }
    let rows = contenders.iter().zip(&samples).flat_map(|(contender, [calm, beside])| {
        [Row::of(contender.name(), calm), Row::of(format!("{}, slow clients", contender.name()), beside)]
    });
    let title = format!("{} bodies, {CONNECTIONS} connections; beside {slow} slow clients", Body::Tiny.title());
    let mut outcome = Outcome { name, title, pictured: P99, rows: rows.collect(), findings: Vec::new() };
    for of in 0..contenders.len() {
        outcome.compare(P99, 2 * of + 1, 2 * of, (of == 0).then_some(1.25));
    }
    outcome.demand_no_failures();
    Ok(outcome)
}

/// slowhttptest at work on one proxy.
struct SlowClients<'a> {
    tool: Process,
    proxy: &'a Process,
    /// Files that the proxy had open before.
    before: usize,
    count: usize,
}

impl<'a> SlowClients<'a> {
    /// Starts it and waits until all its connections are open.
    fn start(
        folder: &Folder,
        program: &Path,
        contender: &Contender<'a>,
        count: usize,
    ) -> Result<SlowClients<'a>, Trouble> {
        let (proxy, address) = (contender.process(), contender.address());
        let before = proxy.descriptors();
        // the least urgent on its core: that it works beside origin and wrk is not what is to be measured
        let mut command = pinned(LOAD_CORE, Path::new("nice"));
        command
            .args(["-n", "19"])
            .arg(program)
            .args(["-H", "-t", "GET", "-i", "10", "-x", "24", "-p", "3", "-r", "1000"]);
        command.args(["-c", &count.to_string(), "-l", "600", "-u", &format!("http://{address}{FOLDER}/128")]);
        let mut tool = Process::start("slowhttptest", command, folder.at("slowhttptest.log"))?;
        // of those it had open before, some may be closed by now
        tool.wait_until(PATIENCE, || proxy.descriptors() >= count)?;
        Ok(SlowClients { tool, proxy, before, count })
    }

    /// Ends it and waits until the proxy has seen that.
    fn end(self) -> Result<(), Trouble> {
        let SlowClients { tool, proxy, before, count } = self;
        // those that were closed meanwhile slowed nobody down
        let open = proxy.descriptors();
        drop(tool);
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
