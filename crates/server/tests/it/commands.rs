//! Commands of people at a terminal: create, edit in an editor, contexts of several installations, completions of a shell.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use headworks_testkit::{Client, Headworks, Origin, ask, wait};
use serde_json::{Value, json};

use crate::api::NOBODY;
use crate::operate::{RELEASE, fine, run};
use crate::{HEADWORKS, start};

/// Runs a command in the instance's folder, which is where contexts are kept too, with variables; what it answered.
fn with(headworks: &Headworks, arguments: &[&str], variables: &[(&str, &str)]) -> (String, String, Option<i32>) {
    let folder = headworks.path("");
    let mut command = Command::new(HEADWORKS.0);
    command.args(arguments).current_dir(&folder).env("XDG_CONFIG_HOME", &folder).stdin(Stdio::null());
    let unset = [("HEADWORKS_CONTEXT", ""), ("VISUAL", "")];
    command.envs(unset);
    command.envs(variables.iter().copied());
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(stdout), text(stderr), status.code())
}

#[test]
fn what_is_not_there_is_created_once() {
    let blue = Origin::echo("blue");
    let headworks = start(RELEASE, &[("blue", &blue)]);
    std::fs::write(headworks.path("group.yaml"), "algorithm: weighted_random\nhealth_check: { protocol: none }\n")
        .unwrap();
    let would = fine(&headworks, &["create", "target-group", "api", "-f", "group.yaml", "--dry-run"]);
    assert!(would.contains("+ target_groups.api") && would.contains("nothing was done"), "{would}");
    let set = "targets=[\"127.0.0.1:1\", { address: \"127.0.0.1:2\", weight: 5 }]";
    let create = ["create", "tg", "api", "-f", "group.yaml", "--set", set, "--set", "health_check.interval=7s"];
    fine(&headworks, &create);
    let made = NOBODY.get(&headworks, "/v1/target-groups/api");
    assert_eq!(made["algorithm"], "weighted_random");
    assert_eq!(
        (&made["targets"][1]["weight"], &made["health_check"]["interval"]),
        (&json!(5), &json!("7s")),
        "{made:#}"
    );
    for (arguments, parts) in [
        (&create[..], &["there is a target group \"api\" already", "edit"][..]),
        (&["create", "tg", "blue"], &["configuration file"]),
        (&["create", "tg", "new", "--set", "targets=[nowhere]", "--set", "colour=red"], &["targets[0]: ", "colour: "]),
        (&["create", "tg", "new", "--set", "algorithm"], &["key=value"]),
        (&["create", "tg", "new", "--set", "targets=[", "--set", "x=1"], &["--set targets"]),
        (&["create", "tg", "new", "--set", "algorithm=x", "--set", "algorithm.x=1"], &["no mapping"]),
        (&["create", "tg", "new", "-f", "missing.yaml"], &["missing.yaml"]),
    ] {
        let (out, error, code) = run(&headworks, arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {out}{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{arguments:?}: {error}");
    }
}

/// An editor that does with its file what a script says; `$1` is the file.
fn editor(headworks: &Headworks, script: &str) -> String {
    let path = headworks.path("editor");
    let written = std::fs::write(&path, format!("#!/bin/sh\n{script}\n"))
        .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path.display().to_string()
}

#[test]
fn what_is_edited_is_put_in_place_or_kept() {
    let blue = Origin::echo("blue");
    let headworks = start(RELEASE, &[("blue", &blue)]);
    let admin = headworks.admin().to_string();
    fine(&headworks, &["create", "tg", "api", "--set", "targets=[127.0.0.1:1]"]);
    let edit = |script: &str| {
        let editor = editor(&headworks, script);
        with(&headworks, &["edit", "tg", "api", "--endpoint", &admin], &[("EDITOR", &editor)])
    };
    let algorithm = || NOBODY.get(&headworks, "/v1/target-groups/api")["algorithm"].clone();
    let (said, _, code) = edit("grep -q '^algorithm: round_robin' \"$1\"");
    assert!(code == Some(0) && said.contains("nothing was done"), "{said}");
    let (said, error, code) = edit("sed -i 's/round_robin/weighted_random/' \"$1\"");
    assert!(code == Some(0) && said.contains("changed, revision 2"), "{said}{error}");
    assert_eq!(algorithm(), "weighted_random");

    // what is wrong is said at the top, and the editor opens again: here it then finds what to mend
    let mends = "if grep -q '^#: .*target_groups.api.algorithm' \"$1\"; then sed -i 's/wrong/round_robin/' \"$1\"; \
                 else sed -i 's/weighted_random/wrong/' \"$1\"; fi";
    let (said, error, code) = edit(mends);
    assert_eq!(code, Some(0), "{said}{error}");
    assert_eq!(algorithm(), "round_robin");
    let mends = "if grep -q '^#: ' \"$1\" && grep -q '^  - : ' \"$1\"; then sed -i '/^  - : /d' \"$1\"; \
                 else echo '  - : {' >> \"$1\"; echo 'cross_zone: ' > /dev/null; fi";
    let (said, error, code) = edit(mends);
    assert!(code == Some(0) && said.contains("nothing was done"), "{said}{error}");

    let kept = |error: &str| {
        let path = error.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|missing| panic!("{path}: {missing}: {error}"));
        std::fs::remove_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        text
    };
    // left as it is, it is given up
    let (_, error, code) = edit("sed -i 's/round_robin/wrong/' \"$1\"");
    assert!(code == Some(2) && error.contains("still wrong"), "{error}");
    assert!(kept(&error).contains("algorithm: wrong"));
    // somebody is faster
    let binary = HEADWORKS.0;
    let other = format!("{binary} targets register api 127.0.0.1:2 --endpoint {admin} > /dev/null");
    let (_, error, code) = edit(&format!("{other}; sed -i 's/round_robin/weighted_random/' \"$1\""));
    assert!(code == Some(2) && error.contains("meanwhile"), "{error}");
    assert!(kept(&error).contains("algorithm: weighted_random"));
    assert_eq!(algorithm(), "round_robin");
    let (_, error, code) = edit("echo 'protocol: tcp' > \"$1\"; exit 3");
    assert!(code == Some(2) && error.contains("the editor"), "{error}");
    assert!(kept(&error).contains("protocol: tcp"));
    let (_, error, code) = with(&headworks, &["edit", "tg", "blue", "--endpoint", &admin], &[("EDITOR", "false")]);
    assert!(code == Some(2) && error.contains("configuration file"), "{error}");
}

#[test]
fn contexts_are_added_used_and_removed() {
    let blue = Origin::echo("blue");
    let headworks = start(RELEASE, &[("blue", &blue)]);
    let admin = headworks.admin().to_string();
    let ran = |arguments: &[&str]| with(&headworks, arguments, &[]);
    let fine = |arguments: &[&str]| {
        let (out, error, code) = ran(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {out}{error}");
        out
    };
    assert_eq!(fine(&["context", "list"]).lines().count(), 1);
    fine(&["context", "add", "here", "--endpoint", &format!("http://{admin}/")]);
    let file = headworks.path("headworks/contexts.yaml");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // what people write there stays, and what it refers to is not written in its place
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("# ours\n{text}\n# far away\nfar:\n  endpoint: ${{env:FAR}}\n")).unwrap();
    std::fs::write(headworks.path("secret"), "s3cret\n").unwrap();
    let keyed = ["context", "add", "keyed", "--endpoint", &admin, "--access-key-id", "HWKA", "--secret-file", "secret"];
    fine(&keyed);
    assert_eq!(ran(&keyed).2, Some(2), "added twice");
    let text = std::fs::read_to_string(&file).unwrap();
    for part in ["# ours", "# far away", "endpoint: ${env:FAR}", "/secret}"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("s3cret"), "{text}");
    assert!(!fine(&["context", "list", "-o", "json"]).contains("secret"));
    // the current one is meant when none is named, and whoever names another means that
    assert_eq!(ran(&["context", "use", "nobody"]).2, Some(2));
    fine(&["context", "use", "here"]);
    let current = fine(&["context", "list"]);
    assert!(current.lines().any(|line| line.starts_with('*') && line.contains("here")), "{current}");
    assert!(fine(&["get", "target-groups"]).contains("blue"));
    assert!(fine(&["get", "target-groups", "--context", "keyed"]).contains("blue"));
    let (_, error, code) = with(&headworks, &["get", "tg"], &[("HEADWORKS_CONTEXT", "far"), ("FAR", "127.0.0.1:1")]);
    assert!(code == Some(1) && error.contains("127.0.0.1:1"), "{error}");
    let (_, error, code) = with(&headworks, &["get", "tg", "-c", "none.yaml"], &[("HEADWORKS_CONTEXT", "here")]);
    assert!(code == Some(2) && error.contains("none.yaml"), "{error}");
    fine(&["context", "remove", "here"]);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("here:") && text.contains("# ours") && text.contains("far:"), "{text}");
    assert!(!fine(&["context", "list"]).contains('*'));
    fine(&["context", "use", "keyed"]);
    fine(&["context", "use", "--none"]);
    // flow style has no lines of its own for each
    std::fs::write(&file, "{ a: { endpoint: \"127.0.0.1:1\" }, b: { endpoint: \"127.0.0.1:2\" } }").unwrap();
    fine(&["context", "remove", "a"]);
    let listed: Value = serde_json::from_str(&fine(&["context", "list", "-o", "json"])).unwrap();
    assert_eq!(listed["contexts"], json!({ "b": { "endpoint": "127.0.0.1:2", "access_key_id": null } }));
}

