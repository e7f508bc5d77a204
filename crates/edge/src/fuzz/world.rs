//! The world that a connection lives in: a worker, groups, and a target that does what it is told, on one runtime whose time
//! passes only while nobody has anything to do. Sockets are real ones, so that what is tried is what runs.

mod quic;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream as StdStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use headworks_balance::Keyring;
use headworks_model::Resolve;
use headworks_model::config::Config;
use headworks_model::guard::Carrier;
use headworks_testkit::{Authority, wire};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use self::quic::Quic;
pub(super) use self::quic::{Given, SeenHttp3};
use super::mutate::Random;
use crate::compile::build;
use crate::l7;
use crate::l7::connection::Connection;
use crate::listen::arrival::Arrival;
use crate::listen::slot::ListenerSlot;
use crate::runtime::pressure::descriptors_counted;
use crate::runtime::socket::Socket;
use crate::runtime::worker::Worker;
use crate::tls::ticket::Tickets;
use crate::tls::vault::Vault;
use crate::upstream::resolve::Resolver;
use crate::upstream::supervise::Supervisor;

/// By then, whatever a client and a target do, a connection has ended: a few times every deadline that there is.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two load balancers, one of which leaves alone what it can and one of which changes what it can; groups of both versions.
const YAML: &str = r#"
workers: 1
load_balancers:
  plain:
    idle_timeout: 2s
    listeners:
      http: { port: 1, limits: { header_timeout: 1s }, rules: [<rules>], default: { forward: web } }
      http3: { port: 3, protocol: https, http3: true, certificates: [own], limits: { header_timeout: 1s }, rules: [<rules>],
               default: { forward: web } }
  watched:
    idle_timeout: 2s
    desync_mitigation: monitor
    xff_header_processing: preserve
    compression: { types: [text/plain, "text/*"], minimum_size: 1B }
    listeners:
      http: { port: 2, limits: { header_timeout: 1s, minimum_rate: 10 }, rules: [<rules>], default: { forward: web } }
      http3: { port: 4, protocol: https, http3: true, certificates: [own], rules: [<rules>], default: { forward: web } }
certificates:
  own: { certificate: <certificate>, key: <key> }
target_groups:
  web: { targets: ["unix:<web>"], health_check: { protocol: none }, connect_timeout: 1s, response_timeout: 1s,
         retry: { buffer: 1KiB, attempts: 2 } }
  h2: { version: http2, targets: ["unix:<h2>"], health_check: { protocol: none }, connect_timeout: 1s, response_timeout: 1s }
"#;

const RULES: &str = "{ if: { path: [/fixed] }, then: { fixed_response: { status: 200, content_type: text/plain, body: fixed } } }, \
                     { if: { path: [/old] }, then: { redirect: { path: /new } } }, { if: { path: [/h2/*] }, then: { forward: h2 } }";

struct Nothing;

impl Resolve for Nothing {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// What an end does: bytes in pieces, and then perhaps its last word.
#[derive(Clone, Debug, Default)]
pub(super) struct Says {
    pub(super) bytes: Vec<u8>,
    /// It says that nothing more follows; else it is silent from then on, and hangs up only with the other side.
    pub(super) ends: bool,
}

/// What the target does.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// Reads requests, and answers each as it should.
    Answers,
    /// Says this when a connection has brought its first bytes, whatever those are.
    Says(Says),
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What the client was sent.
    pub(super) client: Vec<u8>,
    /// What each connection to the target carried.
    pub(super) target: Vec<Vec<u8>>,
}

/// The target's end of what is played.
struct Origin {
    plays: Target,
    /// Of what pieces are made.
    seed: u64,
    received: Vec<Rc<RefCell<Vec<u8>>>>,
    open: Vec<JoinHandle<()>>,
    answers: usize,
}

/// All of it.
pub(super) struct World {
    runtime: LocalRuntime,
    worker: Rc<Worker>,
    slots: Vec<Rc<ListenerSlot>>,
    quic: Quic,
    origin: Rc<RefCell<Origin>>,
    panics: Arc<AtomicUsize>,
    playing: Arc<Playing>,
    /// Tasks and descriptors that are there when nothing goes on.
    rest: (usize, u64),
    _groups: Vec<Supervisor>,
    _folder: TempDir,
}

