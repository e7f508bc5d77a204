//! Real databases, of the Debian packages, in folders and on addresses of their own.

mod mariadb;
mod postgres;
mod redis;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

pub use self::mariadb::Mariadb;
pub use self::postgres::{Postgres, psql};
pub use self::redis::Redis;

/// A server that runs; it is killed when this is dropped.
#[derive(Debug)]
struct Daemon {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
    /// What ends it at once.
    kill: Signal,
}

impl Daemon {
    /// Runs it in its folder, where its words go too.
    fn start(mut command: Command, folder: TempDir, address: SocketAddr, kill: Signal) -> Daemon {
        let said = File::create(folder.path().join("said.log")).unwrap_or_else(|error| panic!("no log: {error}"));
        let twin = said.try_clone().unwrap_or_else(|error| panic!("no log: {error}"));
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(said).stderr(twin);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; `make packages` installs it"));
        Daemon { child, folder, address, kill }
    }

    fn said(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("said.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn stop(&mut self) {
        if let (Ok(None), Ok(id)) = (self.child.try_wait(), i32::try_from(self.child.id()))
            && let Some(id) = Pid::from_raw(id)
        {
            let _ = kill_process(id, self.kill);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("--- {} said\n{}\n", self.address, self.said()).as_bytes(),
            );
        }
    }
}

/// A port that nobody else takes before the server does, for no other process uses this address.
fn own_address() -> SocketAddr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 64 | (a & 0x3f), b, c);
    let listener = TcpListener::bind((address, 0)).unwrap_or_else(|error| panic!("no port at {address}: {error}"));
    listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"))
}

/// A folder that belongs to the user of this name, where this is root; to this user otherwise.
fn folder_of(user: &str) -> TempDir {
    let folder = TempDir::with_prefix("headworks-db-").unwrap_or_else(|error| panic!("no folder: {error}"));
    if geteuid().is_root() {
        run(Command::new("chown").arg(user).arg(folder.path()));
    }
    folder
}

/// A command as the user of this name, where this is root: some servers refuse to be.
fn command_as(user: &str, program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(program);
    command
}

/// Runs a command to its end.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; `make packages` installs it"));
    let [said, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{command:?} said\n{said}\n{errors}");
    said
}
