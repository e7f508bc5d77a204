//! `tidy`: the house rules that no compiler checks. What it finds, it says with file and line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Past this, a file holds a second noun.
const LONGEST_FILE: usize = 600;

/// Texts that must not be committed, with the reason.
const BANNED: [(&str, &str); 4] = [
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("#[ig", "nore]"), "a test that is not run needs its reason: `#[ignore = \"...\"]`"),
    (concat!("dbg", "!("), "left over from a search"),
];

/// Checks the tree at `root`. The findings, in order of files.
///
/// # Errors
/// When the tree cannot be read.
pub(crate) fn check(root: &Path) -> io::Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut sources = Vec::new();
    for folder in ["crates", "fuzz"] {
        files(&root.join(folder), "rs", &mut sources)?;
    }
    sources.sort();
    for path in &sources {
        let text = fs::read_to_string(path)?;
        let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
        if !text.starts_with("//!") && !shown.ends_with("tests.rs") {
            findings.push(format!("{shown}:1: opens without `//!`: what it is, why it exists, what it is not"));
        }
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            findings.push(format!("{shown}:{lines}: over {LONGEST_FILE} lines, look for the second noun inside"));
        }
        for (number, line) in text.lines().enumerate() {
            for (banned, reason) in BANNED.iter().filter(|(banned, _)| line.contains(banned)) {
                findings.push(format!("{shown}:{}: `{banned}`: {reason}", number + 1));
            }
        }
    }
    architecture(root, &mut findings)?;
    Ok(findings)
}

/// What `ARCHITECTURE.md` and `README.md` name exists, and every crate is named.
fn architecture(root: &Path, findings: &mut Vec<String>) -> io::Result<()> {
    for page in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root.join(page))?;
        for (number, line) in text.lines().enumerate() {
            let quoted = line.split('`').skip(1).step_by(2);
            let paths = quoted
                .filter(|q| ["crates/", "bench/", "docs/", "conformance/", "fuzz/"].iter().any(|p| q.starts_with(p)));
            for path in paths.filter(|path| !root.join(path).exists()) {
                findings.push(format!("{page}:{}: names `{path}`, which does not exist", number + 1));
            }
        }
    }
    let text = fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    for entry in fs::read_dir(root.join("crates"))? {
        let name = format!("`crates/{}`", entry?.file_name().to_string_lossy());
        if !text.contains(&name) {
            findings.push(format!("ARCHITECTURE.md: does not name {name}"));
        }
    }
    Ok(())
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                files(&path, extension, found)?;
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    Ok(())
}
