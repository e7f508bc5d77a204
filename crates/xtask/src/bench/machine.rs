//! The machine and the programs: what is needed, what is installed, what it says of itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use serde_json::{Value, json};

use super::proxy::nginx::STREAM;
use super::trouble::{Trouble, io};

/// The programs that the bench runs besides Headworks.
pub(crate) struct Programs {
    pub(crate) nginx: PathBuf,
    pub(crate) haproxy: PathBuf,
    pub(crate) wrk: PathBuf,
    pub(crate) h2load: PathBuf,
    pub(crate) caddy: PathBuf,
}

impl Programs {
    /// Finds them; installs what is missing where that is possible.
    pub(crate) fn find() -> Result<Programs, Trouble> {
        let needed = [
            ("nginx", "nginx-light"),
            ("haproxy", "haproxy"),
            ("wrk", "wrk"),
            ("h2load", "nghttp2-client"),
            ("caddy", "caddy"),
        ];
        let mut missing: Vec<&str> =
            needed.into_iter().filter_map(|(program, package)| which(program).is_none().then_some(package)).collect();
        if !Path::new(STREAM).exists() {
            missing.push("libnginx-mod-stream");
        }
        if !missing.is_empty() {
            install(&missing)?;
        }
        for tool in ["taskset", "setpriv", "nice"] {
            found(tool)?;
        }
        Ok(Programs {
            nginx: found("nginx")?,
            haproxy: found("haproxy")?,
            wrk: found("wrk")?,
            h2load: found("h2load")?,
            caddy: found("caddy")?,
        })
    }

    /// Name and version of each, as it says itself.
    pub(crate) fn versions(&self, headworks: &Path, origin: &str) -> Vec<(&'static str, String)> {
        vec![
            ("headworks", format!("{} ({origin})", first_line(headworks, "--version"))),
            ("haproxy", first_line(&self.haproxy, "-v")),
            ("nginx", first_line(&self.nginx, "-v")),
            ("wrk", first_line(&self.wrk, "-v")),
            ("h2load", first_line(&self.h2load, "--version")),
            ("caddy", first_line(&self.caddy, "version")),
        ]
    }
}

/// Builds the Headworks to measure and says where it is.
pub(crate) fn build() -> Result<PathBuf, Trouble> {
    println!("building headworks (release) ...");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "-p", "headworks-server", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(io("cargo"))?;
    if !output.status.success() {
        return Err(Trouble::Invalid("headworks does not build".to_owned()));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .ok_or_else(|| Trouble::Missing("cargo names no executable of headworks-server".to_owned()))
}

/// The commit of the sources, and whether they differ from it.
pub(crate) fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).stderr(Stdio::null()).output();
        output.map_or_else(|_| String::new(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
    };
    let changed = if git(&["status", "--porcelain", "--untracked-files=no"]).is_empty() { "" } else { ", changed" };
    format!("commit {}{changed}", git(&["rev-parse", "--short", "HEAD"]))
}

/// Lets this process and its children open as many descriptors as is allowed; says how many.
pub(crate) fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// What the machine is.
pub(crate) fn describe() -> Value {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    json!({
        "cpu": model.trim_start_matches([' ', '\t', ':']),
        "cores": cores(),
        "memory": memory.lines().next().and_then(|l| l.strip_prefix("MemTotal:")).map(str::trim),
        "kernel": kernel.trim(),
        "congestion_control": congestion.trim(),
        "descriptors": getrlimit(Resource::Nofile).current,
    })
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The load averages of one, five and fifteen minutes.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Now, in UTC, as `2026-01-31T12:00:00Z`.
pub(crate) fn now() -> Result<String, Trouble> {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().map_err(io("date"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn first_line(program: &Path, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).stdin(Stdio::null()).output() else { return "unknown".to_owned() };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown").to_owned()
}

fn found(program: &str) -> Result<PathBuf, Trouble> {
    which(program).ok_or_else(|| Trouble::Missing(format!("{program} is not installed")))
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Installs Debian packages, without questions and without starting the services in them.
fn install(packages: &[&str]) -> Result<(), Trouble> {
    let names = packages.join(" ");
    if !geteuid().is_root() || which("apt-get").is_none() {
        return Err(Trouble::Missing(format!("missing, and only root on Debian gets them installed: {names}")));
    }
    println!("installing {names} ...");
    // without this, the packages would start an nginx and an haproxy that listen on all addresses
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let placed = !policy.exists()
        && fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok()
        && Command::new("chmod").arg("755").arg(policy).status().is_ok_and(|s| s.success());
    let result = apt_get(&["update"])
        .and_then(|()| apt_get(&[&["install", "-y", "--no-install-recommends"], packages].concat()));
    if placed {
        let _ = fs::remove_file(policy);
    }
    result
}

fn apt_get(args: &[&str]) -> Result<(), Trouble> {
    let output = Command::new("apt-get")
        .arg("-q")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(io("apt-get"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Trouble::Missing(format!("apt-get {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim())))
}
