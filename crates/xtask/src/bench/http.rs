//! The few HTTP/1.1 exchanges that the bench itself needs: readiness, a reload, and connections left open.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest answer that is read.
const LONGEST: usize = 64 * 1024 * 1024;

/// Whether a GET is answered with 200.
pub(crate) fn answers(address: SocketAddr, host: &str, path: &str) -> bool {
    exchange(address, "GET", host, path, Duration::from_secs(2)).is_ok_and(|(status, _)| status == 200)
}

/// One request on a connection of its own: status and body. In HTTP/1.0, whose answers are in no chunks, however long they are.
pub(crate) fn exchange(
    address: SocketAddr,
    method: &str,
    host: &str,
    path: &str,
    patience: Duration,
) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let head = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST as u64).read_to_end(&mut answer)?;
    let end = head_end(&answer).ok_or_else(|| invalid("an answer without an end of its head"))?;
    let status = status(&answer).ok_or_else(|| invalid("an answer without a status"))?;
    Ok((status, answer.split_off(end)))
}

/// One request on a connection that stays open; true when the answer is a 200 and was read to its end.
pub(crate) fn ask_on(stream: &mut TcpStream, host: &str, path: &str, scratch: &mut [u8]) -> io::Result<bool> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())?;
    let mut filled = 0;
    loop {
        let room = scratch.get_mut(filled..).filter(|room| !room.is_empty()).ok_or_else(|| invalid("too long"))?;
        let n = stream.read(room)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += n;
        let answer = scratch.get(..filled).unwrap_or_default();
        let Some(end) = head_end(answer) else { continue };
        let length = content_length(answer).ok_or_else(|| invalid("an answer without Content-Length"))?;
        if filled >= end + length {
            return Ok(status(answer) == Some(200));
        }
    }
}

fn head_end(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)
}

fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

fn content_length(answer: &[u8]) -> Option<usize> {
    let head = String::from_utf8_lossy(answer.get(..head_end(answer)?)?).to_ascii_lowercase();
    head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!((status(answer), content_length(answer)), (Some(200), Some(5)));
        assert_eq!(head_end(answer), Some(answer.len() - 5));
        assert_eq!(head_end(b"HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(status(b"HTTP"), None);
    }
}
