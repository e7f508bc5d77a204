//! A set of networks of both families, for a million of them as for one.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::ranges::{Number, Ranges};

/// A set of IPv4 and IPv6 addresses. IPv4-mapped IPv6 counts as the IPv4 it stands for (RFC 4291 section 2.5.5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks {
    pub(crate) v4: Ranges<u32>,
    pub(crate) v6: Ranges<u128>,
}

impl Default for Networks {
    /// No address.
    fn default() -> Networks {
        Networks::of_ranges(Vec::new(), Vec::new())
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Networks {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match Span::of(network) {
                Span::V4(low, high) => v4.push((low, high)),
                Span::V6(low, high) => v6.push((low, high)),
            }
        }
        Networks::of_ranges(v4, v6)
    }
}

impl Networks {
    pub(crate) fn of_ranges(v4: Vec<(u32, u32)>, v6: Vec<(u128, u128)>) -> Networks {
        Networks { v4: Ranges::new(v4), v6: Ranges::new(v6) }
    }

    /// Whether any network has this address.
    #[inline]
    pub fn contain(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contain(address.to_bits()),
            IpAddr::V6(address) => self.v6.contain(address.to_bits()),
        }
    }

    /// Whether every address of `other` is in this set.
    pub fn cover(&self, other: &Networks) -> bool {
        self.v4.cover(&other.v4) && self.v6.cover(&other.v6)
    }

    /// The addresses of either.
    #[must_use]
    pub fn union(&self, other: &Networks) -> Networks {
        Networks::of_ranges(
            self.v4.iter().chain(other.v4.iter()).collect(),
            self.v6.iter().chain(other.v6.iter()).collect(),
        )
    }

    /// The addresses of both.
    #[must_use]
    pub fn intersection(&self, other: &Networks) -> Networks {
        Networks::of_ranges(intersect(&self.v4, &other.v4), intersect(&self.v6, &other.v6))
    }

    /// Whether it has every address of both families.
    pub fn is_everything(&self) -> bool {
        self.v4.iter().eq([(0, u32::MAX)]) && self.v6.iter().eq([(0, u128::MAX)])
    }

    /// Whether it has no address.
    pub fn is_empty(&self) -> bool {
        self.v4.len() == 0 && self.v6.len() == 0
    }

    /// Ranges of addresses with others between them.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// The addresses of it as networks, as few as it takes, in order.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        let v4 =
            self.v4.iter().flat_map(|(low, high)| ipnet::Ipv4Subnets::new(low.into(), high.into(), 0).map(IpNet::V4));
        let v6 =
            self.v6.iter().flat_map(|(low, high)| ipnet::Ipv6Subnets::new(low.into(), high.into(), 0).map(IpNet::V6));
        v4.chain(v6)
    }

    /// Bytes that it holds.
    pub fn size(&self) -> usize {
        self.v4.size() + self.v6.size()
    }
}

/// A network's first and last address.
pub(crate) enum Span {
    V4(u32, u32),
    V6(u128, u128),
}

impl Span {
    pub(crate) fn of(network: IpNet) -> Span {
        match (network.network().to_canonical(), network.broadcast().to_canonical(), network) {
            (IpAddr::V4(low), IpAddr::V4(high), _) => Span::V4(low.to_bits(), high.to_bits()),
            (_, _, IpNet::V6(network)) => Span::V6(network.network().to_bits(), network.broadcast().to_bits()),
            // an IPv4 network has IPv4 addresses
            (_, _, IpNet::V4(network)) => Span::V4(network.network().to_bits(), network.broadcast().to_bits()),
        }
    }
}

fn intersect<T: Number>(one: &Ranges<T>, other: &Ranges<T>) -> Vec<(T, T)> {
    let (mut ones, mut others) = (one.iter().peekable(), other.iter().peekable());
    let mut both = Vec::new();
    while let (Some(a), Some(b)) = (ones.peek().copied(), others.peek().copied()) {
        let (low, high) = (a.0.max(b.0), a.1.min(b.1));
        if low <= high {
            both.push((low, high));
        }
        if a.1 <= b.1 {
            ones.next()
        } else {
            others.next()
        };
    }
    both
}
