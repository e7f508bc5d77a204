//! The old process's end: a new one takes over, or does not.

use std::os::fd::OwnedFd;
use std::time::Duration;

use headworks_edge::legacy::FlowLegacy;
use serde_json::Value;
use tokio::time::timeout;

use super::message::{Offer, PROTOCOL, Step};
use super::wire::Link;

/// From `Go` to `Serving` nothing is read, resolved or bound any more.
const LAST_STEP: Duration = Duration::from_secs(10);

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

/// Hands the estate to a new process, and waits until it serves.
pub(crate) async fn succeed(mut link: Link, estate: Value, sockets: Vec<OwnedFd>, ready_within: Duration) -> Outcome {
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
    let last = async {
        link.send(&Step::Go, &[]).await?;
        link.receive().await
    };
    match timeout(LAST_STEP, last).await {
        Ok(Ok((Step::Serving, _))) => Outcome::Serving(link),
        Ok(Ok((step, _))) => Outcome::GivenUp(format!("it said {step:?} before it served")),
        Ok(Err(error)) => Outcome::GivenUp(format!("it ended before it served ({error})")),
        Err(_) => Outcome::GivenUp("it was ready, and did not serve".to_owned()),
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
