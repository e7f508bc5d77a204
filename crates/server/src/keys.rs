//! The keys of stickiness cookies: made once, rotated daily, kept on disk so that sessions outlive a restart.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand;
use headworks_balance::{GroupKey, Keyring, Kind, Sticky, TargetKey};

use crate::private;

/// A new key every day; cookies sealed with an older one open for as long as the longest may last.
const ROTATION: u64 = 24 * 3600;
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
const FILE: &str = "stickiness.keys";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

fn secret() -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    rand::fill(&mut secret).map_err(|_| io::Error::other("no random numbers from the system"))?;
    Ok(secret)
}

/// The keyring of the data folder, with a key of today.
///
/// # Errors
/// When there are no random numbers. A folder that cannot be written is only warned of: sessions then end with the
/// process.
pub(crate) fn load(data: &Path) -> io::Result<Arc<Keyring>> {
    let path = data.join(FILE);
    let kept = fs::read(&path).ok().and_then(|bytes| match Keyring::import(&bytes) {
        Ok(keyring) => Some(keyring),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "stickiness keys are damaged, new ones are made");
            None
        }
    });
    let keyring = match kept {
        Some(keyring) if now().saturating_sub(keyring.newest_created()) < ROTATION => return Ok(Arc::new(keyring)),
        Some(mut keyring) => {
            keyring.rotate(secret()?, now(), LONGEST).map_err(io::Error::other)?;
            keyring
        }
        None => Keyring::new(secret()?, now()).map_err(io::Error::other)?,
    };
    if let Err(error) = fs::create_dir_all(data).and_then(|()| private::write(data, FILE, &keyring.export())) {
        tracing::warn!(path = %path.display(), %error, "stickiness keys cannot be kept, sessions end with the process");
    }
    Ok(Arc::new(keyring))
}

/// A token that lets its bearer ask the instances of this data folder for decisions, for a while.
///
/// # Errors
/// When the keys cannot be read.
pub(crate) fn token(data: &Path, lasts: Duration) -> io::Result<String> {
    let keyring = Keyring::import(&fs::read(data.join(FILE))?).map_err(io::Error::other)?;
    let mut nonce = [0; 12];
    rand::fill(&mut nonce).map_err(|_| io::Error::other("no random numbers from the system"))?;
    let (issued, nobody) = (now(), Sticky { target: TargetKey(0), group: GroupKey(0), issued: 0, expires: 0 });
    let sealed = Sticky { issued, expires: issued + lasts.as_secs(), ..nobody };
    keyring.seal(Kind::Explain, &sealed, nonce).ok_or_else(|| io::Error::other("the key was refused"))
}

/// Whether the newest key is due to be followed by another.
pub(crate) fn is_due(keyring: &Keyring) -> bool {
    now().saturating_sub(keyring.newest_created()) >= ROTATION
}
