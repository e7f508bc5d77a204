//! What a connection costs on which nothing happens: memory of the process before and after many were opened.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::bench::fleet::Fleet;
use crate::bench::http::ask_on;
use crate::bench::machine::raise_descriptors;
use crate::bench::options::Options;
use crate::bench::origin::{Body, HOST};
use crate::bench::outcome::{Finding, Measure, Outcome, Row};
use crate::bench::proxy::headworks::{Headworks, Resilience, Rules};
use crate::bench::proxy::{Proxy, haproxy, nginx};
use crate::bench::sample::Spread;
use crate::bench::trouble::{Trouble, io};

/// Connections to open, if descriptors allow.
const CONNECTIONS: usize = 10_000;
/// Opened and counted as memory of the start: what any first requests need.
const FIRST: usize = 16;
/// Memory hardly changes from run to run.
const MOST_RUNS: u32 = 3;
/// What a proxy holds for a moment after an answer may be gone by then.
const SETTLE: Duration = Duration::from_millis(1200);

const BYTES: &str = "memory";

/// All proxies, started anew for each run.
pub(crate) fn run(name: &'static str, fleet: &Fleet, options: &Options) -> Result<Outcome, Trouble> {
    let allowed = usize::try_from(raise_descriptors()).unwrap_or(usize::MAX);
    let connections = CONNECTIONS.min(allowed.saturating_sub(1000));
    let (origin, programs) = (&fleet.origin, &fleet.programs);
    let folder = &fleet.folder.within("idle")?;
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..options.runs().min(MOST_RUNS) {
        for (who, binary) in &fleet.binaries {
            let ours = Headworks::start(folder, binary, who, (Rules::One, Resilience::Plain), origin, &fleet.secret)?;
            add(&mut rows, &ours.proxy, connections)?;
        }
        add(&mut rows, &haproxy::start(folder, &programs.haproxy, origin, &fleet.secret)?, connections)?;
        add(&mut rows, &nginx::start(folder, &programs.nginx, origin, &fleet.secret)?, connections)?;
    }
    let title = format!("{} idle connections, each after one request", grouped(connections));
    let mut outcome = Outcome { name, title, pictured: BYTES, rows, findings: Vec::new() };
    let ours = outcome.rows.first().map(|row| Spread::of(row.values(BYTES).iter().copied()));
    let what = "memory of an idle connection".to_owned();
    let finding = ours.map(|value| Finding { what, unit: "KiB", value, bar: Some(4.0) });
    outcome.findings.extend(finding);
    Ok(outcome)
}

fn add(rows: &mut Vec<Row>, proxy: &Proxy, connections: usize) -> Result<(), Trouble> {
    let [each, before, after] = measure(proxy, connections)?;
    let measures = [(BYTES, "KiB/connection", each), ("before", "MiB", before), ("after", "MiB", after)];
    let measures = measures.map(|(label, unit, value)| Measure { label, unit, values: vec![value] });
    match rows.iter_mut().find(|row| row.name == proxy.name) {
        Some(row) => row.measures.iter_mut().zip(measures).for_each(|(all, new)| all.values.extend(new.values)),
        None => rows.push(Row { name: proxy.name.clone(), measures: measures.into() }),
    }
    Ok(())
}

fn measure(proxy: &Proxy, connections: usize) -> Result<[f64; 3], Trouble> {
    let address = proxy.doors.first().map(|door| door.address);
    let address = address.ok_or_else(|| Trouble::Invalid(format!("{} listens nowhere", proxy.name)))?;
    let mut open = Vec::with_capacity(connections);
    let mut scratch = vec![0; 64 * 1024];
    let first = FIRST.min(connections);
    for _ in 0..first {
        open.push(asked(proxy, address, &mut scratch)?);
    }
    let before = proxy.process.usage()?.resident;
    for _ in first..connections {
        open.push(asked(proxy, address, &mut scratch)?);
    }
    std::thread::sleep(SETTLE);
    let after = proxy.process.usage()?.resident;
    // that they are still open is the point
    for stream in open.iter_mut().rev().take(FIRST) {
        let good = ask_on(stream, HOST, &Body::Tiny.path(), &mut scratch).map_err(io("an idle connection"))?;
        if !good {
            return Err(Trouble::Invalid(format!("{} answers an idle connection with an error", proxy.name)));
        }
    }
    let each = after.saturating_sub(before) as f64 / (connections - first).max(1) as f64 / 1024.0;
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Ok([each, mebibytes(before), mebibytes(after)])
}

fn asked(proxy: &Proxy, address: SocketAddr, scratch: &mut [u8]) -> Result<TcpStream, Trouble> {
    let patience = Duration::from_secs(5);
    let what = || format!("a connection to {}", proxy.name);
    let mut stream = TcpStream::connect_timeout(&address, patience).map_err(io(what()))?;
    stream.set_read_timeout(Some(patience)).map_err(io(what()))?;
    match ask_on(&mut stream, HOST, &Body::Tiny.path(), scratch).map_err(io(what()))? {
        true => Ok(stream),
        false => Err(Trouble::Invalid(format!("{} answers with an error", proxy.name))),
    }
}

/// A number with a comma before its last three digits.
fn grouped(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
}
