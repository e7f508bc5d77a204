//! The task that speaks to the authority: one order at a time, each when it is due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use headworks_edge::{Challenges, Validity};
use headworks_model::acme::{Acme, NameSet};
use instant_acme::{Account, Error, ExternalAccountKey, NewAccount};
use tokio::sync::{mpsc, oneshot, watch};

use super::http::{Asked, Http, one_line, trusted, whole};
use super::order::{self, Failure, Means};
use super::schedule::{Jitter, Schedule};
use super::store::{Kept, Store, addresses};
use super::{Issued, LastError, Standing, Wanted, shown_name};
use crate::admin::{Admin, unix_now};

/// The longest that one order may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Orders in one attempt, each ended by nonces that are not taken.
const NONCES: u32 = 4;
/// The clock is looked at this often: it may be set, and a machine may sleep.
const GLANCE: Duration = Duration::from_secs(600);
/// Some authorities give their keys with padding, and with bits behind the last octet.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The task.
pub(super) struct Agent {
    store: Store,
    challenges: Arc<Challenges>,
    admin: Arc<Admin>,
    issued: mpsc::Sender<Issued>,
    wanted: watch::Receiver<Wanted>,
    /// What is wanted, as it was last looked at.
    current: Wanted,
    orders: BTreeMap<NameSet, Pending>,
    session: Option<Session>,
}

/// What is known of one set of names.
struct Pending {
    schedule: Schedule,
    last_error: Option<LastError>,
}

/// An account, and the ear of the client that speaks for it.
#[derive(Clone)]
struct Session {
    account: Account,
    asked: Asked,
}

/// What an attempt came to.
enum Outcome {
    Shown(Validity),
    Failed(Failure, Option<Duration>),
    /// Nobody wants it any more.
    Unwanted,
}

