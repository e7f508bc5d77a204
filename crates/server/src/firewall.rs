//! `headworks firewall`: what network ACLs and security groups say, as a ruleset of nftables, so that the kernel drops, or resets, what
//! they deny before it is anything to us: of any length, and for datagrams as well.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::net::{IpAddr, ToSocketAddrs};
use std::process::ExitCode;

use headworks_edge::members;
use headworks_guard::Networks;
use headworks_model::Config;
use headworks_model::guard::Carrier;
use headworks_model::listener::Denial;
use headworks_model::primitive::{Address, Bind, Name};

use crate::check::{accepted, complain};
use crate::cli::File;

pub(crate) fn main(args: &File) -> ExitCode {
    let loaded = match accepted(&args.config) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let mut text = format!("# from {}; `nft -f` takes it, and replaces the one before\n", args.config.display());
    if ruleset(&loaded.config, &mut text).is_err() || io::stdout().write_all(text.as_bytes()).is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The ruleset: one table of our own, in which a port that somebody guards has a chain, and others are not mentioned.
fn ruleset(config: &Config, out: &mut String) -> fmt::Result {
    let mut sets = String::new();
    for (name, acl) in &config.network_acls {
        set(&format!("acl_{name}"), &acl.compile().allowed, &mut sets)?;
    }
    let (mut jumps, mut chains) = (String::new(), String::new());
    let mut number = 1;
    for (balancer_name, balancer) in &config.load_balancers {
        for (name, listener) in &balancer.listeners {
            if balancer.security_groups.is_empty() && listener.network_acl.is_none() {
                continue;
            }
            let port = listener.bind.port();
            if port == 0 {
                complain(format_args!("warning: {balancer_name}/{name} has no port of its own, and is left out"));
                continue;
            }
            for carrier in listener.carriers() {
                let word = match carrier {
                    Carrier::Tcp => "tcp",
                    Carrier::Udp => "udp",
                };
                // names of ours may have in them whatever could stand between two of them
                let chain = format!("in_{number}");
                number += 1;
                let whose = format!("{balancer_name}/{name}");
                let verdict = match (listener.deny, carrier) {
                    (Denial::Reset, Carrier::Tcp) => "reject with tcp reset",
                    _ => "drop",
                };
                let address = match listener.bind {
                    Bind::Address(address) if !address.ip().is_unspecified() => match address.ip().to_canonical() {
                        IpAddr::V4(ip) => format!("ip daddr {ip} "),
                        IpAddr::V6(ip) => format!("ip6 daddr {ip} "),
                    },
                    _ => String::new(),
                };
                writeln!(jumps, "\t\t{address}{word} dport {port} goto {chain} comment \"{whose}\"")?;
                writeln!(chains, "\t# {whose}, {word}\n\tchain {chain} {{")?;
                if let Some(acl) = &listener.network_acl {
                    for (family, version) in [("ip", 4), ("ip6", 6)] {
                        let said = format!("comment \"network ACL {acl}\"");
                        writeln!(chains, "\t\t{family} saddr != @acl_{acl}_v{version} counter {verdict} {said}")?;
                    }
                }
                match config.allowed(balancer, port, *carrier) {
                    None => writeln!(chains, "\t\taccept")?,
                    Some(allowed) => {
                        let members: Networks = allowed
                            .groups
                            .iter()
                            .flat_map(|group| members(config, group, |targets| addresses(config, targets)))
                            .map(Into::into)
                            .collect();
                        set(&chain, &allowed.networks.union(&members), &mut sets)?;
                        writeln!(chains, "\t\tip saddr @{chain}_v4 accept\n\t\tip6 saddr @{chain}_v6 accept")?;
                        writeln!(chains, "\t\tcounter {verdict} comment \"security groups\"")?;
                    }
                }
                writeln!(chains, "\t}}")?;
            }
        }
    }
    // an empty table first, so that there is one to delete; nft applies a file as a whole or not at all
    write!(
        out,
        "table inet headworks {{}}\ndelete table inet headworks\ntable inet headworks {{\n{sets}\tchain input {{\n\
         \t\ttype filter hook input priority filter; policy accept;\n\t\tct state established,related accept\n{jumps}\t}}\n\
         {chains}}}\n"
    )
}

/// A set of each family.
fn set(name: &str, networks: &Networks, out: &mut String) -> fmt::Result {
    let (v4, v6): (Vec<_>, Vec<_>) = networks.iter().partition(|network| network.addr().is_ipv4());
    for (version, kind, networks) in [(4, "ipv4_addr", v4), (6, "ipv6_addr", v6)] {
        write!(out, "\tset {name}_v{version} {{\n\t\ttype {kind}; flags interval;\n")?;
        if !networks.is_empty() {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            writeln!(out, "\t\telements = {{ {} }}", networks.join(", "))?;
        }
        writeln!(out, "\t}}")?;
    }
    Ok(())
}

/// The addresses of a target group's targets, as names resolve now.
fn addresses(config: &Config, group: &Name) -> Vec<IpAddr> {
    let targets = config.target_groups.get(group).map(|group| &*group.targets).unwrap_or_default();
    let resolved = |host: &str, port: u16| match (host, port).to_socket_addrs() {
        Ok(addresses) => addresses.map(|address| address.ip()).collect(),
        Err(error) => {
            complain(format_args!("warning: {host} does not resolve, and is left out ({error})"));
            Vec::new()
        }
    };
    let of = |address: &Address| match address {
        Address::Ip(address) => vec![address.ip()],
        Address::Host { host, port } => resolved(host, *port),
        Address::Unix(_) => Vec::new(),
    };
    targets.iter().flat_map(|target| of(&target.address)).collect()
}
