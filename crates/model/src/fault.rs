//! Faults of a configuration: where, at which path, what is wrong, what was expected.

use std::fmt;
use std::sync::Arc;

/// One thing that is wrong, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file's name as it was given.
    pub file: Arc<str>,
    /// From 1; 0 when there is no text to point into.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// Dotted, with `[0]` for places in a list; empty for the whole.
    pub path: String,
    /// What is wrong, without a full stop.
    pub what: String,
    /// What was expected.
    pub expected: Option<String>,
}

/// All that is wrong, by place. Never empty when it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// The faults, by place.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Fault {
    /// `file:line:column: path: what, expected this`, in one line: what was written may have others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        }
        if !self.path.is_empty() {
            put(f, &self.path)?;
            f.write_str(": ")?;
        }
        put(f, &self.what)?;
        match &self.expected {
            Some(expected) => {
                f.write_str(", expected ")?;
                put(f, expected)
            }
            None => Ok(()),
        }
    }
}

/// Writes text whose control characters, if it has any, are escaped.
fn put(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some((at, control)) = rest.char_indices().find(|(_, c)| c.is_control()) {
        let (before, behind) = rest.split_at(at);
        write!(f, "{before}{}", control.escape_default())?;
        rest = behind.strip_prefix(control).unwrap_or_default();
    }
    f.write_str(rest)
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::Fault;

    #[test]
    fn a_fault_is_one_line() {
        let (path, what) = ("admin.a\nb\u{85}".to_owned(), "unknown key \"\u{1b}[0m\" é".to_owned());
        let fault = Fault { file: "t".into(), line: 1, column: 2, path, what, expected: Some("a".to_owned()) };
        assert_eq!(fault.to_string(), r#"t:1:2: admin.a\nb\u{85}: unknown key "\u{1b}[0m" é, expected a"#);
    }
}
