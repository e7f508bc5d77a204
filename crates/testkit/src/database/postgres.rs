//! PostgreSQL: primaries and their streaming replicas.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Daemon, command_as, folder_of, own_address, run};
use crate::wait;

/// Who it runs as, and who may do everything in it without a password.
const USER: &str = "postgres";
/// Everybody but [`USER`] has to show a password.
const HBA: &str = "host all postgres all trust\nhost replication all all trust\nhost all legacy all md5\n\
                   host all trusted all trust\nhost all all all scram-sha-256\n";

/// A running server.
#[derive(Debug)]
pub struct Postgres(Daemon);

impl Postgres {
    /// A new one without anything in it.
    ///
    /// # Panics
    /// When it does not start, as where it is not installed.
    #[must_use]
    pub fn primary() -> Postgres {
        let folder = folder_of(USER);
        run(command_as(USER, &program("initdb"))
            .args(["--no-sync", "--auth", "trust", "--username", USER, "--encoding", "UTF8", "--locale", "C", "-D"])
            .arg(data(&folder))
            .current_dir(folder.path()));
        let hba = data(&folder).join("pg_hba.conf");
        std::fs::write(&hba, HBA).unwrap_or_else(|error| panic!("cannot write {}: {error}", hba.display()));
        Postgres::start(folder)
    }

    /// One that follows it.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn replica(&self) -> Postgres {
        let folder = folder_of(USER);
        let (host, port) = (self.0.address.ip().to_string(), self.0.address.port().to_string());
        run(command_as(USER, &program("pg_basebackup"))
            .args(["--no-sync", "-R", "-X", "stream", "-c", "fast", "-U", USER, "-h", &host, "-p", &port, "-D"])
            .arg(data(&folder))
            .current_dir(folder.path()));
        Postgres::start(folder)
    }

    fn start(folder: TempDir) -> Postgres {
        let address = own_address();
        let mut command = command_as(USER, &program("postgres"));
        command.arg("-D").arg(data(&folder));
        let settings = [
            format!("listen_addresses={}", address.ip()),
            format!("port={}", address.port()),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "wal_retrieve_retry_interval=100ms".to_owned(),
        ];
        for setting in &settings {
            command.args(["-c", setting]);
        }
        let server = Postgres(Daemon::start(command, folder, address, Signal::QUIT));
        let answers = wait::within(wait::PATIENCE, || server.query("SELECT 1").ok());
        assert!(answers.is_some(), "{address} does not answer; it said\n{}", server.0.said());
        server
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// What it answers to somebody who may do everything.
    ///
    /// # Errors
    /// What psql says.
    pub fn query(&self, sql: &str) -> Result<String, String> {
        psql(self.0.address, USER, "", sql)
    }

    /// The same where it must not fail.
    ///
    /// # Panics
    /// When it does.
    pub fn run(&self, sql: &str) -> String {
        self.query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Makes a primary of it, and waits until it is one.
    ///
    /// # Panics
    /// When it becomes none.
    pub fn promote(&self) {
        run(command_as(USER, &program("pg_ctl"))
            .args(["promote", "-D"])
            .arg(data(&self.0.folder))
            .current_dir(self.0.folder.path()));
    }

    /// Ends it at once.
    pub fn stop(&mut self) {
        self.0.stop();
    }
}

/// What somebody is answered at an address, without column names.
///
/// # Errors
/// What psql says.
pub fn psql(address: SocketAddr, user: &str, password: &str, sql: &str) -> Result<String, String> {
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut command = Command::new(program("psql"));
    command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-U", user, "-h", &host, "-p", &port, "-c", sql]);
    command.env("PGPASSWORD", password).env("PGCONNECT_TIMEOUT", "5").stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("psql: {error}; `make packages` installs it"));
    let [said, errors] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    if output.status.success() { Ok(said) } else { Err(errors) }
}

fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

/// A program of the newest version that is installed; Debian has most of them in no path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).max();
    newest.unwrap_or_else(|| Path::new(name).to_owned())
}
