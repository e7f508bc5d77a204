//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// Headworks: everything between a browser and a web application's own processes.
#[derive(Debug, Parser)]
#[command(name = "headworks", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run in the foreground; SIGHUP applies the file again, SIGTERM drains and stops
    Run(Run),
    /// Validate a configuration and say what would change; exit 0 or 2
    Check(File),
    /// Have the running instance apply its file again; exit 0, or 2 when the file is refused
    Reload(File),
    /// Make the root identity of an installation with `auth: required`, and print its access key once
    Init(Init),
    /// Seal all that is secret with another key, while the instance does not run
    RotateKey(RotateKey),
    /// Say whether the running instance serves; exit 0 when it does
    Ready(File),
    /// Have this program take over from the running instance, without a request that fails; exit 0 once it serves, or 2
    /// when the file is refused
    Upgrade(File),
    /// Print what network ACLs and security groups say as a ruleset of nftables
    Firewall(Firewall),
    /// Say which certificates the running instance has, until when, and what became of the last order
    Certificates(Certificates),
    /// Say why a request goes where it goes: listener, rule, group, target
    Explain(Explain),
    /// A load balancer without a file
    Proxy(Proxy),
    /// A small shop behind a load balancer on loopback
    Demo(Demo),
    /// One instance of the demo's shop
    #[command(hide = true, disable_version_flag = true)]
    DemoShop(DemoShop),
    #[command(flatten)]
    Operate(crate::operate::Operate),
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
    /// Print what completes these commands in a shell: `source <(headworks completions bash)`
    Completions { shell: Shell },
}

/// What completes the commands in a shell.
pub(crate) fn completions(shell: Shell) -> String {
    let all = Cli::command();
    // what is hidden from people is not to be offered to them
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let version = env!("CARGO_PKG_VERSION");
    let mut command = clap::Command::new("headworks").version(version).propagate_version(true).subcommands(shown);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "headworks", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[derive(Debug, Args)]
pub(crate) struct File {
    /// The configuration file
    #[arg(short, long = "config", default_value = "headworks.yaml")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) file: File,
    /// Apply the file again whenever it is saved
    #[arg(long)]
    pub(crate) watch: bool,
    /// Take over from the instance that runs with the same data folder, if there is one
    #[arg(long)]
    pub(crate) replace: bool,
    /// Started by the instance with this process number, to take over from it
    #[arg(long, hide = true)]
    pub(crate) successor_of: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) file: File,
    /// As JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// Make another key in place of those that there are
    #[arg(long)]
    pub(crate) replace: bool,
    /// Also make a user of this name who may do everything and signs in to the console; its password is printed once
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RotateKey {
    #[command(flatten)]
    pub(crate) file: File,
    /// The new key, where the file says `admin.key_file`: 32 bytes, or as many in base64
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Firewall {
    #[command(flatten)]
    pub(crate) file: File,
    /// For `nft -f`; there is no other form
    #[arg(long, required = true)]
    pub(crate) nftables: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Certificates {
    #[command(flatten)]
    pub(crate) file: File,
    /// As JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) file: File,
    /// Method and URL: `GET https://shop.example.com/api?x=1`; without a method, GET
    #[arg(required_unless_present = "sign")]
    pub(crate) request: Option<String>,
    /// Print a header field that has the running instance tell of the decision in its answer, for so many minutes
    #[arg(long, value_name = "MINUTES", conflicts_with_all = ["request", "header", "from", "listener", "json"], value_parser = clap::value_parser!(u16).range(1..=1440))]
    pub(crate) sign: Option<u16>,
    /// A header field: `X-Version: v2`; give several
    #[arg(short = 'H', long)]
    pub(crate) header: Vec<String>,
    /// Who asks; absent: this machine
    #[arg(long)]
    pub(crate) from: Option<IpAddr>,
    /// The listener, as `shop/https` or `https`; absent: the one that the URL leads to
    #[arg(long)]
    pub(crate) listener: Option<String>,
    /// As JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Proxy {
    /// Where to listen: `:8080`, `8080` or `127.0.0.1:8080`
    #[arg(long)]
    pub(crate) from: String,
    /// A target, `ip:port`, `host:port` or `unix:/path`; give several to balance
    #[arg(long, required = true)]
    pub(crate) to: Vec<String>,
    /// The admin address; absent: a free port of loopback
    #[arg(long)]
    pub(crate) admin: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Port of the shop, on loopback; 0: a free one
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// Port of the admin address, on loopback; 0: a free one
    #[arg(long, default_value_t = 9080)]
    pub(crate) admin_port: u16,
    /// Where the demo keeps its file, log and database; absent: a temporary folder
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DemoShop {
    #[arg(long)]
    pub(crate) address: SocketAddr,
    #[arg(long)]
    pub(crate) instance: String,
    #[arg(long)]
    pub(crate) version: String,
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// Go on without the process that started this one
    #[arg(long)]
    pub(crate) detached: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    /// Names that clash are found by clap only when a command is used.
    #[test]
    fn every_command_can_be_parsed() {
        super::Cli::command().debug_assert();
    }
}
