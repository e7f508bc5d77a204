//! The program under test: started on ports of its own, asked about itself, told to reload and to stop, killed at last.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Ask, Client, ask};
use crate::metrics::Metrics;
use crate::wait::{self, PATIENCE};
use crate::wire::Response;

/// The binary. The test crate knows where it is: `Program(env!("CARGO_BIN_EXE_headworks"))`.
#[derive(Clone, Copy, Debug)]
pub struct Program(pub &'static str);

/// A running instance. It is killed when this is dropped, and must not have panicked until then.
#[derive(Debug)]
pub struct Headworks {
    program: Program,
    child: Child,
    /// Processes that have taken over from it, the latest last.
    successors: Vec<Pid>,
    exited: Option<ExitStatus>,
    folder: TempDir,
    said: Said,
    ready: Ready,
}

/// What goes in place of `<name>` in a configuration.
pub type Parts<'a> = [(&'a str, &'a dyn Display)];

/// What the program has written to stdout and stderr.
#[derive(Clone, Debug, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

#[derive(Clone, Debug)]
struct Ready {
    admin: SocketAddr,
    listeners: BTreeMap<String, SocketAddr>,
}

impl Program {
    /// Starts an instance with this configuration, in which each `<name>` is replaced; waits until it is ready. An
    /// admin address of its own is added when the configuration has none.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start(self, yaml: &str, parts: &Parts<'_>) -> Headworks {
        self.start_with(yaml, parts, &[])
    }

    /// The same with further arguments to `run`.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start_with(self, yaml: &str, parts: &Parts<'_>, arguments: &[&str]) -> Headworks {
        let folder = with_file(yaml, parts);
        let command = self.command(folder.path());
        self.spawn(folder, command, &[&["run", "-c", "headworks.yaml"], arguments].concat())
    }

    /// The same in a process that may have so many files open and no more.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start_with_descriptors(self, yaml: &str, parts: &Parts<'_>, descriptors: u32) -> Headworks {
        self.start_under("prlimit", &[&format!("--nofile={descriptors}:{descriptors}")], yaml, parts)
    }

    /// The same by a program that starts it in a process prepared as these arguments say.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start_under(self, starter: &'static str, arguments: &[&str], yaml: &str, parts: &Parts<'_>) -> Headworks {
        let folder = with_file(yaml, parts);
        let mut command = Program(starter).command(folder.path());
        command.args(arguments).arg(self.0);
        self.spawn(folder, command, &["run", "-c", "headworks.yaml"])
    }

    /// The same by a command of choice, which is told the folder and gets the arguments of `run` behind its own.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start_by(self, yaml: &str, parts: &Parts<'_>, prepare: impl FnOnce(&mut Command, &Path)) -> Headworks {
        let folder = with_file(yaml, parts);
        let mut command = Program("bash").command(folder.path());
        prepare(&mut command, folder.path());
        self.spawn(folder, command, &["run", "-c", "headworks.yaml"])
    }

    /// Starts an instance from arguments alone, without a file.
    ///
    /// # Panics
    /// When it does not get ready.
    #[must_use]
    pub fn start_bare(self, arguments: &[&str]) -> Headworks {
        let folder = TempDir::with_prefix("headworks-it-").unwrap_or_else(|error| panic!("no folder: {error}"));
        let command = self.command(folder.path());
        self.spawn(folder, command, arguments)
    }

    fn spawn(self, folder: TempDir, mut command: Command, arguments: &[&str]) -> Headworks {
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.0));
        let said = Said::default();
        if let Some(output) = child.stdout.take() {
            said.listen(output);
        }
        if let Some(output) = child.stderr.take() {
            said.listen(output);
        }
        let nowhere = Ready { admin: SocketAddr::from(([0, 0, 0, 0], 0)), listeners: BTreeMap::new() };
        let (exited, successors) = (None, Vec::new());
        let mut instance = Headworks { program: self, child, successors, exited, folder, said, ready: nowhere };
        instance.wait_ready();
        instance
    }

    /// Runs it to its end, in `folder`.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn run(self, folder: &Path, arguments: &[&str]) -> Output {
        let mut child = self
            .command(folder)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.0));
        let (out, err) = (Said::default(), Said::default());
        let listening = [
            child.stdout.take().map(|output| out.listen(output)),
            child.stderr.take().map(|output| err.listen(output)),
        ];
        let ended = wait::within(PATIENCE, || child.try_wait().ok().flatten());
        let Some(status) = ended else {
            let _ = child.kill();
            panic!("{arguments:?} does not end; it said {}{}", out.text(), err.text());
        };
        for thread in listening.into_iter().flatten() {
            let _ = thread.join();
        }
        Output { status, stdout: out.text().into_bytes(), stderr: err.text().into_bytes() }
    }

    fn command(self, folder: &Path) -> Command {
        let mut command = Command::new(self.0);
        command.current_dir(folder).stdin(Stdio::null()).env("HEADWORKS_READY_FILE", folder.join("ready.json"));
        command
    }
}

