//! Allowances of security groups: ports, protocols, sources; and which of them say nothing new.

use crate::networks::Networks;

/// One allowance: whoever of `from` or of the members of `groups` may reach these ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Over TCP.
    pub tcp: bool,
    /// Over UDP.
    pub udp: bool,
    /// Inclusive; none stands for all.
    pub ports: Vec<(u16, u16)>,
    /// Networks.
    pub from: Networks,
    /// Names of groups, in order.
    pub groups: Vec<String>,
}

impl Allowance {
    /// Whether it is about this port.
    pub fn has_port(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }

    /// Whether it allows all that `other` does.
    fn covers(&self, other: &Allowance) -> bool {
        let protocols = (self.tcp || !other.tcp) && (self.udp || !other.udp);
        let groups = other.groups.iter().all(|group| self.groups.contains(group));
        protocols && groups && self.covers_ports(other) && self.from.cover(&other.from)
    }

    fn covers_ports(&self, other: &Allowance) -> bool {
        if self.ports.is_empty() {
            return true;
        }
        let mut mine = self.ports.clone();
        mine.sort_unstable();
        // ranges that touch are one
        let mut joined: Vec<(u16, u16)> = Vec::with_capacity(mine.len());
        for (first, last) in mine {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        let wanted: &[(u16, u16)] = if other.ports.is_empty() { &[(1, u16::MAX)] } else { &other.ports };
        wanted.iter().all(|(first, last)| joined.iter().any(|(low, high)| low <= first && last <= high))
    }
}

/// An allowance that says nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The place of the one that could be left out.
    pub place: usize,
    /// The place of one that allows all of it.
    pub by: usize,
}

/// Allowances that are compared with each other; a group of more is not looked through.
const MOST: usize = 1000;

/// Allowances that another one covers; of equal ones, those behind the first.
pub fn overlaps(allowances: &[Allowance]) -> Vec<Overlap> {
    let mut found = Vec::new();
    if allowances.len() > MOST {
        return found;
    }
    for (place, one) in allowances.iter().enumerate() {
        let covers = |(by, other): &(usize, &Allowance)| {
            *by != place && other.covers(one) && (*by < place || !one.covers(other))
        };
        if let Some((by, _)) = allowances.iter().enumerate().find(covers) {
            found.push(Overlap { place, by });
        }
    }
    found
}
