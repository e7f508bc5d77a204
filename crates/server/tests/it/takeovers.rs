//! Processes that are to take over, and do not: they hang, end, make no sense or are put an end to, and the old one goes on.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use headworks_testkit::{Headworks, Origin, ask, wait};
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::load::{Load, Speaks};
use crate::{HEADWORKS, proxy, start};

/// A client of the hand-over that says what it is told to.
struct Stranger(UnixStream);

impl Stranger {
    fn knock(headworks: &Headworks) -> Stranger {
        let path = headworks.path("state/run/upgrade.sock");
        let stream = UnixStream::connect(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        stream.set_read_timeout(Some(wait::PATIENCE)).unwrap_or_else(|error| panic!("{error}"));
        Stranger(stream)
    }

    fn say(&mut self, message: &Value) {
        let text = message.to_string();
        let head = [(text.len() as u32).to_be_bytes(), [0; 4]].concat();
        let said = self.0.write_all(&[&head, text.as_bytes()].concat());
        said.unwrap_or_else(|error| panic!("cannot say {message}: {error}"));
    }

    /// What is said next, and how many descriptors come with it, which are let go of.
    fn hear(&mut self) -> Option<(Value, u32)> {
        let mut head = [0; 8];
        self.0.read_exact(&mut head).ok()?;
        let number = |at: usize| {
            head.get(at..at + 4).map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().unwrap_or_default()))
        };
        let mut body = vec![0; number(0) as usize];
        self.0.read_exact(&mut body).ok()?;
        for _ in 0..number(4).div_ceil(128) {
            let mut byte = [0];
            self.0.read_exact(&mut byte).ok()?;
            self.0.write_all(&byte).ok()?;
        }
        Some((serde_json::from_slice(&body).ok()?, number(4)))
    }

    fn take_over(headworks: &Headworks) -> Stranger {
        let mut stranger = Stranger::knock(headworks);
        stranger.say(&json!({ "ask": "take_over", "protocol": 1, "version": "test", "pid": std::process::id() }));
        let (offer, descriptors) = stranger.hear().unwrap_or_else(|| panic!("no offer"));
        assert!(offer["answer"] == "estate" && descriptors >= 5, "{descriptors} descriptors");
        stranger
    }
}

