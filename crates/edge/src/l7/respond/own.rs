//! The bytes of an answer that the load balancer makes itself.

use headworks_message::number::put_decimal;
use headworks_message::send::put_field;

use crate::compile::attributes::Attributes;

/// An answer of our own.
pub(super) struct Own<'a> {
    pub(super) status: u16,
    pub(super) location: Option<&'a [u8]>,
    pub(super) content_type: Option<&'a str>,
    /// Further fields, as whole lines.
    pub(super) lines: &'a [u8],
    pub(super) body: &'a [u8],
}

impl Own<'_> {
    pub(super) fn new(status: u16) -> Own<'static> {
        Own { status, location: None, content_type: None, lines: &[], body: &[] }
    }

    /// Appends the whole response.
    pub(super) fn write(
        &self,
        date: [u8; 29],
        keep_open: bool,
        is_http10: bool,
        to_head_request: bool,
        attributes: Option<&Attributes>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"HTTP/1.1 ");
        put_decimal(out, u64::from(self.status));
        out.push(b' ');
        out.extend_from_slice(reason(self.status).as_bytes());
        out.extend_from_slice(b"\r\n");
        if !attributes.is_some_and(|attributes| attributes.hides_server) {
            put_field(out, b"Server", b"headworks");
        }
        put_field(out, b"Date", &date);
        if self.status == 405 {
            // RFC 9110 section 15.5.6 asks for it
            put_field(out, b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        }
        if let Some(location) = self.location {
            put_field(out, b"Location", location);
        }
        let bodiless = matches!(self.status, 204 | 205 | 304);
        if let Some(content_type) = self.content_type.filter(|_| !bodiless) {
            put_field(out, b"Content-Type", content_type.as_bytes());
        }
        out.extend_from_slice(self.lines);
        if self.status != 204 {
            out.extend_from_slice(b"Content-Length: ");
            put_decimal(out, if bodiless { 0 } else { self.body.len() as u64 });
            out.extend_from_slice(b"\r\n");
        }
        if let Some(attributes) = attributes {
            out.extend_from_slice(&attributes.lines);
        }
        match (keep_open, is_http10) {
            (false, _) => put_field(out, b"Connection", b"close"),
            (true, true) => put_field(out, b"Connection", b"keep-alive"),
            (true, false) => {}
        }
        out.extend_from_slice(b"\r\n");
        if !to_head_request && !bodiless {
            out.extend_from_slice(self.body);
        }
    }
}

/// A small page that says the status and nothing about what is behind.
pub(super) fn page(status: u16) -> Vec<u8> {
    let reason = reason(status);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{status} {reason}</title></head>\n\
         <body><h1>{status} {reason}</h1></body></html>\n"
    )
    .into_bytes()
}

/// The fields with which a gRPC call ends that never began (gRPC over HTTP/2, Trailers-Only). The message is in printable
/// ASCII without `%`, so that its percent-encoding is itself.
pub(super) fn grpc_failure(code: u16, status: u16) -> Vec<u8> {
    format!("grpc-status: {code}\r\ngrpc-message: {status} {}\r\n", reason(status)).into_bytes()
}

/// Reason phrases (RFC 9110 section 15, and those of an Application Load Balancer).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        460 => "Client Closed Connection",
        463 => "Too Many Forwarded Addresses",
        464 => "Incompatible Protocol Version",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