#[test]
fn shells_are_told_how_commands_are_completed() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, part) in
        [("bash", "complete -F _headworks"), ("zsh", "#compdef headworks"), ("fish", "complete -c headworks")]
    {
        let output = HEADWORKS.run(folder.path(), &["completions", shell]);
        let script = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && script.contains(part), "{shell}: {script}");
        assert!(script.contains("rollback") && !script.contains("demo-shop"), "{shell}");
    }
    // as bash takes it
    let script = "source <(\"$0\" completions bash); COMP_WORDS=(headworks tar); COMP_CWORD=1; _headworks headworks tar headworks; echo \"${COMPREPLY[*]}\"";
    let output = Command::new("bash").args(["-c", script, HEADWORKS.0]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "targets", "{output:?}");
}

/// A command at a terminal of its own, which is what `script` gives it.
struct AtTerminal {
    child: std::process::Child,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl AtTerminal {
    fn start(headworks: &Headworks, arguments: &str) -> Self {
        let command = format!("stty rows 30 cols 120; exec {} {arguments}", HEADWORKS.0);
        let child = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .current_dir(headworks.path(""))
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("script: {error}"));
        let (shown, output) = (Arc::new(Mutex::new(Vec::new())), child.stdout.take());
        let taken = shown.clone();
        std::thread::spawn(move || {
            let (mut block, mut output) = ([0; 4096], output?);
            while let Some(count) = output.read(&mut block).ok().filter(|count| *count > 0) {
                let more = block.get(..count).unwrap_or_default();
                taken.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(more);
            }
            Some(())
        });
        Self { child, shown }
    }

