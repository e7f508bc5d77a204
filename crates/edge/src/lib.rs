//! The data plane: listeners, requests, targets. The only owner of client and target sockets.
//!
//! [`Edge`] takes a validated configuration, builds everything that it asks for, and exchanges what the workers run in one
//! step; any error leaves what ran before running. It reads no file but those that the configuration names for logs, and
//! knows nothing of the control plane.

mod challenge;
mod compile;
mod error;
mod explain;
#[cfg(test)]
mod fuzz;
mod guard;
mod l4;
mod l7;
pub mod legacy;
mod listen;
mod observe;
mod quic;
mod runtime;
mod succession;
mod tls;
mod upstream;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use headworks_balance::Keyring;
use headworks_model::acme::NameSet;
use headworks_model::config::Config;
use headworks_model::primitive::{Bind, Name};
use tokio::sync::oneshot;

pub use self::challenge::{CannotProve, Challenges, Offered, Proof};
use self::compile::build;
pub use self::compile::build::{CannotRun, validate};
pub use self::compile::examined::Examined;
pub use self::compile::permission::unpermitted;
use self::compile::plan::{ListenerKey, Plan};
pub use self::explain::{
    Asked, CannotExplain, Considered, Decided, Decision, GroupShare, ListenerFound, RuleVerdict, explain, handling,
};
use self::guard::members::Membership;
pub use self::guard::members::members;
use self::legacy::{Activated, Inheritance, Inherited, Legacy};
use self::listen::bound::{BoundListener, FreshListener};
pub use self::observe::access_log::LogWriter;
pub use self::observe::{meter, metrics, status};
use self::quic::Secrets;
pub use self::runtime::aside::{aside, discard};
use self::runtime::pressure::{self, Pressure};
use self::runtime::worker::{Command, DatagramsIn, Handover, WorkerHandle};
use self::tls::certificate::Certificate;
pub use self::tls::certificate::{CannotShow, Validity};
use self::tls::ticket::Tickets;
use self::tls::vault::Vault;
use self::upstream::announce::Console;
use self::upstream::resolve::Resolver;
use self::upstream::supervise::Supervisor;

/// The running data plane. Lives in the control thread's runtime.
pub struct Edge {
    workers: Arc<Vec<WorkerHandle>>,
    log: LogWriter,
    resolver: Resolver,
    supervisors: BTreeMap<Name, Supervisor>,
    bound: BTreeMap<ListenerKey, BoundListener>,
    vault: Vault,
    tickets: Tickets,
    secrets: Secrets,
    inheritance: Inheritance,
    /// Sockets for datagrams that the process before still reads from, by listener and where it is bound.
    awaited: Vec<(ListenerKey, SocketAddr, Vec<DatagramsIn>)>,
    /// What the workers' pulses were when they were last felt.
    pulses: Vec<u32>,
    challenges: Arc<Challenges>,
    pressure: Arc<Pressure>,
    membership: Membership,
    plan: Option<Arc<Plan>>,
    /// Plans that ran before, as long as anybody may still have them.
    retired: Vec<Arc<Plan>>,
}

impl Edge {
    /// Starts workers that listen nowhere yet. Together they accept up to `connections`; more wait in the kernel until
    /// there is room.
    ///
    /// # Errors
    /// When threads or the resolver cannot be started, or what was given to the process is not what it says.
    pub fn start(workers: usize, connections: usize, given: Given) -> io::Result<Edge> {
        let log = LogWriter::start()?;
        let resolver = Resolver::new().map_err(io::Error::other)?;
        let (inheritance, inherited) = match given {
            Given::Nothing => (Inheritance::default(), None),
            Given::Sockets(sockets) => (Inheritance::activated(sockets)?, None),
            Given::Legacy(legacy) => {
                let (inheritance, inherited) = Inheritance::legacy(*legacy)?;
                (inheritance, Some(inherited))
            }
        };
        let (tickets, secrets) = match inherited {
            Some(Inherited { tickets, secrets }) => (tickets, secrets),
            None => {
                let no_randomness = |_| io::Error::other("no random numbers from the system");
                (Tickets::new().map_err(no_randomness)?, Secrets::new().map_err(no_randomness)?)
            }
        };
        let workers = workers.max(1);
        let most = (connections / workers).max(1);
        let pressure = pressure::watched(workers);
        let start = |index| WorkerHandle::start(index, log.clone(), most, secrets.clone(), pressure.clone());
        let workers = (0..workers).map(start).collect::<io::Result<Vec<_>>>()?;
        Ok(Edge {
            pulses: vec![0; workers.len()],
            workers: Arc::new(workers),
            log,
            resolver,
            supervisors: BTreeMap::new(),
            bound: BTreeMap::new(),
            vault: Vault::default(),
            tickets,
            secrets,
            inheritance,
            awaited: Vec::new(),
            challenges: Arc::default(),
            pressure,
            membership: Membership::default(),
            plan: None,
            retired: Vec::new(),
        })
    }