/// A folder with this configuration in it.
fn with_file(yaml: &str, parts: &Parts<'_>) -> TempDir {
    let folder = TempDir::with_prefix("headworks-it-").unwrap_or_else(|error| panic!("no folder: {error}"));
    write(&folder.path().join("headworks.yaml"), &filled(yaml, parts));
    folder
}

/// A configuration with its `<name>`s replaced, and an admin address if it has none.
///
/// # Panics
/// When a part is not there.
#[must_use]
pub fn filled(yaml: &str, parts: &Parts<'_>) -> String {
    let mut text = yaml.to_owned();
    for (name, part) in parts {
        let mark = format!("<{name}>");
        assert!(text.contains(&mark), "the configuration has no {mark}");
        text = text.replace(&mark, &part.to_string());
    }
    if !text.lines().any(|line| line.starts_with("admin:")) {
        text.insert_str(0, "admin: { address: 127.0.0.1:0 }\n");
    }
    text
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

impl Said {
    fn listen(&self, mut output: impl Read + Send + 'static) -> std::thread::JoinHandle<()> {
        let said = self.clone();
        std::thread::spawn(move || {
            let mut block = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut block) {
                said.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&block[..read]);
            }
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Headworks {
    fn wait_ready(&mut self) {
        let path = self.path("ready.json");
        let ready = wait::within(PATIENCE, || {
            if self.successors.is_empty()
                && let Ok(Some(status)) = self.child.try_wait()
            {
                panic!("the program ended ({status}) before it was ready, saying\n{}", self.said());
            }
            Ready::parse(&std::fs::read_to_string(&path).ok()?)
        });
        self.ready = ready.unwrap_or_else(|| panic!("the program does not get ready; it said\n{}", self.said()));
    }

    /// A path in the folder that the program runs in.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the program has written to stdout and stderr so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.text()
    }

    /// The process that serves: the one that was started, or the latest that has taken over.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.successors.last().map_or(self.child.id(), |pid| pid.as_raw_nonzero().get().cast_unsigned())
    }

    /// Has another process take over by `headworks upgrade`, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not take over.
    pub fn upgrade(&mut self) {
        self.forget_ready();
        let output = self.beside(&["upgrade", "-c", "headworks.yaml"]);
        assert!(output.status.success(), "{output:?}, and the program said\n{}", self.said());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let pid = said.strip_prefix("pid ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        let pid = pid.and_then(Pid::from_raw).unwrap_or_else(|| panic!("{said:?} tells of no process"));
        self.took_over(pid);
    }

    /// A process that the test has started has taken over; waits until it is ready.
    pub fn took_over(&mut self, pid: Pid) {
        self.successors.push(pid);
        self.wait_ready();
    }

    /// Waits until the process that serves has ended, when it has taken over.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait_successor_exit(&mut self) {
        let Some(pid) = self.successors.pop() else { panic!("nobody has taken over") };
        let gone = wait::within(PATIENCE, || is_gone(pid).then_some(()));
        gone.unwrap_or_else(|| panic!("the program does not end; it said\n{}", self.said()));
    }

    /// The admin address.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.ready.admin
    }

    /// The address of a listener, named `load-balancer/listener`.
    ///
    /// # Panics
    /// When there is none of this name.
    #[must_use]
    pub fn listener(&self, name: &str) -> SocketAddr {
        let known = &self.ready.listeners;
        *known.get(name).unwrap_or_else(|| panic!("no listener {name} among {known:?}"))
    }

    /// The address of the only listener.
    ///
    /// # Panics
    /// When there is another.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let known = &self.ready.listeners;
        assert!(known.len() == 1, "there is more than one listener: {known:?}");
        known.values().copied().next().unwrap_or(self.ready.admin)
    }

    /// A connection to the only listener.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// One request on a connection of its own to the only listener.
    #[must_use]
    pub fn ask(&self, ask: &Ask) -> Response {
        self.client().exchange(ask)
    }

    /// One request on a connection of its own to the admin address.
    #[must_use]
    pub fn admin_get(&self, target: &str) -> Response {
        let ask = ask("GET", target).with(&format!("Host: {}", self.admin())).with("Connection: close");
        Client::connect(self.admin()).exchange(&ask)
    }

    /// `GET /v1/status`.
    ///
    /// # Panics
    /// When it is not answered by 200 and JSON.
    #[must_use]
    pub fn status(&self) -> Value {
        let response = self.admin_get("/v1/status");
        assert!(response.status == 200, "{response}");
        response.json()
    }

    /// Waits until the status has something.
    pub fn wait_status<T>(&self, what: &str, mut probe: impl FnMut(&Value) -> Option<T>) -> T {
        let mut last = Value::Null;
        let found = wait::within(PATIENCE, || {
            last = self.status();
            probe(&last)
        });
        found.unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {what}; the status is\n{last:#}"))
    }

    /// `GET /metrics`.
    ///
    /// # Panics
    /// When it is not answered by 200 and samples.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let response = self.admin_get("/metrics");
        assert!(response.status == 200, "{response}");
        Metrics::parse(&response.text())
    }

    /// `GET /metrics`, once a sum of samples is what it is to be: a request is counted when all of it is over, which is a
    /// little after its client has read the answer.
    ///
    /// # Panics
    /// When it does not get there.
    #[must_use]
    pub fn wait_metrics(&self, name: &str, labels: &[(&str, &str)], value: f64) -> Metrics {
        let mut last = 0.0;
        let found = wait::within(PATIENCE, || {
            let metrics = self.metrics();
            last = metrics.sum(name, labels);
            (last == value).then_some(metrics)
        });
        found.unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {name}{labels:?} of {value}, it is {last}"))
    }

    /// Waits until this file, in the program's folder, has at least so many whole lines; all of them.
    ///
    /// # Panics
    /// When it does not get them.
    pub fn log_lines(&self, name: &str, count: usize) -> Vec<String> {
        let path = self.path(name);
        let mut text = String::new();
        let lines = wait::within(PATIENCE, || {
            text = std::fs::read_to_string(&path).unwrap_or_default();
            let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
            let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        });
        lines.unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {count} lines in {name}; it has\n{text}"))
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the program is not there any more.
    pub fn signal(&self, signal: Signal) {
        let pid = self.successors.last().copied().unwrap_or_else(|| Pid::from_child(&self.child));
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot send {signal:?}: {error}; {}", self.said()));
    }

    /// Saves another configuration without telling the program.
    pub fn save(&self, yaml: &str, parts: &Parts<'_>) {
        // in one step, as editors do: the program may be watching
        let aside = self.path("headworks.yaml.new");
        write(&aside, &filled(yaml, parts));
        let renamed = std::fs::rename(&aside, self.path("headworks.yaml"));
        renamed.unwrap_or_else(|error| panic!("cannot save the configuration: {error}"));
    }

    /// Saves another configuration, has it applied, and waits until it is.
    ///
    /// # Panics
    /// When it is not.
    pub fn reload(&mut self, yaml: &str, parts: &Parts<'_>) {
        let _ = std::fs::remove_file(self.path("ready.json"));
        self.save(yaml, parts);
        self.signal(Signal::HUP);
        self.wait_ready();
    }

    /// Waits until a configuration that was saved after [`Headworks::forget_ready`] is applied.
    pub fn wait_applied(&mut self) {
        self.wait_ready();
    }

    /// Prepares for [`Headworks::wait_applied`].
    pub fn forget_ready(&self) {
        let _ = std::fs::remove_file(self.path("ready.json"));
    }

    /// Ends the program by a signal, and starts it again in its folder with its file.
    ///
    /// # Panics
    /// When it does not end, or does not get ready.
    pub fn restart(&mut self, signal: Signal) {
        self.signal(signal);
        self.wait_exit();
        self.again();
    }

    /// Starts the program again that has ended, in its folder with its file.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn again(&mut self) {
        self.forget_ready();
        self.exited = None;
        let mut command = self.program.command(self.folder.path());
        command.args(["run", "-c", "headworks.yaml"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.child = command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.0));
        if let Some(output) = self.child.stdout.take() {
            self.said.listen(output);
        }
        if let Some(output) = self.child.stderr.take() {
            self.said.listen(output);
        }
        self.wait_ready();
    }

    /// Runs another command of the program beside this instance, in its folder.
    #[must_use]
    pub fn beside(&self, arguments: &[&str]) -> Output {
        self.program.run(self.folder.path(), arguments)
    }

    /// Waits until the program has ended.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let ended = wait::within(PATIENCE, || self.child.try_wait().ok().flatten());
        let status = ended.unwrap_or_else(|| panic!("the program does not end; it said\n{}", self.said()));
        self.exited = Some(status);
        status
    }

    /// That the program still answers for itself.
    ///
    /// # Panics
    /// When it does not.
    pub fn expect_alive(&self) {
        let response = self.admin_get("/readyz");
        assert!(response.status == 200, "{response}");
    }
}

