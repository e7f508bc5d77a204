//! `headworks run`: the control loop. It applies configurations, listens to signals, and stops in order.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headworks_balance::Keyring;
use headworks_control::{Asked, Plane};
use headworks_edge::metrics::Process;
use headworks_edge::{CannotRun, Edge};
use headworks_model::{Change, Config, difference_of_json};
use notify::Watcher;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::acme::{self, Desk, Issued};
use crate::admin::{self, Admin, Applied, ReloadAnswer, Shown, unix_now};
use crate::changes::{self, Opened};
use crate::check::{REFUSED, complain};
use crate::cli::Run;
use crate::descriptors;
use crate::file::{self, Loaded, Refused};
use crate::keys;

/// Where the configuration comes from, each time it is applied.
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// A text that does not change (`headworks proxy`).
    Text { label: String, text: String, folder: PathBuf },
}

impl Source {
    fn load(&self) -> Result<Loaded, Refused> {
        match self {
            Source::File(path) => file::load(path),
            Source::Text { label, text, folder } => file::parse(label, text.clone(), folder),
        }
    }

    fn label(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Text { label, .. } => label.clone(),
        }
    }
}

/// Why the program cannot start.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The configuration is refused.
    Refused(Refused),
    /// The machine does not let it.
    Io(String, io::Error),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Refused(refused) => refused.fmt(f),
            StartError::Io(what, error) => write!(f, "{what}: {error}"),
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
    run(Source::File(args.file.config.clone()), args.watch, |_| {})
}

/// Runs until it is told to stop. `ready` is called once everything listens.
pub(crate) fn run(source: Source, watch: bool, ready: impl FnOnce(&Listening)) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("cannot start a runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let (control, inbox) = match Control::start(source).await {
            Ok(started) => started,
            Err(StartError::Refused(refused)) => {
                complain(refused);
                return ExitCode::from(REFUSED);
            }
            Err(error) => {
                complain(error);
                return ExitCode::FAILURE;
            }
        };
        ready(&control.listening());
        control.live(inbox, watch).await
    })
}

/// What comes to the control loop from other tasks.
struct Inbox {
    reloads: mpsc::Receiver<ReloadAnswer>,
    changes: mpsc::Receiver<Asked>,
    issued: mpsc::Receiver<Issued>,
}

/// Applies a configuration to the data plane, once nothing stands in its way.
pub(crate) async fn apply_to(edge: &mut Edge, config: &Config, keyring: Arc<Keyring>) -> Result<(), Vec<CannotRun>> {
    let errors = acme::validate(config);
    if errors.is_empty() { edge.apply(config, keyring).await } else { Err(errors) }
}

pub(crate) struct Control {
    source: Source,
    pub(crate) loaded: Loaded,
    /// What runs: the file, and what came by the API.
    pub(crate) running: Config,
    pub(crate) edge: Edge,
    pub(crate) keyring: Arc<Keyring>,
    admin: Arc<Admin>,
    pub(crate) plane: Arc<Plane>,
    admin_address: std::net::SocketAddr,
    pub(crate) acme: Desk,
}

impl Control {
    async fn start(source: Source) -> Result<(Control, Inbox), StartError> {
        let loaded = source.load().map_err(StartError::Refused)?;
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let config = &loaded.config;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = config.workers.map_or(cores, |n| usize::from(n.get()));
        let keyring = keys::load(&config.admin.data).map_err(|e| StartError::Io("stickiness keys".into(), e))?;
        let wanted = config.admin.address;
        let listener = TcpListener::bind(wanted).await.map_err(|e| {
            let what = CannotRun { path: "admin.address".to_owned(), what: format!("cannot listen on {wanted} ({e})") };
            StartError::Refused(loaded.placed(&[what]))
        })?;
        let admin_address = listener.local_addr().unwrap_or(wanted);
        let (reloads, reload_requests) = mpsc::channel(16);
        let process = Process { reloads_applied: 1, started: unix_now(), workers, ..Process::default() };
        let shown = Shown { process, file: source.label(), ..Shown::default() };
        let admin = Arc::new(Admin { shown: shown.into(), ready: AtomicBool::new(false), reloads });
        let Opened { plane, access, desired, changes } = changes::open(&loaded, &admin)?;
        let running = loaded.whole(desired.config());
        let config = &running;
        let descriptors = descriptors::raise();
        descriptors::shortage(config, descriptors).into_iter().for_each(|shortage| tracing::warn!("{shortage}"));
        let mut edge = Edge::start(workers, descriptors::connections(descriptors))
            .map_err(|e| StartError::Io("workers".into(), e))?;
        let acme = Desk::new(&config.admin.data);
        acme.restore(config, &mut edge);
        apply_to(&mut edge, config, keyring.clone()).await.map_err(|e| StartError::Refused(loaded.placed(&e)))?;
        plane.publish(desired);
        let issued = acme.open(edge.challenges().clone(), admin.clone());
        let control = Control { source, loaded, running, edge, keyring, admin, plane, admin_address, acme };
        control.show();
        control.acme.want(&control.running, &control.edge);
        tokio::spawn(admin::serve(listener, control.plane.clone(), access));
        tokio::spawn(control.plane.clone().tend());
        tokio::spawn(admin::tell_states(control.admin.clone(), control.plane.clone()));
        control.admin.ready.store(true, Ordering::Release);
        control.announce();
        Ok((control, Inbox { reloads: reload_requests, changes, issued }))
    }