/// What is played now, for who watches whether it ends at all: while anybody is busy, time does not pass here.
#[derive(Default)]
struct Playing {
    round: AtomicUsize,
    bytes: Mutex<Option<Vec<u8>>>,
}

impl Playing {
    /// How long a play may take in everybody's time. They take a fraction of a millisecond.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn watch(&self) {
        let mut seen = 0;
        loop {
            thread::sleep(Playing::PATIENCE);
            let round = self.round.load(Ordering::SeqCst);
            let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(bytes) = bytes.filter(|_| round == seen) {
                eprintln!("busy without end; run it alone with FUZZ_INPUT='{}'", bytes.escape_ascii());
                std::process::abort();
            }
            seen = round;
        }
    }

    fn set(&self, bytes: Option<&[u8]>) {
        self.round.fetch_add(1, Ordering::SeqCst);
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) = bytes.map(<[u8]>::to_vec);
    }
}

impl World {
    pub(super) fn new() -> World {
        let panics = Arc::new(AtomicUsize::new(0));
        let (counted, usual) = (panics.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |info| {
            counted.fetch_add(1, Ordering::SeqCst);
            usual(info);
        }));
        let folder = TempDir::with_prefix("headworks-fuzz-").expect("a folder");
        let mut builder = Builder::new_current_thread();
        builder.enable_all().start_paused(true);
        let runtime = builder.build_local(LocalOptions::default()).expect("a runtime");
        let origin = Origin { plays: Target::Answers, seed: 0, received: Vec::new(), open: Vec::new(), answers: 0 };
        let origin = Rc::new(RefCell::new(origin));
        let authority = Authority::new("fuzz");
        let (worker, slots, groups) = runtime.block_on(furnish(&folder, &authority, &origin));
        let (datagrams, slots) = slots.into_iter().partition(|slot| slot.table().plan.http3.is_some());
        let quic = runtime.block_on(async { Quic::open(datagrams, &worker, &authority) });
        let playing = Arc::<Playing>::default();
        let watched = playing.clone();
        thread::spawn(move || watched.watch());
        let mut world = World {
            playing,
            runtime,
            worker,
            slots,
            quic,
            origin,
            panics,
            rest: (0, 0),
            _groups: groups,
            _folder: folder,
        };
        world.runtime.block_on(async { sleep(PATIENCE).await });
        world.rest = world.at_work();
        world
    }

    fn at_work(&self) -> (usize, u64) {
        (self.runtime.metrics().num_alive_tasks(), descriptors_counted())
    }

    /// Has a client connect and say this, to a target that does that. `seed` decides on pieces, and on the listener.
    ///
    /// # Panics
    /// When anything panics, does not end, or is left over.
    pub(super) fn play(&self, client: &Says, target: Target, seed: u64) -> Seen {
        let tried = match &target {
            Target::Says(says) => says.bytes.clone(),
            Target::Answers => client.bytes.clone(),
        };
        self.begin(&tried, target, seed);
        let client = self.runtime.block_on(self.connection(client, seed));
        Seen { client, target: self.end() }
    }

    fn begin(&self, tried: &[u8], target: Target, seed: u64) {
        self.playing.set(Some(tried));
        let mut origin = self.origin.borrow_mut();
        origin.plays = target;
        origin.seed = seed;
        origin.answers = 0;
    }

    /// What the target has received by the time that nothing goes on any more.
    fn end(&self) -> Vec<Vec<u8>> {
        let received = self.runtime.block_on(self.settle());
        self.playing.set(None);
        assert_eq!(self.panics.swap(0, Ordering::SeqCst), 0, "something panicked");
        let slots = self.slots.iter().chain(self.quic.slots());
        let counters = slots.map(|slot| slot.counters().active_connections.read()).sum::<u64>();
        assert_eq!((self.worker.connections.get(), counters), (0, 0), "connections that nobody has");
        let now = self.at_work();
        assert!(now.0 <= self.rest.0 && now.1 <= self.rest.1, "tasks, descriptors: {now:?}, not {:?}", self.rest);
        received
    }

    async fn connection(&self, client: &Says, seed: u64) -> Vec<u8> {
        let mut random = Random::new(seed);
        let slot = self.slots[random.below(self.slots.len())].clone();
        let (ours, theirs) = StdStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("a socket that does not block");
        theirs.set_nonblocking(true).expect("a socket that does not block");
        let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
        let Ok(admission) = slot.table().plan.guard.admit(peer, Carrier::Tcp) else { panic!("it is not let in") };
        let arrival = Arrival::direct(admission, &slot, || None);
        let socket = Socket::connected(theirs.into()).expect("a socket");
        let connection = Connection::open(socket, arrival, slot, self.worker.clone(), None);
        let served = tokio::task::spawn_local(l7::serve(connection));
        let (read, write) = UnixStream::from_std(ours).expect("a socket").into_split();
        let began = Instant::now();
        let (says, pieces) = (client.clone(), random.below(usize::MAX) as u64);
        let speaking = tokio::task::spawn_local(async move {
            let mut write = write;
            speak(&mut write, &says, pieces).await;
            // what has an end to say has said it; else this end stays open
            if !says.ends {
                sleep(PATIENCE).await;
            }
        });
        let mut sent = Vec::new();
        let hears = hear(read, &mut sent);
        let is_over = timeout(PATIENCE, hears).await.is_ok();
        assert!(is_over, "still open after {:?}", began.elapsed());
        speaking.abort();
        let _ = speaking.await;
        let ended = timeout(PATIENCE, served).await;
        assert!(ended.is_ok_and(|served| served.is_ok()), "still served");
        sent
    }

    /// Waits until nothing goes on any more; what the target has received.
    async fn settle(&self) -> Vec<Vec<u8>> {
        // what is on its way to the target still arrives
        sleep(Duration::from_secs(2)).await;
        let (open, received) = {
            let mut origin = self.origin.borrow_mut();
            (std::mem::take(&mut origin.open), std::mem::take(&mut origin.received))
        };
        for task in open {
            task.abort();
            let _ = task.await;
        }
        for _ in 0..8 {
            self.worker.close_idle();
            sleep(Duration::from_millis(100)).await;
        }
        received.into_iter().map(|received| received.take()).collect()
    }
}

