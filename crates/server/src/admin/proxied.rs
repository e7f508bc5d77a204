//! Who is at the other end of a connection to the admin address: whoever made it, or, behind a listener of this program, the client
//! that the listener tells of (PROXY protocol, version 2). It is believed by a pass that nobody else has: a header without that
//! one ends the connection, wherever it comes from.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use headworks_control::{Carrier, Pass};
use headworks_message::proxy_protocol::{Header, LIMIT, Malformed, PASS, Read, read};
use tokio::io::{AsyncRead, ReadBuf};

/// Who asks by a connection, once its first bytes have come.
pub(super) type Known = Arc<OnceLock<(SocketAddr, Carrier)>>;

/// Reads what stands before the first request of a connection.
pub(super) struct Greeting {
    pass: Pass,
    known: Known,
    /// What has come, which may become a header; what is the client's of it, once that is told.
    bytes: Vec<u8>,
    is_over: bool,
}

impl Greeting {
    pub(super) fn new(pass: Pass, known: Known) -> Self {
        Self { pass, known, bytes: Vec::new(), is_over: false }
    }

    /// Reads from the client of `stream`.
    pub(super) fn poll_read(
        &mut self,
        mut stream: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_over {
            let held = self.bytes.len();
            self.bytes.resize(LIMIT, 0);
            let mut rest = ReadBuf::new(self.bytes.get_mut(held..).unwrap_or(&mut []));
            let polled = stream.as_mut().poll_read(cx, &mut rest);
            let came = rest.filled().len();
            self.bytes.truncate(held + came);
            ready!(polled)?;
            if came == 0 {
                return Poll::Ready(Ok(()));
            }
            self.judge()?;
        }
        if self.bytes.is_empty() {
            return stream.poll_read(cx, into);
        }
        let count = self.bytes.len().min(into.remaining());
        into.put_slice(self.bytes.get(..count).unwrap_or(&[]));
        self.bytes.drain(..count);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Looks what the bytes begin with.
    fn judge(&mut self) -> io::Result<()> {
        let len = match read(&self.bytes) {
            Ok(Read::Incomplete) => return Ok(()),
            Err(Malformed::Missing) => 0,
            Err(malformed) => return Err(io::Error::new(io::ErrorKind::InvalidData, malformed)),
            Ok(Read::Complete(Header { len, ends, tlvs })) => {
                if !tlvs.value(PASS).is_some_and(|pass| self.pass.is(pass)) {
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, "a PROXY header of somebody else"));
                }
                let carrier = if tlvs.is_secured() { Carrier::Secured } else { Carrier::Plain };
                if let Some(ends) = ends {
                    self.known.get_or_init(|| (ends.source, carrier));
                }
                len
            }
        };
        self.bytes.drain(..len);
        self.is_over = true;
        Ok(())
    }
}
