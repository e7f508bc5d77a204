//! Applying the source again: drafted aside, judged, and put in the place of what runs.

use std::mem;

use headworks_control::Desired;
use headworks_edge::{Examined, aside, discard};
use headworks_model::Change;
use serde_json::json;

use super::{Control, examined};
use crate::admin::{Applied, unix_now};
use crate::changes;
use crate::check::in_the_way;
use crate::descriptors;
use crate::file::{Loaded, Refused};
use crate::systemd;

/// What running a source would be, before anything has changed.
struct Draft {
    loaded: Loaded,
    desired: Desired,
    /// The file, and what came by the API.
    running: Examined,
    changes: Vec<Change>,
}

impl Control {
    /// Whether the file says what runs already.
    pub(super) async fn is_current(&self) -> bool {
        let (source, runs) = (self.source.clone(), self.loaded.config.clone());
        aside(move || source.load().is_ok_and(|loaded| loaded.config == runs)).await.unwrap_or(false)
    }

    /// What running the source would be. Made aside: reading a large file takes long.
    async fn draft(&self) -> Result<Draft, Refused> {
        let (source, plane, before) = (self.source.clone(), self.plane.clone(), self.loaded.shown());
        let draft = aside(move || {
            let mut loaded = source.load()?;
            loaded.share(before.config());
            let desired = changes::with_file(&plane, &loaded)?;
            let running = examined(loaded.whole(desired.config()));
            let changes = before.difference(&loaded.shown());
            Ok(Draft { loaded, desired, running, changes })
        });
        draft.await.unwrap_or_else(|error| Err(Refused::CannotRun(vec![format!("no thread to read it: {error}")])))
    }

    /// Applies the source again. Whatever is wrong with it, what runs goes on.
    pub(super) async fn reload(&mut self) -> Applied {
        systemd::reloading();
        let result = match self.draft().await {
            Ok(draft) => self.apply(draft).await,
            Err(refused) => Err(refused),
        };
        let at = unix_now();
        let applied = match result {
            Ok(changes) => {
                tracing::info!(changes = changes.len(), "configuration applied");
                let changes = changes.iter().map(ToString::to_string).collect();
                let warnings = self.loaded.warnings.clone();
                Applied { at, result: "applied", errors: Vec::new(), changes, warnings }
            }
            Err(refused) => {
                let refused = Applied::refused(at, &refused);
                refused.errors.iter().for_each(|error| tracing::error!("{error}"));
                tracing::error!("configuration refused, the one before goes on");
                systemd::ready("serving, the last configuration was refused");
                refused
            }
        };
        let last = applied.clone();
        self.admin.show(|shown| {
            match last.result {
                "applied" => shown.process.reloads_applied += 1,
                _ => shown.process.reloads_refused += 1,
            }
            shown.last = Some(last);
        });
        self.plane
            .tell("reload", json!({ "result": applied.result, "errors": applied.errors, "changes": applied.changes }));
        applied
    }

    /// What applying the source again would do; nothing is done.
    pub(super) async fn judge(&self) -> Applied {
        let at = unix_now();
        let draft = match self.draft().await {
            Ok(draft) => draft,
            Err(refused) => return Applied::refused(at, &refused),
        };
        let mut errors = draft.running.errors.clone();
        if errors.is_empty() {
            // what running it would come upon only while it is built
            errors = in_the_way(draft.running.config());
        }
        let judged = if errors.is_empty() {
            let changes = draft.changes.iter().map(ToString::to_string).collect();
            Applied { at, result: "judged", errors: Vec::new(), changes, warnings: draft.loaded.warnings.clone() }
        } else {
            Applied::refused(at, &draft.loaded.placed(&errors))
        };
        discard(draft);
        judged
    }

    async fn apply(&mut self, draft: Draft) -> Result<Vec<Change>, Refused> {
        let Draft { loaded, desired, running, changes } = draft;
        let (old, new) = (&self.running, running.config());
        for (what, changed) in [
            ("admin.auth", old.admin.auth != new.admin.auth),
            ("admin.address", old.admin.address != new.admin.address),
            ("admin.key_file", old.admin.key_file != new.admin.key_file),
            ("admin.data", old.admin.data != new.admin.data),
            ("workers", old.workers != new.workers),
        ] {
            if changed {
                tracing::warn!(setting = what, "takes effect when the program starts anew");
            }
        }
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        descriptors::shortage(new, descriptors::most()).for_each(|shortage| tracing::warn!("{shortage}"));
        self.acme.restore(new, &mut self.edge);
        if let Err(errors) = self.edge.apply(&running, self.keyring.clone()).await {
            let refused = loaded.placed(&errors);
            discard((loaded, desired, running));
            return Err(refused);
        }
        let old = mem::replace(&mut self.running, running.config().clone());
        let before = (mem::replace(&mut self.loaded, loaded), old, self.plane.desired(), running);
        self.plane.publish(desired);
        self.acme.want(&self.running, &self.edge);
        self.show();
        discard(before);
        self.announce();
        Ok(changes)
    }
}
