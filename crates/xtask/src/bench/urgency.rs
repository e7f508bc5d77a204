//! The bench before everything else on the machine, for as long as it lasts: for benches beside other people's work.
//!
//! The scheduler shares cores among sessions first (autogroups, sched(7)), so a nice value of single processes would not
//! do. Of the whole session it does, and every child has it too.

use std::fs;

use super::trouble::{Trouble, io};

const AUTOGROUP: &str = "/proc/self/autogroup";

/// The session's priority as it was; restored at the end.
pub(crate) struct Urgency {
    before: String,
}

impl Urgency {
    /// Raises the session's priority to the highest.
    pub(crate) fn raise() -> Result<Urgency, Trouble> {
        let what = "--urgent needs root and the scheduler's autogroups";
        let text = fs::read_to_string(AUTOGROUP).map_err(io(what))?;
        let before = text.split_whitespace().last().unwrap_or("0").to_owned();
        fs::write(AUTOGROUP, "-20").map_err(io(what))?;
        Ok(Urgency { before })
    }
}

impl Drop for Urgency {
    fn drop(&mut self) {
        if let Err(error) = fs::write(AUTOGROUP, &self.before) {
            eprintln!("the session keeps its high priority ({error}); `echo {} > {AUTOGROUP}` ends it", self.before);
        }
    }
}
