//! Rewrites of host and URL (R11), compiled: what the target is sent instead of what the client sent.
//!
//! The first match of the expression is replaced, nothing else; without a match the text stays as it is. The engine is
//! linear in the text. Hosts are matched without case, URLs with. What comes out cannot break the message it is put into:
//! a URL is percent-encoded and begins with `/`, a host that is none is refused.

mod replacement;

use std::error::Error;
use std::fmt;

use headworks_message::send::put_percent;
use headworks_model::rule::{Rewrite, Transforms};
use regex::bytes::Regex;

use crate::error::Fault;
use crate::matcher::regex_of;
use crate::transform::replacement::Replacement;
use crate::wildcard::Case;

/// The transforms of one rule, compiled.
#[derive(Clone, Debug, Default)]
pub struct CompiledTransforms {
    host: Option<Compiled>,
    url: Option<Compiled>,
}

#[derive(Clone, Debug)]
struct Compiled {
    regex: Regex,
    replacement: Replacement,
}

/// Host and target after the transforms. Reused from request to request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The Host field's value.
    pub host: Vec<u8>,
    /// Path and query, in origin form.
    pub target: Vec<u8>,
}

/// Why a request cannot be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformError {
    /// The host came out empty or with characters that no host has.
    BadHost,
    /// The host came out longer than [`LONGEST_HOST`].
    HostTooLong,
    /// The URL came out longer than [`LONGEST_TARGET`].
    UrlTooLong,
}

/// The longest host with port, in bytes: a DNS name (RFC 1035 section 2.3.4), `:` and a port.
pub const LONGEST_HOST: usize = 255 + 6;

/// The longest target, in bytes: that of a request line (H2).
pub const LONGEST_TARGET: usize = 16 * 1024;

impl CompiledTransforms {
    /// Compiles the transforms of a rule.
    ///
    /// # Errors
    /// When an expression does not compile or a replacement names a group that there is not.
    pub fn compile(transforms: &Transforms) -> Result<CompiledTransforms, Fault> {
        let compile =
            |rewrite: &Option<Rewrite>, case| rewrite.as_ref().map(|rewrite| Compiled::new(rewrite, case)).transpose();
        Ok(CompiledTransforms {
            host: compile(&transforms.host, Case::Insensitive)?,
            url: compile(&transforms.url, Case::Sensitive)?,
        })
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.host.is_none() && self.url.is_none()
    }
}

/// Writes what the target is to be sent into `out`. `host` is the Host field's value, `target` is in origin form.
///
/// # Errors
/// When the result is no host, or too long; `out` is then of no use.
pub fn apply(
    transforms: &CompiledTransforms,
    host: &[u8],
    target: &[u8],
    out: &mut Rewritten,
) -> Result<(), TransformError> {
    out.host.clear();
    out.target.clear();
    match &transforms.host {
        Some(rewrite) if rewrite.replace(host, LONGEST_HOST, &mut out.host) == Done::Replaced => {
            if out.host.len() > LONGEST_HOST {
                return Err(TransformError::HostTooLong);
            }
            if out.host.is_empty() || !out.host.iter().all(|b| in_host(*b)) {
                return Err(TransformError::BadHost);
            }
        }
        _ => out.host.extend_from_slice(host),
    }
    match &transforms.url {
        Some(rewrite) => {
            let mut raw = Vec::new();
            match rewrite.replace(target, LONGEST_TARGET, &mut raw) {
                Done::Replaced => {
                    sanitise(&raw, &mut out.target);
                    if out.target.len() > LONGEST_TARGET {
                        return Err(TransformError::UrlTooLong);
                    }
                }
                Done::NoMatch => out.target.extend_from_slice(target),
            }
        }
        None => out.target.extend_from_slice(target),
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Replaced,
    NoMatch,
}

impl Compiled {
    fn new(rewrite: &Rewrite, case: Case) -> Result<Compiled, Fault> {
        let regex = regex_of(rewrite.regex.as_str(), case)?;
        let replacement = Replacement::new(&rewrite.replace, &regex)?;
        Ok(Compiled { regex, replacement })
    }

    /// Appends `text` with the first match replaced; gives up, leaving more than `limit` bytes, once it is too long.
    fn replace(&self, text: &[u8], limit: usize, out: &mut Vec<u8>) -> Done {
        let Some(captures) = self.regex.captures(text) else { return Done::NoMatch };
        let Some(whole) = captures.get(0) else { return Done::NoMatch };
        out.extend_from_slice(text.get(..whole.start()).unwrap_or_default());
        self.replacement.expand(&captures, limit, out);
        out.extend_from_slice(text.get(whole.end()..).unwrap_or_default());
        Done::Replaced
    }
}

/// The bytes of `reg-name`, of IP literals and of the port (RFC 3986 section 3.2.2), but for percent-encoding.
fn in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']')
}

/// Appends `raw` as the target of a request line: what would end the line or the target is percent-encoded.
fn sanitise(raw: &[u8], out: &mut Vec<u8>) {
    if raw.first() != Some(&b'/') {
        out.push(b'/');
    }
    for byte in raw {
        match byte {
            b'#' => put_percent(out, b'#'),
            b if b.is_ascii_graphic() => out.push(*b),
            b => put_percent(out, *b),
        }
    }
}

impl fmt::Display for TransformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransformError::BadHost => "the rewritten host is not a host",
            TransformError::HostTooLong => "the rewritten host is too long",
            TransformError::UrlTooLong => "the rewritten url is too long",
        })
    }
}

impl Error for TransformError {}

#[cfg(test)]
mod tests;