    fn wait_for(&self, part: &str) {
        let shown = || self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        wait::until(part, || String::from_utf8_lossy(&shown()).contains(part).then_some(()));
    }

    fn press(&mut self, keys: &str) {
        let pressed = self.child.stdin.as_mut().map(|stdin| stdin.write_all(keys.as_bytes()));
        assert!(matches!(pressed, Some(Ok(()))), "{pressed:?}");
    }

    /// That it ends, and leaves the terminal as it was.
    fn ends(mut self) {
        let status = wait::until("the end", || self.child.try_wait().ok().flatten());
        assert!(status.success(), "{status}");
        self.wait_for("\u{1b}[?1049l");
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that asks again and again, as long as this lives.
struct Traffic(Arc<AtomicBool>);

impl Traffic {
    fn through(headworks: &Headworks) -> Self {
        let (address, stop) = (headworks.listener("shop/http"), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            let mut client = Client::connect(address);
            while !stopped.load(Ordering::Relaxed) {
                client.exchange(&ask("GET", "/"));
            }
        });
        Self(stop)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_goes_on_is_shown_live() {
    let blue = Origin::echo("blue");
    let headworks = start(RELEASE, &[("blue", &blue)]);
    let traffic = Traffic::through(&headworks);
    let rate = |out: &str, name: &str| {
        let line = out.lines().find(|line| line.split_whitespace().next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("no {name}: {out}"));
        line.split_whitespace().nth(1).and_then(|rate| rate.parse::<f64>().ok())
    };
    // the first second of all may have begun before the first request
    wait::until("a second of requests", || {
        rate(&fine(&headworks, &["top", "--once"]), "shop/http").filter(|rate| *rate > 0.0)
    });
    let out = fine(&headworks, &["top", "--once", "--target-group", "blue"]);
    let target = blue.address().to_string();
    for name in ["shop/http", "shop/http/default", "blue", &target] {
        assert!(rate(&out, name).is_some_and(|rate| rate > 0.0), "{name}: {out}");
    }
    let told: Value = serde_json::from_str(&fine(&headworks, &["top", "--once", "-o", "json"])).unwrap();
    assert!(told["subjects"]["listener/shop/http"]["requests"].as_f64().is_some_and(|rate| rate > 0.0), "{told:#}");

    let admin = headworks.admin();
    let top = || AtTerminal::start(&headworks, &format!("top --endpoint {admin}"));
    let mut quits = top();
    quits.wait_for("shop/http");
    quits.press("3\r");
    // what stands where something else stood is written in part: an address has nothing in common with a name
    quits.wait_for(&target);
    quits.press("q");
    quits.ends();
    let mut interrupted = top();
    interrupted.wait_for("shop/http");
    interrupted.press("\u{3}");
    interrupted.ends();
    // a terminal that goes takes it along: it is not to wait for keys that nobody can press
    let mut abandoned = top();
    abandoned.wait_for("shop/http");
    let _ = abandoned.child.kill();
    let of_program = |line: &String| line.contains("headworks") && line.contains(&format!("top --endpoint {admin}"));
    wait::until("the end of one whose terminal has gone", || {
        let processes = Command::new("ps").args(["-eo", "args"]).output().unwrap().stdout;
        let processes = String::from_utf8_lossy(&processes).into_owned();
        (!processes.lines().map(str::to_owned).any(|line| of_program(&line))).then_some(())
    });
    drop(traffic);
    let (_, error, code) = run(&headworks, &["top"]);
    assert!(code == Some(2) && error.contains("--once"), "{error}");
    let gone = headworks.beside(&["top", "--once", "--endpoint", "127.0.0.1:1"]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
}
