//! Chaos: a load of a fixed rate while everything behind the program, and the program itself, is killed, frozen, exchanged.
//!
//! What happens when is a script made from a seed. Every request is told of once; those that fail are laid beside what was going on, and
//! a run passes when nothing failed that must not. The rules of that are in [`verdict`].

mod picture;
mod record;
mod sample;
mod script;
pub(crate) mod target;
mod traffic;
mod verdict;
mod verifier;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::record::Record;
use self::sample::Sample;
use self::script::{Deed, script};
use self::traffic::ALL;
use self::verdict::Verdict;
use self::world::{TARGETS, World};
use crate::bench::machine::raise_descriptors;
use crate::bench::trouble::{Trouble, io};
use crate::steady::{Told, run};

const HELP: &str =
    "usage: cargo run -p xtask -- chaos --binary FILE [--seconds N] [--rate N] [--upgrades N] [--seed N] [--out FOLDER]

  --binary FILE   the program
  --seconds N     how long (60)
  --rate N        requests a second, of all kinds of traffic together (5000)
  --upgrades N    how often the process is replaced (10)
  --seed N        another script (1)
  --soak          replaces no process, and looks whether the program holds ever more: memory, descriptors, threads, tasks
  --out FOLDER    where chaos.svg and chaos.json are written";

/// The program's clock and ours say of a request what differs by so much.
const ABOUT: Duration = Duration::from_millis(50);
const SECONDS_A_DAY: u64 = 86_400;
/// How long one request may take, all attempts together.
const PATIENCE: Duration = Duration::from_secs(5);

struct Options {
    binary: PathBuf,
    length: Duration,
    rate: u32,
    upgrades: u32,
    seed: u64,
    soak: bool,
    out: Option<PathBuf>,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, Trouble> {
        let (binary, length) = (PathBuf::new(), Duration::from_secs(60));
        let mut options = Options { binary, length, rate: 5000, upgrades: 10, seed: 1, soak: false, out: None };
        while let Some(name) = args.next() {
            if matches!(name.as_str(), "--help" | "-h") {
                return Ok(None);
            }
            if name == "--soak" {
                (options.soak, options.upgrades) = (true, 0);
                continue;
            }
            let value = args.next().ok_or_else(|| Trouble::Usage(format!("{name} needs a value; see --help")))?;
            let number = || value.parse::<u32>().map_err(|_| Trouble::Usage(format!("{name}: {value} is no number")));
            match name.as_str() {
                "--binary" => options.binary = PathBuf::from(&value),
                "--seconds" => options.length = Duration::from_secs(number()?.into()),
                "--rate" => options.rate = number()?,
                "--upgrades" => options.upgrades = number()?,
                "--seed" => options.seed = number()?.into(),
                "--out" => options.out = Some(PathBuf::from(&value)),
                _ => return Err(Trouble::Usage(format!("{name} is not known; see --help"))),
            }
        }
        if options.binary.as_os_str().is_empty() {
            return Err(Trouble::Usage("--binary is needed; see --help".to_owned()));
        }
        options.binary = std::path::absolute(&options.binary).unwrap_or(options.binary);
        Ok(Some(options))
    }
}

