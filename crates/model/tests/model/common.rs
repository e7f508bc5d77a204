//! What the tests share: a resolver that knows a few things, and parsing with it.

use std::io;

use headworks_model::{Config, Faults, Parsed, Resolve};

/// An environment and a file system of three things.
pub(crate) struct Scripted;

impl Resolve for Scripted {
    fn env(&self, name: &str) -> Option<String> {
        match name {
            "PORT" => Some("8080".to_owned()),
            "TARGET" => Some("127.0.0.1:9001".to_owned()),
            "SECRET" => Some("hunter2".to_owned()),
            _ => None,
        }
    }

    fn file(&self, path: &str) -> io::Result<String> {
        if path == "/run/body" { Ok("from a file\n".to_owned()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

/// Parses as the file `t`.
pub(crate) fn parse(text: &str) -> Result<Parsed, Faults> {
    Config::parse("t", text, &Scripted)
}

/// Parses what must be right.
pub(crate) fn accept(text: &str) -> Parsed {
    parse(text).unwrap_or_else(|faults| panic!("{text}\n{faults}"))
}
