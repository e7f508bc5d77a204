//! Sets of networks against the plain question of each of them; their size.

use std::net::IpAddr;

use headworks_guard::Networks;
use ipnet::IpNet;
use proptest::prelude::*;

/// Networks close to each other, so that they overlap and touch.
pub(crate) fn network() -> impl Strategy<Value = IpNet> {
    let v4 = (any::<u32>(), 0..=32u8).prop_map(|(bits, length)| {
        let bits = 0x0a00_0000 | bits & 0x0003_07ff;
        IpNet::new(IpAddr::V4(bits.into()), length).unwrap().trunc()
    });
    let v6 = (any::<u16>(), 100..=128u8).prop_map(|(bits, length)| {
        let bits = 0x2001_0db8 << 96 | u128::from(bits & 0x3ff);
        IpNet::new(IpAddr::V6(bits.into()), length).unwrap().trunc()
    });
    // far apart, and with nothing in their low halves
    let wide = (0..64u128, 16..=64u8).prop_map(|(bits, length)| {
        let bits = 0x2001_0db8 << 96 | bits << 90 | bits << 64;
        IpNet::new(IpAddr::V6(bits.into()), length).unwrap().trunc()
    });
    let odd = prop_oneof![Just("0.0.0.0/0"), Just("::/0"), Just("255.255.255.255/32"), Just("::ffff:10.0.1.0/120")];
    prop_oneof![8 => v4, 4 => v6, 8 => wide, 1 => odd.prop_map(|text| text.parse().unwrap())]
}

/// The addresses at and beside the ends of networks: where a mistake would show.
pub(crate) fn edges(networks: &[IpNet]) -> Vec<IpAddr> {
    let beside = |address: IpAddr| match address.to_canonical() {
        IpAddr::V4(v4) => [v4.to_bits().wrapping_sub(1), v4.to_bits(), v4.to_bits().wrapping_add(1)]
            .map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(v6) => [v6.to_bits().wrapping_sub(1), v6.to_bits(), v6.to_bits().wrapping_add(1)]
            .map(|bits| IpAddr::V6(bits.into())),
    };
    let within = |network: &IpNet| match network.network() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() | 0x1234 << 64 | 1).into()),
        v4 @ IpAddr::V4(_) => v4,
    };
    let ends = networks.iter().flat_map(|network| [network.network(), network.broadcast(), within(network)]);
    let more = ["0.0.0.0", "255.255.255.255", "::", "10.0.3.7", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
    ends.flat_map(beside).chain(more.map(|text| text.parse().unwrap())).collect()
}

/// Whether a network has an address, said plainly.
pub(crate) fn has(network: &IpNet, address: IpAddr) -> bool {
    let (low, high) = (network.network().to_canonical(), network.broadcast().to_canonical());
    let address = address.to_canonical();
    // `::/0` begins and ends outside of what stands for IPv4, and has none of it
    low.is_ipv4() == address.is_ipv4() && low.is_ipv4() == high.is_ipv4() && (low..=high).contains(&address)
}

proptest! {
    #[test]
    fn a_set_has_what_its_networks_have(networks in prop::collection::vec(network(), 0..40), others in prop::collection::vec(network(), 0..6)) {
        let set: Networks = networks.iter().copied().collect();
        let other: Networks = others.iter().copied().collect();
        let (union, intersection) = (set.union(&other), set.intersection(&other));
        let again: Networks = set.iter().collect();
        prop_assert_eq!(&again, &set);
        for address in edges(&[networks.clone(), others.clone()].concat()) {
            let one = networks.iter().any(|network| has(network, address));
            let two = others.iter().any(|network| has(network, address));
            prop_assert_eq!(set.contain(address), one, "{}", address);
            prop_assert_eq!(union.contain(address), one || two, "{}", address);
            prop_assert_eq!(intersection.contain(address), one && two, "{}", address);
        }
        prop_assert_eq!(set.cover(&other), set.union(&other) == set);
        prop_assert_eq!(set.is_empty(), networks.is_empty());
    }
}

/// Networks of IPv6 that differ in their upper halves only: between two of them is none.
#[test]
fn between_wide_networks() {
    let address = |upper: u128, lower: u128| IpAddr::V6((0x2001_0db8 << 96 | upper << 80 | lower).into());
    for (count, length) in [(4, 48), (8, 48), (9, 64), (1000, 48), (30_000, 48)] {
        let set: Networks = (0..count).map(|n| IpNet::new(address(2 * n, 0), length).unwrap()).collect();
        for n in 0..count {
            for lower in [0, 1, 0x1234] {
                assert!(set.contain(address(2 * n, lower)), "{count}, {length}: {n}");
                assert!(!set.contain(address(2 * n + 1, lower)), "{count}, {length}: beside {n}");
            }
        }
    }
}

/// Enough networks for the index to be of use, spread over everything and close together.
#[test]
fn many_networks() {
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 32) as u32
    };
    for spread in [u32::MAX, 0xff_ffff, 0xfff] {
        let mut naive = std::collections::HashSet::new();
        let mut networks = Vec::new();
        for _ in 0..20_000 {
            let bits = 0x5000_0000 ^ (random() & spread & !3);
            naive.insert(bits & !3);
            networks.push(IpNet::new(IpAddr::V4(bits.into()), 30).unwrap());
        }
        let set: Networks = networks.into_iter().collect();
        for _ in 0..200_000 {
            let address = 0x5000_0000 ^ (random() & spread);
            assert_eq!(set.contain(IpAddr::V4(address.into())), naive.contains(&(address & !3)), "{address:x}");
        }
    }
}

/// The size that is promised: a million networks of either family under 64 MiB.
#[test]
fn a_million_networks_fit() {
    let v4: Networks =
        (0..1_000_000u32).map(|i| IpNet::new(IpAddr::V4((i << 10 | 0x11).into()), 32).unwrap()).collect();
    let v6: Networks =
        (0..1_000_000u128).map(|i| IpNet::new(IpAddr::V6((0x2001_0db8 << 96 | i << 65).into()), 64).unwrap()).collect();
    for (set, most) in [(v4, 9 << 20), (v6, 33 << 20)] {
        assert!((1_000_000 * 8..most).contains(&set.size()), "{} bytes", set.size());
    }
}