    /// Says where the admin address is, and the pass by which it knows what this program tells of clients: only there goes the
    /// cookie of who has signed in to the console. To be called before anything runs.
    pub fn console_is_at(&mut self, admin: SocketAddr, pass: Arc<[u8]>) {
        self.vault.console_is(Console { address: admin, pass });
    }

    /// Runs this configuration from now on. When it returns, every worker does.
    ///
    /// # Errors
    /// All that cannot be run; what ran before goes on.
    pub async fn apply(&mut self, examined: &Examined, keyring: Arc<Keyring>) -> Result<(), Vec<CannotRun>> {
        let prepared = self.prepare(examined, keyring).await?;
        self.commit(examined, prepared).await;
        Ok(())
    }

    /// Does all of [`Edge::apply`] that can fail; nothing that runs has changed.
    ///
    /// # Errors
    /// All that cannot be run.
    pub async fn prepare(&mut self, examined: &Examined, keyring: Arc<Keyring>) -> Result<Prepared, Vec<CannotRun>> {
        let config = &examined.config;
        let mut errors = examined.errors.clone();
        let vault = self.vault.load(config, &mut errors);
        let fresh = self.bind_new(config, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut started = self.supervise_new(config);
        let plan = Arc::new(self.build(config, &fresh, &started, &vault, keyring).await?);
        configure(&mut started, examined, &vault).await;
        Ok(Prepared { vault, fresh, started, plan })
    }

    /// Runs what was prepared of this configuration. When it returns, every worker does.
    pub async fn commit(&mut self, examined: &Examined, prepared: Prepared) {
        let Prepared { vault, mut fresh, started, plan } = prepared;
        let config = &*examined.config;
        self.vault = vault;
        self.pressure.configure(&config.overload);
        configure(&mut self.supervisors, examined, &self.vault).await;
        self.supervisors.extend(started);
        self.membership = Membership::new(config);
        self.follow_members(&plan);
        self.exchange(&plan, &mut fresh).await;
        self.supervisors.retain(|name, _| config.target_groups.contains_key(name));
        let declared = |key: &ListenerKey| plan.listeners.iter().any(|l| l.key == *key);
        self.bound.retain(|key, _| declared(key));
        let listeners: Vec<_> =
            config.listeners().map(|(balancer, name, listener)| (build::key(balancer, name), listener)).collect();
        self.inheritance.settle(listeners.iter().map(|(key, listener)| (key, *listener)));
        for (name, address) in self.inheritance.left() {
            tracing::warn!(name, %address, "a socket that was opened for this process belongs to no listener");
        }
        for (key, mut listener) in fresh {
            let awaited = listener.awaited();
            if !awaited.is_empty() {
                self.awaited.push((key.clone(), listener.bound.address, awaited));
            }
            self.bound.insert(key, listener.bound);
        }
        self.retired.extend(self.plan.replace(plan));
    }

    /// Takes apart the plans that nobody uses any more: requests that were in flight when they were exchanged had them until
    /// they ended, and a worker is not to spend its time on that.
    pub fn clear_away(&mut self) {
        let (gone, used) = std::mem::take(&mut self.retired).into_iter().partition(|plan| Arc::strong_count(plan) == 1);
        self.retired = used;
        let gone: Vec<Arc<Plan>> = gone;
        if !gone.is_empty() {
            discard(gone);
        }
    }

    /// Binds listeners that are new, or moved, or have QUIC now.
    fn bind_new(&self, config: &Config, errors: &mut Vec<CannotRun>) -> Fresh {
        let mut fresh = Fresh::new();
        for (balancer, name, listener) in config.listeners() {
            let key = build::key(balancer, name);
            let bound = self.bound.get(&key);
            if bound.is_some_and(|bound| bound.is_for(listener)) || !errors.is_empty() {
                continue;
            }
            // HTTP/3 comes beside connections that stay
            let kept = bound.filter(|bound| bound.is_kept_by(listener));
            // one that had another name, or spoke something else, goes when this one has come
            let gives_way = self.bound.values().find(|bound| bound.is_at(listener.bind));
            let there = self.inheritance.find(&key, listener);
            match FreshListener::open(listener, kept, gives_way, there.as_ref(), self.workers.len()) {
                Ok(bound) => drop(fresh.insert(key, bound)),
                Err(error) => {
                    let (what, place) = match listener.bind {
                        Bind::Any(port) => ("port", format!("port {port}")),
                        Bind::Address(address) => ("address", address.to_string()),
                    };
                    errors.push(CannotRun {
                        path: format!("load_balancers.{balancer}.listeners.{name}.{what}"),
                        what: format!("cannot listen on {place} ({error})"),
                    });
                }
            }
        }
        fresh
    }

    fn supervise_new(&mut self, config: &Config) -> BTreeMap<Name, Supervisor> {
        let new = config.target_groups.iter().filter(|(name, _)| !self.supervisors.contains_key(*name));
        new.map(|(name, settings)| {
            let workers = self.workers.clone();
            let cut = move || workers.iter().for_each(|worker| worker.send(Command::Look));
            let (count, known) = (self.workers.len(), self.inheritance.group(name.as_str()));
            let resolver = self.resolver.clone();
            let supervisor = Supervisor::start(name.as_str().into(), settings, count, resolver, known.as_ref(), cut);
            (name.clone(), supervisor)
        })
        .collect()
    }

    /// Builds the plan, aside: of many rules that takes long.
    async fn build(
        &self,
        config: &Arc<Config>,
        fresh: &Fresh,
        started: &BTreeMap<Name, Supervisor>,
        vault: &Vault,
        keyring: Arc<Keyring>,
    ) -> Result<Plan, Vec<CannotRun>> {
        let groups = self.supervisors.iter().chain(started).map(|(name, s)| (name.clone(), s.shared.clone())).collect();
        let mut ports: HashMap<ListenerKey, u16> =
            self.bound.iter().map(|(key, b)| (key.clone(), b.address.port())).collect();
        ports.extend(fresh.iter().map(|(key, fresh)| (key.clone(), fresh.bound.address.port())));
        let (config, before, vault) = (config.clone(), self.plan.clone(), vault.clone());
        let (tickets, challenges, workers) = (self.tickets.clone(), self.challenges.clone(), self.workers.len());
        let built = aside(move || {
            let context = build::Context {
                groups: &groups,
                ports: &ports,
                before: before.as_deref(),
                has_same_groups: before
                    .as_ref()
                    .is_some_and(|before| before.config.target_groups.keys().eq(config.target_groups.keys())),
                keyring,
                vault: &vault,
                tickets: &tickets,
                challenges: &challenges,
                workers,
            };
            build::plan(&config, &context)
        });
        built.await.unwrap_or_else(|error| {
            let what = format!("cannot be prepared: no thread ({error})");
            Err(vec![CannotRun { path: "load_balancers".to_owned(), what }])
        })
    }

    /// Hands the plan and its new sockets to every worker, and waits until each has taken it.
    async fn exchange(&self, plan: &Arc<Plan>, fresh: &mut Fresh) {
        let count = self.workers.len();
        let mut sockets: Vec<Vec<Handover>> = (0..count).map(|_| Vec::new()).collect();
        for (key, fresh) in fresh {
            let dealt = fresh.connections(count).into_iter().zip(fresh.datagrams(count));
            for (hand, (connections, datagrams)) in sockets.iter_mut().zip(dealt) {
                hand.push(Handover { key: key.clone(), connections, datagrams });
            }
        }
        let mut taken = Vec::with_capacity(count);
        for (worker, sockets) in self.workers.iter().zip(sockets) {
            let (done, wait) = oneshot::channel();
            worker.send(Command::Apply { plan: plan.clone(), sockets, done });
            taken.push(wait);
        }
        for wait in taken {
            let _ = wait.await;
        }
    }

    /// Looks who the members of security groups are now: targets come and go, and so do addresses of the machine. Those who
    /// are new may connect from now on; connections that are open stay.
    pub fn refresh_members(&self) {
        if self.plan.as_ref().is_some_and(|plan| self.follow_members(plan)) {
            self.workers.iter().for_each(|worker| worker.send(Command::FollowMembers));
        }
    }

    /// True when any listener has others to let in than before.
    fn follow_members(&self, plan: &Plan) -> bool {
        let targets = |group: &Name| {
            let supervisor = self.supervisors.get(group);
            supervisor.map_or_else(Vec::new, |supervisor| supervisor.shared.addresses())
        };
        let members = |group: &Name| self.membership.of(group, targets);
        // each is to look, whether or not one before has changed
        plan.listeners.iter().filter(|listener| listener.guard.follow_members(members)).count() > 0
    }

    /// Where each listener is bound, by `load balancer/listener`.
    pub fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.bound.iter().map(|(key, b)| (format!("{}/{}", key.load_balancer, key.listener), b.address)).collect()
    }

