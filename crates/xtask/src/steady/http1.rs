//! Requests over HTTP/1.1, one after the other on each connection.

use headworks_message::{Body, Parsed, ResponseHead, response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Outcome, Stream, Teller, Told, connect};

/// Bytes of an answer that are read at once.
const ROOM: usize = 64 * 1024;

/// All connections, until nothing more is due.
pub(super) async fn all<T: FnMut(Told)>(teller: &Teller<'_, T>, request: &[u8], keeps_cookies: bool) {
    let connections = (0..teller.load.connections).map(|_| {
        let connection = Connection {
            teller,
            request: request.to_vec(),
            plain: keeps_cookies.then(|| request.to_vec()),
            stream: None,
        };
        connection.live()
    });
    futures_util::future::join_all(connections).await;
}

/// One connection, opened again whenever it ends.
struct Connection<'a, T> {
    teller: &'a Teller<'a, T>,
    request: Vec<u8>,
    /// The request without cookies, if those that come are sent back.
    plain: Option<Vec<u8>>,
    stream: Option<Box<dyn Stream>>,
}

impl<T: FnMut(Told)> Connection<'_, T> {
    async fn live(mut self) {
        let (mut room, mut head) = (vec![0; ROOM], ResponseHead::default());
        let teller = self.teller;
        while let Some(due) = teller.next().await {
            let outcome = teller.settle(due, self.ask(&mut room, &mut head)).await;
            if !matches!(outcome, Outcome::Answered(_)) {
                self.stream = None;
            }
        }
    }

    async fn ask(&mut self, room: &mut [u8], head: &mut ResponseHead) -> Outcome {
        if self.stream.is_none() {
            let Ok(stream) = connect(self.teller.load).await else { return Outcome::Refused };
            self.stream = Some(stream);
        }
        let Some(stream) = self.stream.as_mut() else { return Outcome::Refused };
        if stream.write_all(&self.request).await.is_err() || stream.flush().await.is_err() {
            return Outcome::Reset;
        }
        let (mut filled, mut body) = (0, None::<Body>);
        loop {
            let read = match room.get_mut(filled..) {
                Some(free) if !free.is_empty() => stream.read(free).await.ok(),
                _ => return Outcome::Malformed,
            };
            match (read, &body) {
                (Some(1..), _) => {}
                (Some(0), Some(Body::UntilClose)) => return self.answered(head, false),
                (_, None) if filled == 0 => return Outcome::Reset,
                _ => return Outcome::CutOff,
            }
            filled += read.unwrap_or_default();
            let mut at = 0;
            if body.is_none() {
                match response::parse(room.get(..filled).unwrap_or_default(), head) {
                    Ok(Parsed::Incomplete) => continue,
                    Ok(Parsed::Complete) if !head.is_interim() => {
                        at = head.len;
                        if let Some(plain) = &self.plain {
                            take_cookies(room.get(..at).unwrap_or_default(), plain, &mut self.request);
                        }
                        body = Some(Body::new(head.framing(false)));
                    }
                    _ => return Outcome::Malformed,
                }
            }
            let Some(walk) = &mut body else { return Outcome::Malformed };
            let Ok(taken) = walk.take(room.get(at..filled).unwrap_or_default()) else { return Outcome::Malformed };
            at += taken.total();
            if walk.is_done() {
                return self.answered(head, at == filled);
            }
            room.copy_within(at..filled, 0);
            filled -= at;
        }
    }

    /// The answer is whole; `clean`: nothing stands behind it.
    fn answered(&mut self, head: &ResponseHead, clean: bool) -> Outcome {
        if !clean || head.connection.close || !head.connection.keep_alive {
            self.stream = None;
        }
        Outcome::Answered(head.status)
    }
}

/// Makes of the `plain` request one with the cookies that the answer's head sets; without any, the request stays as it is.
fn take_cookies(head: &[u8], plain: &[u8], request: &mut Vec<u8>) {
    let head = String::from_utf8_lossy(head);
    let values = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("set-cookie").then(|| value.split(';').next().unwrap_or_default().trim())
    });
    let cookies = values.collect::<Vec<_>>().join("; ");
    let end = plain.windows(4).position(|piece| piece == b"\r\n\r\n").map(|at| plain.split_at(at + 2));
    if let Some((head, rest)) = end.filter(|_| !cookies.is_empty()) {
        *request = [head, format!("Cookie: {cookies}\r\n").as_bytes(), rest].concat();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_sent_back() {
        let plain = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut request = plain.to_vec();
        take_cookies(b"HTTP/1.1 200 OK\r\n\r\n", plain, &mut request);
        assert_eq!(request, plain);
        let head = b"HTTP/1.1 200 OK\r\nset-cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n\r\n";
        take_cookies(head, plain, &mut request);
        assert_eq!(request, b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\n\r\n");
    }
}
