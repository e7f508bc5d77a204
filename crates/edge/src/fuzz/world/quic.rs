//! A client of HTTP/3: over QUIC as anybody's, and on its streams whatever it is told to say.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use headworks_testkit::{Authority, Caller};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, ReadError, RecvStream, SendStream, VarInt};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{PATIENCE, Target, World};
use crate::fuzz::http3::{Record, Then};
use crate::fuzz::mutate::Random;
use crate::listen::slot::ListenerSlot;
use crate::quic::steer::join;
use crate::quic::{Secrets, endpoint};
use crate::runtime::worker::Worker;

/// The name that the certificate is for.
pub(super) const NAME: &str = "fuzz.example";
/// More than any answer has.
const ROOM: usize = 1 << 20;
/// What a client that hangs up says.
const FAREWELL: VarInt = VarInt::from_u32(0x100);

/// The listeners, and how to get to them.
pub(super) struct Quic {
    listeners: Vec<(SocketAddr, Rc<ListenerSlot>)>,
    client: Endpoint,
}

/// What came on a stream that the client is given something on.
#[derive(Debug)]
pub(in crate::fuzz) struct Given {
    pub(in crate::fuzz) bytes: Vec<u8>,
    /// Whether it ended as it should: else it was cut off, by this code, or with the connection.
    pub(in crate::fuzz) end: Result<(), Option<u64>>,
}

/// What was seen.
#[derive(Debug)]
pub(in crate::fuzz) struct SeenHttp3 {
    /// On each stream that the client has opened, in the order of their numbers.
    pub(in crate::fuzz) answers: Vec<Given>,
    /// On each that the program has.
    pub(in crate::fuzz) told: Vec<Given>,
    /// Why it was over.
    pub(in crate::fuzz) closed: ConnectionError,
    /// What each connection to the target carried.
    pub(in crate::fuzz) target: Vec<Vec<u8>>,
}

impl Quic {
    /// Opens an endpoint for each listener, and one for clients.
    pub(super) fn open(slots: Vec<Rc<ListenerSlot>>, worker: &Rc<Worker>, authority: &Authority) -> Quic {
        let secrets = Secrets::new().expect("random numbers");
        let open = |slot: Rc<ListenerSlot>| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            let address = socket.local_addr().expect("its address");
            let (_, mouths) = join(vec![socket]);
            let plan = slot.table().plan.clone();
            for mouth in mouths {
                let endpoint = endpoint::open(mouth, &secrets, 0, &Arc::default(), &plan).expect("an endpoint");
                tokio::task::spawn_local(endpoint::run(endpoint, secrets.clone(), slot.clone(), worker.clone()));
            }
            (address, slot)
        };
        let listeners = slots.into_iter().map(open).collect();
        let crypto = Caller::trusting(authority).protocols(&["h3"]).build().config();
        let crypto = QuicClientConfig::try_from(crypto).expect("ciphers that QUIC has");
        let mut client = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("a socket");
        client.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
        Quic { listeners, client }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Rc<ListenerSlot>> {
        self.listeners.iter().map(|(_, slot)| slot)
    }
}

impl World {
    /// Has a client connect and say these things, one after the other, each in pieces, to a target that does that. `seed` decides on pieces, on the
    /// listener, and on whether the client hangs up once it has said all.
    ///
    /// # Panics
    /// When anything panics, does not end, or is left over.
    pub(in crate::fuzz) fn play_http3(
        &self,
        tried: &[u8],
        records: Vec<Record>,
        target: Target,
        seed: u64,
    ) -> SeenHttp3 {
        self.begin(tried, target, seed);
        let (answers, told, closed) = self.runtime.block_on(self.over_quic(records, seed));
        SeenHttp3 { answers, told, closed, target: self.end() }
    }

    async fn over_quic(&self, records: Vec<Record>, seed: u64) -> (Vec<Given>, Vec<Given>, ConnectionError) {
        let mut random = Random::new(seed);
        let (address, _) = &self.quic.listeners[random.below(self.quic.listeners.len())];
        let connecting = self.quic.client.connect(*address, NAME).expect("a connection that can be tried");
        let connection = connecting.await.expect("a handshake as any other");
        let told = tokio::task::spawn_local(told(connection.clone()));
        let hangs_up = seed.is_multiple_of(3);
        let saying = say(connection.clone(), records, random);
        let speaking = async {
            let streams = saying.await;
            if hangs_up {
                sleep(Duration::from_millis(50)).await;
                connection.close(FAREWELL, b"");
            }
            streams
        };
        let streams = timeout(PATIENCE, speaking).await.expect("what it says is taken, or not");
        let closed = timeout(PATIENCE, connection.closed()).await.expect("a connection that ends");
        let mut answers = Vec::new();
        for (_, (_, answer)) in streams {
            if let Some(answer) = answer {
                answers.push(answer.await.expect("a stream that ends"));
            }
        }
        (answers, told.await.expect("streams that end"), closed)
    }
}

/// What is said on a stream, and who hears what is answered there.
type Stream = (SendStream, Option<JoinHandle<Given>>);

/// Says all of it; streams stay open. A stream that is not wanted, and a connection that is over, hear no more.
async fn say(connection: Connection, records: Vec<Record>, mut random: Random) -> BTreeMap<u8, Stream> {
    let mut streams = BTreeMap::<u8, Stream>::new();
    for record in records {
        if let Entry::Vacant(place) = streams.entry(record.stream) {
            let opened = if record.is_request() {
                let opened = connection.open_bi().await;
                opened.map(|(send, recv)| (send, Some(tokio::task::spawn_local(hear(recv, record.then)))))
            } else {
                connection.open_uni().await.map(|send| (send, None))
            };
            let Ok(opened) = opened else { break };
            place.insert(opened);
        }
        let Some((send, _)) = streams.get_mut(&record.stream) else { break };
        let mut rest = record.payload.as_slice();
        while !rest.is_empty() {
            let most = [1, 7, 100, 4096][random.below(4)];
            let (piece, next) = rest.split_at((random.below(most) + 1).min(rest.len()));
            if send.write_all(piece).await.is_err() {
                break;
            }
            match random.below(4) {
                0 => {}
                1 => sleep(Duration::from_millis(1)).await,
                _ => tokio::task::yield_now().await,
            }
            rest = next;
        }
        match record.then {
            Then::GoesOn | Then::WantsNoAnswer => {}
            Then::Ends => drop(send.finish()),
            Then::IsCutOff => drop(send.reset(VarInt::from_u32(0x10c))),
        }
    }
    streams
}

/// Hears a stream to its end.
async fn hear(mut stream: RecvStream, then: Then) -> Given {
    if then == Then::WantsNoAnswer {
        let _ = stream.stop(VarInt::from_u32(0x10c));
        return Given { bytes: Vec::new(), end: Err(None) };
    }
    let mut bytes = Vec::new();
    let end = loop {
        match stream.read_chunk(ROOM, true).await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk.bytes),
            Ok(None) => break Ok(()),
            Err(ReadError::Reset(code)) => break Err(Some(code.into_inner())),
            Err(_) => break Err(None),
        }
        assert!(bytes.len() <= ROOM, "an answer without end");
    };
    Given { bytes, end }
}

/// What the program says on streams of its own.
async fn told(connection: Connection) -> Vec<Given> {
    let mut streams = Vec::new();
    while let Ok(stream) = connection.accept_uni().await {
        streams.push(tokio::task::spawn_local(hear(stream, Then::GoesOn)));
    }
    let mut told = Vec::new();
    for stream in streams {
        told.push(stream.await.expect("a stream that ends"));
    }
    told
}
