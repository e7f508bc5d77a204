//! Work beside serving that takes long and that nobody waits for in a hurry, such as reading a large configuration: on a thread
//! of its own that gives way to those that serve.
//!
//! It has a small share of a core that they want, too, and takes it in pieces that are short beside a request. Where a core has
//! nothing else to do, it has all of that one.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{io, thread};

use tokio::sync::oneshot;

/// So much nicer than what serves: it gets a sixth of what that gets, about. Less would keep a reload waiting for seconds on a machine
/// that has no time to spare.
const NICE: i32 = 8;
const NICEST: i32 = 19;
/// How long it runs while others want to, in nanoseconds (sched_setattr(2), from Linux 6.12 on): the least that there is.
const SLICE: u64 = 100_000;
/// Work that waits for its turn. Those who ask wait for what they have asked for, so that there hardly ever is any.
const WAITING: usize = 64;

type Work = Box<dyn FnOnce() + Send>;

/// Has this done aside, and waits for what comes of it.
///
/// # Errors
/// When there is no thread for it.
///
/// # Panics
/// When the work does.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (done, wait) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
    give(Box::new(move || {
        // nobody may be waiting any more
        let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
    }))?;
    match wait.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => Err(io::Error::other("the thread has ended")),
    }
}

/// Takes this apart aside: what is large takes its time to be freed.
pub fn discard<T: Send + 'static>(value: T) {
    // without a thread, or a place in its queue, it is taken apart here
    let _ = give(Box::new(move || drop(value)));
}

/// Hands work to the thread, which is the same for all of it: what it has freed it can use again.
fn give(work: Work) -> io::Result<()> {
    static THREAD: OnceLock<Result<SyncSender<Work>, io::ErrorKind>> = OnceLock::new();
    let started = THREAD.get_or_init(|| {
        let (give, take) = sync_channel(WAITING);
        let thread = thread::Builder::new().name("aside".to_owned()).spawn(move || run(&take));
        thread.map(|_| give).map_err(|error| error.kind())
    });
    let thread = started.as_ref().map_err(|kind| io::Error::from(*kind))?;
    thread.try_send(work).map_err(|_| io::Error::other("there is too much to do aside"))
}

fn run(take: &Receiver<Work>) {
    give_way();
    while let Ok(work) = take.recv() {
        // whoever waits for it is told by the work itself; the next one is to be done all the same
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
}

/// Has this thread give way to others from now on, for good.
fn give_way() {
    // of this thread only, on Linux (getpriority(2))
    let before = rustix::process::getpriority_process(None).unwrap_or(0);
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_BATCH as u32,
        sched_flags: 0,
        sched_nice: (before + NICE).min(NICEST),
        sched_priority: 0,
        sched_runtime: SLICE,
        sched_deadline: 0,
        sched_period: 0,
    };
    #[expect(unsafe_code, reason = "neither the library of system calls nor the standard one has it")]
    // SAFETY: the kernel reads `size` bytes from a place that has as many, and keeps no reference to it; 0 is this thread.
    let given = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if given != 0 {
        let _ = rustix::process::nice(NICE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seventeenth field behind the name, in parentheses, is the nice value (proc_pid_stat(5)).
    fn nice_of_this_thread() -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn gives_way_and_answers() {
        let before = nice_of_this_thread();
        let (nice, answer) = aside(|| (nice_of_this_thread(), 7)).await.unwrap();
        assert_eq!((nice, answer, nice_of_this_thread()), ((before + NICE).min(NICEST), 7, before));
    }

    #[tokio::test]
    #[should_panic(expected = "as it must be")]
    async fn panics_as_its_work_does() {
        let _ = aside(|| panic!("as it must be")).await;
    }
}