    /// Looks whether files of certificates have changed, and takes in those that have. Connections that are open keep
    /// what they began with; a file that is wrong leaves the one before in use. True when something is new.
    pub fn refresh_certificates(&mut self) -> bool {
        let changed = self.vault.look();
        if changed {
            self.exchange_terms();
            self.supervisors.iter().for_each(|(name, supervisor)| exchange_dial(&self.vault, name, supervisor));
        }
        changed
    }

    /// Shows what an authority has issued for `names` from now on, on every listener that asks for it: a key and a
    /// chain, leaf first, in one text of PEM. Connections that are open keep what they began with.
    ///
    /// # Errors
    /// When it is not for all of the names, has expired, or cannot be used at all; what was shown before goes on.
    pub fn show_issued(&mut self, names: &NameSet, pem: &[u8]) -> Result<Validity, CannotShow> {
        let certificate = Certificate::issued(names, pem)?;
        let validity = certificate.facts.validity;
        self.vault.put(names, certificate);
        self.exchange_terms();
        Ok(validity)
    }

    /// The life of what was issued for `names`; none while a stand-in is shown, or nothing.
    pub fn issued(&self, names: &NameSet) -> Option<Validity> {
        self.vault.validity(names)
    }

    /// Where proofs of names are offered to authorities.
    pub fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// Prepares anew what listeners meet clients with, of the certificates as they are now.
    fn exchange_terms(&self) {
        for listener in self.plan.iter().flat_map(|plan| &plan.listeners) {
            let (Some(tls), Some(terms)) = (&listener.tls, self.vault.terms(&listener.key, &self.tickets)) else {
                continue;
            };
            match terms {
                Ok(terms) => tls.exchange(terms),
                Err(error) => tracing::error!(listener = %listener.key.listener, %error, "certificate cannot be used"),
            }
        }
    }

