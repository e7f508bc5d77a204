//! Messages with descriptors, over a stream socket of this machine: a length and a count, JSON, then the descriptors in
//! parcels, each of which is acknowledged, so that only so many are ever on their way.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::process::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

/// What is known of a hundred thousand targets fits.
const LONGEST: usize = 256 * 1024 * 1024;
/// Descriptors in a parcel; the kernel takes 253.
const PARCEL: usize = 128;
/// More than any process has.
const MOST: usize = 1 << 20;
const PARCEL_BYTE: u8 = b'p';

/// One end.
pub(crate) struct Link(UnixStream);

impl Link {
    pub(crate) fn new(stream: UnixStream) -> Link {
        Link(stream)
    }

    /// Says something. Waits for the other side as long as it takes: the caller bounds that.
    ///
    /// # Errors
    /// When the other side is gone.
    pub(crate) async fn send(&mut self, message: &impl Serialize, descriptors: &[OwnedFd]) -> io::Result<()> {
        let body = serde_json::to_vec(message).map_err(io::Error::other)?;
        let mut head = [0; 8];
        let (length, count) = head.split_at_mut(4);
        length.copy_from_slice(&u32::try_from(body.len()).map_err(io::Error::other)?.to_be_bytes());
        count.copy_from_slice(&u32::try_from(descriptors.len()).map_err(io::Error::other)?.to_be_bytes());
        self.0.write_all(&head).await?;
        self.0.write_all(&body).await?;
        for parcel in descriptors.chunks(PARCEL) {
            let parcel: Vec<BorrowedFd<'_>> = parcel.iter().map(AsFd::as_fd).collect();
            self.0.async_io(Interest::WRITABLE, || send_parcel(&self.0, &parcel)).await?;
            if self.0.read_u8().await? != PARCEL_BYTE {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
        }
        Ok(())
    }

    /// Hears something.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other side has ended without a word; `InvalidData` when what it says is not understood.
    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<(T, Vec<OwnedFd>)> {
        let length = self.0.read_u32().await? as usize;
        let count = self.0.read_u32().await? as usize;
        if length > LONGEST || count > MOST {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        let mut descriptors = Vec::with_capacity(count);
        while descriptors.len() < count {
            let before = descriptors.len();
            self.0.async_io(Interest::READABLE, || receive_parcel(&self.0, &mut descriptors)).await?;
            if descriptors.len() != (before + PARCEL).min(count) {
                let what = "descriptors were lost on their way: the limit of open files is too low";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            self.0.write_u8(PARCEL_BYTE).await?;
        }
        let message =
            serde_json::from_slice(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok((message, descriptors))
    }

    /// The process at the other end, as the kernel knows it from when it connected.
    pub(crate) fn peer(&self) -> Option<Pid> {
        self.0.peer_cred().ok()?.pid().and_then(Pid::from_raw)
    }

    /// Waits until the other side is gone. It has nothing to say meanwhile.
    pub(crate) async fn closed(&mut self) {
        let _ = self.0.read_u8().await;
    }
}

fn send_parcel(stream: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PARCEL))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(stream, &[IoSlice::new(&[PARCEL_BYTE])], &mut control, flags)?;
    Ok(())
}

fn receive_parcel(stream: &UnixStream, into: &mut Vec<OwnedFd>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PARCEL))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    // not inherited by programs that are started
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
    if received.bytes == 0 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            into.extend(descriptors);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_and_descriptors() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Link::new(one), Link::new(other));
        for count in [0, 1, PARCEL, 3 * PARCEL + 7] {
            let files: Vec<OwnedFd> = (0..count).map(|_| std::fs::File::open("/dev/null").unwrap().into()).collect();
            let said = "x".repeat(count * 1000);
            let (sent, heard) = tokio::join!(one.send(&said, &files), other.receive::<String>());
            sent.unwrap();
            let (heard, descriptors) = heard.unwrap();
            assert!(heard == said && descriptors.len() == count, "{count}");
            for descriptor in &descriptors {
                assert!(rustix::io::fcntl_getfd(descriptor).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
            }
        }
        one.send(&1, &[]).await.unwrap();
        assert_eq!(other.receive::<String>().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(one);
        assert_eq!(other.receive::<String>().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
