//! Packets of MySQL: three bytes of length, one of number, and what is in them.

use std::io;

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::broken;

/// The longest packet of a login, a public key of 8192 bits in it included.
const PACKET_LIMIT: usize = 4096;

/// Both directions of a connection.
pub(super) struct Packets<S> {
    stream: S,
    /// Which number comes next, in whichever direction.
    next: u8,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Packets<S> {
    pub(super) fn new(stream: S) -> Packets<S> {
        Packets { stream, next: 0 }
    }

    /// A command begins: its packets are numbered anew.
    pub(super) fn begin(&mut self) {
        self.next = 0;
    }

    /// # Errors
    /// Those of the stream; of a packet that is out of order, or too long.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let head = self.stream.read_u32_le().await?;
        let (length, number) = ((head & 0x00ff_ffff) as usize, (head >> 24) as u8);
        if length > PACKET_LIMIT || number != self.next {
            return Err(broken());
        }
        self.next = number.wrapping_add(1);
        let mut packet = vec![0; length];
        self.stream.read_exact(&mut packet).await?;
        Ok(packet)
    }

    /// # Errors
    /// Those of the stream.
    pub(super) async fn send(&mut self, content: &[u8]) -> io::Result<()> {
        let head = (content.len() as u32 & 0x00ff_ffff) | u32::from(self.next) << 24;
        self.next = self.next.wrapping_add(1);
        let mut packet = head.to_le_bytes().to_vec();
        packet.extend_from_slice(content);
        self.stream.write_all(&packet).await?;
        self.stream.flush().await
    }
}

/// A packet that says no.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u16,
    /// Absent before the handshake.
    state: Option<[u8; 5]>,
}

impl Refusal {
    /// # Errors
    /// When it is none.
    pub(super) fn parse(packet: &[u8]) -> io::Result<Refusal> {
        let mut rest = packet.strip_prefix(&[super::ERROR]).ok_or_else(broken)?;
        let code = rest.try_get_u16_le().map_err(|_| broken())?;
        let state = rest.strip_prefix(b"#").and_then(|rest| rest.first_chunk()).copied();
        Ok(Refusal { code, state })
    }

    /// Whether the user or the password is what is wrong (SQLSTATE 28000).
    pub(super) fn is_of_login(&self) -> bool {
        self.state == Some(*b"28000")
    }
}