    /// Opens the access logs anew, for rotation.
    pub fn reopen_logs(&self) {
        self.log.reopen();
    }

    /// What runs, for the admin address. Cheap to make, and stays readable while the configuration changes.
    pub fn view(&self) -> status::View {
        let groups = self.supervisors.iter().map(|(name, s)| (name.clone(), s.shared.clone())).collect();
        let addresses = self.bound.iter().map(|(key, b)| (key.clone(), b.address)).collect();
        let pressure = self.pressure.clone();
        status::View { plan: self.plan.clone(), pressure, groups, addresses, certificates: self.vault.certificates() }
    }

    /// Stops accepting and waits for requests in flight, up to `deadline`; what is left then is cut off. Returns when
    /// every worker has ended; false when some had to be cut off.
    pub async fn drain(&mut self, deadline: Duration) -> bool {
        self.bound.values_mut().for_each(BoundListener::release);
        self.awaited.clear();
        self.workers.iter().for_each(|worker| worker.send(Command::Drain));
        let clean = self.ended(deadline).await;
        if !clean {
            self.workers.iter().for_each(|worker| worker.send(Command::Stop));
            // cut-off connections only have to notice; a worker that does not is not waited for
            self.ended(Duration::from_secs(2)).await;
        }
        self.log.flush(Duration::from_secs(2));
        clean
    }

    async fn ended(&self, wait: Duration) -> bool {
        let all = async {
            while !self.workers.iter().all(WorkerHandle::has_ended) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(wait, all).await.is_ok()
    }
}

type Fresh = BTreeMap<ListenerKey, FreshListener>;

/// A configuration of which nothing can fail any more.
pub struct Prepared {
    vault: Vault,
    fresh: Fresh,
    started: BTreeMap<Name, Supervisor>,
    plan: Arc<Plan>,
}

/// What a data plane is given to start with.
pub enum Given {
    /// It opens what it needs.
    Nothing,
    /// Sockets, by whoever has started the process.
    Sockets(Vec<Activated>),
    /// All that the process before had.
    Legacy(Box<Legacy>),
}

/// Tells supervisors what is declared of their groups.
async fn configure(supervisors: &mut BTreeMap<Name, Supervisor>, examined: &Examined, vault: &Vault) {
    for (name, supervisor) in supervisors {
        if let Some(settings) = examined.config.target_groups.get(name) {
            exchange_dial(vault, name, supervisor);
            let (in_use, hedged) = (examined.in_use.contains(name), examined.hedged.contains(name));
            supervisor.configure(settings, in_use, hedged).await;
        }
    }
}

/// Has a group's targets spoken to as the vault has it, if that is new.
fn exchange_dial(vault: &Vault, name: &Name, supervisor: &Supervisor) {
    match vault.dial(name, &supervisor.shared.dial()) {
        Ok(Some(dial)) => supervisor.shared.exchange_dial(dial),
        Ok(None) => {}
        Err(error) => tracing::error!(group = %name, %error, "targets cannot be spoken to over TLS"),
    }
}
