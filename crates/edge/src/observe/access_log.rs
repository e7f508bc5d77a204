//! The access log: lines are made in the worker, written by one thread, and dropped (and counted) rather than waited for.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use headworks_model::load_balancer::AccessLogFormat;

use super::flow::{self, Ended, FlowRecord, Names};
use super::log_line::{Context, Line};
use super::record::Record;
use super::time::{Anchor, Stamps};

/// A worker's buffer is handed over when it has grown to this, and at every tick: large enough that waking the writer
/// costs nothing a line, small enough to stay in the cache until it is written.
const HAND_OVER: usize = 120 * 1024;
/// Room for the line that goes over it.
const BUFFER: usize = HAND_OVER + 8 * 1024;
/// Written buffers that wait to be used again, for each worker.
const SPARES: usize = 8;
/// Buffers that may wait for the disk; with these full, lines are dropped.
const QUEUE: usize = 256;

enum Job {
    /// Lines for a file, and where their buffer goes back to: fresh memory for each would cost more than the lines.
    Lines(PathBuf, Vec<u8>, SyncSender<Vec<u8>>),
    Reopen,
    Flush(SyncSender<()>),
}

/// The writer thread's door; cheap to clone.
#[derive(Clone)]
pub struct LogWriter(SyncSender<Job>);

impl LogWriter {
    /// Starts the thread. It ends when the last door is dropped, with everything written.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start() -> io::Result<LogWriter> {
        let (sender, jobs) = sync_channel(QUEUE);
        std::thread::Builder::new().name("access-log".into()).spawn(move || write(&jobs))?;
        Ok(LogWriter(sender))
    }

    /// Opens every file anew, for rotation.
    pub fn reopen(&self) {
        // a full queue means that the disk is stuck; a rotation can wait with it, but not the caller
        if self.0.try_send(Job::Reopen).is_err() {
            tracing::warn!("access log is behind, files were not reopened");
        }
    }

    /// Waits, up to `wait`, until what was handed over so far is written.
    pub fn flush(&self, wait: Duration) {
        let (done, waiter) = sync_channel(1);
        if self.0.try_send(Job::Flush(done)).is_ok() {
            let _ = waiter.recv_timeout(wait);
        }
    }
}

/// Checks that a log can be written, before a configuration that asks for it is accepted.
///
/// # Errors
/// Those of creating the folder and opening the file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn write(jobs: &Receiver<Job>) {
    let mut files: HashMap<PathBuf, File> = HashMap::new();
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Lines(path, mut lines, back) => {
                let file = match files.get_mut(&path) {
                    Some(file) => file,
                    None => match open(&path) {
                        Ok(file) => files.entry(path).or_insert(file),
                        Err(error) => {
                            tracing::error!(path = %path.display(), %error, "cannot open access log");
                            continue;
                        }
                    },
                };
                if let Err(error) = file.write_all(&lines) {
                    tracing::error!(%error, "cannot write access log");
                }
                lines.clear();
                let _ = back.try_send(lines);
            }
            Job::Reopen => files.clear(),
            Job::Flush(done) => drop(done.send(())),
        }
    }
}

/// Where the lines of one load balancer go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogTarget {
    pub(crate) path: PathBuf,
    pub(crate) format: AccessLogFormat,
    /// Of 2^64; a request is logged when a random number is below.
    pub(crate) sample: Option<u64>,
}

/// One worker's side of the log.
pub(crate) struct Lines {
    door: Door,
    buffers: Vec<(PathBuf, Vec<u8>)>,
    stamps: Stamps,
    anchor: Anchor,
}

impl Lines {
    pub(crate) fn new(writer: LogWriter) -> Lines {
        let (back, spares) = sync_channel(SPARES);
        let door = Door { writer, back, spares };
        Lines { door, buffers: Vec::new(), stamps: Stamps::default(), anchor: Anchor::now() }
    }

    /// Hands over what there is. The number of lines that had to be dropped.
    pub(crate) fn tick(&mut self) -> u64 {
        self.anchor = Anchor::now();
        let mut dropped = 0;
        for (path, buffer) in &mut self.buffers {
            if !buffer.is_empty() {
                dropped += self.door.hand_over(path, buffer);
            }
        }
        dropped
    }

    /// Adds the line of one request. The number of lines that had to be dropped.
    pub(crate) fn add(&mut self, target: &LogTarget, record: &Record, context: &Context<'_>) -> u64 {
        self.put(target, |out, stamps, anchor| {
            let mut line = Line { out, stamps, anchor, record, context };
            match target.format {
                AccessLogFormat::Json => line.json(),
                AccessLogFormat::Alb => line.alb(),
                AccessLogFormat::Combined => line.combined(),
            }
        })
    }

    /// Adds the line of one flow, always of JSON. The number of lines that had to be dropped.
    pub(crate) fn add_flow(&mut self, target: &LogTarget, record: &FlowRecord, names: &Names<'_>, ended: Ended) -> u64 {
        self.put(target, |out, stamps, anchor| flow::put_line(out, stamps, anchor, record, names, ended))
    }

    /// Appends a line to the buffer of a file. The number of lines that had to be dropped.
    #[inline]
    fn put(&mut self, target: &LogTarget, line: impl FnOnce(&mut Vec<u8>, &mut Stamps, Anchor)) -> u64 {
        let slot = match self.buffers.iter().position(|(path, _)| path.as_os_str() == target.path.as_os_str()) {
            Some(slot) => slot,
            None => {
                self.buffers.push((target.path.clone(), Vec::with_capacity(BUFFER)));
                self.buffers.len() - 1
            }
        };
        let Some((path, out)) = self.buffers.get_mut(slot) else { return 0 };
        line(out, &mut self.stamps, self.anchor);
        if out.len() >= HAND_OVER { self.door.hand_over(path, out) } else { 0 }
    }
}

/// A worker's way to the writer, and its buffers' way back.
struct Door {
    writer: LogWriter,
    back: SyncSender<Vec<u8>>,
    spares: Receiver<Vec<u8>>,
}

impl Door {
    /// Hands the buffer over and puts an empty one in its place. The number of lines that had to be dropped.
    fn hand_over(&self, path: &Path, buffer: &mut Vec<u8>) -> u64 {
        let empty = self.spares.try_recv().unwrap_or_else(|_| Vec::with_capacity(BUFFER));
        let lines = std::mem::replace(buffer, empty);
        match self.writer.0.try_send(Job::Lines(path.to_owned(), lines, self.back.clone())) {
            Err(TrySendError::Full(Job::Lines(_, lines, _)) | TrySendError::Disconnected(Job::Lines(_, lines, _))) => {
                lines.iter().filter(|b| **b == b'\n').count() as u64
            }
            _ => 0,
        }
    }
}
