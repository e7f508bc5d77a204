//! `headworks run`: the control loop. It applies configurations, listens to signals, hands over to another process, and stops
//! in order.

mod apply;
mod give_way;
mod order;
mod output;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headworks_balance::Keyring;
use headworks_control::{Asked, Plane};
use headworks_edge::metrics::Process;
use headworks_edge::{CannotRun, Edge, Examined, Given, aside};
use headworks_model::Config;
use notify::Watcher;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::acme::{self, Desk, Issued};
use crate::admin::{self, Admin, ReloadAsked, Shown, unix_now};
use crate::changes::{self, Opened};
use crate::check::{REFUSED, complain};
use crate::cli::Run;
use crate::descriptors;
use crate::file::{Loaded, Refused};
use crate::keys;
use crate::live::{self, Live};
use crate::systemd;
use crate::takeover::predecessor::{NoEstate, Predecessor};
use crate::takeover::succession::Succession;

pub(crate) use self::order::{Beginning, End, Order, Source};
use self::output::Output;

/// Why the program cannot start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The configuration is refused.
    Refused(Refused),
    /// The machine does not let it.
    Io(String, io::Error),
    /// There is nothing to take over.
    NoEstate(NoEstate),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Refused(refused) => refused.fmt(f),
            StartError::Io(what, error) => write!(f, "{what}: {error}"),
            StartError::NoEstate(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// Where everything listens, once it does.
pub(crate) struct Listening {
    pub(crate) admin: std::net::SocketAddr,
    pub(crate) listeners: BTreeMap<String, std::net::SocketAddr>,
}

pub(crate) fn main(args: &Run) -> ExitCode {
    let beginning = match (args.successor_of, args.replace) {
        (Some(_), _) => Beginning::Succeeding,
        (None, true) => Beginning::Replacing,
        (None, false) => Beginning::Anew,
    };
    if beginning == Beginning::Succeeding {
        // whatever becomes of the terminal of the process before
        let _ = rustix::process::setsid();
    }
    let source = Source::File(args.file.config.clone());
    run(Order { source, watch: args.watch, beginning, held: Vec::new() }, |_| {}).into()
}

/// Runs until it is told to stop. `ready` is called once everything listens.
pub(crate) fn run(order: Order, ready: impl FnOnce(&Listening)) -> End {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("cannot start a runtime: {error}"));
            return End::Stopped(ExitCode::FAILURE);
        }
    };
    runtime.block_on(async {
        let watch = order.watch;
        let (control, inbox) = match Control::start(order).await {
            Ok(started) => started,
            Err(StartError::Refused(refused)) => {
                complain(refused);
                return End::Stopped(ExitCode::from(REFUSED));
            }
            Err(error) => {
                complain(error);
                return End::Stopped(ExitCode::FAILURE);
            }
        };
        ready(&control.listening());
        control.live(inbox, watch).await
    })
}

/// What comes to the control loop from other tasks.
struct Inbox {
    reloads: mpsc::Receiver<ReloadAsked>,
    changes: mpsc::Receiver<Asked>,
    issued: mpsc::Receiver<Issued>,
    succession: Succession,
}

/// Looks a configuration through for what stands in the way of running it.
fn examined(config: Arc<Config>) -> Examined {
    let mut examined = Examined::of(config);
    examined.errors.extend(acme::validate(examined.config()));
    examined
}

/// Applies a configuration to the data plane, once nothing stands in its way.
pub(crate) async fn apply_to(
    edge: &mut Edge,
    config: &Arc<Config>,
    keyring: Arc<Keyring>,
) -> Result<(), Vec<CannotRun>> {
    let config = config.clone();
    match aside(move || examined(config)).await {
        Ok(examined) => edge.apply(&examined, keyring).await,
        Err(error) => {
            let what = format!("cannot be looked through: no thread ({error})");
            Err(vec![CannotRun { path: "load_balancers".to_owned(), what }])
        }
    }
}

