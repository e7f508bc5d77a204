//! `${env:NAME}` and `${file:/path}` inside text. The asking is the caller's: this crate reads no environment and no file.

use std::io;

/// Where `${env:...}` and `${file:...}` get their values.
pub trait Resolve {
    /// The environment variable, if it is set.
    fn env(&self, name: &str) -> Option<String>;

    /// The file's text.
    ///
    /// # Errors
    /// As reading it failed.
    fn file(&self, path: &str) -> io::Result<String>;
}

/// Resolves nothing: every `${env:...}` and `${file:...}` is missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Resolve for Nothing {
    fn env(&self, _name: &str) -> Option<String> {
        None
    }

    fn file(&self, _path: &str) -> io::Result<String> {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "files are not read here"))
    }
}

/// The longest text that a value may become, in bytes: a fixed response's body and then some.
const LONGEST: usize = 256 * 1024;

/// Replaces every reference in `text`; `None` when it has none.
///
/// `$${env:NAME}` stands for the text `${env:NAME}`. Other uses of `$` are left alone: a rewrite has its own `${name}`.
pub(crate) fn resolve(text: &str, from: &dyn Resolve) -> Option<Result<String, String>> {
    if !text.contains("${env:") && !text.contains("${file:") {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = next_reference(rest) {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = reference.get(2..).unwrap_or_default();
            continue;
        }
        out.push_str(before);
        let Some((inside, tail)) = reference.get(2..).and_then(|text| text.split_once('}')) else {
            return Some(Err("has a ${ without its }".to_owned()));
        };
        match look_up(inside, from) {
            Ok(value) => out.push_str(&value),
            Err(what) => return Some(Err(what)),
        }
        if out.len() > LONGEST {
            return Some(Err(format!("becomes longer than {LONGEST} bytes")));
        }
        rest = tail;
    }
    out.push_str(rest);
    Some(Ok(out))
}

fn next_reference(text: &str) -> Option<usize> {
    [text.find("${env:"), text.find("${file:")].into_iter().flatten().min()
}

fn look_up(inside: &str, from: &dyn Resolve) -> Result<String, String> {
    let (kind, name) = inside.split_once(':').unwrap_or((inside, ""));
    if kind == "env" {
        return from.env(name).ok_or_else(|| format!("the environment variable {name} is not set"));
    }
    match from.file(name) {
        Ok(text) => {
            Ok(text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text)).to_owned())
        }
        Err(error) => Err(format!("the file {name} cannot be read ({error})")),
    }
}