impl Ready {
    fn parse(text: &str) -> Option<Ready> {
        let value: Value = serde_json::from_str(text.trim()).ok()?;
        let address = |value: &Value| value.as_str()?.parse().ok();
        let listeners = value["listeners"].as_object()?;
        let listeners = listeners.iter().map(|(name, place)| Some((name.clone(), address(place)?)));
        Some(Ready { admin: address(&value["admin"])?, listeners: listeners.collect::<Option<_>>()? })
    }
}

/// Whether there is no such process any more, or nothing but its exit status.
fn is_gone(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

impl Drop for Headworks {
    fn drop(&mut self) {
        for pid in self.successors.iter().filter(|pid| !is_gone(**pid)) {
            let _ = kill_process(*pid, Signal::KILL);
        }
        if self.exited.is_none() {
            let early = self.child.try_wait().ok().flatten().filter(|_| self.successors.is_empty());
            let _ = self.child.kill();
            let _ = self.child.wait();
            if let Some(status) = early.filter(|_| !std::thread::panicking()) {
                panic!("the program ended by itself: {status}, signal {:?}\n{}", status.signal(), self.said());
            }
        }
        let said = self.said();
        let panicked = said.contains("panicked at");
        assert!(!panicked || std::thread::panicking(), "the program panicked:\n{said}");
        if std::thread::panicking() {
            let from = said.len().saturating_sub(4000);
            let tail = said.get(from..).unwrap_or(&said);
            let _ =
                std::io::Write::write_all(&mut std::io::stderr(), format!("--- the program said\n{tail}\n").as_bytes());
        }
    }
}