/// A new process that crashes, hangs, or speaks otherwise before it serves: the old one goes on, and the next may try.
#[test]
fn whoever_does_not_get_ready_changes_nothing() {
    let web = Origin::echo("web");
    let with = |patience: &str| format!("upgrade: {{ ready_within: {patience} }}\n{}", proxy("", ""));
    let mut headworks = start(&with("1m"), &[("web", &web)]);
    let pid = headworks.pid();
    let load = Load::start(headworks.address(), 2, &Speaks::Plain);
    let folder = std::fs::metadata(headworks.path("state/run")).map(|m| m.permissions().mode() & 0o777);
    let socket = std::fs::metadata(headworks.path("state/run/upgrade.sock")).map(|m| m.permissions().mode() & 0o777);
    assert_eq!((folder.ok(), socket.ok()), (Some(0o700), Some(0o600)));

    let mut other = Stranger::knock(&headworks);
    other.say(&json!({ "ask": "take_over", "protocol": 99, "version": "9.9.9", "pid": 1 }));
    let (refused, descriptors) = other.hear().unwrap_or_else(|| panic!("no answer"));
    let reason = refused["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("version 1") && reason.contains("9.9.9") && reason.contains("version 99"), "{refused}");
    assert_eq!(descriptors, 0, "nothing is given to whoever is refused");

    let given_up = |headworks: &Headworks, count: usize| {
        wait::until("it to be given up", || {
            (headworks.said().matches("does not take over, this one goes on").count() >= count).then_some(())
        });
    };
    // a crash after all was given
    drop(Stranger::take_over(&headworks));
    given_up(&headworks, 1);
    // a crash when it was ready
    let mut ready = Stranger::take_over(&headworks);
    // meanwhile nobody else gets in
    let mut second = Stranger::knock(&headworks);
    second.say(&json!({ "ask": "take_over", "protocol": 1, "version": "test", "pid": 1 }));
    let (refused, _) = second.hear().unwrap_or_else(|| panic!("no answer"));
    assert!(refused["reason"].as_str().is_some_and(|reason| reason.contains("already")), "{refused}");
    ready.say(&json!({ "step": "ready" }));
    assert_eq!(ready.hear().map(|(step, _)| step["step"].clone()), Some(json!("go")));
    drop(ready);
    given_up(&headworks, 2);
    // one that hangs is told that it is too late
    headworks.reload(&with("300ms"), &[("web", &web)]);
    let mut hangs = Stranger::take_over(&headworks);
    let (step, _) = hangs.hear().unwrap_or_else(|| panic!("nothing is said"));
    assert!(step["step"] == "given_up" && step["reason"].as_str().is_some_and(|r| r.contains("0.3 s")), "{step}");
    given_up(&headworks, 3);
    // one that makes no sense
    headworks.reload(&with("1m"), &[("web", &web)]);
    Stranger::knock(&headworks).say(&json!({ "ask": "for trouble" }));
    Stranger::take_over(&headworks).say(&json!({ "step": "serving" }));
    given_up(&headworks, 4);

    goes_on(&mut headworks, load, pid);
}

/// The process of this number serves as before, and can be replaced; no request has failed.
fn goes_on(headworks: &mut Headworks, load: Load, pid: u32) {
    load.wait_more(50);
    assert_eq!(headworks.status()["pid"], pid);
    headworks.upgrade();
    load.wait_more(50);
    load.finish();
}

/// A new process that has leave to serve and stands still: the old one goes on, and what it was given leave by is void.
#[test]
fn whoever_stands_still_has_no_leave_any_more() {
    let web = Origin::echo("web");
    let mut headworks = start(&proxy("", ""), &[("web", &web)]);
    let pid = headworks.pid();
    let load = Load::start(headworks.address(), 2, &Speaks::Plain);
    let mut still = Stranger::take_over(&headworks);
    still.say(&json!({ "step": "ready" }));
    assert_eq!(still.hear(), Some((json!({ "step": "go" }), 1)), "leave comes with a claim");
    // it is given up after ten seconds, which is all the patience that there usually is here
    let given_up = || headworks.said().contains("did not serve").then_some(());
    assert!(wait::within(3 * wait::PATIENCE, given_up).is_some(), "it is never given up");
    // it wakes
    still.0.write_all(&[0]).ok();
    assert_eq!(still.hear(), None);
    goes_on(&mut headworks, load, pid);
}

/// The program that `upgrade` has started and that hangs, is killed, or that nobody waits for any more, is put an end to; the
/// old one goes on.
#[test]
fn whoever_hangs_is_put_an_end_to() {
    let web = Origin::echo("web");
    let with = |more: &str, patience: &str| format!("upgrade: {{ ready_within: {patience} }}\n{}", proxy(more, ""));
    let headworks = start(&with("", "300ms"), &[("web", &web)]);
    let old = headworks.pid();
    // whoever opens a pipe for writing waits until somebody reads from it
    let pipe = headworks.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()));
    let hangs = format!(", access_log: {}", pipe.display());
    headworks.save(&with(&hangs, "1m"), &[("web", &web)]);
    let upgrade = || {
        let mut command = Command::new(HEADWORKS.0);
        command.args(["upgrade", "-c", "headworks.yaml"]).current_dir(headworks.path("")).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        child.unwrap_or_else(|error| panic!("cannot start: {error}"))
    };
    let started = |count: usize| {
        wait::until("the new process", || {
            let said = headworks.said();
            let line =
                said.lines().filter(|line| line.contains("started a program that is to take over")).nth(count)?;
            let pid = line.split("pid=").nth(1)?.split(' ').next()?.parse().ok()?;
            Pid::from_raw(pid)
        })
    };
    let is_gone = |pid: Pid| wait::until("its end", || rustix::process::test_kill_process(pid).is_err().then_some(()));
    let complained = |upgrade: std::process::Child| {
        let output = upgrade.wait_with_output().unwrap_or_else(|error| panic!("{error}"));
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // hangs
    let (code, why) = complained(upgrade());
    assert!(code == Some(1) && why.contains("not ready within 0.3 s"), "{code:?} {why}");
    is_gone(started(0));
    // crashes: with more patience, by a reload that reads no log that is a pipe
    headworks.save(&with("", "1m"), &[("web", &web)]);
    let reload = headworks.status()["configuration"]["reloads"]["applied"].clone();
    headworks.signal(Signal::HUP);
    headworks.wait_status("a reload", |status| (status["configuration"]["reloads"]["applied"] != reload).then_some(()));
    headworks.save(&with(&hangs, "1m"), &[("web", &web)]);
    let waiting = upgrade();
    let new = started(1);
    rustix::process::kill_process(new, Signal::KILL).unwrap_or_else(|error| panic!("{error}"));
    let (code, why) = complained(waiting);
    assert!(code == Some(1) && why.contains("ended before it was ready"), "{code:?} {why}");
    // nobody waits any more
    let mut waiting = upgrade();
    let new = started(2);
    assert!(waiting.kill().is_ok() && waiting.wait().is_ok());
    is_gone(new);
    assert_eq!(headworks.status()["pid"], old);
    assert_eq!(headworks.ask(&ask("GET", "/")).echo().origin, "web");
}
