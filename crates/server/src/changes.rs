//! Changes by the API, in the control loop: what is proposed is run, and recorded once it does. Whatever stands in the way, what
//! ran goes on.

use std::sync::Arc;

use headworks_control::{Access, Asked, Change, Clash, Desired, Outcome, Place, Plane, Problem};
use headworks_edge::CannotRun;
use headworks_model::config::AdminAuth;
use tokio::sync::mpsc;

use crate::admin::{self, Admin};
use crate::check::in_the_way;
use crate::descriptors;
use crate::file::{Loaded, Refused};
use crate::run::{Control, StartError, apply_to};

/// The control plane at the start.
pub(crate) struct Opened {
    pub(crate) plane: Arc<Plane>,
    pub(crate) access: Access,
    pub(crate) desired: Desired,
    pub(crate) changes: mpsc::Receiver<Asked>,
}

/// Opens what is kept beside the file, and puts both together.
pub(crate) fn open(loaded: &Loaded, admin: &Arc<Admin>) -> Result<Opened, StartError> {
    let access = match loaded.config.admin.auth {
        AdminAuth::None => Access::Open,
        AdminAuth::Required => Access::Required,
    };
    let kept = |what: String| StartError::Io("admin.data".to_owned(), std::io::Error::other(what));
    let around = admin::surroundings(admin, loaded.folder.clone());
    let (plane, changes) =
        Plane::open(&Place::of(&loaded.config.admin), access, loaded.config.clone(), around).map_err(kept)?;
    let desired = plane.merged(&loaded.config).map_err(kept)?;
    let desired = desired.map_err(|clash| StartError::Refused(refused(&clash)))?;
    if access == Access::Required && !plane.is_initialised() {
        tracing::warn!("nobody may use the API yet: `headworks init -c FILE` makes the root identity");
    }
    Ok(Opened { plane: Arc::new(plane), access, desired, changes })
}

/// What should be with another file.
pub(crate) fn with_file(plane: &Plane, loaded: &Loaded) -> Result<Desired, Refused> {
    plane.desired().with_file(&loaded.config).map_err(|clash| refused(&clash))
}

fn refused(clash: &Clash) -> Refused {
    let lines = match clash {
        Clash::Twice(paths) => {
            let what = "is declared by the API as well: delete it there, or rename it here";
            paths.iter().map(|path| format!("{path}: {what}")).collect()
        }
        Clash::Faults(faults) => faults.iter().map(|fault| format!("by the API, with this file: {fault}")).collect(),
    };
    Refused::CannotRun(lines)
}

fn cannot_run(errors: Vec<CannotRun>) -> Problem {
    Problem::cannot_run(errors.into_iter().map(|error| (error.path, error.what)))
}

impl Control {
    /// Carries out a change, and answers.
    pub(crate) async fn change(&mut self, asked: Asked) {
        let Asked { change, answer } = asked;
        let outcome = self.carry_out(change).await;
        // who asked may have gone; what was done is done
        let _ = answer.send(outcome);
    }

    /// Takes in what the process before has recorded after this one had read what is kept.
    pub(crate) async fn catch_up(&mut self) {
        let newest = self.plane.newest();
        if newest.is_none_or(|newest| newest == self.plane.desired().revision()) {
            return;
        }
        let Ok(Ok(desired)) = self.plane.merged(&self.loaded.config) else {
            tracing::error!("what was changed while this process took over cannot be read");
            return;
        };
        let running = self.loaded.whole(desired.config());
        match apply_to(&mut self.edge, &running, self.keyring.clone()).await {
            Ok(()) => {
                self.running = running;
                self.plane.publish(desired);
            }
            Err(errors) => errors.iter().for_each(|error| {
                tracing::error!(%error, "what was changed while this process took over cannot be run");
            }),
        }
    }

    async fn carry_out(&mut self, change: Change) -> Result<Outcome, Problem> {
        let proposed = self.plane.propose(change)?;
        if proposed.is_settled() && !proposed.is_dry() {
            return Ok(proposed.settled());
        }
        let running = self.loaded.whole(&proposed.config);
        if proposed.is_dry() {
            let errors = in_the_way(&running);
            return if errors.is_empty() { Ok(proposed.settled()) } else { Err(cannot_run(errors)) };
        }
        descriptors::shortage(&running, descriptors::most()).for_each(|what| tracing::warn!("{what}"));
        self.acme.restore(&running, &mut self.edge);
        apply_to(&mut self.edge, &running, self.keyring.clone()).await.map_err(cannot_run)?;
        match self.plane.record(proposed).await {
            Ok(outcome) => {
                self.running = running;
                self.acme.want(&self.running, &self.edge);
                self.show();
                Ok(outcome)
            }
            Err(problem) => {
                // what is not kept must not run: after a restart it would be gone
                if apply_to(&mut self.edge, &self.running, self.keyring.clone()).await.is_err() {
                    tracing::error!("what was not kept runs on, because what ran before cannot be run");
                }
                self.show();
                Err(problem)
            }
        }
    }
}
