//! The Python environment with real peers that `make packages` sets up.

use std::path::PathBuf;
use std::process::Command;

/// A program of it: `python`, or what one of its packages brings.
pub(crate) fn program(name: &str) -> Command {
    let home = std::env::var_os("HEADWORKS_PYTHON_HOME").map(PathBuf::from);
    let cached = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/headworks/python");
    let program = home.unwrap_or_else(cached).join("bin").join(name);
    assert!(program.exists(), "{} is missing: make packages", program.display());
    Command::new(program)
}
