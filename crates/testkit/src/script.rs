//! What an origin does with a request, step by step, as data.

use std::time::Duration;

use crate::gate::Gate;

/// One step. Behind the last one the rest of the request's body is read, and the connection waits for the next request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Read the request's body to its end.
    Body,
    /// Read this many bytes, whatever they are.
    Read(usize),
    /// Read up to and with these bytes, whatever comes before them.
    ReadThrough(Vec<u8>),
    /// Write these bytes.
    Send(Vec<u8>),
    /// Wait until the test opens the gate.
    Wait(Gate),
    /// Open the gate: tell the test that this point is reached.
    Open(Gate),
    /// Take so long.
    Pause(Duration),
    /// Say that nothing more follows, and go on reading.
    HalfClose,
    /// End the connection in good order.
    Close,
    /// End the connection without the words that TLS has for it, as somebody in between might.
    CutOff,
    /// End the connection with a reset.
    Reset,
    /// Read and throw away until the peer ends the connection.
    ReadToEnd,
    /// Send back whatever comes, until the peer says its last.
    Mirror,
}

impl Step {
    /// Write this text.
    #[must_use]
    pub fn send(text: impl AsRef<[u8]>) -> Step {
        Step::Send(text.as_ref().to_vec())
    }

    /// Write a whole answer with a body of known length.
    #[must_use]
    pub fn answer(status: u16, body: &str) -> Step {
        Step::answer_with(status, &[], body)
    }

    /// Write a whole answer with further field lines and a body of known length.
    #[must_use]
    pub fn answer_with(status: u16, lines: &[&str], body: &str) -> Step {
        let mut text = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n", body.len());
        for line in lines {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.push_str(body);
        Step::send(text)
    }
}
