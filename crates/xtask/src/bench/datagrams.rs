//! The two ends of the case of datagrams, which no tool of Debian's is: what sends them and waits for their answers, and what
//! sends back whatever comes. Programs of their own (`xtask datagrams ...`, `xtask echo ...`) for the same reason as
//! [`super::resume`].
//!
//! A socket has a few datagrams under way; each answer has the next one sent in its place. One that is not answered in time
//! is lost, and its place is used again: a proxy that loses datagrams is not waited for, and its losses are told.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::resume::Tally;

/// Bytes of a datagram, and of its answer.
pub(crate) const LENGTH: usize = 64;
/// Datagrams under way on each socket. Those of all 64 fit into the buffer that a socket has by default, so that what is lost is
/// lost by the proxy.
pub(crate) const WINDOW: usize = 2;
/// A datagram that is not answered by then is lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often losses are looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Sends datagrams, with the arguments ADDRESS SOCKETS SECONDS, and prints what it counted as one line of JSON, as wrk's script
/// does: answers as requests, losses as failures. 0: counted, whatever it was; 2: usage.
pub(crate) fn main(args: impl Iterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.collect();
    let [address, sockets, seconds] = args.as_slice() else { return ExitCode::from(2) };
    let (Ok(address), Ok(sockets), Ok(seconds)) = (address.parse(), sockets.parse(), seconds.parse()) else {
        return ExitCode::from(2);
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            runtime.block_on(load(address, sockets, Duration::from_secs(seconds))).print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{address}: {error}");
            ExitCode::from(2)
        }
    }
}

/// Sends back what comes to the argument ADDRESS, until it is ended. 1: it cannot be listened at; 2: usage.
pub(crate) fn echo(mut args: impl Iterator<Item = String>) -> ExitCode {
    let Some(address) = args.next().and_then(|address| address.parse::<SocketAddr>().ok()) else {
        return ExitCode::from(2);
    };
    let socket = match UdpSocket::bind(address) {
        Ok(socket) => socket,
        Err(error) => {
            eprintln!("{address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut room = [0; 2048];
    loop {
        // what a client that has gone leaves behind is an error of the next call, and no reason to stop
        let Ok((length, from)) = socket.recv_from(&mut room) else { continue };
        let _ = socket.send_to(room.get(..length).unwrap_or_default(), from);
    }
}

/// Whether a datagram comes back from there.
pub(crate) fn answers(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.send(b"?")?;
        Ok(socket.recv(&mut [0; 8])? == 1)
    };
    ask().unwrap_or_default()
}

async fn load(address: SocketAddr, sockets: u32, length: Duration) -> Tally {
    let begun = Instant::now();
    let asking: Vec<_> = (0..sockets).map(|_| tokio::spawn(Client::run(address, begun + length))).collect();
    let mut tally = Tally::default();
    for asking in asking {
        match asking.await {
            Ok(Ok(client)) => {
                tally.times.extend(client.times);
                tally.failed += client.lost;
            }
            // a socket that could not be had, or failed
            Ok(Err(_)) | Err(_) => tally.failed += 1,
        }
    }
    tally.took = begun.elapsed();
    tally
}

/// One socket.
struct Client {
    socket: tokio::net::UdpSocket,
    /// What is under way: number and time of each.
    places: [(u64, Instant); WINDOW],
    /// The number that the next one gets.
    next: u64,
    /// How long each answer took, in microseconds.
    times: Vec<u64>,
    lost: u64,
}

impl Client {
    async fn run(address: SocketAddr, deadline: Instant) -> io::Result<Client> {
        let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(address).await?;
        let mut client = Client { socket, places: [(0, Instant::now()); WINDOW], next: 1, times: Vec::new(), lost: 0 };
        for place in 0..WINDOW {
            client.send(place).await?;
        }
        let mut look = Instant::now() + LOOK;
        // what is under way at the end is neither answered nor lost
        while Instant::now() < deadline {
            match timeout_at(look.min(deadline).into(), client.socket.readable()).await {
                Ok(ready) => {
                    ready?;
                    client.answered().await?;
                }
                Err(_) => {
                    client.give_up_late().await?;
                    look = Instant::now() + LOOK;
                }
            }
        }
        Ok(client)
    }

    /// Sends the next datagram in this place: its number, the place, and nothing of interest.
    async fn send(&mut self, place: usize) -> io::Result<()> {
        let mut bytes = [b'.'; LENGTH];
        for (to, from) in bytes.iter_mut().zip(self.next.to_be_bytes().into_iter().chain([place as u8])) {
            *to = from;
        }
        if let Some(taken) = self.places.get_mut(place) {
            *taken = (self.next, Instant::now());
        }
        self.next += 1;
        match self.socket.send(&bytes).await {
            // nobody is there: it will be lost
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Takes all answers that are there.
    async fn answered(&mut self) -> io::Result<()> {
        let mut bytes = [0; LENGTH + 1];
        loop {
            let length = match self.socket.try_recv(&mut bytes) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error),
            };
            let (Some(number), Some(place)) = (bytes.first_chunk(), bytes.get(8)) else { continue };
            let (number, place) = (u64::from_be_bytes(*number), usize::from(*place));
            let Some((expected, sent)) = self.places.get(place).copied() else { continue };
            // one that was given up may come after all, or one may come twice
            if length == LENGTH && number == expected {
                self.times.push(sent.elapsed().as_micros() as u64);
                self.send(place).await?;
            }
        }
    }

    async fn give_up_late(&mut self) -> io::Result<()> {
        for place in 0..WINDOW {
            if self.places.get(place).is_some_and(|(_, sent)| sent.elapsed() > PATIENCE) {
                self.lost += 1;
                self.send(place).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tally of a second against a server that answers as `answer` says: how often, and with what.
    fn tally(answer: fn(u64) -> usize) -> Tally {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        let address = server.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let mut room = [0; 128];
            while let Ok((length, from)) = server.recv_from(&mut room) {
                let number = u64::from_be_bytes(*room.first_chunk().unwrap());
                for _ in 0..answer(number) {
                    let _ = server.send_to(&room[..length], from);
                }
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tally = runtime.block_on(load(address, 2, Duration::from_millis(1500)));
        serving.join().unwrap();
        tally
    }

    #[test]
    fn what_is_answered_counts_once_and_what_is_not_is_lost() {
        let all = tally(|_| 1);
        assert!(all.times.len() > 100 && all.failed == 0, "{} answers, {} lost", all.times.len(), all.failed);
        let twice = tally(|_| 2);
        assert!(twice.times.len() > 100 && twice.failed == 0, "{} answers, {} lost", twice.times.len(), twice.failed);
        // the first of each socket: its place is used again after a second
        let some = tally(|number| usize::from(number > 1));
        assert!(some.times.len() > 100 && some.failed == 2, "{} answers, {} lost", some.times.len(), some.failed);
        let none = tally(|_| 0);
        assert_eq!((none.times.len(), none.failed), (0, 2 * WINDOW as u64));
    }
}