pub(crate) struct Control {
    source: Source,
    pub(crate) loaded: Loaded,
    /// What runs: the file, and what came by the API.
    pub(crate) running: Arc<Config>,
    pub(crate) edge: Edge,
    pub(crate) keyring: Arc<Keyring>,
    admin: Arc<Admin>,
    pub(crate) plane: Arc<Plane>,
    admin_address: std::net::SocketAddr,
    /// What listens there, beside the task that accepts; and what tells that to stop.
    admin_socket: (OwnedFd, oneshot::Sender<()>),
    pub(crate) acme: Desk,
    /// What others notice by that the instance is there.
    held: Vec<OwnedFd>,
}

impl Control {
    async fn start(order: Order) -> Result<(Control, Inbox), StartError> {
        let Order { source, beginning, mut held, .. } = order;
        let loaded = source.load().map_err(StartError::Refused)?;
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let config = &loaded.config;
        let (mut predecessor, given) = predecessor(config, beginning).await?;
        let output = Output::switch(predecessor.as_ref(), beginning);
        if let Some(Predecessor { pid, version, .. }) = &predecessor {
            tracing::info!(pid, version, "taking over");
        }
        let workers = descriptors::workers(config);
        let keyring = keys::load(&config.admin.data).map_err(|e| StartError::Io("stickiness keys".into(), e))?;
        let wanted = config.admin.address;
        let (given, listener) = admin_listener(wanted, given, predecessor.as_ref()).map_err(|e| {
            let what = CannotRun { path: "admin.address".to_owned(), what: format!("cannot listen on {wanted} ({e})") };
            StartError::Refused(loaded.placed(&[what]))
        })?;
        let admin_io = |e| StartError::Io("admin address".into(), e);
        let admin_address = listener.local_addr().unwrap_or(wanted);
        let admin_socket = listener.as_fd().try_clone_to_owned().map_err(admin_io)?;
        let listener = TcpListener::from_std(listener).map_err(admin_io)?;
        let (reloads, reload_requests) = mpsc::channel(16);
        let process = Process { reloads_applied: 1, started: unix_now(), workers, ..Process::default() };
        let shown = Shown { process, file: source.label(), ..Shown::default() };
        let admin =
            Arc::new(Admin { shown: shown.into(), ready: AtomicBool::new(false), reloads, live: Live::default() });
        let Opened { plane, access, desired, changes } = changes::open(&loaded, &admin)?;
        let running = loaded.whole(desired.config());
        let config = &running;
        let descriptors = descriptors::raise();
        descriptors::shortage(config, descriptors).for_each(|shortage| tracing::warn!("{shortage}"));
        let mut edge = Edge::start(workers, descriptors::connections(descriptors), given)
            .map_err(|e| StartError::Io("workers".into(), e))?;
        let acme = Desk::new(&config.admin.data);
        acme.restore(config, &mut edge);
        let examined = examined(running.clone());
        let refused = |errors: Vec<CannotRun>| StartError::Refused(loaded.placed(&errors));
        let prepared = edge.prepare(&examined, keyring.clone()).await.map_err(refused)?;
        if let Some(predecessor) = &mut predecessor {
            predecessor.permission().await.map_err(StartError::NoEstate)?;
        }
        edge.commit(&examined, prepared).await;
        // from here on there is no way back
        output.keep();
        let door = match predecessor {
            Some(mut predecessor) => {
                let flows = predecessor.succeed().await;
                edge.take_over(flows).await;
                held.append(&mut predecessor.held);
                Succession::taken_over(predecessor.door, &config.admin.data)
            }
            None if matches!(source, Source::File(_)) => Succession::door(&config.admin.data),
            None => None,
        };
        plane.publish(desired);
        let issued = acme.open(edge.challenges().clone(), admin.clone());
        let (leave, left) = oneshot::channel();
        let admin_socket = (admin_socket, leave);
        let mut control =
            Control { source, loaded, running, edge, keyring, admin, plane, admin_address, admin_socket, acme, held };
        control.catch_up().await;
        control.show();
        control.acme.want(&control.running, &control.edge);
        tokio::spawn(admin::serve(listener, control.plane.clone(), access, async {
            let _ = left.await;
        }));
        tokio::spawn(control.plane.clone().tend());
        tokio::spawn(live::observe(control.admin.clone()));
        tokio::spawn(admin::tell_states(control.admin.clone(), control.plane.clone()));
        control.admin.ready.store(true, Ordering::Release);
        control.announce();
        let succession = Succession::new(door);
        Ok((control, Inbox { reloads: reload_requests, changes, issued, succession }))
    }

