//! The world of a run: targets, the program in front of them, and what is done to either.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use super::script::Deed;
use super::target::Mood;
use super::traffic::{CONNECT_TIMEOUT, PER_TRY, RESPONSE_TIMEOUT};
use crate::bench::folder::{Folder, free_addresses};
use crate::bench::http::{answers, exchange};
use crate::bench::trouble::{Trouble, io};

/// The name that is asked for.
pub(super) const HOST: &str = "chaos.example.com";
/// How many targets there are.
pub(super) const TARGETS: usize = 3;
/// The certificate and its key.
const CERTIFICATE: &str = "certificate.pem";
const ACCESS_LOG: &str = "access.log";
/// How long anything may take to be there, or to be gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that runs.
pub(super) struct World {
    folder: Folder,
    targets: Vec<Target>,
    program: PathBuf,
    pid: Pid,
    /// The first process, which is ours to reap; those that replace it are not.
    child: Child,
    pub(super) plain: SocketAddr,
    pub(super) secure: SocketAddr,
    pub(super) admin: SocketAddr,
    generation: u32,
}

/// A target's process.
struct Target {
    address: SocketAddr,
    child: Child,
}

impl Target {
    fn start(address: SocketAddr) -> Result<Target, Trouble> {
        let own = std::env::current_exe().map_err(io("xtask"))?;
        let mut command = Command::new(own);
        command.args(["chaos-target", &address.to_string()]).stdin(Stdio::piped()).stdout(Stdio::null());
        let child = command.spawn().map_err(io("a target"))?;
        wait("a target", || answers(address, HOST, "/"))?;
        Ok(Target { address, child })
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn be(&mut self, mood: Mood) -> Result<(), Trouble> {
        let input =
            self.child.stdin.as_mut().ok_or_else(|| Trouble::Invalid("a target that cannot be told".to_owned()))?;
        writeln!(input, "{}", mood.word()).and_then(|()| input.flush()).map_err(io("a target"))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = kill_process(self.pid(), Signal::CONT);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl World {
    /// Starts it all, and waits until requests are answered.
    pub(super) fn start(program: &Path) -> Result<World, Trouble> {
        let folder = Folder::create(false)?;
        let [plain, secure, admin] = free_addresses();
        let addresses: [SocketAddr; TARGETS] = free_addresses();
        let targets = addresses.into_iter().map(Target::start).collect::<Result<Vec<_>, _>>()?;
        certificate(&folder)?;
        let log = fs::File::create(folder.at("headworks.log")).map_err(io("headworks.log"))?;
        folder.write("headworks.yaml", file(&addresses, plain, secure, admin, 0))?;
        let mut command = Command::new(program);
        command
            .current_dir(folder.path())
            .args(["run", "-c", "headworks.yaml"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command.stderr(log).spawn().map_err(io(program.display()))?;
        let world = World {
            pid: Pid::from_child(&child),
            folder,
            targets,
            program: program.to_owned(),
            child,
            plain,
            secure,
            admin,
            generation: 0,
        };
        wait("headworks", || answers(admin, "localhost", "/readyz") && answers(plain, HOST, "/"))?;
        Ok(world)
    }

    /// Does it.
    pub(super) fn doing(&mut self, deed: Deed) -> Result<(), Trouble> {
        match deed {
            Deed::Kill(n) => {
                let target = self.target(n)?;
                target.child.kill().and_then(|()| target.child.wait()).map_err(io("a target")).map(drop)
            }
            Deed::Freeze(n) => kill_process(self.target(n)?.pid(), Signal::STOP).map_err(|e| io("a target")(e.into())),
            Deed::Mood(n, mood) => self.target(n)?.be(mood),
            Deed::Reload => {
                self.generation += 1;
                let addresses: Vec<SocketAddr> = self.targets.iter().map(|target| target.address).collect();
                let text = file(&addresses, self.plain, self.secure, self.admin, self.generation);
                self.folder.write("headworks.new", text)?;
                let (new, whole) = (self.folder.at("headworks.new"), self.folder.at("headworks.yaml"));
                fs::rename(new, whole).map_err(io("headworks.yaml"))?;
                kill_process(self.pid, Signal::HUP).map_err(|e| io("headworks")(e.into()))
            }
            Deed::Rotate => certificate(&self.folder),
            Deed::Upgrade => self.upgrade(),
        }
    }

    /// Has it as it was.
    pub(super) fn undoing(&mut self, deed: Deed) -> Result<(), Trouble> {
        match deed {
            Deed::Kill(n) => {
                let target = self.target(n)?;
                let anew = Target::start(target.address)?;
                *target = anew;
                Ok(())
            }
            Deed::Freeze(n) => kill_process(self.target(n)?.pid(), Signal::CONT).map_err(|e| io("a target")(e.into())),
            Deed::Mood(n, _) => self.target(n)?.be(Mood::Well),
            Deed::Reload | Deed::Rotate | Deed::Upgrade => Ok(()),
        }
    }

    /// The process that serves.
    pub(super) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// `GET /v1/status`.
    pub(super) fn status(&self) -> Result<Value, Trouble> {
        let (_, body) = exchange(self.admin, "GET", "localhost", "/v1/status", PATIENCE).map_err(io("/v1/status"))?;
        serde_json::from_slice(&body).map_err(|error| Trouble::Invalid(format!("/v1/status: {error}")))
    }

    /// What the program has said of faults and worse.
    pub(super) fn complaints(&self) -> Vec<String> {
        let said = fs::read_to_string(self.folder.at("headworks.log")).unwrap_or_default();
        said.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).map(str::to_owned).collect()
    }

    /// What the access log says of requests that failed and came at such times of the day (UTC).
    pub(super) fn failures(&self, is_asked: impl Fn(Duration) -> bool) -> Vec<String> {
        let log = fs::read_to_string(self.folder.at(ACCESS_LOG)).unwrap_or_default();
        let is_asked = |line: &&str| {
            let Ok(line) = serde_json::from_str::<Value>(line) else { return false };
            let failed = line.get("status").and_then(Value::as_u64).is_none_or(|status| !(200..400).contains(&status));
            let came = line.get("time").and_then(Value::as_str).and_then(time_of_day);
            failed && came.is_some_and(&is_asked)
        };
        log.lines().filter(is_asked).map(str::to_owned).collect()
    }

    fn target(&mut self, n: usize) -> Result<&mut Target, Trouble> {
        self.targets.get_mut(n).ok_or_else(|| Trouble::Invalid(format!("no target {n}")))
    }

    fn upgrade(&mut self) -> Result<(), Trouble> {
        let mut command = Command::new(&self.program);
        command.current_dir(self.folder.path()).args(["upgrade", "-c", "headworks.yaml"]);
        let output = command.stdin(Stdio::null()).output().map_err(io("headworks upgrade"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Trouble::Invalid(format!("headworks upgrade: {}: {said}", output.status)));
        }
        let before = self.pid;
        let now = self.status()?.get("pid").and_then(Value::as_i64).and_then(|pid| Pid::from_raw(pid as i32));
        self.pid = now.filter(|now| *now != before).ok_or_else(|| {
            Trouble::Invalid("the admin address is still served by the process that was replaced".to_owned())
        })?;
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = kill_process(self.pid, Signal::TERM);
        let _ = wait("headworks to end", || {
            !matches!(self.child.try_wait(), Ok(None)) && test_kill_process(self.pid).is_err()
        });
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of `2026-01-31T12:34:56.123456Z`.
fn time_of_day(time: &str) -> Option<Duration> {
    let (_, time) = time.strip_suffix('Z')?.split_once('T')?;
    let mut parts = time.split(':');
    let [hours, minutes] = [parts.next()?, parts.next()?].map(|part| part.parse::<u32>().unwrap_or_default());
    let seconds = parts.next()?.parse().ok()?;
    Some(Duration::from_secs((hours * 3600 + minutes * 60).into()) + Duration::try_from_secs_f64(seconds).ok()?)
}

fn wait(what: &str, ready: impl FnMut() -> bool) -> Result<(), Trouble> {
    let (mut ready, deadline) = (ready, Instant::now() + PATIENCE);
    while !ready() {
        if Instant::now() > deadline {
            return Err(Trouble::Invalid(format!("waited {} s in vain for {what}", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Writes a new certificate with its key: first to another file, which then takes the place of the old one. Both are in one, for
/// between two that are exchanged one after the other a reload may come, and is refused then.
fn certificate(folder: &Folder) -> Result<(), Trouble> {
    let made = generate_simple_self_signed(vec![HOST.to_owned()]);
    let CertifiedKey { cert, signing_key } =
        made.map_err(|error| Trouble::Invalid(format!("no certificate: {error}")))?;
    let new = folder.write("new.pem", signing_key.serialize_pem() + &cert.pem())?;
    fs::rename(new, folder.at(CERTIFICATE)).map_err(io(CERTIFICATE))
}

fn file(targets: &[SocketAddr], plain: SocketAddr, secure: SocketAddr, admin: SocketAddr, generation: u32) -> String {
    let all: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
    let (all, two) = (all.join(", "), all.get(..2).unwrap_or_default().join(", "));
    let rules: String = ["streams", "put", "sticky", "pair", "queue"]
        .iter()
        .map(|group| format!("\n          - {{ if: {{ path: [/{group}] }}, then: {{ forward: {group} }} }}"))
        .collect();
    // ejections double, and are forgotten after ten times as long: a target has to be back before the next one is disturbed, for with
    // two of three out, half of all requests fail, which is more than a budget pays for
    let usual = "circuit_breaker: { consecutive_failures: 5, open_for: 200ms },
        health_check: { interval: 250ms, timeout: 200ms, healthy_threshold: 2 }";
    let patient = "attempts: 3, budget: 1, when: [connect_failure, reset_before_response, timeout]";
    let [connect, response, per_try] = [CONNECT_TIMEOUT, RESPONSE_TIMEOUT, PER_TRY].map(|time| time.as_millis());
    let patient = |more: &str| format!("retry: {{ {patient}, per_try_timeout: {per_try}ms{more} }}, {usual}");
    let (kept, once) = (patient(", buffer: 64KiB"), patient(""));
    format!(
        "admin: {{ address: \"{admin}\" }}
certificates: {{ chaos: {{ certificate: {CERTIFICATE}, key: {CERTIFICATE} }} }}
load_balancers:
  chaos:
    access_log: {{ path: {ACCESS_LOG}, format: json }}
    listeners:
      plain:
        address: {plain}
        rules:
          - {{ if: {{ path: [/generation/{generation}] }}, then: {{ fixed_response: {{ status: 200 }} }} }}{rules}
        default: {{ forward: web }}
      secure:
        address: \"{secure}\"
        protocol: https
        certificates: [chaos]
        rules:{rules}
        default: {{ forward: web }}
target_groups:
  web: {{ targets: [{all}], connect_timeout: {connect}ms, response_timeout: {response}ms, retry: {{}}, {usual} }}
  streams: {{ version: http2, targets: [{all}], {once} }}
  put: {{ targets: [{all}], {kept} }}
  sticky: {{ targets: [{all}], stickiness: {{ type: lb_cookie, duration: 1h }}, {once} }}
  pair: {{ targets: [{two}], {once} }}
  queue: {{ targets: [{all}], limits: {{ max_connections: 2, max_pending: 100, pending_timeout: 500ms }}, {once} }}
"
    )
}
