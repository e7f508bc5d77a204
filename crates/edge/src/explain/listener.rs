//! From a URL to the listener that it leads to.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;

use headworks_model::config::Config;
use headworks_model::listener::Listener;
use headworks_model::load_balancer::LoadBalancer;
use headworks_model::primitive::{Bind, Name};

use crate::compile::build;
use crate::compile::plan::{ListenerKey, ListenerPlan};
use crate::observe::status::View;

/// Why a request cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotExplain {
    /// It is no request.
    Request(String),
    /// There is no such listener. Those there are.
    NoListener(String, Vec<String>),
    /// It may mean several listeners.
    Several(Vec<String>),
}

impl fmt::Display for CannotExplain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CannotExplain::Request(what) => write!(f, "no request: {what}"),
            CannotExplain::NoListener(wanted, there) if there.is_empty() => {
                write!(f, "no listener for {wanted}: there is none that speaks HTTP")
            }
            CannotExplain::NoListener(wanted, there) => {
                write!(f, "no listener for {wanted}; there are {}", there.join(", "))
            }
            CannotExplain::Several(names) => {
                write!(f, "several listeners take it: name one of {} with --listener", names.join(", "))
            }
        }
    }
}

impl Error for CannotExplain {}

/// The parts of a URL that a request is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) is_secure: bool,
    /// Host, and port where it is given.
    pub(super) authority: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
}

impl<'a> Url<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Url<'a>, CannotExplain> {
        let no = |what: &str| CannotExplain::Request(format!("{text}: {what}"));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| no("a URL with http:// or https:// is expected"))?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(no("only http and https are explained")),
        };
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.is_empty() || authority.contains('@') {
            return Err(no("a host is expected, without a user"));
        }
        match target {
            "" => Ok(Url { is_secure, authority, target: "/" }),
            _ if target.starts_with('/') => Ok(Url { is_secure, authority, target }),
            _ => Err(no("a path is expected before the query")),
        }
    }

    /// The port that it names, or that its scheme has.
    fn port(&self) -> (u16, Named) {
        let behind = self.authority.rsplit_once(':').map(|(_, port)| port);
        match behind.and_then(|port| port.parse().ok()) {
            Some(port) => (port, Named::Yes),
            None => (if self.is_secure { 443 } else { 80 }, Named::No),
        }
    }
}

/// Whether a URL says its port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Yes,
    No,
}

/// A listener that was found.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) balancer_name: &'a Name,
    pub(super) balancer: &'a LoadBalancer,
    pub(super) name: &'a Name,
    pub(super) listener: &'a Listener,
}

impl Found<'_> {
    fn label(&self) -> String {
        format!("{}/{}", self.balancer_name, self.name)
    }

    /// Where it listens.
    pub(super) fn address(&self, view: &View) -> Option<SocketAddr> {
        view.addresses.get(&build::key(self.balancer_name, self.name)).copied()
    }

    /// As it runs.
    pub(super) fn plan<'v>(&self, view: &'v View) -> Option<&'v ListenerPlan> {
        let key = build::key(self.balancer_name, self.name);
        view.plan.as_ref()?.listeners.iter().find(|plan| plan.key == key).map(|plan| &**plan)
    }

    fn port(&self, view: &View) -> u16 {
        self.address(view).map_or_else(
            || match self.listener.bind {
                Bind::Any(port) => port,
                Bind::Address(address) => address.port(),
            },
            |address| address.port(),
        )
    }
}

/// The listener of this key, if it is declared.
pub(super) fn of_key<'a>(config: &'a Config, key: &ListenerKey) -> Option<Found<'a>> {
    let (balancer_name, balancer) =
        config.load_balancers.iter().find(|(name, _)| name.as_str() == &*key.load_balancer)?;
    let (name, listener) = balancer.listeners.iter().find(|(name, _)| name.as_str() == &*key.listener)?;
    Some(Found { balancer_name, balancer, name, listener })
}

/// The listener that is named, or the one that a URL leads to. Without a port in the URL, and with no listener at the scheme's
/// own, the only one of that scheme: something stands before it that makes up for the difference.
pub(super) fn find<'a>(
    config: &'a Config,
    view: &View,
    url: &Url<'_>,
    named: Option<&str>,
) -> Result<Found<'a>, CannotExplain> {
    let all: Vec<Found<'a>> = config
        .load_balancers
        .iter()
        .flat_map(|(balancer_name, balancer)| {
            let listeners = balancer.listeners.iter();
            listeners.map(move |(name, listener)| Found { balancer_name, balancer, name, listener })
        })
        .filter(|found| found.listener.protocol.is_http())
        .collect();
    let wanted = named
        .map_or_else(|| format!("{}://{}", if url.is_secure { "https" } else { "http" }, url.authority), str::to_owned);
    let mut taking: Vec<Found<'a>> = match named {
        Some(named) => {
            all.iter().filter(|found| found.label() == named || found.name.as_str() == named).copied().collect()
        }
        None => {
            let (port, said) = url.port();
            let of_scheme = || all.iter().filter(|found| (found.listener.protocol.word() == "https") == url.is_secure);
            let at_port: Vec<Found<'a>> = of_scheme().filter(|found| found.port(view) == port).copied().collect();
            if at_port.is_empty() && said == Named::No { of_scheme().copied().collect() } else { at_port }
        }
    };
    match (taking.pop(), taking.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(CannotExplain::NoListener(wanted, all.iter().map(Found::label).collect())),
        (Some(last), false) => Err(CannotExplain::Several(taking.iter().chain([&last]).map(Found::label).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let rows = [
            ("http://a", Ok((false, "a", "/"))),
            ("https://a.example.com:8443/b?c=d#e", Ok((true, "a.example.com:8443", "/b?c=d"))),
            ("HTTP://[::1]:80/", Ok((false, "[::1]:80", "/"))),
            ("/only/a/path", Err("a URL with http:// or https:// is expected")),
            ("ftp://a/", Err("only http and https are explained")),
            ("http:///b", Err("a host is expected, without a user")),
            ("http://me@a/", Err("a host is expected, without a user")),
            ("http://a?b", Err("a path is expected before the query")),
        ];
        for (text, expected) in rows {
            let expected = expected
                .map(|(is_secure, authority, target)| Url { is_secure, authority, target })
                .map_err(|what| CannotExplain::Request(format!("{text}: {what}")));
            assert_eq!(Url::parse(text), expected, "{text}");
        }
    }
}
