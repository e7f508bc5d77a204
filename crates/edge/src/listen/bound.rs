//! A listener's sockets: bound anew, taken over from another process, or opened by whoever has started this one; dealt out to
//! workers, and kept beside them so that they can be handed over in turn.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use headworks_model::listener::Listener;
use headworks_model::primitive::Bind;

use super::bind;
use crate::l4::udp;
use crate::legacy::{self, Sockets};
use crate::quic::steer::{Doors, join};
use crate::runtime::worker::DatagramsIn;

/// How many ports are looked at for a listener that may have any: one that is free for the first of its sockets may be
/// somebody's for the next, of datagrams above all.
const ANY_PORT_TRIES: u32 = 16;

/// A listener that is bound.
#[derive(Clone)]
pub(crate) struct BoundListener {
    pub(crate) declared: Bind,
    pub(crate) address: SocketAddr,
    has_connections: bool,
    has_datagrams: bool,
    /// Those are of flows, not of QUIC.
    has_flows: bool,
    /// Descriptors beside those that workers have: of every socket one.
    pub(crate) connections: Vec<Arc<OwnedFd>>,
    pub(crate) datagrams: Vec<Arc<OwnedFd>>,
    /// Where endpoints of QUIC take in what is theirs.
    pub(crate) doors: Option<Doors>,
}

/// A listener that is bound, and what of it is not yet handed over to workers.
pub(crate) struct FreshListener {
    pub(crate) bound: BoundListener,
    connections: Vec<TcpListener>,
    datagrams: Vec<DatagramsIn>,
    /// Another process reads from the sockets for datagrams until it lets go.
    are_read: bool,
}

impl BoundListener {
    /// Whether it is bound to all that the listener asks for. A socket for QUIC may be left over.
    pub(crate) fn is_for(&self, listener: &Listener) -> bool {
        self.declared == listener.bind
            && self.has_connections == listener.protocol.has_tcp()
            && self.has_flows == listener.protocol.has_udp()
            && (self.has_datagrams || !has_datagrams(listener))
    }

    /// Whether its connections stay where they are. What is bound for flows of datagrams stays with all else or not at all.
    pub(crate) fn is_kept_by(&self, listener: &Listener) -> bool {
        let has_flows = self.has_flows || listener.protocol.has_udp();
        self.declared == listener.bind && self.has_connections && listener.protocol.has_tcp() && !has_flows
    }

    /// Whether a listener that is declared at `bind` would stand where this one does.
    pub(crate) fn is_at(&self, bind: Bind) -> bool {
        let port = self.address.port();
        match bind {
            Bind::Address(address) => address == self.address,
            Bind::Any(wanted) => wanted == port && self.address.ip().is_unspecified(),
        }
    }

    /// Keeps none of its sockets: when workers close theirs, they are closed.
    pub(crate) fn release(&mut self) {
        self.connections.clear();
        self.datagrams.clear();
    }
}

fn has_datagrams(listener: &Listener) -> bool {
    listener.http3 || listener.protocol.has_udp()
}

impl FreshListener {
    /// Opens what a listener needs beyond what of it is `kept`: sockets that are `there` already, or new ones, beside those of one
    /// that `gives_way` to it where it stands.
    ///
    /// # Errors
    /// When an address cannot be bound, or descriptors have run out.
    pub(crate) fn open(
        listener: &Listener,
        kept: Option<&BoundListener>,
        gives_way: Option<&BoundListener>,
        there: Option<&Sockets>,
        workers: usize,
    ) -> io::Result<FreshListener> {
        let mut tries = if listener.bind.port() == 0 { ANY_PORT_TRIES } else { 1 };
        loop {
            tries -= 1;
            match Self::open_once(listener, kept, gives_way, there, workers) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
                opened => return opened,
            }
        }
    }

    fn open_once(
        listener: &Listener,
        kept: Option<&BoundListener>,
        gives_way: Option<&BoundListener>,
        there: Option<&Sockets>,
        workers: usize,
    ) -> io::Result<FreshListener> {
        let (mut connections, mut datagrams) = (Vec::new(), Vec::new());
        let mut address = kept.map(|bound| bound.address);
        if kept.is_none() && listener.protocol.has_tcp() {
            let there = there.filter(|there| !there.connections.is_empty());
            (address, connections) = match (there, gives_way.filter(|bound| bound.has_connections)) {
                (Some(there), _) => (Some(there.address), connections_of(there, workers)?),
                (None, Some(bound)) => (Some(bound.address), bind::bind_beside(bound.address, workers)?),
                (None, None) => {
                    let bound = bind::bind(listener.bind, workers)?;
                    (Some(bound.address), bound.sockets)
                }
            };
        }
        let mut are_read = false;
        if has_datagrams(listener) && !kept.is_some_and(|bound| bound.has_datagrams) {
            let found = there.filter(|there| !there.datagrams.is_empty());
            let beside = gives_way.filter(|bound| bound.has_datagrams).map(|bound| bound.address);
            (address, datagrams) = match (found, address.or(beside)) {
                (Some(there), _) => {
                    are_read = there.are_read;
                    (Some(there.address), datagrams_of(there, listener, workers)?)
                }
                (None, Some(address)) => (Some(address), bind::bind_datagrams_beside(address, workers)?),
                (None, None) => {
                    let (address, sockets) = bind::bind_datagrams(listener.bind, workers)?;
                    (Some(address), sockets)
                }
            };
        }
        let bound = BoundListener {
            declared: listener.bind,
            address: address.ok_or(io::ErrorKind::AddrNotAvailable)?,
            has_connections: listener.protocol.has_tcp(),
            has_datagrams: has_datagrams(listener) || kept.is_some_and(|bound| bound.has_datagrams),
            has_flows: listener.protocol.has_udp(),
            connections: match kept {
                Some(bound) => bound.connections.clone(),
                None => distinct(&connections, there.map(|there| &*there.connections))?,
            },
            datagrams: match kept.filter(|_| datagrams.is_empty()) {
                Some(bound) => bound.datagrams.clone(),
                None => distinct(&datagrams, there.map(|there| &*there.datagrams))?,
            },
            doors: kept.and_then(|bound| bound.doors.clone()),
        };
        let mut fresh = FreshListener { bound, connections, datagrams: Vec::new(), are_read };
        fresh.speak(listener, datagrams);
        Ok(fresh)
    }

    /// Decides what is spoken in datagrams.
    fn speak(&mut self, listener: &Listener, sockets: Vec<UdpSocket>) {
        if sockets.is_empty() {
            return;
        }
        if listener.http3 {
            let (doors, mouths) = join(sockets);
            self.bound.doors = Some(doors);
            self.datagrams = mouths.into_iter().map(DatagramsIn::Quic).collect();
        } else {
            let mouth = |(socket, place)| udp::Mouth { socket, place, flows: Vec::new() };
            self.datagrams = sockets.into_iter().zip(0..).map(mouth).map(DatagramsIn::Flows).collect();
        }
    }

    /// Its sockets for connections, by worker.
    pub(crate) fn connections(&mut self, workers: usize) -> Vec<Vec<TcpListener>> {
        dealt(std::mem::take(&mut self.connections), workers)
    }

    /// Its sockets for datagrams, by worker; none yet while another process reads from them.
    pub(crate) fn datagrams(&mut self, workers: usize) -> Vec<Vec<DatagramsIn>> {
        let now = if self.are_read { Vec::new() } else { std::mem::take(&mut self.datagrams) };
        dealt(now, workers)
    }

    /// Its sockets for datagrams that another process reads from.
    pub(crate) fn awaited(&mut self) -> Vec<DatagramsIn> {
        std::mem::take(&mut self.datagrams)
    }
}

