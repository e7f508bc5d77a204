//! The door: a socket in the data folder, at which the process is found by those that want to take over from it. Nobody but
//! its own user, and root, gets in.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::message::Ask;
use super::wire::Link;
use crate::private;

/// Who comes in says at once what they want.
const PATIENCE: Duration = Duration::from_secs(5);
const FOLDER: &str = "run";
const NAME: &str = "upgrade.sock";

/// Somebody at the door.
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) descriptors: Vec<OwnedFd>,
    pub(crate) link: Link,
}

/// The door of an instance.
pub(crate) struct Door {
    listener: StdListener,
    path: PathBuf,
}

/// Where the door of an instance with this data folder is.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join(FOLDER).join(NAME)
}

/// Has `use_path` use the door's path. One that is too long for a socket's address goes by the folder's descriptor.
fn reach<T>(data: &Path, use_path: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    const LONGEST: usize = 100;
    let path = path(data);
    if path.as_os_str().len() < LONGEST {
        return use_path(&path);
    }
    let folder = fs::File::open(data.join(FOLDER))?;
    use_path(&Path::new("/proc/self/fd").join(folder.as_fd().as_raw_fd().to_string()).join(NAME))
}

/// Knocks at the door of the instance with this data folder.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when there is none.
pub(crate) fn knock(data: &Path) -> io::Result<Link> {
    let stream = reach(data, |path| StdStream::connect(path))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream).map(Link::new)
}

impl Door {
    /// Makes one, in the place of one that a process left which is gone.
    ///
    /// # Errors
    /// `AddrInUse` when another instance has this data folder; those of the file system.
    pub(crate) fn open(data: &Path) -> io::Result<Door> {
        let folder = data.join(FOLDER);
        private::folder(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        match reach(data, |path| StdStream::connect(path)) {
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another instance has this data folder")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path(data))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = reach(data, |path| StdListener::bind(path))?;
        fs::set_permissions(path(data), Permissions::from_mode(0o600))?;
        Door::taken_over(listener.into(), data)
    }

    /// That of the process before.
    ///
    /// # Errors
    /// When it is no socket.
    pub(crate) fn taken_over(socket: OwnedFd, data: &Path) -> io::Result<Door> {
        let listener = StdListener::from(socket);
        listener.set_nonblocking(true)?;
        Ok(Door { listener, path: path(data) })
    }

    /// Another descriptor of it.
    ///
    /// # Errors
    /// When there is none left.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned()
    }

    /// Lets in who may come in, for as long as somebody takes their questions.
    pub(crate) async fn attend(listener: OwnedFd, asks: mpsc::Sender<Asked>) {
        let listener = match UnixListener::from_std(StdListener::from(listener)) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "nobody can take over from this process"),
        };
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            let own = rustix::process::geteuid().as_raw();
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == own || peer.uid() == 0 => {}
                peer => {
                    tracing::warn!(?peer, "somebody else wanted to take over");
                    continue;
                }
            }
            let asks = asks.clone();
            tokio::spawn(async move {
                let mut link = Link::new(stream);
                match timeout(PATIENCE, link.receive()).await {
                    Ok(Ok((ask, descriptors))) => drop(asks.send(Asked { ask, descriptors, link }).await),
                    Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                    Ok(Err(error)) => tracing::warn!(%error, "what wants to take over is not understood"),
                    Err(_) => tracing::warn!("what wants to take over says nothing"),
                }
            });
        }
    }

    /// Takes it away: the instance ends.
    pub(crate) fn close(self) {
        let _ = fs::remove_file(self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_one_door() {
        let folder = tempfile::tempdir().unwrap();
        for data in [folder.path().join("state"), folder.path().join("long".repeat(30))] {
            assert_eq!(knock(&data).err().map(|e| e.kind()), Some(io::ErrorKind::NotFound));
            let door = Door::open(&data).unwrap();
            assert_eq!(fs::metadata(data.join(FOLDER)).unwrap().permissions().mode() & 0o777, 0o700);
            assert_eq!(fs::metadata(path(&data)).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(Door::open(&data).err().map(|e| e.kind()), Some(io::ErrorKind::AddrInUse));
            assert!(knock(&data).is_ok());
            // one that is gone has left its socket behind
            drop(door);
            assert_eq!(knock(&data).err().map(|e| e.kind()), Some(io::ErrorKind::ConnectionRefused));
            Door::open(&data).unwrap().close();
            assert!(!path(&data).exists());
        }
    }

    #[tokio::test]
    async fn who_comes_in_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let door = Door::open(folder.path()).unwrap();
        let (asks, mut asked) = mpsc::channel(1);
        let attending = tokio::spawn(Door::attend(door.duplicate().unwrap(), asks));
        let mut link = knock(folder.path()).unwrap();
        let ask = Ask::TakeOver { protocol: 7, version: "9".into(), pid: 1 };
        link.send(&ask, &[]).await.unwrap();
        let heard = asked.recv().await.unwrap();
        assert!(matches!(heard.ask, Ask::TakeOver { protocol: 7, .. }));
        attending.abort();
    }
}
