//! Whoever watches what goes on, and may for as long as it may ask for it: what it has shown is good, and policies permit it.

use std::sync::Arc;
use std::time::Duration;

use headworks_iam::session::Session;
use headworks_iam::{Request, time};

use crate::asker::Asker;
use crate::call::Call;
use crate::clock::now;
use crate::desired::Desired;
use crate::plane::Plane;
use crate::sight::Sight;
use crate::signed::{is_current, of_key};

/// How long somebody whose leave has ended may go on when nothing happens.
const LOOK: Duration = Duration::from_secs(1);

/// What somebody has shown who it is with.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// Nothing, where nothing has to be; or the key of the machine itself.
    Lasting,
    /// The hash of a cookie's token.
    Cookie(String),
    /// An access key.
    Key(String),
    /// Temporary credentials.
    Session(Box<Session>),
}

impl Credential {
    fn is_good(&self, plane: &Plane) -> bool {
        match self {
            Self::Lasting => true,
            Self::Cookie(token) => plane.directory().session(token, now()).is_some(),
            Self::Key(id) => of_key(plane, id).is_ok(),
            Self::Session(session) => is_current(plane, session),
        }
    }
}

/// Who watches, and by what leave.
pub(crate) struct Standing {
    plane: Arc<Plane>,
    credential: Credential,
    asker: Asker,
}

impl Standing {
    /// That of a call which is permitted.
    pub(crate) fn of(call: &Call) -> Self {
        Self { plane: call.plane.clone(), credential: call.credential.clone(), asker: call.asker.clone() }
    }

    /// Who watches, as of now.
    fn asker(&self) -> Asker {
        Asker { circumstances: timed(self.asker.circumstances.clone()), ..self.asker.clone() }
    }

    /// What it sees by now.
    pub(crate) fn sight(&self) -> Sight {
        self.asker().sight(&self.plane)
    }

    /// What should be by now.
    pub(crate) fn desired(&self) -> Arc<Desired> {
        self.plane.desired()
    }

    /// Whether it may go on.
    pub(crate) fn holds(&self) -> bool {
        let now = self.asker();
        let Request { action, resource, .. } = &now.circumstances;
        self.credential.is_good(&self.plane) && now.may(&self.plane, action, resource).is_ok()
    }

    /// Waits until it may not.
    pub(crate) async fn lapsed(&self) {
        while self.holds() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Whether a second factor was shown; for how many seconds that is so; and since when, by which the age is known.
pub(crate) const MFA_PRESENT: &str = "aws:MultiFactorAuthPresent";
pub(crate) const MFA_AGE: &str = "aws:MultiFactorAuthAge";
pub(crate) const MFA_SINCE: &str = "headworks:MultiFactorAuthTime";

/// What is known of a request, as of now.
pub(crate) fn timed(circumstances: Request) -> Request {
    let now = now();
    let since = circumstances.value(MFA_SINCE).and_then(|since| since.parse::<u64>().ok());
    let circumstances = match since {
        Some(since) => circumstances.set(MFA_AGE, now.saturating_sub(since).to_string()),
        None => circumstances,
    };
    circumstances.set("aws:CurrentTime", time::iso(now)).set("aws:EpochTime", now.to_string())
}
