//! Where a redirect points (R15): the Location of the answer, from templates and the request.
//!
//! Host, path and query come from the client; whatever they hold, the Location is one absolute URI of visible ASCII.
//! Deliberately absent: refusing redirects that lead nowhere new, which is the configuration's validation.

use std::error::Error;
use std::fmt;

use headworks_message::RequestView;
use headworks_model::action::{Redirect, Scheme};
use headworks_model::template::{Template, TemplatePart};

use crate::uri::{self, Part};

/// How the request arrived, as far as the request itself does not say.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// What the client speaks with the listener.
    pub scheme: Scheme,
    /// The listener's port: `#{port}`, also when the redirect changes the protocol (as AWS does).
    pub port: u16,
    /// Host without port for a request that names none (HTTP/1.0): the address it was sent to, say.
    pub fallback_host: &'a [u8],
}

/// The longest Location, in bytes (AWS: `HTTP_Redirect_Url_Limit_Exceeded_Count` counts those that are longer).
pub const LONGEST: usize = 8192;

/// Why there is no Location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectError {
    /// It would be longer than [`LONGEST`].
    TooLong,
    /// The host came out empty.
    NoHost,
    /// The port came out as something other than 1 to 65535.
    BadPort,
}

/// Writes the Location into `out` (cleared first; empty after an error): `scheme://host[:port]/path[?query]`.
///
/// The scheme is lower case. The port is left out when it is the scheme's own, the `?` when the query is empty. What may
/// not stand in a URI is percent-encoded.
///
/// # Errors
/// When the parts make no URI, or one that is too long.
pub fn location(
    redirect: &Redirect,
    request: &RequestView<'_>,
    arrival: &Arrival<'_>,
    out: &mut Vec<u8>,
) -> Result<(), RedirectError> {
    out.clear();
    let written = Source { request, arrival }.write(redirect, out);
    if written.is_err() {
        out.clear();
    }
    written
}

/// What templates are filled in from.
struct Source<'a> {
    request: &'a RequestView<'a>,
    arrival: &'a Arrival<'a>,
}

impl Source<'_> {
    fn write(&self, redirect: &Redirect, out: &mut Vec<u8>) -> Result<(), RedirectError> {
        let scheme = redirect.protocol.unwrap_or(self.arrival.scheme);
        out.extend_from_slice(name(scheme));
        out.extend_from_slice(b"://");

        let mut text = Vec::new();
        self.fill(&redirect.host, &mut text)?;
        match text.as_slice() {
            [] => return Err(RedirectError::NoHost),
            [b'[', .., b']'] => uri::encode(Part::Literal, &text, out),
            _ => uri::encode(Part::Host, &text, out),
        }

        self.fill(&redirect.port, &mut text)?;
        let port = port(&text)?;
        if port != default_port(scheme) {
            out.push(b':');
            out.extend_from_slice(port.to_string().as_bytes());
        }

        self.fill(&redirect.path, &mut text)?;
        if text.first() != Some(&b'/') {
            out.push(b'/');
        }
        uri::encode(Part::Path, &text, out);

        self.fill(&redirect.query, &mut text)?;
        if !text.is_empty() {
            out.push(b'?');
            uri::encode(Part::Query, &text, out);
        }
        if out.len() > LONGEST { Err(RedirectError::TooLong) } else { Ok(()) }
    }

    /// Fills `template` in, into `text` (cleared first).
    fn fill(&self, template: &Template, text: &mut Vec<u8>) -> Result<(), RedirectError> {
        text.clear();
        for part in &template.0 {
            match part {
                TemplatePart::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                TemplatePart::Protocol => text.extend_from_slice(name(self.arrival.scheme)),
                TemplatePart::Host => text.extend_from_slice(self.host()),
                TemplatePart::Port => text.extend_from_slice(self.arrival.port.to_string().as_bytes()),
                TemplatePart::Path => text.extend_from_slice(self.path()),
                TemplatePart::Query => text.extend_from_slice(self.request.query().unwrap_or_default()),
            }
            if text.len() > LONGEST {
                return Err(RedirectError::TooLong);
            }
        }
        Ok(())
    }

    fn host(&self) -> &[u8] {
        match self.request.host() {
            [] => self.arrival.fallback_host,
            host => host,
        }
    }

    /// Without its leading `/`; `OPTIONS *` and `CONNECT` have none.
    fn path(&self) -> &[u8] {
        self.request.path().strip_prefix(b"/").unwrap_or_default()
    }
}

fn name(scheme: Scheme) -> &'static [u8] {
    match scheme {
        Scheme::Http => b"http",
        Scheme::Https => b"https",
    }
}

fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

fn port(text: &[u8]) -> Result<u16, RedirectError> {
    let digits = text.iter().all(u8::is_ascii_digit);
    let port = str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    port.filter(|port| *port != 0).ok_or(RedirectError::BadPort)
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RedirectError::TooLong => "the location is longer than 8192 bytes",
            RedirectError::NoHost => "the location has no host",
            RedirectError::BadPort => "the location's port is not a port",
        })
    }
}

impl Error for RedirectError {}

#[cfg(test)]
mod tests;