/// Writes all of it in pieces, however slowly it is taken.
async fn speak(write: &mut (impl AsyncWrite + Unpin), says: &Says, seed: u64) {
    let mut random = Random::new(seed);
    let mut rest = says.bytes.as_slice();
    while !rest.is_empty() {
        let most = [1, 7, 100, 4096][random.below(4)];
        let (piece, next) = rest.split_at((random.below(most) + 1).min(rest.len()));
        if write.write_all(piece).await.is_err() {
            return;
        }
        match random.below(4) {
            0 => {}
            1 => sleep(Duration::from_millis(1)).await,
            _ => tokio::task::yield_now().await,
        }
        rest = next;
    }
    if says.ends {
        let _ = write.shutdown().await;
    }
}

async fn hear(mut read: impl AsyncRead + Unpin, into: &mut Vec<u8>) {
    while let Ok(1..) = read.read_buf(into).await {}
}

/// Builds what a worker runs, as the control thread would.
async fn furnish(
    folder: &TempDir,
    authority: &Authority,
    origin: &Rc<RefCell<Origin>>,
) -> (Rc<Worker>, Vec<Rc<ListenerSlot>>, Vec<Supervisor>) {
    let [web, h2] = ["web", "h2"].map(|name| folder.path().join(name));
    let (certificate, key) = authority.issue(&[quic::NAME]).place(folder.path(), "own");
    let text = YAML
        .replace("<rules>", RULES)
        .replace("<certificate>", &certificate.display().to_string())
        .replace("<key>", &key.display().to_string())
        .replace("<web>", &web.display().to_string())
        .replace("<h2>", &h2.display().to_string());
    let config = Arc::new(Config::parse("fuzz", &text, &Nothing).unwrap_or_else(|faults| panic!("{faults}")).config);
    for path in [web, h2] {
        let listener = UnixListener::bind(path).expect("a target");
        tokio::task::spawn_local(accept(listener, origin.clone()));
    }
    let mut errors = Vec::new();
    let vault = Vault::default().load(&config, &mut errors);
    let mut supervisors = Vec::new();
    let mut groups = HashMap::new();
    for (name, settings) in &config.target_groups {
        let resolver = Resolver::new().expect("a resolver");
        let mut supervisor = Supervisor::start(name.as_str().into(), settings, 1, resolver, None, || {});
        crate::exchange_dial(&vault, name, &supervisor);
        supervisor.configure(settings, true, false).await;
        groups.insert(name.clone(), supervisor.shared.clone());
        supervisors.push(supervisor);
    }
    let ports = config.listeners().map(|(balancer, name, _)| (build::key(balancer, name), 80)).collect();
    let context = build::Context {
        groups: &groups,
        ports: &ports,
        before: None,
        has_same_groups: false,
        keyring: Arc::new(Keyring::new([7; 32], 0).expect("a keyring")),
        vault: &vault,
        tickets: &Tickets::new().expect("random numbers"),
        challenges: &Arc::default(),
        workers: 1,
    };
    let plan = build::plan(&config, &context).unwrap_or_else(|errors| panic!("{errors:?}"));
    let (worker, slots) = Worker::alone(&Arc::new(plan));
    tokio::task::spawn_local(worker.clone().live());
    (worker, slots, supervisors)
}

