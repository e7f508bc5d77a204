//! Work beside serving that takes long and that nobody waits for in a hurry, such as reading a large configuration: on a thread
//! of its own that gives way to those that serve.
//!
//! At first it runs only while a core has nothing else to do, and stops at once when one that serves wakes up (SCHED_IDLE):
//! requests do not notice. On a machine that has no time to spare it would never end, so that after a while it gets a small
//! share. That is taken in whole ticks of the scheduler, which requests do notice.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use std::{io, thread};

use rustix::process::{Pid, getpriority_process};
use rustix::thread::gettid;
use tokio::sync::oneshot;

/// How long it makes do with what is left over.
const PATIENCE: Duration = Duration::from_millis(250);
/// So much nicer than what serves it is then: it gets a quarter of what that gets, about.
const NICE: i32 = 5;
const NICEST: i32 = 19;
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
    let mut wait = pin!(wait);
    let answer = match tokio::time::timeout(PATIENCE, wait.as_mut()).await {
        Ok(answer) => answer,
        Err(_) => {
            hurry();
            wait.await
        }
    };
    match answer {
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

/// The thread's number, once it runs.
static NUMBER: OnceLock<Pid> = OnceLock::new();

fn run(take: &Receiver<Work>) {
    let number = *NUMBER.get_or_init(gettid);
    while let Ok(work) = take.recv() {
        schedule(number, libc::SCHED_IDLE);
        // whoever waits for it is told by the work itself; the next one is to be done all the same
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
}

/// Has what is done aside get on from now on, until it is done.
fn hurry() {
    if let Some(number) = NUMBER.get() {
        schedule(*number, libc::SCHED_OTHER);
    }
}

/// Has a thread of this process scheduled by this policy (sched_setattr(2)). It may not be allowed, and is done without then.
fn schedule(thread: Pid, policy: libc::c_int) {
    static BEFORE: OnceLock<i32> = OnceLock::new();
    // what the process was started with; of a single thread, on Linux (getpriority(2))
    let before = *BEFORE.get_or_init(|| getpriority_process(Some(thread)).unwrap_or(0));
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: policy as u32,
        sched_flags: 0,
        sched_nice: (before + NICE).min(NICEST),
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    #[expect(unsafe_code, reason = "neither the library of system calls nor the standard one has it")]
    // SAFETY: the kernel reads `size` bytes from a place that has as many, and keeps no reference to it.
    let set =
        unsafe { libc::syscall(libc::SYS_sched_setattr, thread.as_raw_nonzero().get(), &raw const attributes, 0) };
    if set != 0 {
        tracing::debug!(policy, error = %io::Error::last_os_error(), "what is done aside is scheduled as everything else");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields 19 and 41 of a thread's status, behind its name in parentheses: nice value and policy (proc_pid_stat(5)).
    fn schedule_of_this_thread() -> (i32, i32) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<i32> =
            stat.rsplit_once(')').unwrap().1.split_whitespace().map(|field| field.parse().unwrap_or(-1)).collect();
        (fields[16], fields[38])
    }

    #[tokio::test]
    async fn gives_way_and_answers() {
        let before = schedule_of_this_thread();
        let (schedule, answer) = aside(|| (schedule_of_this_thread(), 7)).await.unwrap();
        assert_eq!((schedule.1, answer), (libc::SCHED_IDLE, 7));
        assert_eq!(schedule_of_this_thread(), before);
    }

    /// What is not done in time gets on, and the next one gives way again.
    #[tokio::test]
    async fn gets_on_in_the_end() {
        let nice = (schedule_of_this_thread().0 + NICE).min(NICEST);
        let until = move || {
            let began = std::time::Instant::now();
            while schedule_of_this_thread() != (nice, libc::SCHED_OTHER) {
                assert!(began.elapsed() < Duration::from_secs(10), "it waits for ever");
                thread::yield_now();
            }
        };
        aside(until).await.unwrap();
        assert_eq!(aside(|| schedule_of_this_thread().1).await.unwrap(), libc::SCHED_IDLE);
    }

    #[tokio::test]
    #[should_panic(expected = "as it must be")]
    async fn panics_as_its_work_does() {
        let _ = aside(|| panic!("as it must be")).await;
    }
}
