//! Which allowances say nothing new.

use headworks_guard::{Allowance, Overlap, overlaps};

fn allowance(text: &str) -> Allowance {
    let mut parts = text.split(' ');
    let protocol = parts.next().unwrap();
    let ports = parts.next().unwrap();
    let mut allowance = Allowance {
        tcp: protocol != "udp",
        udp: protocol != "tcp",
        ports: Vec::new(),
        from: Default::default(),
        groups: Vec::new(),
    };
    if ports != "all" {
        allowance.ports = ports
            .split(',')
            .map(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                (first.parse().unwrap(), last.parse().unwrap())
            })
            .collect();
    }
    let (networks, groups): (Vec<&str>, Vec<&str>) = parts.partition(|source| source.contains('/'));
    allowance.from = networks.iter().map(|network| network.parse().unwrap()).collect();
    allowance.groups = groups.into_iter().map(str::to_owned).collect();
    allowance
}

#[test]
fn allowances_that_say_nothing_new() {
    type Row<'a> = (&'a [&'a str], &'a [(usize, usize)]);
    let rows: [Row<'_>; 10] = [
        (&["tcp 80 10.0.0.0/8", "tcp 443 10.0.0.0/8"], &[]),
        (&["tcp 80 10.0.0.0/8", "tcp 80 10.0.0.0/8"], &[(1, 0)]),
        (&["tcp 80 10.0.0.0/8", "all all 0.0.0.0/0"], &[(0, 1)]),
        (&["tcp all 0.0.0.0/0", "udp 53 10.0.0.0/8"], &[]),
        (&["tcp 1-1024 0.0.0.0/0", "tcp 80,443 10.0.0.0/8 fd00::/8"], &[]),
        (&["tcp 1-1024 0.0.0.0/0 ::/0", "tcp 80,443 10.0.0.0/8 fd00::/8"], &[(1, 0)]),
        (&["tcp 80-90,91-100 0.0.0.0/0", "tcp 85-95 10.0.0.0/8"], &[(1, 0)]),
        (&["tcp 1-65535 0.0.0.0/0", "tcp all 0.0.0.0/0"], &[(1, 0)]),
        (&["tcp 80 web 10.0.0.0/8", "tcp 80 web", "tcp 80 app"], &[(1, 0)]),
        (&["tcp 80 10.0.0.0/9 10.128.0.0/9", "tcp 80 10.0.0.0/8", "tcp 80 10.3.0.0/16"], &[(1, 0), (2, 0)]),
    ];
    for (texts, expected) in rows {
        let allowances: Vec<Allowance> = texts.iter().map(|text| allowance(text)).collect();
        let expected: Vec<Overlap> = expected.iter().map(|(place, by)| Overlap { place: *place, by: *by }).collect();
        assert_eq!(overlaps(&allowances), expected, "{texts:?}");
    }
    assert!(allowance("tcp 80-90 ::/0").has_port(90) && !allowance("tcp 80-90 ::/0").has_port(91));
    assert!(allowance("tcp all ::/0").has_port(1));
}
