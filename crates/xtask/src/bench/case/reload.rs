//! A file of 10,000 rules applied again and again, one of them changed each time, while requests go through. The file is written as
//! often where nobody is told of it: writing it takes time of those that ask and answer, which is not the program's doing.

use std::net::SocketAddr;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::bench::fleet::{Contender, Fleet};
use crate::bench::http::exchange;
use crate::bench::load::{Talk, Work};
use crate::bench::options::Options;
use crate::bench::origin::Body;
use crate::bench::outcome::{Finding, Measure, Outcome, P99, Row};
use crate::bench::proxy::headworks::{Headworks, Resilience, Rules};
use crate::bench::sample::{Sample, Spread};
use crate::bench::trouble::{Trouble, io};

const CONNECTIONS: u32 = 64;
/// What is asked for in a second where the worker is not to be saturated: whatever a reload takes of a core that has nothing to
/// spare, requests lack.
const RATE: u32 = 20_000;
const BETWEEN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// What is done each second.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// A new file is written.
    Write,
    /// And applied.
    Apply,
}

/// What was done to one instance so far.
struct Reloads<'a> {
    headworks: &'a Headworks,
    generation: u32,
    /// How often it was told of a file.
    told: u32,
    /// Milliseconds from request to answer of each that was asked for through the API.
    applied: Vec<f64>,
}

/// Ours, with reloads and without, in turns.
pub(crate) fn run(name: &'static str, fleet: &Fleet, options: &Options) -> Result<Outcome, Trouble> {
    let Some((_, binary)) = fleet.binaries.first() else { return Err(Trouble::Invalid("no binary".to_owned())) };
    let declared = (Rules::Many, Resilience::Plain);
    let headworks = Headworks::start(&fleet.folder, binary, "reloaded", declared, &fleet.origin, &fleet.secret)?;
    let Some(contender) = Contender::of(&headworks) else { return Err(Trouble::Invalid("no door".to_owned())) };
    let (rounds, length) = if options.quick { (2, Duration::from_secs(2)) } else { (options.runs(), options.length()) };
    let mut reloads = Reloads { headworks: &headworks, generation: 0, told: 0, applied: Vec::new() };
    let steady = Work { body: Body::Tiny, connections: CONNECTIONS, talk: Talk::Steady(RATE) };
    let works = [steady, Work::plain(Body::Tiny, CONNECTIONS)];
    let mut samples = works.map(|_| (Vec::new(), Vec::new()));
    fleet.measure(&contender, Work::plain(Body::Tiny, CONNECTIONS), Duration::from_secs(1))?;
    for _ in 0..rounds {
        for (work, (calm, busy)) in works.into_iter().zip(&mut samples) {
            for (samples, deed) in [(calm, Deed::Write), (busy, Deed::Apply)] {
                samples.push(thread::scope(|scope| {
                    let load = scope.spawn(|| fleet.measure(&contender, work, length));
                    reloads.while_runs(load, deed)
                })?);
            }
        }
    }
    reloads.check()?;
    let times = Measure { label: "apply", unit: "ms", values: reloads.applied };
    let slowest = times.spread();
    let [(calm, busy), (calm_saturated, busy_saturated)] = samples;
    let mut rows = vec![
        Row::of("no reload".to_owned(), &calm),
        Row::of("a reload each second".to_owned(), &busy),
        Row::of("no reload (saturated)".to_owned(), &calm_saturated),
        Row::of("a reload each second (saturated)".to_owned(), &busy_saturated),
    ];
    if let Some(row) = rows.last_mut() {
        row.measures.push(times);
    }
    let title = format!(
        "10,000 rules applied again each second ({} times); 128 B, 64 connections, {RATE} requests/s",
        reloads.told
    );
    let mut outcome = Outcome { name, title, pictured: P99, rows, findings: Vec::new() };
    outcome.compare(P99, 1, 0, Some(1.1));
    outcome.compare(P99, 3, 2, None);
    let value = Spread { median: slowest.max, ..slowest };
    outcome.findings.push(Finding { what: "slowest reload".to_owned(), unit: "ms", value, bar: Some(1000.0) });
    outcome.demand_no_failures();
    Ok(outcome)
}

impl Reloads<'_> {
    /// Does this each second for as long as the load lasts.
    fn while_runs(
        &mut self,
        load: ScopedJoinHandle<'_, Result<Sample, Trouble>>,
        deed: Deed,
    ) -> Result<Sample, Trouble> {
        let mut next = Instant::now() + BETWEEN / 2;
        while !load.is_finished() {
            if Instant::now() < next {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            next += BETWEEN;
            self.generation += 1;
            self.headworks.rewrite(self.generation)?;
            if deed == Deed::Apply {
                self.apply()?;
            }
        }
        load.join().map_err(|_| Trouble::Invalid("the load generator's thread died".to_owned()))?
    }

    /// Tells of the file, by signal and by API in turns.
    fn apply(&mut self) -> Result<(), Trouble> {
        self.told += 1;
        if self.told % 2 == 1 {
            return self.headworks.proxy.process.signal(Signal::HUP);
        }
        let asked = Instant::now();
        let (status, answer) = ask(self.headworks.admin, "POST", "/v1/reload")?;
        self.applied.push(asked.elapsed().as_secs_f64() * 1e3);
        match status {
            200 => Ok(()),
            _ => Err(Trouble::Invalid(format!("a reload is refused ({status}): {}", String::from_utf8_lossy(&answer)))),
        }
    }

    /// Every reload was applied, none refused.
    fn check(&self) -> Result<(), Trouble> {
        let deadline = Instant::now() + PATIENCE;
        // the configuration at the start counts as one
        let expected = u64::from(self.told) + 1;
        loop {
            let (_, answer) = ask(self.headworks.admin, "GET", "/v1/status")?;
            let status: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let count =
                |which: &str| status.pointer(&format!("/configuration/reloads/{which}")).and_then(Value::as_u64);
            match (count("applied"), count("refused")) {
                (Some(applied), Some(0)) if applied == expected => return Ok(()),
                (Some(applied), Some(0)) if applied < expected && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(50));
                }
                (applied, refused) => {
                    let what = format!("of {expected} reloads {applied:?} were applied and {refused:?} refused");
                    return Err(Trouble::Invalid(what));
                }
            }
        }
    }
}

fn ask(admin: SocketAddr, method: &str, path: &str) -> Result<(u16, Vec<u8>), Trouble> {
    exchange(admin, method, "localhost", path, PATIENCE).map_err(io(format!("{method} {path}")))
}