async fn accept(listener: UnixListener, origin: Rc<RefCell<Origin>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let received = Rc::<RefCell<Vec<u8>>>::default();
        let task = tokio::task::spawn_local(serve(stream, origin.clone(), received.clone()));
        let mut origin = origin.borrow_mut();
        origin.received.push(received);
        origin.open.push(task);
    }
}

async fn serve(stream: UnixStream, origin: Rc<RefCell<Origin>>, received: Rc<RefCell<Vec<u8>>>) {
    let (mut read, mut write) = stream.into_split();
    let (plays, seed) = {
        let origin = origin.borrow();
        (origin.plays.clone(), origin.seed)
    };
    let mut room = [0; 4096];
    let mut answered = 0;
    let mut said = false;
    while let Ok(length @ 1..) = read.read(&mut room).await {
        received.borrow_mut().extend_from_slice(&room[..length]);
        match &plays {
            Target::Says(says) if !said => {
                said = true;
                speak(&mut write, says, seed).await;
            }
            Target::Says(_) => {}
            Target::Answers => loop {
                let (answer, taken) = {
                    let received = received.borrow();
                    let Ok(Some(((request, _), taken))) = wire::request_of(&received[answered..]) else { break };
                    let mut origin = origin.borrow_mut();
                    origin.answers += 1;
                    (answer(&request, origin.answers), taken)
                };
                answered += taken;
                if write.write_all(&answer).await.is_err() {
                    return;
                }
            },
        }
    }
}

/// One of several ways to answer, with a number that tells answers apart.
fn answer(request: &wire::Request, number: usize) -> Vec<u8> {
    let (body, framing) = match (request.method.as_str(), number % 4) {
        ("HEAD", _) => ("", "Content-Length: 9\r\n"),
        (_, 0) => ("3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n", "Transfer-Encoding: chunked\r\n"),
        (_, 1) => ("hello", "Content-Length: 5\r\nContent-Type: text/plain\r\n"),
        (_, 2) => return format!("HTTP/1.1 204 No Content\r\nX-Number: {number}\r\n\r\n").into_bytes(),
        _ => ("", "Content-Length: 0\r\n"),
    };
    format!("HTTP/1.1 200 OK\r\nX-Number: {number}\r\n{framing}\r\n{body}").into_bytes()
}