    fn listening(&self) -> Listening {
        Listening { admin: self.admin_address, listeners: self.edge.addresses() }
    }

    pub(crate) fn show(&self) {
        let (view, config) = (self.edge.view(), self.loaded.shown.clone());
        self.admin.show(|shown| (shown.view, shown.config) = (view, config));
    }

    /// Logs where everything listens, and writes it to the file that `HEADWORKS_READY_FILE` names, for supervisors that
    /// let the system choose ports.
    fn announce(&self) {
        let Listening { admin, listeners } = self.listening();
        for (listener, address) in &listeners {
            tracing::info!(%listener, %address, "listening");
        }
        tracing::info!(%admin, "ready");
        let Some(path) = std::env::var_os("HEADWORKS_READY_FILE").map(PathBuf::from) else { return };
        let text = json!({ "admin": admin, "listeners": listeners }).to_string();
        let temporary = path.with_extension("new");
        if let Err(error) = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, &path)) {
            tracing::error!(path = %path.display(), %error, "cannot write the ready file");
        }
    }

    async fn live(mut self, mut inbox: Inbox, watch: bool) -> ExitCode {
        let signals = Signals::new();
        let Ok(mut signals) = signals else {
            complain("cannot listen to signals");
            return ExitCode::FAILURE;
        };
        let (saved, mut saves) = mpsc::channel(1);
        let _watcher = watch.then(|| self.watch(saved)).flatten();
        let mut rotation = tokio::time::interval(Duration::from_secs(600));
        let mut files = tokio::time::interval(Duration::from_secs(1));
        files.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = signals.hangup.recv() => drop(self.reload().await),
                Some(()) = saves.recv() => {
                    // an editor writes in several steps; the last one within this time is what was meant
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    while saves.try_recv().is_ok() {}
                    if !self.is_current() {
                        drop(self.reload().await);
                    }
                }
                Some(answer) = inbox.reloads.recv() => {
                    let applied = self.reload().await;
                    let _ = answer.send(applied);
                }
                Some(asked) = inbox.changes.recv() => self.change(asked).await,
                _ = signals.reopen.recv() => {
                    tracing::info!("reopening access logs");
                    self.edge.reopen_logs();
                }
                _ = rotation.tick() => self.rotate_keys().await,
                Some(issued) = inbox.issued.recv() => self.take(issued),
                _ = files.tick() => {
                    if self.edge.refresh_certificates() {
                        self.show();
                    }
                    self.edge.refresh_members();
                }
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
            }
        }
        self.stop(&mut signals).await
    }

    /// Whether the file says what runs already.
    fn is_current(&self) -> bool {
        self.source.load().is_ok_and(|loaded| loaded.config == self.loaded.config)
    }

    /// Applies the source again. Whatever is wrong with it, what runs goes on.
    async fn reload(&mut self) -> Applied {
        let result = match self.source.load() {
            Ok(loaded) => self.apply(loaded).await,
            Err(refused) => Err(refused),
        };
        let at = unix_now();
        let applied = match result {
            Ok(changes) => {
                tracing::info!(changes = changes.len(), "configuration applied");
                let changes = changes.iter().map(ToString::to_string).collect();
                Applied { at, result: "applied", errors: Vec::new(), changes }
            }
            Err(refused) => {
                let errors: Vec<String> = refused.to_string().lines().map(str::to_owned).collect();
                errors.iter().for_each(|error| tracing::error!("{error}"));
                tracing::error!("configuration refused, the one before goes on");
                Applied { at, result: "refused", errors, changes: Vec::new() }
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

    async fn apply(&mut self, loaded: Loaded) -> Result<Vec<Change>, Refused> {
        let desired = changes::with_file(&self.plane, &loaded)?;
        let running = loaded.whole(desired.config());
        let (old, new) = (&self.running, &running);
        for (what, changed) in [
            ("admin.auth", old.admin.auth != new.admin.auth),
            ("admin.address", old.admin.address != new.admin.address),
            ("admin.data", old.admin.data != new.admin.data),
            ("workers", old.workers != new.workers),
        ] {
            if changed {
                tracing::warn!(setting = what, "takes effect when the program starts anew");
            }
        }
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        descriptors::shortage(new, descriptors::most()).into_iter().for_each(|shortage| tracing::warn!("{shortage}"));
        self.acme.restore(new, &mut self.edge);
        apply_to(&mut self.edge, new, self.keyring.clone()).await.map_err(|e| loaded.placed(&e))?;
        let changes = difference_of_json(&self.loaded.shown, &loaded.shown);
        self.loaded = loaded;
        self.running = running;
        self.plane.publish(desired);
        self.acme.want(&self.running, &self.edge);
        self.show();
        self.announce();
        Ok(changes)
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
                if self.edge.apply(&self.running, self.keyring.clone()).await.is_ok() {
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
    async fn stop(mut self, signals: &mut Signals) -> ExitCode {
        self.admin.ready.store(false, Ordering::Release);
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
                ExitCode::SUCCESS
            }
            () = signals.stop_now() => {
                tracing::warn!("stopped at once");
                ExitCode::from(130)
            }
        }
    }
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
