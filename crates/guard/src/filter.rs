//! A packet filter for a listening socket: what begins a connection from elsewhere than a set of networks is dropped by the
//! kernel, unseen and unanswered.
//!
//! Classic BPF, as Linux takes it by `SO_ATTACH_FILTER` (Documentation/networking/filter.rst). A filter on a TCP socket sees
//! each segment from its TCP header on; the headers before it are reached by offsets of their own. Connections that are
//! accepted inherit it, which is why all that does not begin one passes after two instructions.

use crate::networks::Networks;

/// One instruction: what it does, how far it jumps when a condition holds and when not, its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions skipped when the condition holds.
    pub when_true: u8,
    /// Instructions skipped when it does not.
    pub when_false: u8,
    /// Operand.
    pub operand: u32,
}

/// Instructions of the longest program that is made: the kernel would take 4096, but socket options are given 20 KiB only
/// (`net.core.optmem_max`), and its own form of a program takes up to two words for each.
const MOST: usize = 1024;
/// Ranges that are tried one after the other.
const LEAF: usize = 6;

const LOAD_WORD: u16 = 0x20;
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Where the network header begins.
const NETWORK_HEADER: u32 = 0xfff0_0000;
/// The EtherType of the packet.
const PROTOCOL: u32 = 0xffff_f000;
const IPV4: u32 = 0x0800;
/// Place of the flags in a TCP header, and the flag that begins a connection (RFC 9293 section 3.1).
const TCP_FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const IPV4_SOURCE: u32 = NETWORK_HEADER + 12;
const IPV6_SOURCE: u32 = NETWORK_HEADER + 8;

const PASS: Instruction = plain(RETURN, u32::MAX);
const DROP: Instruction = plain(RETURN, 0);

const fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, when_true: 0, when_false: 0, operand }
}

const fn branch(code: u16, operand: u32, when_true: u8, when_false: u8) -> Instruction {
    Instruction { code, when_true, when_false, operand }
}

/// The filter that lets connections begin from `allowed` only; none when it would be longer than the kernel takes.
pub fn of(allowed: &Networks) -> Option<Vec<Instruction>> {
    // a cheap look first: each range and each network takes more than one instruction
    if allowed.len() > MOST {
        return None;
    }
    let mut v4 = vec![plain(LOAD_WORD, IPV4_SOURCE)];
    v4.extend(tree(&allowed.v4.iter().collect::<Vec<_>>()));
    let mut program = vec![
        plain(LOAD_BYTE, TCP_FLAGS),
        branch(IF_ANY_BIT, SYN, 1, 0),
        PASS,
        plain(LOAD_WORD, PROTOCOL),
        branch(IF_EQUAL, IPV4, 1, 0),
        plain(JUMP, v4.len() as u32),
    ];
    program.append(&mut v4);
    for (low, high) in allowed.v6.iter() {
        for network in ipnet::Ipv6Subnets::new(low.into(), high.into(), 0) {
            program.extend(prefix(network.network().to_bits(), u32::from(network.prefix_len())));
            if program.len() >= MOST {
                return None;
            }
        }
    }
    program.push(DROP);
    (program.len() <= MOST).then_some(program)
}

/// Finds the loaded word among ranges by halving.
fn tree(ranges: &[(u32, u32)]) -> Vec<Instruction> {
    if ranges.len() <= LEAF {
        let of =
            |(low, high): &(u32, u32)| [branch(IF_GREATER, *high, 3, 0), branch(IF_AT_LEAST, *low, 0, 1), PASS, DROP];
        return ranges.iter().flat_map(of).chain([DROP]).collect();
    }
    let (below, above) = ranges.split_at(ranges.len() / 2);
    let least = above.first().map_or(u32::MAX, |(low, _)| *low);
    let (below, above) = (tree(below), tree(above));
    // conditions jump 255 instructions at most, a jump without one as far as it likes
    let mut both = vec![branch(IF_AT_LEAST, least, 0, 1), plain(JUMP, below.len() as u32)];
    both.extend(below);
    both.extend(above);
    both
}

/// Passes an IPv6 source of this prefix; others go on behind.
fn prefix(network: u128, length: u32) -> Vec<Instruction> {
    let mut steps = Vec::new();
    for word in 0..length.div_ceil(32) {
        let bits = (length - word * 32).min(32);
        let mask = u32::MAX << (32 - bits);
        steps.push(plain(LOAD_WORD, IPV6_SOURCE + word * 4));
        if bits < 32 {
            steps.push(plain(AND, mask));
        }
        steps.push(plain(IF_EQUAL, (network >> (96 - word * 32)) as u32 & mask));
    }
    let whole = steps.len();
    for (place, step) in steps.iter_mut().enumerate() {
        if step.code == IF_EQUAL {
            // behind the rest of the steps and the verdict
            step.when_false = (whole - place) as u8;
        }
    }
    steps.push(PASS);
    steps
}
