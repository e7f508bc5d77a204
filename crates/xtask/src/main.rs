//! What a developer of this repository runs: `cargo run -p xtask -- bench`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to whoever started it")]

mod bench;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo run -p xtask -- bench [--help]";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("bench") => bench::main(args),
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
