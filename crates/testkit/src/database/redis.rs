//! Redis.

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;

use super::{Daemon, folder_of, own_address};
use crate::{Client, wait};

/// A running server.
#[derive(Debug)]
pub struct Redis(Daemon);

impl Redis {
    /// A new one without anything in it, with further words on its command line.
    ///
    /// # Panics
    /// When it does not start, as where it is not installed.
    #[must_use]
    pub fn start(settings: &[&str]) -> Redis {
        let address = own_address();
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let mut command = Command::new("redis-server");
        command.args([
            "--bind",
            &host,
            "--port",
            &port,
            "--save",
            "",
            "--appendonly",
            "no",
            "--repl-diskless-sync-delay",
        ]);
        command.arg("0").args(settings);
        let folder = folder_of("root");
        let redis = Redis(Daemon::start(command, folder, address, Signal::KILL));
        let connected = wait::within(wait::PATIENCE, || Client::try_connect(address).ok());
        assert!(connected.is_some(), "{address} does not listen; it said\n{}", redis.0.said());
        redis
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// What it answers to lines of commands, and to QUIT behind them.
    #[must_use]
    pub fn says(&self, lines: &[&str]) -> String {
        let mut client = Client::connect(self.0.address);
        for line in lines.iter().chain(&["QUIT"]) {
            client.send(format!("{line}\r\n"));
        }
        String::from_utf8_lossy(&client.rest().0).into_owned()
    }

    /// Ends it at once.
    pub fn stop(&mut self) {
        self.0.stop();
    }
}