    fn listening(&self) -> Listening {
        Listening { admin: self.admin_address, listeners: self.edge.addresses() }
    }

    pub(crate) fn show(&self) {
        let (view, config, running) = (self.edge.view(), Some(self.loaded.shown()), Some(self.running.clone()));
        self.admin.show(|shown| (shown.view, shown.config, shown.running) = (view, config, running));
    }

    /// Logs where everything listens, and writes it to the file that `HEADWORKS_READY_FILE` names, for supervisors that
    /// let the system choose ports.
    fn announce(&self) {
        let Listening { admin, listeners } = self.listening();
        for (listener, address) in &listeners {
            tracing::info!(%listener, %address, "listening");
        }
        tracing::info!(%admin, "ready");
        systemd::ready(&format!("serving, {} listeners", listeners.len()));
        let Some(path) = std::env::var_os("HEADWORKS_READY_FILE").map(PathBuf::from) else { return };
        let text = json!({ "admin": admin, "listeners": listeners }).to_string();
        let temporary = path.with_extension("new");
        if let Err(error) = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, &path)) {
            tracing::error!(path = %path.display(), %error, "cannot write the ready file");
        }
    }

    async fn live(mut self, mut inbox: Inbox, watch: bool) -> End {
        let signals = Signals::new();
        let Ok(mut signals) = signals else {
            complain("cannot listen to signals");
            return End::Stopped(ExitCode::FAILURE);
        };
        let (saved, mut saves) = mpsc::channel(1);
        let _watcher = watch.then(|| self.watch(saved)).flatten();
        let mut rotation = tokio::time::interval(Duration::from_secs(600));
        let mut files = tokio::time::interval(Duration::from_secs(1));
        files.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut watchdog = systemd::watchdog().map(tokio::time::interval);
        loop {
            // while another process prepares to take over what there is, nothing of it changes
            let is_settled = !inbox.succession.is_under_way();
            tokio::select! {
                _ = signals.hangup.recv(), if is_settled => drop(self.reload().await),
                Some(()) = saves.recv(), if is_settled => {
                    // an editor writes in several steps; the last one within this time is what was meant
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    while saves.try_recv().is_ok() {}
                    if !self.is_current().await {
                        drop(self.reload().await);
                    }
                }
                Some(ReloadAsked { run, answer }) = inbox.reloads.recv(), if is_settled => {
                    let applied = match run {
                        headworks_control::Run::Wet => self.reload().await,
                        headworks_control::Run::Dry => self.judge().await,
                    };
                    let _ = answer.send(applied);
                }
                Some(asked) = inbox.changes.recv() => self.change(asked).await,
                _ = signals.reopen.recv() => {
                    tracing::info!("reopening access logs");
                    self.edge.reopen_logs();
                }
                _ = rotation.tick(), if is_settled => self.rotate_keys().await,
                event = inbox.succession.next() => {
                    if let Some(link) = self.follow(event, &mut inbox.succession, watch).await {
                        return self.give_way(link, inbox.succession, &mut signals).await;
                    }
                }
                () = tick(watchdog.as_mut()) => {
                    // not said when a worker hangs; nor when this loop does
                    if self.edge.is_alive() {
                        systemd::alive();
                    }
                }
                Some(issued) = inbox.issued.recv() => self.take(issued),
                _ = files.tick() => {
                    if self.edge.refresh_certificates() {
                        self.show();
                    }
                    self.edge.refresh_members();
                    self.edge.clear_away();
                }
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
            }
        }
        inbox.succession.close();
        self.stop(&mut signals).await
    }

    /// Shows a certificate that was issued, if it is still asked for.
    fn take(&mut self, issued: Issued) {
        if self.running.acme_names().contains(&issued.names) {
            let shown = self.edge.show_issued(&issued.names, issued.pem.as_bytes());
            self.show();
            let _ = issued.shown.send(shown);
        }
    }

    async fn rotate_keys(&mut self) {
        if !keys::is_due(&self.keyring) {
            return;
        }
        match keys::load(&self.running.admin.data) {
            Ok(keyring) => {
                self.keyring = keyring;
                if apply_to(&mut self.edge, &self.running, self.keyring.clone()).await.is_ok() {
                    tracing::info!("new stickiness key");
                }
            }
            Err(error) => tracing::error!(%error, "no new stickiness key"),
        }
    }

    /// Tells `saved` when the file may have changed. Watches its folder, because editors replace files.
    fn watch(&self, saved: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
        let Source::File(path) = &self.source else { return None };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let name = path.file_name().map(ToOwned::to_owned);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let ours =
                event.is_ok_and(|e| !e.kind.is_access() && e.paths.iter().any(|p| p.file_name() == name.as_deref()));
            if ours {
                let _ = saved.try_send(());
            }
        });
        match watcher.and_then(|mut w| w.watch(&folder, notify::RecursiveMode::NonRecursive).map(|()| w)) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::error!(%error, "cannot watch the configuration file");
                None
            }
        }
    }

    /// Readiness first, then no new connections, then the requests in flight. A second signal stops at once.
    async fn stop(mut self, signals: &mut Signals) -> End {
        self.admin.ready.store(false, Ordering::Release);
        systemd::stopping();
        let shutdown = self.running.shutdown.clone();
        tracing::info!("draining");
        let orderly = async {
            tokio::time::sleep(shutdown.readiness_delay).await;
            let clean = self.edge.drain(shutdown.deadline).await;
            self.plane.settle().await;
            clean
        };
        tokio::select! {
            clean = orderly => {
                if !clean {
                    tracing::warn!("deadline is over, connections were cut off");
                }
                tracing::info!("stopped");
                End::Stopped(ExitCode::SUCCESS)
            }
            () = signals.stop_now() => {
                tracing::warn!("stopped at once");
                End::Stopped(ExitCode::from(130))
            }
        }
    }
}