/// Deals out to workers. Where there are fewer of them than there were once, some have more than one: a queue that nobody
/// takes from would keep its share of the clients waiting.
pub(crate) fn dealt<T>(all: Vec<T>, workers: usize) -> Vec<Vec<T>> {
    let mut by_worker: Vec<Vec<T>> = (0..workers).map(|_| Vec::new()).collect();
    for (place, one) in all.into_iter().enumerate() {
        if let Some(hand) = by_worker.get_mut(place % workers.max(1)) {
            hand.push(one);
        }
    }
    by_worker
}

/// Sockets for connections that are there, and more where there are too few: new ones, or the same for several workers where
/// the port cannot be shared.
fn connections_of(there: &Sockets, workers: usize) -> io::Result<Vec<TcpListener>> {
    let mut sockets: Vec<_> =
        there.connections.iter().map(|socket| legacy::listener(socket)).collect::<io::Result<_>>()?;
    let lacking = workers.saturating_sub(sockets.len());
    let more = if there.may_grow { bind::bind_beside(there.address, lacking).ok() } else { None };
    match more {
        Some(more) => sockets.extend(more),
        None => {
            let again = there.connections.iter().cycle().take(lacking);
            sockets.extend(again.map(|socket| legacy::listener(socket)).collect::<io::Result<Vec<_>>>()?);
        }
    }
    Ok(sockets)
}

/// Sockets for datagrams that are there; of QUIC, more where there are too few, for it knows whose each datagram is. Flows
/// would be torn apart, if the kernel dealt them out to more sockets than before.
fn datagrams_of(there: &Sockets, listener: &Listener, workers: usize) -> io::Result<Vec<UdpSocket>> {
    let mut sockets: Vec<_> =
        there.datagrams.iter().map(|socket| legacy::datagrams(socket)).collect::<io::Result<_>>()?;
    let lacking = workers.saturating_sub(sockets.len());
    if listener.http3 && there.may_grow {
        sockets.extend(bind::bind_datagrams_beside(there.address, lacking).unwrap_or_default());
    }
    Ok(sockets)
}

/// A descriptor of every socket: those that were there, and those that came beside them.
fn distinct<S: std::os::fd::AsFd>(sockets: &[S], there: Option<&[Arc<OwnedFd>]>) -> io::Result<Vec<Arc<OwnedFd>>> {
    let there = there.unwrap_or_default();
    let mut all = there.to_vec();
    for socket in sockets.iter().skip(there.len()) {
        // the same socket for several workers is one
        if !is_among(socket, &all)? {
            all.push(legacy::kept(socket)?);
        }
    }
    Ok(all)
}

fn is_among(socket: &impl std::os::fd::AsFd, all: &[Arc<OwnedFd>]) -> io::Result<bool> {
    let identity = |fd: std::os::fd::BorrowedFd<'_>| rustix::fs::fstat(fd).map(|stat| stat.st_ino);
    let this = identity(socket.as_fd())?;
    for one in all {
        if identity(std::os::fd::AsFd::as_fd(&**one))? == this {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_left_out() {
        let rows: [(usize, usize, &[&[usize]]); 4] =
            [(2, 2, &[&[0], &[1]]), (1, 2, &[&[0], &[]]), (5, 2, &[&[0, 2, 4], &[1, 3]]), (0, 1, &[&[]])];
        for (sockets, workers, expected) in rows {
            assert_eq!(dealt((0..sockets).collect(), workers), expected);
        }
    }
}
