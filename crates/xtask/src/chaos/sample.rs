//! What the program holds while a run goes on: memory, descriptors, threads, tasks.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::http::exchange;

/// Between two looks.
const STEP: Duration = Duration::from_secs(1);

/// What is held at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at: Duration,
    /// Resident memory in KiB.
    pub(super) resident: u64,
    pub(super) descriptors: u64,
    pub(super) threads: u64,
    /// Of all workers.
    pub(super) tasks: u64,
}

impl Sample {
    fn take(pid: i32, admin: SocketAddr, at: Duration) -> Option<Sample> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        let (_, metrics) = exchange(admin, "GET", "localhost", "/metrics", STEP * 5).ok()?;
        let tasks = tasks(&String::from_utf8_lossy(&metrics))?;
        Some(Sample { at, resident: number("VmRSS:")?, descriptors, threads: number("Threads:")?, tasks })
    }
}

/// Looks at a process until `is_over`, or until it is gone; a look at which it does not tell all is none.
pub(super) fn samples(pid: i32, admin: SocketAddr, begun: Instant, is_over: &AtomicBool) -> Vec<Sample> {
    let mut samples = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        if !Path::new(&format!("/proc/{pid}")).exists() {
            break;
        }
        samples.extend(Sample::take(pid, admin, begun.elapsed()));
        thread::sleep(STEP);
    }
    samples
}

/// The sum over workers, by the program's metrics.
fn tasks(metrics: &str) -> Option<u64> {
    let workers = metrics.lines().filter(|line| line.starts_with("headworks_worker_tasks{"));
    let counts = workers.map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    counts.sum::<Option<f64>>().filter(|sum| *sum > 0.0).map(|sum| sum as u64)
}

/// Something that must not grow.
struct Measure {
    what: &'static str,
    of: fn(&Sample) -> u64,
    /// What comes and goes.
    slack: u64,
}

/// What grows without an end: the most that was held in the last quarter of a run is more than in the second by more than what
/// comes and goes. Of the first quarter nothing is said, for then everything is met for the first time.
pub(super) fn growth(samples: &[Sample]) -> Vec<String> {
    let quarter = samples.len() / 4;
    let most = |from: usize, of: fn(&Sample) -> u64| {
        samples.get(from..(from + quarter).min(samples.len())).unwrap_or_default().iter().map(of).max().unwrap_or(0)
    };
    let last = samples.len() - quarter;
    let measures = [
        Measure { what: "KiB of memory", of: |sample| sample.resident, slack: 4096 },
        Measure { what: "descriptors", of: |sample| sample.descriptors, slack: 32 },
        Measure { what: "threads", of: |sample| sample.threads, slack: 0 },
        Measure { what: "tasks", of: |sample| sample.tasks, slack: 64 },
    ];
    let grown = measures.into_iter().filter_map(|Measure { what, of, slack }| {
        let (early, late) = (most(quarter, of), most(last, of));
        (late > early + early / 20 + slack)
            .then(|| format!("{what}: {early} in the second quarter, {late} in the last"))
    });
    grown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_those_of_all_workers() {
        let metrics = "# TYPE headworks_worker_tasks gauge\nheadworks_worker_tasks{worker=\"0\"} 12.0\nheadworks_worker_tasks{worker=\"1\"} 30\n";
        assert_eq!(tasks(metrics), Some(42));
        assert_eq!(tasks("headworks_other 1\n"), None);
    }

    #[test]
    fn what_grows_is_told_from_what_comes_and_goes() {
        let run = |resident: fn(u64) -> u64, descriptors: fn(u64) -> u64| {
            let sample =
                |n| Sample { at: STEP, resident: resident(n), descriptors: descriptors(n), threads: 4, tasks: 90 };
            growth(&(0..400).map(sample).collect::<Vec<_>>())
        };
        assert_eq!(run(|n| 50_000 + n % 7 * 900, |n| 100 + n % 40), Vec::<String>::new());
        assert_eq!(run(|n| 20_000 + n.min(90) * 300, |_| 100), Vec::<String>::new(), "a start is no growth");
        assert_eq!(
            run(|n| 50_000 + n * 60, |_| 100),
            ["KiB of memory: 61940 in the second quarter, 73940 in the last"]
        );
        assert_eq!(run(|_| 50_000, |n| 100 + n), ["descriptors: 299 in the second quarter, 499 in the last"]);
    }
}
