//! Machines with networks of their own, on this one: network namespaces, and cables between them. For root, with iproute2.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A machine; it is gone, and its cables are, when this is dropped.
#[derive(Debug)]
pub struct Machine {
    /// What the system calls its network.
    name: String,
    called: &'static str,
}

impl Machine {
    /// A machine that reaches nobody but itself.
    ///
    /// # Panics
    /// When the system does not let it be made.
    #[must_use]
    pub fn new(called: &'static str) -> Machine {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("hw-{}-{}-{called}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        run(&format!("ip netns add {name}"));
        let machine = Machine { name, called };
        machine.ip("link set lo up");
        machine
    }

    /// Puts a cable between two machines, and gives each end its addresses, with their networks: `10.0.0.1/24`. The end is
    /// called as the machine that it leads to.
    ///
    /// # Panics
    /// When the system does not let it be done.
    pub fn cable(&self, ours: &[&str], other: &Machine, theirs: &[&str]) {
        let ends = [(self, other, ours), (other, self, theirs)];
        let [near, far] = ends.map(|(machine, to, _)| format!("name {} netns {machine}", to.called));
        run(&format!("ip link add {near} type veth peer {far}"));
        for (machine, to, addresses) in ends {
            machine.ip(&format!("link set {} up", to.called));
            for address in addresses {
                // an IPv6 address is of use at once when nobody is asked whether it is taken
                let nodad = if address.contains(':') { " nodad" } else { "" };
                machine.ip(&format!("addr add {address} dev {}{nodad}", to.called));
            }
        }
    }

    /// Configures its network: `ip` with these arguments.
    ///
    /// # Panics
    /// When that fails.
    pub fn ip(&self, arguments: &str) {
        run(&format!("ip -n {} {arguments}", self.name));
    }

    /// Runs a command in its network.
    ///
    /// # Panics
    /// When that fails.
    pub fn run(&self, command: &str) {
        run(&format!("ip netns exec {} {command}", self.name));
    }

    /// Does something in its network. Sockets that are opened there, and programs that are started, stay in it.
    ///
    /// # Panics
    /// When the thing does.
    pub fn within<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.name);
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let network = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
                let moved = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
                moved.unwrap_or_else(|error| panic!("cannot enter {path}: {error}"));
                what()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn run(command: &str) {
    let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
    let output = Command::new(program).args(arguments.split(' ')).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}
