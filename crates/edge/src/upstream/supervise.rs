//! The supervisor of a target group: one task in the control thread that owns the group's state, has its targets probed
//! and resolved, and publishes what workers choose from.

mod prober;
mod state;

use std::sync::Arc;

use headworks_balance::{self as balance, Outcome, Roster, TargetKey};
use headworks_model::target_group::TargetGroup;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use self::state::State;
use super::group::{GroupShared, Published};
use super::resolve::{Resolved, Resolver};
use crate::legacy::KnownGroup;

/// What a supervisor is told.
pub(crate) enum Notice {
    /// Settings and targets as now declared, and whether a rule forwards to the group.
    Configure {
        settings: Arc<TargetGroup>,
        in_use: bool,
        /// Requests are hedged by what its answers take.
        hedged: bool,
        done: oneshot::Sender<()>,
    },
    Probed(TargetKey, u64, Outcome),
    Resolved(Arc<str>, Resolved),
    /// What is known of the targets, for another process.
    Keep(oneshot::Sender<KnownGroup>),
}

/// The control thread's door to a supervisor. When it is dropped, the supervisor ends.
pub(crate) struct Supervisor {
    pub(crate) shared: Arc<GroupShared>,
    notices: mpsc::UnboundedSender<Notice>,
    task: AbortHandle,
    /// What it was last told.
    configured: Option<Configured>,
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a supervisor has been told.
struct Configured {
    settings: Arc<TargetGroup>,
    in_use: bool,
    hedged: bool,
}

/// The settings of a group before it is configured.
fn without_targets(settings: &TargetGroup) -> TargetGroup {
    TargetGroup { targets: Arc::default(), ..settings.clone() }
}

impl Supervisor {
    /// Starts the supervision of a group; it has no targets until it is configured. `known` is what another process knew
    /// of it. `cut` is called when requests in flight must look whether their target was cut off.
    pub(crate) fn start(
        name: Arc<str>,
        settings: &TargetGroup,
        workers: usize,
        resolver: Resolver,
        known: Option<&KnownGroup>,
        cut: impl Fn() + Send + 'static,
    ) -> Supervisor {
        let empty = Published { roster: Arc::new(Roster::empty(balance::Algorithm::RoundRobin)), targets: Vec::new() };
        let shared = Arc::new(GroupShared::new(name, empty, workers, known.and_then(|known| known.retries_left)));
        let (notices, inbox) = mpsc::unbounded_channel();
        let own = notices.clone();
        let state = State::new(shared.clone(), without_targets(settings), workers, resolver, known, own, Box::new(cut));
        let task = tokio::spawn(state.run(inbox)).abort_handle();
        Supervisor { shared, notices, task, configured: None }
    }

    /// What is known of its targets, for another process.
    pub(crate) async fn keep(&self) -> KnownGroup {
        let (answer, kept) = oneshot::channel();
        let asked = self.notices.send(Notice::Keep(answer));
        if asked.is_ok() { kept.await.unwrap_or_default() } else { KnownGroup::default() }
    }

    /// Makes settings and targets those declared; returns when that is published. At once when they are so already: a change
    /// of one group is not to cost what a thousand do.
    pub(crate) async fn configure(&mut self, settings: &TargetGroup, in_use: bool, hedged: bool) {
        let told = self.configured.as_ref();
        if told.is_some_and(|told| *told.settings == *settings && (told.in_use, told.hedged) == (in_use, hedged)) {
            return;
        }
        let settings = Arc::new(settings.clone());
        self.configured = Some(Configured { settings: settings.clone(), in_use, hedged });
        let (done, published) = oneshot::channel();
        let notice = Notice::Configure { settings, in_use, hedged, done };
        if self.notices.send(notice).is_ok() {
            let _ = published.await;
        }
    }
}