/// The next tick of a clock that may not be there.
async fn tick(interval: Option<&mut tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// What there is to begin with: the process that is replaced, or sockets that were opened for this one.
async fn predecessor(config: &Config, beginning: Beginning) -> Result<(Option<Predecessor>, Given), StartError> {
    if beginning != Beginning::Anew {
        match Predecessor::meet(&config.admin.data).await {
            Ok((predecessor, legacy)) => return Ok((Some(predecessor), Given::Legacy(Box::new(legacy)))),
            Err(NoEstate::NotRunning(_)) if beginning == Beginning::Replacing => {
                tracing::info!("no instance to replace");
            }
            Err(error) => return Err(StartError::NoEstate(error)),
        }
    }
    let sockets = systemd::activation::sockets();
    let sockets = sockets.map_err(|e| StartError::Io("sockets of the service manager".into(), e))?;
    Ok((None, if sockets.is_empty() { Given::Nothing } else { Given::Sockets(sockets) }))
}

/// What listens on the admin address: that of the process before, one that was opened for this process, or a new one.
fn admin_listener(
    address: std::net::SocketAddr,
    mut given: Given,
    predecessor: Option<&Predecessor>,
) -> io::Result<(Given, std::net::TcpListener)> {
    let inherited = match (predecessor, &mut given) {
        (Some(predecessor), _) if predecessor.admin.0 == address => Some(predecessor.admin.1.try_clone()?.into()),
        (None, Given::Sockets(sockets)) => systemd::activation::admin(sockets, address),
        _ => None,
    };
    let listener = match inherited {
        Some(listener) => listener,
        None => std::net::TcpListener::bind(address)?,
    };
    listener.set_nonblocking(true)?;
    Ok((given, listener))
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    reopen: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next SIGINT. Another SIGTERM is what supervisors send again and again; it changes nothing.
    async fn stop_now(&mut self) {
        self.interrupt.recv().await;
    }
}
