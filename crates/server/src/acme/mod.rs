//! Certificates by ACME (RFC 8555): what listeners ask for by `{ acme: [names] }` is ordered, kept, renewed.
//!
//! The [`Desk`] is the control loop's: it says what is wanted, and takes what was issued to show it on the listeners. The
//! [`agent`] behind it is a task of its own, which speaks to the authority, one [`order`] at a time. Nothing waits for
//! it: while there is no certificate, a listener has its stand-in.

mod agent;
#[cfg(test)]
mod fuzz;
mod http;
mod order;
mod schedule;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use headworks_edge::{CannotRun, CannotShow, Challenges, Edge, Validity};
use headworks_model::Config;
use headworks_model::acme::{Acme, NameSet};
use headworks_model::listener::ListenerProtocol;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use self::agent::Agent;
use self::store::Store;
use crate::admin::Admin;

/// What is wanted of an authority.
#[derive(Clone, Debug, Default, PartialEq)]
struct Wanted {
    settings: Option<Arc<Acme>>,
    /// Each with the life of the certificate that there is.
    names: BTreeMap<NameSet, Option<Validity>>,
    /// There is a listener that answers `http-01`.
    has_http: bool,
}

/// A certificate that has just been issued.
pub(crate) struct Issued {
    pub(crate) names: NameSet,
    /// Key and chain.
    pub(crate) pem: String,
    /// What comes of showing it; let go of when nobody asks for these names any more.
    pub(crate) shown: oneshot::Sender<Result<Validity, CannotShow>>,
}

/// How an order stands, as the admin address shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Standing {
    /// `under_way`, `scheduled`, or `failed` until the next attempt.
    state: &'static str,
    /// Seconds since 1970 of the next attempt: the renewal, when there is a certificate and nothing failed.
    next: u64,
    /// Attempts since the last one that came to something.
    failures: u32,
    last_error: Option<LastError>,
}

/// Why the last attempt failed.
#[derive(Clone, Debug, Serialize)]
struct LastError {
    /// Seconds since 1970.
    at: u64,
    what: String,
}

/// What a certificate for these names is called in what the data plane shows.
fn shown_name(names: &NameSet) -> String {
    format!("acme:{}", names.label())
}

/// What stands in the way of the section `acme`, in files that it names.
pub(crate) fn validate(config: &Config) -> Vec<CannotRun> {
    let ca = config.acme.as_ref().and_then(|acme| acme.ca.as_deref());
    let wrong = ca.and_then(|ca| http::trusted(Some(ca)).err().map(|error| (ca, error)));
    let fault = |(ca, error): (&Path, http::CannotTrust)| CannotRun {
        path: "acme.ca".to_owned(),
        what: format!("{} {error}", ca.display()),
    };
    wrong.map(fault).into_iter().collect()
}

/// The control loop's end.
pub(crate) struct Desk {
    store: Store,
    wanted: watch::Sender<Wanted>,
}

impl Desk {
    /// Keeps its files below `data`. Nothing is asked of anybody yet.
    pub(crate) fn new(data: &Path) -> Desk {
        Desk { store: Store::new(data), wanted: watch::Sender::default() }
    }

    /// Starts the task behind it, which ends with this. What it gets issued comes out of the receiver.
    pub(crate) fn open(&self, challenges: Arc<Challenges>, admin: Arc<Admin>) -> mpsc::Receiver<Issued> {
        let (issued, inbox) = mpsc::channel(1);
        let agent = Agent::new(self.store.clone(), challenges, admin, issued, self.wanted.subscribe());
        tokio::spawn(agent.live());
        inbox
    }

    /// Hands to the data plane what was issued earlier for names that are new in this configuration.
    pub(crate) fn restore(&self, config: &Config, edge: &mut Edge) {
        for names in config.acme_names() {
            if edge.issued(names).is_some() {
                continue;
            }
            let label = names.label();
            match self.store.certificate(names) {
                Ok(None) => {}
                Ok(Some(pem)) => match edge.show_issued(names, &pem) {
                    Ok(_) => tracing::info!(certificate = %label, "certificate of an earlier order taken up"),
                    Err(error) => tracing::warn!(certificate = %label, %error, "kept certificate is not used"),
                },
                Err(error) => tracing::error!(certificate = %label, %error, "kept certificate cannot be read"),
            }
        }
    }

    /// Wants what this configuration asks for, and nothing else, from now on.
    pub(crate) fn want(&self, config: &Config, edge: &Edge) {
        let names: BTreeMap<NameSet, Option<Validity>> =
            config.acme_names().into_iter().map(|names| (names.clone(), edge.issued(names))).collect();
        let mut listeners = config.load_balancers.values().flat_map(|balancer| balancer.listeners.values());
        let has_http = listeners.any(|listener| listener.protocol == ListenerProtocol::Http);
        for (names, _) in names.iter().filter(|(_, validity)| validity.is_none()) {
            tracing::warn!(certificate = %names.label(), "a self-signed certificate stands in until one is issued");
        }
        let wanted = Wanted { settings: config.acme.clone().map(Arc::new), names, has_http };
        self.wanted.send_if_modified(|before| {
            let changes = *before != wanted;
            *before = wanted;
            changes
        });
    }
}
