//! The bench: Headworks beside HAProxy and nginx on the same work, in turns, each pinned to the same core.
//!
//! `bench/README.md` says how the numbers are made and how to read them.

mod case;
pub(crate) mod datagrams;
mod fleet;
pub(crate) mod folder;
pub(crate) mod http;
pub(crate) mod http3;
mod load;
pub(crate) mod machine;
mod options;
mod origin;
mod outcome;
mod process;
mod proxy;
mod report;
pub(crate) mod resume;
mod sample;
pub(crate) mod steady;
pub(crate) mod trouble;
mod urgency;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use fleet::Fleet;
use machine::Programs;
use options::Options;
use report::Report;
use trouble::Trouble;
use urgency::Urgency;

/// Runs the bench with the arguments after `bench`. 0: measured, whatever the numbers say; 1: not measured; 2: usage.
pub(crate) fn main(args: impl Iterator<Item = String>) -> ExitCode {
    match Options::parse(args).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("bench: {trouble}");
            ExitCode::from(if matches!(trouble, Trouble::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn run(options: &Options) -> Result<(), Trouble> {
    if options.help {
        println!("{}", options::HELP);
        return Ok(());
    }
    let cases = case::chosen(options)?;
    if machine::cores() < 2 {
        return Err(Trouble::Missing("two cores are needed: one for the proxy, one for the load".to_owned()));
    }
    machine::raise_descriptors();
    let programs = Programs::find()?;
    let (binary, source) = match &options.binary {
        Some(path) => (path.clone(), path.display().to_string()),
        None => (machine::build()?, machine::commit()),
    };
    let _urgency = options.urgent.then(Urgency::raise).transpose()?;
    let began = Instant::now();
    let mut report = Report::begin(options, programs.versions(&binary, &source))?;
    let fleet = Fleet::start(options, binary, programs)?;
    report.settings(&fleet);
    for case in cases {
        let outcome = case.run(&fleet, options)?;
        report.add(outcome);
    }
    drop(fleet);
    report.finish(options, began.elapsed(), &results())
}

/// Where results go, whatever folder the bench is started in.
fn results() -> PathBuf {
    crate::root().join("bench/results")
}