/// Runs it. 0: nothing failed that must not; 1: something did, or there was no run; 2: usage.
pub(crate) fn main(args: impl Iterator<Item = String>) -> ExitCode {
    let run = || match Options::parse(args)? {
        None => {
            println!("{HELP}");
            Ok(true)
        }
        Some(options) => chaos(&options),
    };
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(trouble) => {
            eprintln!("chaos: {trouble}");
            ExitCode::from(if matches!(trouble, Trouble::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn chaos(options: &Options) -> Result<bool, Trouble> {
    raise_descriptors();
    let mut world = World::start(&options.binary)?;
    let (record, begun) = (Arc::new(Mutex::new(Record::default())), Instant::now());
    let mut loads = Vec::new();
    for (n, traffic) in ALL.iter().enumerate() {
        let (load, record) = (traffic.load(&world, begun, options.rate, options.length)?, record.clone());
        let tell = move |told| record.lock().unwrap_or_else(PoisonError::into_inner).add(n, told);
        loads.push(thread::spawn(move || run(&load, tell)));
    }
    let (pid, admin, is_over) = (world.pid(), world.admin, Arc::new(AtomicBool::new(false)));
    let looking = options.soak.then(|| {
        let is_over = is_over.clone();
        thread::spawn(move || sample::samples(pid, admin, begun, &is_over))
    });
    let done = act(&mut world, options, begun);
    for load in loads {
        load.join().map_err(|_| panicked())?.map_err(io("load"))?;
    }
    is_over.store(true, Ordering::Relaxed);
    let samples = looking.map_or(Ok(Vec::new()), JoinHandle::join).map_err(|_| panicked())?;
    let done = done?;
    let (status, complaints) = (world.status()?, world.complaints());
    let record = Arc::try_unwrap(record).ok().and_then(|record| record.into_inner().ok()).ok_or_else(panicked)?;
    let Verdict { mut faults, wronged } = verdict::judge(&record, &done, &status, &complaints);
    let said = failures(&world, &wronged, begun);
    drop(world);
    record.table(&done, options.length).iter().for_each(|line| println!("{line}"));
    if let Some(Sample { resident, descriptors, threads, tasks, .. }) = samples.last() {
        println!("at the end {resident} KiB resident, {descriptors} descriptors, {threads} threads, {tasks} tasks");
    }
    write(options, &record, &done)?;
    faults.extend(sample::growth(&samples));
    let looks = samples.len() as u64;
    if options.soak && looks < options.length.as_secs() / 2 {
        faults.push(format!("the program was looked at {looks} times only"));
    }
    faults.iter().for_each(|fault| println!("FAIL  {fault}"));
    said.iter().for_each(|line| println!("the access log says: {line}"));
    if faults.is_empty() {
        println!("PASS  {} requests, seed {}", record.count(), options.seed);
    }
    Ok(faults.is_empty())
}

/// What the program itself says of these requests, so that a failure that comes once a day need not be waited for again.
fn failures(world: &World, wronged: &[&Told], begun: Instant) -> Vec<String> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(begun.elapsed());
    let begun = Duration::new(unix.as_secs() % SECONDS_A_DAY, unix.subsec_nanos());
    world.failures(|at| {
        let at = at.saturating_sub(begun);
        // a line has the time at which its request came, which may have waited for a connection before
        wronged.iter().any(|told| at + ABOUT > told.due && at < told.due + told.took + ABOUT)
    })
}

fn panicked() -> Trouble {
    Trouble::Invalid("a thread ended by a panic".to_owned())
}

/// Leaves picture and numbers where they were asked for.
fn write(options: &Options, record: &Record, done: &[Done]) -> Result<(), Trouble> {
    let Some(out) = &options.out else { return Ok(()) };
    for (name, text) in [
        ("chaos.svg", picture::of(record, done, options.length)),
        ("chaos.json", record.to_json(done, options.length).to_string()),
    ] {
        let path = out.join(name);
        std::fs::write(&path, text).map_err(io(path.display()))?;
    }
    Ok(())
}

/// What was done, from when to when.
#[derive(Clone, Copy, Debug)]
struct Done {
    deed: Deed,
    from: Duration,
    to: Duration,
}

/// Follows the script to its end.
fn act(world: &mut World, options: &Options, begun: Instant) -> Result<Vec<Done>, Trouble> {
    let mut agenda: Vec<(Duration, Deed, bool)> = Vec::new();
    for (at, deed) in script(options.seed, options.length, TARGETS, options.upgrades) {
        agenda.push((at, deed, true));
        agenda.extend(deed.lasts().map(|lasts| (at + lasts, deed, false)));
    }
    agenda.sort_by_key(|(at, ..)| *at);
    let mut done: Vec<Done> = Vec::new();
    for (at, deed, is_begin) in agenda {
        thread::sleep(at.saturating_sub(begun.elapsed()));
        let from = begun.elapsed();
        if is_begin {
            world.doing(deed)?;
            done.push(Done { deed, from, to: begun.elapsed() });
        } else {
            world.undoing(deed)?;
            if let Some(last) = done.iter_mut().rev().find(|done| done.deed == deed) {
                last.to = begun.elapsed();
            }
        }
    }
    Ok(done)
}
