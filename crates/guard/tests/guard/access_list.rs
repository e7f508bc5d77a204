//! Compiled lists decide as the plain reading of their rules, and what they call needless can be left out.

use std::net::IpAddr;

use headworks_guard::{AccessList, Action, Fate, NumberedRule};
use ipnet::IpNet;
use proptest::prelude::*;

use crate::networks::{edges, has, network};

fn plainly(rules: &[(Action, Vec<IpNet>)], address: IpAddr) -> bool {
    let first = rules.iter().find(|(_, from)| from.iter().any(|network| has(network, address)));
    first.is_some_and(|(action, _)| *action == Action::Allow)
}

fn compiled(rules: &[(Action, Vec<IpNet>)]) -> AccessList {
    let rules: Vec<NumberedRule<'_>> =
        rules.iter().map(|(action, from)| NumberedRule { action: *action, from }).collect();
    AccessList::compile(&rules)
}

fn rule() -> impl Strategy<Value = (Action, Vec<IpNet>)> {
    (prop_oneof![Just(Action::Allow), Just(Action::Deny)], prop::collection::vec(network(), 1..4))
}

proptest! {
    #[test]
    fn the_first_rule_that_matches_decides(rules in prop::collection::vec(rule(), 0..12)) {
        let list = compiled(&rules);
        let places: Vec<IpNet> = rules.iter().flat_map(|(_, from)| from.clone()).collect();
        for address in edges(&places) {
            prop_assert_eq!(list.allowed.contain(address), plainly(&rules, address), "{}", address);
        }
    }

    /// What is called unreachable or redundant can be left out, and what is not cannot, but for denials at the end.
    #[test]
    fn what_can_be_left_out(rules in prop::collection::vec(rule(), 1..8)) {
        let list = compiled(&rules);
        for (place, fate) in list.fates.iter().enumerate() {
            let mut without = rules.clone();
            let (action, _) = without.remove(place);
            let same = compiled(&without).allowed == list.allowed;
            match fate {
                Fate::Decides if list.fates.iter().any(|fate| matches!(fate, Fate::Unreachable(_))) => {}
                Fate::Decides => prop_assert!(!same || action == Action::Deny, "{} of {:?}", place, rules),
                Fate::Unreachable(_) | Fate::Redundant(_) => prop_assert!(same, "{} of {:?}", place, rules),
            }
        }
    }
}

#[test]
fn fates_name_the_others() {
    use Action::{Allow, Deny};
    use Fate::{Decides, Redundant, Unreachable};
    type Row<'a> = (&'a [(Action, &'a str)], &'a [Fate]);
    let rows: [Row<'_>; 8] = [
        (&[(Deny, "203.0.113.25/32"), (Allow, "0.0.0.0/0")], &[Decides, Decides]),
        (&[(Allow, "0.0.0.0/0"), (Deny, "203.0.113.25/32")], &[Decides, Unreachable(vec![0])]),
        (
            &[(Allow, "10.0.0.0/9"), (Deny, "10.128.0.0/9"), (Allow, "10.0.0.0/8")],
            &[Decides, Decides, Unreachable(vec![0, 1])],
        ),
        (&[(Allow, "10.1.0.0/16"), (Allow, "10.0.0.0/8")], &[Redundant(vec![1]), Decides]),
        (
            &[(Allow, "10.1.0.0/16"), (Deny, "10.2.0.0/16"), (Allow, "10.0.0.0/8")],
            &[Redundant(vec![2]), Decides, Decides],
        ),
        // a denial at the end says what would be anyway; people write it to be sure
        (&[(Allow, "10.0.0.0/8"), (Deny, "0.0.0.0/0")], &[Decides, Decides]),
        (&[(Allow, "fd00::/8"), (Allow, "fd00::/8")], &[Decides, Unreachable(vec![0])]),
        (&[(Allow, "::/0"), (Allow, "0.0.0.0/0")], &[Decides, Decides]),
    ];
    for (rules, fates) in rows {
        let rules: Vec<(Action, Vec<IpNet>)> = rules.iter().map(|(a, net)| (*a, vec![net.parse().unwrap()])).collect();
        assert_eq!(compiled(&rules).fates, fates, "{rules:?}");
    }
}
