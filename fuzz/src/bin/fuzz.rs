//! Runs the targets named as arguments, or all, for a while each: `FUZZ_SECONDS` (4), and what else the environment says
//! ([`headworks_fuzz::hunt`]).

use std::process::ExitCode;

use headworks_fuzz::TARGETS;
use headworks_fuzz::hunt::hunt;

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let chosen = TARGETS.iter().filter(|t| names.is_empty() || names.iter().any(|n| n == t.name));
    let mut failed = names.iter().any(|name| !TARGETS.iter().any(|t| t.name == name));
    for target in chosen {
        match hunt(target, 4) {
            Ok(said) => println!("{said}"),
            Err(fault) => {
                failed = true;
                eprintln!("{fault} fuzz {}", target.name);
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
