//! The old process's end: a new one takes over, or does not.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

use headworks_edge::legacy::FlowLegacy;
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use tokio::time::timeout;

use super::claim::Claim;
use super::message::{Offer, PROTOCOL, Step};
use super::wire::Link;

/// From `Go` to `Serving` nothing is read, resolved or bound any more.
const LAST_STEP: Duration = Duration::from_secs(10);
/// For one that has claimed to serve and does not say that it does. It has nothing to do but to say it.
const STALLED: Duration = Duration::from_secs(60);

/// What comes of it.
pub(crate) enum Outcome {
    /// It serves now, and waits until it may read datagrams.
    Serving(Link),
    /// It does not, and why.
    GivenUp(String),
}

/// Why a process that speaks like this cannot take over.
pub(crate) fn mismatch(protocol: u32, version: &str) -> Option<String> {
    (protocol != PROTOCOL).then(|| {
        format!(
            "headworks {} with pid {} hands over by version {PROTOCOL} of the protocol, and headworks {version} takes over \
             by version {protocol}: one cannot replace the other while it runs, stop it and start the other",
            env!("CARGO_PKG_VERSION"),
            std::process::id()
        )
    })
}

/// Hands the estate to a new process, and waits until it serves. The claim to do so stands in `place` from when there is one.
pub(super) async fn succeed(
    mut link: Link,
    (estate, sockets): (Value, Vec<OwnedFd>),
    ready_within: Duration,
    place: &OnceLock<Claim>,
) -> Outcome {
    let asked = async {
        link.send(&Offer::Estate { estate }, &sockets).await?;
        link.receive().await
    };
    match timeout(ready_within, asked).await {
        Ok(Ok((Step::Ready, _))) => {}
        Ok(Ok((step, _))) => return Outcome::GivenUp(format!("it said {step:?} before it was ready")),
        Ok(Err(error)) => return Outcome::GivenUp(format!("it ended before it was ready ({error})")),
        Err(_) => {
            let reason = format!("it was not ready within {} s", ready_within.as_secs_f64());
            let _ = timeout(LAST_STEP, link.send(&Step::GivenUp { reason: reason.clone() }, &[])).await;
            return Outcome::GivenUp(reason);
        }
    }
    let claim = match Claim::new().and_then(|claim| Ok((claim.share()?, claim))) {
        Ok(claim) => claim,
        Err(error) => return Outcome::GivenUp(format!("it was ready, and there was no descriptor for it ({error})")),
    };
    let (shared, claim) = claim;
    leave(link, shared, place.get_or_init(|| claim)).await
}

/// Gives leave to serve, and waits until it does.
async fn leave(mut link: Link, shared: OwnedFd, claim: &Claim) -> Outcome {
    let peer = link.peer();
    let served = {
        let last = async {
            link.send(&Step::Go, &[shared]).await?;
            link.receive().await
        };
        tokio::pin!(last);
        match timeout(LAST_STEP, &mut last).await {
            Ok(served) => served,
            Err(_) if claim.take() => return Outcome::GivenUp("it was ready, and did not serve".to_owned()),
            // it may accept already, and is not left alone: what it has accepted is its to answer
            Err(_) => match timeout(STALLED, &mut last).await {
                Ok(served) => served,
                Err(_) => {
                    let killed = peer.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok());
                    let reason = "it was about to serve, and stood still";
                    return Outcome::GivenUp(if killed {
                        format!("{reason}: it was killed")
                    } else {
                        reason.to_owned()
                    });
                }
            },
        }
    };
    match served {
        Ok((Step::Serving, _)) => Outcome::Serving(link),
        Ok((step, _)) => Outcome::GivenUp(format!("it said {step:?} before it served")),
        Err(error) => Outcome::GivenUp(format!("it ended before it served ({error})")),
    }
}

/// Tells a process that wants to take over that it does not.
pub(crate) async fn refuse(mut link: Link, reason: String) {
    let _ = timeout(LAST_STEP, link.send(&Offer::Refused { reason }, &[])).await;
}

/// Tells the new process that it is alone, and hands flows of datagrams to it.
pub(crate) async fn release(mut link: Link, flows: Vec<FlowLegacy>) {
    let (flows, sockets): (Vec<_>, Vec<_>) = flows.into_iter().map(|flow| (flow.known, flow.socket)).unzip();
    let released = Step::Released { flows };
    match timeout(LAST_STEP, link.send(&released, &sockets)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "flows of datagrams are lost"),
        Err(_) => tracing::error!("flows of datagrams are lost: the new process does not take them"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;
    use tokio::time::sleep;

    use super::super::predecessor::permitted;
    use super::*;

    /// What comes of both sides when the new process stands still so long when it has heard `Go`, and so long again when it has
    /// its claim, in virtual time: whether the old one lets go, and the new one accepts.
    async fn stands_still(before: Duration, after: Duration) -> (bool, bool) {
        let (old, new) = UnixStream::pair().unwrap();
        let (old, mut new) = (Link::new(old), Link::new(new));
        let new_one = async move {
            let (said, descriptors) = match new.receive::<Step>().await {
                Ok((said, descriptors)) => (said, descriptors),
                Err(error) => panic!("{error}"),
            };
            sleep(before).await;
            let accepts = permitted(said, descriptors).is_ok();
            sleep(after).await;
            if accepts {
                let _ = new.send(&Step::Serving, &[]).await;
            }
            (accepts, new)
        };
        let claim = Claim::new().unwrap();
        let old_one = leave(old, claim.share().unwrap(), &claim);
        let (outcome, (accepts, _new)) = tokio::join!(old_one, new_one);
        (matches!(outcome, Outcome::Serving(_)), accepts)
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_them_serves_however_long_either_stands_still() {
        let none = Duration::ZERO;
        for before in [none, LAST_STEP / 2, LAST_STEP - Duration::from_millis(1), LAST_STEP * 2] {
            for after in [none, LAST_STEP / 2, LAST_STEP * 2] {
                let (lets_go, accepts) = stands_still(before, after).await;
                assert_eq!(lets_go, accepts, "{before:?}, {after:?}: one serves, and the other does not");
                assert_eq!(accepts, before < LAST_STEP, "{before:?}, {after:?}");
            }
        }
    }
}
