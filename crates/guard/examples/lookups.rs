//! What a lookup costs: `cargo run --release -p headworks-guard --example lookups`. Prints nanoseconds per lookup, in a row of
//! lookups and each waiting for the one before, bytes, and the time to build.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program to be looked at")]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use headworks_guard::Networks;
use ipnet::IpNet;

/// Where networks lie: the address of a random number, and the length of a network.
struct Kind {
    name: &'static str,
    address: fn(u128) -> IpAddr,
    length: u8,
}

const KINDS: &[Kind] = &[
    Kind { name: "IPv4 /24, anywhere", address: |n| IpAddr::V4((n as u32).into()), length: 24 },
    Kind { name: "IPv4 /32, anywhere", address: |n| IpAddr::V4((n as u32).into()), length: 32 },
    Kind {
        name: "IPv4 /32, in one /10",
        address: |n| IpAddr::V4((0x6440_0000 | n as u32 & 0x3f_ffff).into()),
        length: 32,
    },
    Kind { name: "IPv6 /64, in 2000::/3", address: |n| IpAddr::V6((n >> 3 | 1 << 125).into()), length: 64 },
    Kind { name: "IPv6 /64, in one /32", address: |n| IpAddr::V6((n >> 32 | 0x2001_0db8 << 96).into()), length: 64 },
    Kind { name: "IPv6 /128, in one /64", address: |n| IpAddr::V6((n >> 64 | 0x2001_0db8 << 96).into()), length: 128 },
];

fn main() {
    println!("{:<24}{:>10}{:>12}{:>12}{:>12}{:>12}", "networks", "count", "ns", "ns, waiting", "MiB", "build, ms");
    for kind in KINDS {
        for count in [10, 1_000, 100_000, 1_000_000] {
            measure(kind, count);
        }
    }
}

fn measure(kind: &Kind, count: usize) {
    let mut state = 1u128;
    let mut random = || {
        state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(0x5851_f42d_4c95_7f2d);
        state
    };
    let networks: Vec<IpNet> =
        (0..count).map(|_| IpNet::new((kind.address)(random()), kind.length).expect("a length").trunc()).collect();
    let started = Instant::now();
    let set: Networks = networks.iter().copied().collect();
    let build = started.elapsed().as_secs_f64() * 1e3;
    // half of them are in the set
    let asked: Vec<IpAddr> = (0..1_000_000)
        .map(|i| match networks.get(random() as usize % networks.len()) {
            Some(network) if i % 2 == 0 => network.addr(),
            _ => (kind.address)(random()),
        })
        .collect();
    let started = Instant::now();
    let found = asked.iter().filter(|address| set.contain(**address)).count();
    let each = started.elapsed().as_nanos() as f64 / asked.len() as f64;
    assert!(found >= asked.len() / 2, "{}: {found} found", kind.name);
    let started = Instant::now();
    let (mut at, mut steps) = (0, 0);
    while steps < asked.len() {
        let Some(address) = asked.get(at % asked.len()) else { break };
        at = at + 1 + usize::from(black_box(set.contain(*address)));
        steps += 1;
    }
    let waiting = started.elapsed().as_nanos() as f64 / asked.len() as f64;
    let size = set.size() as f64 / 1024.0 / 1024.0;
    println!("{:<24}{count:>10}{each:>12.1}{waiting:>12.1}{size:>12.2}{build:>12.1}", kind.name);
}