fn jitter() -> Jitter {
    let mut bytes = [0; 4];
    // without randomness there is no jitter, and no key either
    let _ = rand::fill(&mut bytes);
    Jitter(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

impl Agent {
    pub(super) fn new(
        store: Store,
        challenges: Arc<Challenges>,
        admin: Arc<Admin>,
        issued: mpsc::Sender<Issued>,
        wanted: watch::Receiver<Wanted>,
    ) -> Agent {
        let (current, orders) = (Wanted::default(), BTreeMap::new());
        Agent { store, challenges, admin, issued, wanted, current, orders, session: None }
    }

    /// Works until the desk is gone.
    pub(super) async fn live(mut self) {
        // what was wanted before this began
        self.take();
        loop {
            let next = self.orders.iter().min_by_key(|(_, order)| order.schedule.due);
            let next = next.map(|(names, order)| (names.clone(), order.schedule.wait(SystemTime::now())));
            let pause = next.as_ref().map_or(GLANCE, |(_, wait)| (*wait).min(GLANCE));
            tokio::select! {
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.take(),
                    Err(_) => return,
                },
                () = tokio::time::sleep(pause) => {
                    if let Some((names, _)) = next.filter(|(_, wait)| *wait <= pause) {
                        self.attempt(&names).await;
                    }
                }
            }
        }
    }

    /// Looks at what is wanted. Other settings are tried at once; names that were wanted before keep their turn.
    fn take(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        if wanted.settings != self.current.settings {
            self.session = None;
            self.orders.clear();
        }
        self.current = wanted;
        self.orders.retain(|names, _| self.current.names.contains_key(names));
        let Some(settings) = &self.current.settings else { return self.show(None) };
        for (names, validity) in &self.current.names {
            self.orders.entry(names.clone()).or_insert_with(|| {
                let schedule = Schedule::new(*validity, settings.renew_before, SystemTime::now(), jitter());
                Pending { schedule, last_error: None }
            });
        }
        self.show(None);
    }

    /// Says on the admin address how orders stand.
    fn show(&self, under_way: Option<&NameSet>) {
        let standing = |names: &NameSet, order: &Pending| Standing {
            state: match order.schedule.failures {
                _ if under_way == Some(names) => "under_way",
                0 => "scheduled",
                _ => "failed",
            },
            next: order.schedule.due.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            failures: order.schedule.failures,
            last_error: order.last_error.clone(),
        };
        let orders = self.orders.iter().map(|(names, order)| (shown_name(names), standing(names, order))).collect();
        self.admin.show(|shown| shown.orders = orders);
    }

    async fn attempt(&mut self, names: &NameSet) {
        let Some(settings) = self.current.settings.clone() else { return };
        let failures = self.orders.get(names).map_or(0, |order| order.schedule.failures);
        let label = names.label();
        tracing::info!(certificate = %label, directory = settings.directory.as_str(), "ordering a certificate");
        self.show(Some(names));
        let mut wanted = self.wanted.clone();
        let unwanted = async {
            let goes_on = |now: &Wanted| now.settings.as_ref() == Some(&settings) && now.names.contains_key(names);
            let _ = wanted.wait_for(|now| !goes_on(now)).await;
        };
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(PATIENCE, self.insist(&settings, names, failures)) => {
                outcome.unwrap_or(Outcome::Failed(Failure::Late, None))
            }
            () = unwanted => Outcome::Unwanted,
        };
        self.conclude(&settings, names, outcome);
        self.show(None);
    }

    /// Orders a certificate, again at once where the authority does not take its own nonces.
    async fn insist(&mut self, settings: &Acme, names: &NameSet, failures: u32) -> Outcome {
        for _ in 1..NONCES {
            match self.issue(settings, names, failures).await {
                Outcome::Failed(failure, _) if failure.is_of_nonce() => {}
                outcome => return outcome,
            }
        }
        self.issue(settings, names, failures).await
    }

    /// Orders a certificate, has it shown, and keeps it.
    async fn issue(&mut self, settings: &Acme, names: &NameSet, failures: u32) -> Outcome {
        let asked = Asked::default();
        let session = match self.session(settings, &asked).await {
            Ok(session) => session,
            Err(failure) => return Outcome::Failed(failure, asked.take()),
        };
        let means = Means { choice: settings.challenge, has_http: self.current.has_http, failures };
        let pem = match order::issue(&session.account, names, means, &self.challenges).await {
            Ok(pem) => pem,
            Err(failure) => return Outcome::Failed(failure, session.asked.take()),
        };
        let (shown, answer) = oneshot::channel();
        if self.issued.send(Issued { names: names.clone(), pem: pem.clone(), shown }).await.is_err() {
            return Outcome::Unwanted;
        }
        match answer.await {
            Ok(Ok(validity)) => {
                if let Err(error) = self.store.keep_certificate(names, pem.as_bytes()) {
                    tracing::error!(certificate = %names.label(), %error, "certificate cannot be kept, the next start orders it again");
                }
                Outcome::Shown(validity)
            }
            Ok(Err(error)) => Outcome::Failed(Failure::Unusable(error.to_string()), None),
            Err(_) => Outcome::Unwanted,
        }
    }

    /// The account that the settings lead to: the one of this session, the one that was kept, or a new one.
    async fn session(&mut self, settings: &Acme, asked: &Asked) -> Result<Session, Failure> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let other = |error: Box<dyn std::error::Error + Send + Sync>| Failure::Authority(Error::Other(error));
        let roots = trusted(settings.ca.as_deref()).map_err(|error| other(error.into()))?;
        let http = Http::new(roots, asked.clone()).map_err(|error| other(error.into()))?;
        let builder = Account::builder_with_http(Box::new(http));
        let kept = self.store.account(settings).unwrap_or_else(|error| {
            tracing::error!(%error, "kept account is damaged, a new one is made");
            None
        });
        let account = match kept {
            Some(kept) => self.resume(builder, settings, kept).await?,
            None => self.register(builder, settings).await?,
        };
        let session = Session { account, asked: asked.clone() };
        self.session = Some(session.clone());
        Ok(session)
    }

    async fn resume(
        &self,
        builder: instant_acme::AccountBuilder,
        settings: &Acme,
        kept: Kept,
    ) -> Result<Account, Failure> {
        let known = kept.email == addresses(settings);
        let account = builder.from_credentials(kept.credentials).await?;
        if !known {
            self.update_contacts(&account, settings).await;
        }
        Ok(account)
    }

    /// Tells the authority of other mail addresses. An account is good without.
    async fn update_contacts(&self, account: &Account, settings: &Acme) {
        let contact = contacts(settings);
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        if let Err(error) = account.update_contacts(&contact).await {
            tracing::warn!(error = one_line(&whole(&error)), "the authority does not take the new mail addresses");
            return;
        }
        let kept = self.store.account(settings).and_then(|kept| match kept {
            Some(mut kept) => {
                kept.email = addresses(settings);
                self.store.keep_account(settings, &kept)
            }
            None => Ok(()),
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "the new mail addresses cannot be kept");
        }
    }

    async fn register(&self, builder: instant_acme::AccountBuilder, settings: &Acme) -> Result<Account, Failure> {
        let contact = contacts(settings);
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let wanted = NewAccount {
            contact: &contact,
            terms_of_service_agreed: settings.terms_agreed,
            only_return_existing: false,
        };
        let external = settings.external_account.as_ref().map(|external| {
            let key = BASE64URL.decode(external.hmac_key.as_str());
            let key = key.map_err(|error| Failure::Authority(Error::Other(error.into())))?;
            Ok::<_, Failure>(ExternalAccountKey::new(external.kid.as_str().to_owned(), &key))
        });
        let external = external.transpose()?;
        let directory = settings.directory.as_str().to_owned();
        let (account, credentials) = builder.create(&wanted, directory, external.as_ref()).await?;
        tracing::info!(directory = settings.directory.as_str(), account = account.id(), "account registered");
        if let Err(error) = self.store.keep_account(settings, &Kept::new(settings, credentials)) {
            tracing::error!(%error, "account cannot be kept, the next start registers another");
        }
        Ok(account)
    }

    /// Plans what follows from an attempt, and says how it went.
    fn conclude(&mut self, settings: &Acme, names: &NameSet, outcome: Outcome) {
        let label = names.label();
        let Some(order) = self.orders.get_mut(names) else { return };
        let now = SystemTime::now();
        match outcome {
            Outcome::Unwanted => tracing::info!(certificate = %label, "order given up, it is not wanted any more"),
            Outcome::Shown(validity) => {
                order.schedule = Schedule::new(Some(validity), settings.renew_before, now, jitter());
                order.last_error = None;
                let renewal_in = order.schedule.wait(now).as_secs();
                tracing::info!(certificate = %label, renewal_in, "certificate issued");
                self.admin.show(|shown| shown.process.orders_issued += 1);
            }
            Outcome::Failed(failure, asked) => {
                order.schedule.fail(asked, now, jitter());
                let what = one_line(&failure.to_string());
                let next_in = order.schedule.wait(now).as_secs();
                tracing::error!(certificate = %label, error = what, next_in, "no certificate");
                order.last_error = Some(LastError { at: unix_now(), what });
                self.admin.show(|shown| shown.process.orders_failed += 1);
                self.doubt_session(settings, &failure);
            }
        }
    }

    /// A session is begun anew when it was not answered well: the authority may have moved, or forgotten the account.
    fn doubt_session(&mut self, settings: &Acme, failure: &Failure) {
        if matches!(failure, Failure::Authority(_) | Failure::Late) {
            self.session = None;
        }
        if failure.is_of_account()
            && let Err(error) = self.store.forget_account(settings)
        {
            tracing::error!(%error, "the account that the authority does not know cannot be forgotten");
        }
    }
}

fn contacts(settings: &Acme) -> Vec<String> {
    settings.email.iter().map(|email| format!("mailto:{}", email.as_str())).collect()
}
