//! One child process: pinned to a core, measured through /proc, ended by its handle.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::trouble::{self, Trouble};

/// The core of the proxy under test.
pub(crate) const PROXY_CORE: u32 = 0;
/// The core of the origin and the load generator.
pub(crate) const LOAD_CORE: u32 = 1;

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// A command that runs pinned to `core`, and is told to end should the bench die before it.
pub(crate) fn pinned(core: u32, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "taskset", "-c", &core.to_string()]).arg(program).stdin(Stdio::null());
    command
}

/// A running child.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// What a process and its children have used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Time on a core, of all threads.
    pub(crate) cpu: Duration,
    /// Time that threads were ready for their core while something else had it.
    pub(crate) waited: Duration,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
}

impl Process {
    /// Starts `command`; what it says goes to `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: PathBuf) -> Result<Process, Trouble> {
        let file = fs::File::create(&log).map_err(trouble::io(log.display()))?;
        let other = file.try_clone().map_err(trouble::io(log.display()))?;
        let child = command.stdout(file).stderr(other).spawn().map_err(trouble::io(format!("cannot start {name}")))?;
        Ok(Process { name: name.to_owned(), child, log })
    }

    /// Calls `ready` until it is true; an error when the process ends before that, or when it takes too long.
    pub(crate) fn wait_until(&mut self, patience: Duration, ready: impl Fn() -> bool) -> Result<(), Trouble> {
        let deadline = Instant::now() + patience;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.trouble(format!("ended at its start ({status})")));
            }
            if ready() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.trouble(format!("is not ready after {} s", patience.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Trouble> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|e| Trouble::Io(format!("signal to {}", self.name), e.into()))
    }

    /// Time and memory of the process and its children (nginx's workers) so far.
    ///
    /// Time is from the scheduler's own account in nanoseconds: ticks of 10 ms would drown a run of two seconds.
    pub(crate) fn usage(&self) -> Result<Usage, Trouble> {
        let mut total = Usage { cpu: Duration::ZERO, waited: Duration::ZERO, resident: 0 };
        for pid in self.family() {
            let folder = PathBuf::from(format!("/proc/{pid}"));
            let what = || format!("{}: {}", self.name, folder.display());
            let (cpu, waited) = scheduled(&folder).map_err(trouble::io(what()))?;
            total.cpu += cpu;
            total.waited += waited;
            total.resident += resident(&folder).map_err(trouble::io(what()))?;
        }
        Ok(total)
    }

    /// Files and sockets that the process and its children have open.
    pub(crate) fn descriptors(&self) -> usize {
        let open = |pid| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        self.family().into_iter().map(open).sum()
    }

    fn family(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        std::iter::once(own).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    }

    fn trouble(&self, why: String) -> Trouble {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let said = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
        Trouble::Start { name: self.name.clone(), why, said }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.signal(Signal::TERM);
        if !matches!(wait(&mut self.child, PATIENCE), Ok(true)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits for the end of a child, not longer than `patience`. False: it still runs.
pub(crate) fn wait(child: &mut Child, patience: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + patience;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(true)
}

/// Sums of the first two fields of `task/*/schedstat`: time on a core, time of waiting for one. A thread that ends between
/// two readings takes its share with it.
fn scheduled(process: &Path) -> io::Result<(Duration, Duration)> {
    let mut sums = [Duration::ZERO; 2];
    for task in fs::read_dir(process.join("task"))? {
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let fields = text.split_whitespace().map(|n| Duration::from_nanos(n.parse().unwrap_or_default()));
        sums.iter_mut().zip(fields).for_each(|(sum, field)| *sum += field);
    }
    Ok(sums.into())
}

fn resident(process: &Path) -> io::Result<u64> {
    let status = fs::read_to_string(process.join("status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default() * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_time_and_memory() {
        let own = Path::new("/proc/self");
        let (before, _) = scheduled(own).unwrap();
        let until = Instant::now() + Duration::from_millis(30);
        while Instant::now() < until {}
        assert!(scheduled(own).unwrap().0 > before);
        assert!(resident(own).unwrap() > 64 * 1024);
    }
}
