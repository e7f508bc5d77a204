//! The same requests through every proxy, in turns.

use std::time::Duration;

use crate::bench::fleet::{Contender, Fleet};
use crate::bench::load::{Talk, Work};
use crate::bench::options::Options;
use crate::bench::origin::Body;
use crate::bench::outcome::{CPU, Outcome, Row};
use crate::bench::sample::{Sample, Spread};
use crate::bench::trouble::Trouble;

/// Long enough for connections, pools and caches to be there.
const WARM_UP: Duration = Duration::from_secs(1);
/// Runs of each door before one is chosen.
const TRIALS: u32 = 3;

/// All proxies on the same work.
pub(crate) fn run(name: &'static str, work: Work, fleet: &Fleet, options: &Options) -> Result<Outcome, Trouble> {
    let Work { body, connections, talk } = work;
    let contenders: Vec<Contender<'_>> = match (talk, body) {
        (Talk::Plain, Body::Bulk) => {
            fleet.everybody().into_iter().map(|c| cheapest(c, fleet, body)).collect::<Result<_, _>>()?
        }
        (Talk::Http3, _) => fleet.speaking_http3(),
        _ => fleet.everybody(),
    };
    let rows = interleaved(&contenders, work, fleet, options)?;
    let how = match talk {
        Talk::Plain | Talk::Steady(_) => "",
        Talk::Secure => ", TLS 1.3",
        Talk::Handshakes => ", TLS 1.3, a full handshake each",
        Talk::Resumed => ", TLS 1.3, a resumed session each",
        Talk::Grpc => ", unary gRPC calls over TLS 1.3, 16 streams each",
        Talk::Http2 => ", HTTP/2 over TLS 1.3, 16 streams each",
        Talk::Http3 => ", HTTP/3, 16 streams each",
        Talk::Carried => ", carried over TCP",
        Talk::CarriedOnce => ", carried over TCP, a connection for each",
        Talk::Datagrams => ", carried over UDP",
    };
    let title = format!("{} bodies, {connections} {}{how}", body.title(), plural(connections));
    let mut outcome = Outcome { name, title, pictured: CPU, rows, findings: Vec::new() };
    // one peer speaks HTTP/3, two the rest
    let peers = contenders.len().saturating_sub(if talk == Talk::Http3 { 1 } else { 2 });
    if peers > 1 {
        outcome.compare(CPU, 0, 1, None);
    }
    let (haproxy, nginx) = match (talk, body, connections) {
        (Talk::Plain, Body::Tiny, 64) => (Some(0.75), Some(0.85)),
        (Talk::Plain, Body::Bulk, _) => (Some(0.70), None),
        (Talk::Secure, ..) => (Some(0.70), Some(0.70)),
        (Talk::Handshakes, ..) => (Some(1.0), Some(1.0)),
        (Talk::Http2, ..) => (Some(0.90), Some(0.65)),
        (Talk::Carried, Body::Bulk, _) => (Some(0.85), Some(0.85)),
        (Talk::CarriedOnce, ..) => (Some(0.90), None),
        _ => (None, None),
    };
    outcome.compare(CPU, 0, peers, haproxy);
    if talk != Talk::Http3 {
        outcome.compare(CPU, 0, peers + 1, nginx);
    }
    outcome.demand_no_failures();
    Ok(outcome)
}

/// Measures all contenders `runs` times, in turns; who begins changes with each round.
pub(crate) fn interleaved(
    contenders: &[Contender<'_>],
    work: Work,
    fleet: &Fleet,
    options: &Options,
) -> Result<Vec<Row>, Trouble> {
    for contender in contenders {
        fleet.measure(contender, work, WARM_UP)?;
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); contenders.len()];
    for round in 0..options.runs() as usize {
        for turn in 0..contenders.len() {
            let at = (round + turn) % contenders.len();
            let (Some(contender), Some(own)) = (contenders.get(at), samples.get_mut(at)) else { continue };
            own.push(fleet.measure(contender, work, options.length())?);
        }
    }
    Ok(contenders.iter().zip(&samples).map(|(contender, own)| Row::of(contender.name(), own)).collect())
}

/// The door by which a proxy needs the least for this body: a peer is given its better setting.
fn cheapest<'a>(contender: Contender<'a>, fleet: &Fleet, body: Body) -> Result<Contender<'a>, Trouble> {
    let doors: Vec<Contender<'a>> = contender.doors().collect();
    if doors.len() < 2 {
        return Ok(contender);
    }
    let mut best = (f64::INFINITY, contender);
    let mut costs = vec![Vec::new(); doors.len()];
    for _ in 0..TRIALS {
        for (door, costs) in doors.iter().zip(&mut costs) {
            costs.push(fleet.measure(door, Work::plain(body, 64), WARM_UP)?.cpu_micros);
        }
    }
    for (door, costs) in doors.iter().zip(costs) {
        let cost = Spread::of(costs).median;
        println!("  {}: {cost:.0} µs/request on trial", door.name());
        if cost < best.0 {
            best = (cost, *door);
        }
    }
    Ok(best.1)
}

fn plural(connections: u32) -> &'static str {
    if connections == 1 { "connection" } else { "connections" }
}
