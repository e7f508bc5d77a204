//! What the control plane asks of whatever keeps its state. Here that is SQLite; many machines will have it kept by another engine,
//! of which nothing above this crate is to notice.

use std::path::Path;

use crate::{
    Body, Broken, Commit, Difference, Entry, Identity, Linked, Query, Revision, Store, StoreError, Stored, Verified,
};

/// A place where state is kept. What a call says is kept has been kept when it returns, whatever happens next; what fails has
/// changed nothing.
pub trait Keep: Send + Sync {
    /// See [`Store::resources`].
    ///
    /// # Errors
    /// Those of the engine; of the others, too.
    fn resources(&self) -> Result<Vec<Stored>, StoreError>;
    /// See [`Store::resources_at`].
    ///
    /// # Errors
    /// See there.
    fn resources_at(&self, revision: u64) -> Result<Option<Vec<Stored>>, StoreError>;
    /// See [`Store::newest`].
    ///
    /// # Errors
    /// See there.
    fn newest(&self) -> Result<u64, StoreError>;
    /// See [`Store::revisions`].
    ///
    /// # Errors
    /// See there.
    fn revisions(
        &self,
        before: Option<u64>,
        of: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError>;
    /// See [`Store::revision`].
    ///
    /// # Errors
    /// See there.
    fn revision(&self, number: u64) -> Result<Option<(Revision, Vec<Difference>)>, StoreError>;
    /// See [`Store::commit`].
    ///
    /// # Errors
    /// See there.
    fn commit(&self, commit: &Commit, entry: Entry) -> Result<u64, StoreError>;
    /// See [`Store::identities`].
    ///
    /// # Errors
    /// See there.
    fn identities(&self) -> Result<Vec<Identity>, StoreError>;
    /// See [`Store::put_identities`].
    ///
    /// # Errors
    /// See there.
    fn put_identities(&self, identities: &[Identity], entry: Option<&Entry>) -> Result<(), StoreError>;
    /// See [`Store::changed_elsewhere`].
    ///
    /// # Errors
    /// See there.
    fn changed_elsewhere(&self) -> Result<bool, StoreError>;
    /// See [`Store::note`].
    ///
    /// # Errors
    /// See there.
    fn note(&self, entry: &Entry) -> Result<(), StoreError>;
    /// See [`Store::note_later`].
    fn note_later(&self, entry: Entry);
    /// See [`Store::flush`].
    ///
    /// # Errors
    /// See there.
    fn flush(&self) -> Result<(), StoreError>;
    /// See [`Store::audit`].
    ///
    /// # Errors
    /// See there.
    fn audit(&self, query: &Query, limit: usize) -> Result<Vec<Linked>, StoreError>;
    /// See [`Store::entries`].
    ///
    /// # Errors
    /// See there.
    fn entries(&self, after: u64, most: usize) -> Result<Vec<Linked>, StoreError>;
    /// See [`Store::verify`].
    ///
    /// # Errors
    /// See there.
    fn verify(&self) -> Result<Result<Verified, Broken>, StoreError>;
    /// See [`Store::expire`].
    ///
    /// # Errors
    /// See there.
    fn expire(&self, cutoff: u64, entry: Entry) -> Result<u64, StoreError>;
    /// See [`Store::backup`].
    ///
    /// # Errors
    /// See there.
    fn backup(&self, to: &Path) -> Result<(), StoreError>;
    /// See [`Store::seal_anew`].
    ///
    /// # Errors
    /// See there.
    fn seal_anew(
        &self,
        name: &str,
        entry: &Entry,
        again: &dyn Fn(Body<'_>) -> Result<Option<String>, StoreError>,
    ) -> Result<(), StoreError>;
}

impl Keep for Store {
    fn resources(&self) -> Result<Vec<Stored>, StoreError> {
        self.resources()
    }

    fn resources_at(&self, revision: u64) -> Result<Option<Vec<Stored>>, StoreError> {
        self.resources_at(revision)
    }

    fn newest(&self) -> Result<u64, StoreError> {
        self.newest()
    }

    fn revisions(
        &self,
        before: Option<u64>,
        of: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        self.revisions(before, of, limit)
    }

    fn revision(&self, number: u64) -> Result<Option<(Revision, Vec<Difference>)>, StoreError> {
        self.revision(number)
    }

    fn commit(&self, commit: &Commit, entry: Entry) -> Result<u64, StoreError> {
        self.commit(commit, entry)
    }

    fn identities(&self) -> Result<Vec<Identity>, StoreError> {
        self.identities()
    }

    fn put_identities(&self, identities: &[Identity], entry: Option<&Entry>) -> Result<(), StoreError> {
        self.put_identities(identities, entry)
    }

    fn changed_elsewhere(&self) -> Result<bool, StoreError> {
        self.changed_elsewhere()
    }

    fn note(&self, entry: &Entry) -> Result<(), StoreError> {
        self.note(entry)
    }

    fn note_later(&self, entry: Entry) {
        self.note_later(entry);
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.flush()
    }

    fn audit(&self, query: &Query, limit: usize) -> Result<Vec<Linked>, StoreError> {
        self.audit(query, limit)
    }

    fn entries(&self, after: u64, most: usize) -> Result<Vec<Linked>, StoreError> {
        self.entries(after, most)
    }

    fn verify(&self) -> Result<Result<Verified, Broken>, StoreError> {
        self.verify()
    }

    fn expire(&self, cutoff: u64, entry: Entry) -> Result<u64, StoreError> {
        self.expire(cutoff, entry)
    }

    fn backup(&self, to: &Path) -> Result<(), StoreError> {
        self.backup(to)
    }

    fn seal_anew(
        &self,
        name: &str,
        entry: &Entry,
        again: &dyn Fn(Body<'_>) -> Result<Option<String>, StoreError>,
    ) -> Result<(), StoreError> {
        self.seal_anew(name, entry, again)
    }
}
