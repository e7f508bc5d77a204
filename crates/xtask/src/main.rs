//! What a developer of this repository runs: `cargo run -p xtask -- tidy`, `... bench` and `... chaos`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to whoever started it")]

mod bench;
mod chaos;
mod steady;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo run -p xtask -- tidy | bench [--help] | chaos [--help]";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("bench") => bench::main(args),
        // what the bench starts beside itself
        Some("resume") => bench::resume::main(args),
        Some("http3") => bench::http3::main(args),
        Some("steady") => bench::steady::main(args),
        Some("dawdle") => bench::steady::dawdle(args),
        Some("datagrams") => bench::datagrams::main(args),
        Some("echo") => bench::datagrams::echo(args),
        Some("chaos") => chaos::main(args),
        Some("chaos-target") => chaos::target::main(args),
        Some("tidy") => tidy(),
        Some("--help" | "-h") => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn tidy() -> ExitCode {
    match tidy::check(&root()) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => {
            findings.iter().for_each(|finding| eprintln!("{finding}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The tree that cargo was asked to work on. Asked for at run time: clones may share a target folder, and so this program.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from("."), |crate_| PathBuf::from(crate_).join("../.."))
}
