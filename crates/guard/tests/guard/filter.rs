//! Programs of packet filters, run by the letter: they let begin what the set of networks has.

use std::net::IpAddr;

use headworks_guard::Networks;
use headworks_guard::filter::{self, Instruction};
use ipnet::IpNet;
use proptest::prelude::*;

use crate::networks::{edges, network};

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// What the kernel does with such a segment: the program run by the letter, offsets as the kernel has them.
fn passes(program: &[Instruction], source: IpAddr, flags: u8) -> bool {
    let mut tcp = [0u8; 20];
    tcp[13] = flags;
    let mut network = [0xa5u8; 40];
    let protocol: u32 = match source {
        IpAddr::V4(v4) => {
            network[12..16].copy_from_slice(&v4.octets());
            0x0800
        }
        IpAddr::V6(v6) => {
            network[8..24].copy_from_slice(&v6.octets());
            0x86dd
        }
    };
    let word = |at: u32| match at {
        0xffff_f000 => protocol,
        0xfff0_0000.. => {
            let at = (at - 0xfff0_0000) as usize;
            u32::from_be_bytes(network[at..at + 4].try_into().unwrap())
        }
        at => u32::from_be_bytes(tcp[at as usize..at as usize + 4].try_into().unwrap()),
    };
    let (mut accumulator, mut at) = (0u32, 0);
    loop {
        let Instruction { code, when_true, when_false, operand } = program[at];
        at += 1;
        let holds = match code {
            0x20 => {
                accumulator = word(operand);
                continue;
            }
            0x30 => {
                accumulator = tcp[operand as usize].into();
                continue;
            }
            0x54 => {
                accumulator &= operand;
                continue;
            }
            0x05 => {
                at += operand as usize;
                continue;
            }
            0x06 => return operand > 0,
            0x15 => accumulator == operand,
            0x25 => accumulator > operand,
            0x35 => accumulator >= operand,
            0x45 => accumulator & operand != 0,
            other => panic!("no such instruction: {other:#x}"),
        };
        at += usize::from(if holds { when_true } else { when_false });
    }
}

proptest! {
    #[test]
    fn connections_begin_from_where_they_may(networks in prop::collection::vec(network(), 0..60)) {
        let set: Networks = networks.iter().copied().collect();
        let program = filter::of(&set).unwrap();
        for address in edges(&networks) {
            let address = address.to_canonical();
            prop_assert_eq!(passes(&program, address, SYN), set.contain(address), "{}", address);
            prop_assert!(passes(&program, address, ACK), "what does not begin a connection passes");
        }
    }
}

/// Long programs jump further than a condition can, and one that is too long is none.
#[test]
fn programs_of_any_length() {
    let nets = |count: u32| (0..count).map(|i| IpNet::new(IpAddr::V4((i << 12).into()), 24).unwrap());
    for count in [0, 1, 6, 7, 100, 200] {
        let set: Networks = nets(count).collect();
        let program = filter::of(&set).unwrap();
        for i in 0..count + 2 {
            for beside in [0, 255, 256, 4095] {
                let address = IpAddr::V4((i << 12 | beside).into());
                assert_eq!(passes(&program, address, SYN), set.contain(address), "{address} of {count}");
            }
        }
    }
    assert_eq!(filter::of(&nets(1000).collect()), None);
    assert_eq!(filter::of(&nets(100_000).collect()), None);
    let v6 = (0..500u128).map(|i| IpNet::new(IpAddr::V6((i << 65).into()), 64).unwrap());
    assert_eq!(filter::of(&v6.collect()), None);
}
