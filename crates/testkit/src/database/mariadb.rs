//! MariaDB.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{Daemon, command_as, folder_of, own_address, run};
use crate::wait;

/// Who it runs as.
const USER: &str = "mysql";

/// A running server.
#[derive(Debug)]
pub struct Mariadb(Daemon);

impl Mariadb {
    /// A new one without anything in it, with further words on its command line.
    ///
    /// # Panics
    /// When it does not start, as where it is not installed.
    #[must_use]
    pub fn start(settings: &[&str]) -> Mariadb {
        let folder = folder_of(USER);
        let data = format!("--datadir={}", folder.path().join("data").display());
        // a server that starts removes what it takes for leftovers of another where temporary tables are
        let own = |program: &str| {
            let mut command = command_as(USER, Path::new(program));
            command.env("TMPDIR", folder.path());
            command
        };
        run(own("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", &data])
            .current_dir(folder.path()));
        let address = own_address();
        let mut command = own("/usr/sbin/mariadbd");
        command.args(["--no-defaults", &data, "--skip-name-resolve", "--log-warnings=9"]);
        command.arg(format!("--bind-address={}", address.ip())).arg(format!("--port={}", address.port()));
        command.arg(format!("--socket={}", folder.path().join("socket").display())).args(settings);
        let server = Mariadb(Daemon::start(command, folder, address, Signal::KILL));
        let answers = wait::within(wait::PATIENCE * 3, || server.query("SELECT 1").ok());
        assert!(answers.is_some(), "{address} does not answer; it said\n{}", server.0.said());
        server
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// What it has written to its log so far, which is all that there is to say.
    #[must_use]
    pub fn said(&self) -> String {
        self.0.said()
    }

    /// What it answers to somebody who may do everything, at its socket.
    ///
    /// # Errors
    /// What its client says.
    pub fn query(&self, sql: &str) -> Result<String, String> {
        let socket = format!("--socket={}", self.0.folder.path().join("socket").display());
        let output = Command::new("mariadb").args(["--no-defaults", "-NB", "-u", "root", &socket, "-e", sql]).output();
        let output = output.unwrap_or_else(|error| panic!("mariadb: {error}; `make packages` installs it"));
        let [said, errors] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        if output.status.success() { Ok(said) } else { Err(errors) }
    }

    /// The same where it must not fail.
    ///
    /// # Panics
    /// When it does.
    pub fn run(&self, sql: &str) -> String {
        self.query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}
