//! Address blocks (R9) as sorted ranges, so that a thousand of them cost ten comparisons.

use std::net::IpAddr;

use ipnet::IpNet;

/// Blocks of both families.
#[derive(Clone, Debug)]
pub(crate) struct Cidrs {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Cidrs {
    /// IPv4-mapped IPv6 blocks count as the IPv4 blocks they stand for (RFC 4291 section 2.5.5.2).
    pub(crate) fn new(nets: &[IpNet]) -> Cidrs {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            match (net.network().to_canonical(), net.broadcast().to_canonical()) {
                (IpAddr::V4(low), IpAddr::V4(high)) => v4.push((low.to_bits(), high.to_bits())),
                _ => {
                    if let IpNet::V6(net) = net {
                        v6.push((net.network().to_bits(), net.broadcast().to_bits()));
                    }
                }
            }
        }
        Cidrs { v4: merge(v4), v6: merge(v6) }
    }

    /// Whether any block has `peer`, whose IPv4-mapped form counts as IPv4.
    pub(crate) fn contain(&self, peer: IpAddr) -> bool {
        match peer.to_canonical() {
            IpAddr::V4(address) => among(&self.v4, address.to_bits()),
            IpAddr::V6(address) => among(&self.v6, address.to_bits()),
        }
    }
}

/// Sorts ranges and joins those that overlap.
fn merge<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match merged.last_mut() {
            Some(last) if low <= last.1 => last.1 = last.1.max(high),
            _ => merged.push((low, high)),
        }
    }
    merged.into()
}

fn among<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(low, _)| *low <= address);
    after.checked_sub(1).and_then(|i| ranges.get(i)).is_some_and(|(_, high)| address <= *high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_both_families_are_found() {
        let nets = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "fd00::/8", "::ffff:198.51.100.0/120"];
        let cidrs = Cidrs::new(&nets.map(|n| n.parse().unwrap()));
        let has = |ip: &str| cidrs.contain(ip.parse().unwrap());
        assert!(has("10.0.0.0") && has("10.255.255.255") && has("::ffff:10.2.3.4"));
        assert!(has("192.0.2.7") && has("fd00::1") && has("198.51.100.9"));
        assert!(!has("11.0.0.0") && !has("192.0.2.8") && !has("fe80::1") && !has("9.255.255.255"));
    }

    #[test]
    fn every_ipv6_address_is_not_every_address() {
        let cidrs = Cidrs::new(&["::/0".parse().unwrap()]);
        assert!(cidrs.contain("2001:db8::1".parse().unwrap()));
        assert!(!cidrs.contain("192.0.2.1".parse().unwrap()));
    }
}
