//! What is kept of ACME between starts: accounts, and the last certificate of each set of names with its key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use headworks_model::acme::{Acme, NameSet};
use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};

use crate::private;

/// The folder, below that of the program's state.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// An account at an authority.
#[derive(Deserialize, Serialize)]
pub(crate) struct Kept {
    /// The URL of the directory it is at.
    directory: String,
    /// The external account it is bound to.
    kid: Option<String>,
    /// What the authority knows to write to.
    pub(crate) email: Vec<String>,
    pub(crate) credentials: AccountCredentials,
}

impl Kept {
    /// An account that was made with these settings.
    pub(crate) fn new(settings: &Acme, credentials: AccountCredentials) -> Kept {
        Kept {
            directory: settings.directory.as_str().to_owned(),
            kid: kid(settings),
            email: addresses(settings),
            credentials,
        }
    }
}

/// The mail addresses of an account as the settings have them.
pub(crate) fn addresses(settings: &Acme) -> Vec<String> {
    settings.email.iter().map(|email| email.as_str().to_owned()).collect()
}

fn kid(settings: &Acme) -> Option<String> {
    settings.external_account.as_ref().map(|account| account.kid.as_str().to_owned())
}

/// One file for each authority, and each account there that this one is bound to.
fn account_file(settings: &Acme) -> String {
    let print = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        format!("{}\n{}", settings.directory.as_str(), kid(settings).unwrap_or_default()).as_bytes(),
    );
    let hex: String = print.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("account-{hex}.json")
}

fn certificate_file(names: &NameSet) -> String {
    format!("{}.pem", names.label())
}

impl Store {
    /// Below `data`. Nothing is written yet.
    pub(crate) fn new(data: &Path) -> Store {
        Store { folder: data.join("acme") }
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        private::folder(&self.folder)?;
        private::write(&self.folder, name, bytes)
    }

    /// Key and chain that were issued last for these names, if there are any.
    ///
    /// # Errors
    /// When there are and cannot be read.
    pub(crate) fn certificate(&self, names: &NameSet) -> io::Result<Option<Vec<u8>>> {
        self.read(&certificate_file(names))
    }

    /// Keeps key and chain, in one file: the two cannot come apart.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn keep_certificate(&self, names: &NameSet, pem: &[u8]) -> io::Result<()> {
        self.write(&certificate_file(names), pem)
    }

    /// The account that these settings lead to, if there is one.
    ///
    /// # Errors
    /// When there is and cannot be read.
    pub(crate) fn account(&self, settings: &Acme) -> io::Result<Option<Kept>> {
        let Some(bytes) = self.read(&account_file(settings))? else { return Ok(None) };
        let kept: Kept = serde_json::from_slice(&bytes)?;
        // a hash in a name is no proof
        let fits = kept.directory == settings.directory.as_str() && kept.kid == kid(settings);
        Ok(fits.then_some(kept))
    }

    /// Keeps an account.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn keep_account(&self, settings: &Acme, kept: &Kept) -> io::Result<()> {
        self.write(&account_file(settings), &serde_json::to_vec_pretty(kept)?)
    }

    /// Forgets an account that the authority does not know any more.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub(crate) fn forget_account(&self, settings: &Acme) -> io::Result<()> {
        match fs::remove_file(self.folder.join(account_file(settings))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
