//! How much of what the program has for itself is used up: memory and descriptors, looked at once a second beside the
//! workers; and what each worker has found of its own time.

use std::fs;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use headworks_model::overload::Overload;
use rustix::process::{Resource, getrlimit};

use super::aside::aside;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);
/// An entry for each open descriptor.
const DESCRIPTORS: &str = "/proc/self/fd";
/// Shares are published in thousandths.
const WHOLE: f64 = 1000.0;

/// What is used up, in shares of what there is.
pub(crate) struct Pressure {
    memory: AtomicU32,
    descriptors: AtomicU32,
    /// Of each worker's time.
    time: Vec<AtomicU32>,
    /// Tasks that each worker has: a number, no share.
    tasks: Vec<AtomicU32>,
    /// Bytes that may be used; 0: any number.
    budget: AtomicU64,
    /// Microseconds that what a worker could do at once may wait.
    lag: AtomicU64,
}

fn publish(share: &AtomicU32, used: f64) {
    share.store((used * WHOLE).clamp(0.0, 1e6) as u32, Ordering::Relaxed);
}

fn read(share: &AtomicU32) -> f64 {
    f64::from(share.load(Ordering::Relaxed)) / WHOLE
}

impl Pressure {
    pub(crate) fn new(workers: usize) -> Pressure {
        Pressure {
            memory: AtomicU32::new(0),
            descriptors: AtomicU32::new(0),
            time: (0..workers).map(|_| AtomicU32::new(0)).collect(),
            tasks: (0..workers).map(|_| AtomicU32::new(0)).collect(),
            budget: AtomicU64::new(0),
            lag: AtomicU64::new(u64::MAX),
        }
    }

    /// Follows what is declared.
    pub(crate) fn configure(&self, overload: &Overload) {
        self.budget.store(overload.memory.or_else(allowed).unwrap_or(0), Ordering::Relaxed);
        self.lag.store(overload.lag.as_micros() as u64, Ordering::Relaxed);
        self.look_at_memory();
    }

    fn look_at_memory(&self) {
        let budget = self.budget.load(Ordering::Relaxed);
        let memory = if budget == 0 { 0.0 } else { resident().unwrap_or(0) as f64 / budget as f64 };
        publish(&self.memory, memory);
    }

    async fn look_at_descriptors(&self) {
        // counting takes a microsecond each, which requests would notice on a core that they share with it
        let open = match descriptors_told() {
            Some(open) => Ok(open),
            None => aside(descriptors_counted).await,
        };
        // otherwise what is known stays
        let Ok(open) = open else { return };
        let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        publish(&self.descriptors, open as f64 / most.max(1) as f64);
    }

    /// What a worker could do at once has waited so long, for a second on end.
    pub(crate) fn waited(&self, worker: usize, wait: Duration) {
        let lag = self.lag.load(Ordering::Relaxed).max(1);
        if let Some(share) = self.time.get(worker) {
            publish(share, wait.as_micros() as f64 / lag as f64);
        }
    }

    /// A worker has so many tasks that have not ended.
    pub(crate) fn has_tasks(&self, worker: usize, count: usize) {
        if let Some(tasks) = self.tasks.get(worker) {
            tasks.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed);
        }
    }

    /// Tasks of each worker.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = u32> {
        self.tasks.iter().map(|tasks| tasks.load(Ordering::Relaxed))
    }

    /// What is used up, as far as it matters to this worker.
    pub(crate) fn of_worker(&self, worker: usize) -> [f64; 3] {
        [self.time.get(worker).map_or(0.0, read), read(&self.memory), read(&self.descriptors)]
    }

    /// (what, share used up), of the worst worker.
    pub(crate) fn each(&self) -> [(&'static str, f64); 3] {
        let time = self.time.iter().map(read).fold(0.0, f64::max);
        [("time", time), ("memory", read(&self.memory)), ("descriptors", read(&self.descriptors))]
    }
}

impl Default for Pressure {
    fn default() -> Pressure {
        Pressure::new(0)
    }
}

/// Open descriptors, if the kernel says how many there are: since Linux 6.2 as the size of their folder.
fn descriptors_told() -> Option<u64> {
    fs::metadata(DESCRIPTORS).ok().map(|folder| folder.len()).filter(|open| *open > 0)
}

/// The same, counted.
pub(crate) fn descriptors_counted() -> u64 {
    fs::read_dir(DESCRIPTORS).map_or(0, Iterator::count) as u64
}

/// Bytes of memory that this process has.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Bytes of memory that the system allows this process (cgroup version 2), if it says.
fn allowed() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    fs::read_to_string(format!("/sys/fs/cgroup{own}/memory.max")).ok()?.trim().parse().ok()
}

/// One that is looked at by tasks beside the workers: two, because one of them may have to wait for what it asks.
pub(crate) fn watched(workers: usize) -> Arc<Pressure> {
    let pressure = Arc::new(Pressure::new(workers));
    let [memory, descriptors] = [(); 2].map(|()| Arc::downgrade(&pressure));
    tokio::spawn(async move {
        while let Some(pressure) = after_a_pause(&memory).await {
            pressure.look_at_memory();
        }
    });
    tokio::spawn(async move {
        while let Some(pressure) = after_a_pause(&descriptors).await {
            pressure.look_at_descriptors().await;
        }
    });
    pressure
}

/// It is time to look; none when nobody reads it any more.
async fn after_a_pause(pressure: &Weak<Pressure>) -> Option<Arc<Pressure>> {
    tokio::time::sleep(LOOK).await;
    pressure.upgrade()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_told_and_counted_alike() {
        let before = descriptors_counted();
        let open: Vec<_> = (0..300).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        assert_eq!(descriptors_counted(), before + 300);
        // the folder itself is open while it is read
        let told = descriptors_told();
        assert!(told.is_none_or(|told| told == before + 299), "{told:?}, not {before} + 299");
        drop(open);
        assert_eq!(descriptors_counted(), before);
    }
}
