//! Tables of cases: every row is tried, and all that fail are reported together.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Rows after which a table that fails throughout is given up, because each may cost its deadline.
const ENOUGH: usize = 12;

/// Tries every row; `label` names a row in the report, `test` panics when it does not hold.
///
/// # Panics
/// When a row failed, with all that did.
pub fn check<R, L: Display>(rows: impl IntoIterator<Item = R>, label: impl Fn(&R) -> L, test: impl Fn(&R)) {
    let mut failures = Vec::new();
    let mut tried = 0;
    for row in rows {
        tried += 1;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&row))) {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked");
            failures.push(format!("--- {}\n{text}", label(&row)));
        }
        if failures.len() >= ENOUGH {
            failures.push("--- given up: the remaining rows were not tried".to_owned());
            break;
        }
    }
    assert!(tried > 0, "a table without rows shows nothing");
    assert!(failures.is_empty(), "{} of {tried} rows failed:\n{}", failures.len(), failures.join("\n"));
}
