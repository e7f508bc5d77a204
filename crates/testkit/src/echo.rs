//! The echo: an answer that says exactly what an origin received.

use serde_json::{Value, json};

use crate::wire::{Body, Fields, Request, Response};

/// What an origin received, as its answer says.
#[derive(Clone, Debug)]
pub struct Echo {
    /// Name of the origin.
    pub origin: String,
    /// Number of its connection, from 1.
    pub connection: u64,
    /// Number of the request on that connection, from 1.
    pub request: u64,
    /// As written.
    pub method: String,
    /// As written.
    pub target: String,
    /// In order, names as written.
    pub fields: Fields,
    /// `none`, `length` or `chunked`.
    pub framing: String,
    /// Bytes of the body, without framing.
    pub body_length: u64,
    /// [`hash`] of the body.
    pub body_hash: String,
    /// Behind a chunked body.
    pub trailers: Fields,
}

/// The whole answer. To HEAD its head only.
pub(crate) fn answer(name: &str, connection: usize, number: usize, request: &Request, body: &Body) -> Vec<u8> {
    let framing = match request.framing {
        crate::wire::Framing::None => "none",
        crate::wire::Framing::Chunked => "chunked",
        _ => "length",
    };
    let said = json!({
        "origin": name,
        "connection": connection,
        "request": number,
        "method": request.method,
        "target": request.target,
        "headers": request.fields.0,
        "framing": framing,
        "body_length": body.content.len(),
        "body_hash": hash(&body.content),
        "trailers": body.trailers.0,
    });
    let said = said.to_string();
    let length = said.len();
    let mut text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nX-Origin: {name}\r\n\r\n"
    );
    if request.method != "HEAD" {
        text.push_str(&said);
    }
    text.into_bytes()
}

/// FNV-1a of 64 bits, in hex: enough to tell bodies apart.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

impl Response {
    /// What the origin received.
    ///
    /// # Panics
    /// When this is not the answer of an echo.
    #[must_use]
    pub fn echo(&self) -> Echo {
        let said = self.json();
        assert!(said.get("body_hash").is_some(), "not an echo's answer:\n{self}");
        let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| said[key].as_u64().unwrap_or_default();
        Echo {
            origin: text("origin"),
            connection: number("connection"),
            request: number("request"),
            method: text("method"),
            target: text("target"),
            fields: fields(&said["headers"]),
            framing: text("framing"),
            body_length: number("body_length"),
            body_hash: text("body_hash"),
            trailers: fields(&said["trailers"]),
        }
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body.content).unwrap_or_else(|error| panic!("no JSON ({error}):\n{self}"))
    }
}

fn fields(value: &Value) -> Fields {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pairs = value.as_array().map(Vec::as_slice).unwrap_or_default();
    Fields(pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect())
}
