//! The binary `headworks`: command line in, exit status out.

mod acme;
mod admin;
mod certificates;
mod changes;
mod check;
mod cli;
mod client;
mod console;
mod demo;
mod descriptors;
mod explain;
mod file;
mod firewall;
#[cfg(test)]
mod fuzz;
mod init;
mod keys;
mod live;
mod operate;
mod private;
mod proxy;
mod ready;
mod reload;
mod rotate_key;
mod run;
mod shop;
mod systemd;
mod takeover;
mod upgrade;

use std::process::ExitCode;

use clap::Parser;

/// The streams of HTTP/2 are allocations by the dozen, and a reload frees a configuration's worth of small ones: the C
/// library's allocator costs a tenth of a request of the one, and keeps the memory of the other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    start_logging(&cli.command);
    use_small_pages();
    match cli.command {
        cli::Command::Run(args) => run::main(&args),
        cli::Command::Check(args) => check::main(&args),
        cli::Command::Reload(args) => reload::main(&args),
        cli::Command::Ready(args) => ready::main(&args),
        cli::Command::Upgrade(args) => upgrade::main(&args),
        cli::Command::Firewall(args) => firewall::main(&args.file),
        cli::Command::Certificates(args) => certificates::main(&args),
        cli::Command::Explain(args) => explain::main(&args),
        cli::Command::Proxy(args) => proxy::main(&args),
        cli::Command::Demo(args) => demo::main(&args),
        cli::Command::DemoShop(args) => demo::shop_main(args),
        cli::Command::Operate(command) => operate::main(&command),
        cli::Command::Init(args) => init::main(&args),
        cli::Command::RotateKey(args) => rotate_key::main(&args),
        cli::Command::Schema => check::schema(),
        cli::Command::Completions { shell } => {
            check::say(cli::completions(shell).trim_end());
            ExitCode::SUCCESS
        }
    }
}

/// Memory comes in pages of 4 KiB, whatever the system would like to give: of large ones most stays empty, which is 19 of 44 MiB of an
/// instance that serves, and having one cleared keeps requests waiting (prctl(2), PR_SET_THP_DISABLE). It costs no time.
fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "memory may come in large pages");
    }
}

/// The program's own log goes to standard error; `HEADWORKS_LOG` sets its level and filters (`debug`,
/// `headworks_edge=debug`).
fn start_logging(command: &cli::Command) {
    let quiet = matches!(command, cli::Command::Demo(_) | cli::Command::DemoShop(_));
    // what a client of HTTP/2 does wrong is no warning to us, and a line for each such frame would be its to order
    let default = if quiet { "warn,h2=error" } else { "info,h2=error" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("HEADWORKS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
}
