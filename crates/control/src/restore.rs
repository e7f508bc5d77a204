//! A saved state, brought back while the program runs: what comes by the API and all identities become what they were, as one
//! change. Revisions and the audit trail go on: what was done since is not forgotten, and can itself be brought back.

use std::path::Path;

use headworks_iam::Directory;
use headworks_model::Edit;
use headworks_store::{Identity, Store, StoreError};
use serde_json::json;

use crate::change::{Change, Outcome, Run};
use crate::difference::shortened;
use crate::identities::{all, state, turned};
use crate::keep::{Kept, read_directory, unsealed};
use crate::mend::mend;
use crate::plane::Plane;
use crate::problem::Problem;

/// What was saved.
pub(crate) struct Saved {
    /// What came by the API.
    pub(crate) resources: Vec<Edit>,
    pub(crate) directory: Directory,
}

impl Saved {
    /// Reads it from a file, which is this process's own, and is changed by that.
    ///
    /// # Errors
    /// When it was not saved by this program, or not with this key.
    pub(crate) fn read(path: &Path, kept: &Kept) -> Result<Self, Problem> {
        let store = Store::saved(path).map_err(|error| match error {
            StoreError::NotOurs(_) => Problem::bad_request(error.to_string()),
            StoreError::Newer { found, known, .. } => Problem::bad_request(format!(
                "it was saved by a newer version of this program (its layout is {found}, and up to {known} is known here)"
            )),
            error => error.into(),
        })?;
        if store.sealed_with()?.is_some_and(|key| key != kept.sealer.name()) {
            return Err(Problem::conflict(
                "its secrets were sealed with another key than this installation's. To restore it: stop the program, put the \
                 control.key that belongs to it in the data folder, run `headworks restore`, start the program",
            ));
        }
        let resources = store.resources()?;
        let resources = resources.iter().map(|one| unsealed(&kept.sealer, &one.kind, &one.name, &one.body));
        let mut resources: Vec<Edit> = resources.collect::<Result<_, _>>()?;
        resources.iter_mut().for_each(|edit| drop(mend(edit)));
        Ok(Self { resources, directory: read_directory(&store).map_err(Problem::bad_request)? })
    }
}

impl Plane {
    /// The tag of all that a backup brings back, as it is now.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub(crate) async fn whole_tag(&self) -> Result<String, Problem> {
        self.follow_others().await?;
        Ok(self.tag_of_whole(self.desired().revision(), &self.directory()))
    }

    fn tag_of_whole(&self, revision: u64, directory: &Directory) -> String {
        self.tag(&json!({ "revision": revision, "identities": state(directory) }))
    }

    /// Has a change carried out, and all identities be those of `then`, or neither, on condition that both are what the caller
    /// knew. With the tag of both as they are then; as they are, where it was only judged.
    pub(crate) async fn restore(&self, mut change: Change, then: Directory) -> Result<(Outcome, String), Problem> {
        let _one = self.changing.lock().await;
        self.follow_others().await?;
        let (now, desired) = (self.directory(), self.desired());
        let tag = self.tag_of_whole(desired.revision(), &now);
        let condition = std::mem::take(&mut change.condition);
        condition.check_tag(Some(&tag), "what a backup brings back")?;
        if condition.if_match.is_some() {
            // identities change nowhere else meanwhile; resources do, and are held against what they were just now
            change.condition.if_match = Some(vec![self.tag(&desired.state())]);
        }
        let directory = now.restored(then).indexed();
        let turned = turned(&now, &directory, all(&now, &directory));
        let (rows, lines): (Vec<Identity>, Vec<_>) = turned.into_iter().map(|one| (one.row, one.lines)).unzip();
        let lines = lines.concat();
        change.entry.changes = lines.iter().map(|line| shortened(line)).collect();
        change.identities.clone_from(&rows);
        let (run, entry) = (change.run, change.entry.clone());
        let mut outcome = self.change(change).await?;
        outcome.changes.extend(lines);
        if run == Run::Dry {
            return Ok((outcome, tag));
        }
        let tag = self.tag_of_whole(outcome.revision.unwrap_or(desired.revision()), &directory);
        if rows.is_empty() {
            return Ok((outcome, tag));
        }
        if outcome.revision.is_none() {
            // no resource had to change, so nothing was recorded
            self.blocking(move |kept| Ok(kept.store.put_identities(&rows, Some(&entry))?)).await?;
        }
        self.put_directory(directory);
        Ok((outcome, tag))
    }
}
