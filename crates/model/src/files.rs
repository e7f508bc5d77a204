//! Which files are named: what is read, written or connected to by a path.
//!
//! They are named in the words of whoever declares a resource, and used with the rights of the program.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::action::Action;
use crate::config::Config;
use crate::primitive::Address;
use crate::resource::Kind;
use crate::target_group::Fallback;

/// What a file is named for: who may have one read may not have it served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileUse {
    /// Certificates, keys, and what others are verified by: read, and never told.
    Trust,
    /// An answer to clients.
    Serve,
    /// A log, which is written to.
    Append,
    /// A socket of a target.
    Connect,
}

impl FileUse {
    /// `serve`, as conditions of policies have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Serve => "serve",
            Self::Append => "append",
            Self::Connect => "connect",
        }
    }
}

impl Config {
    /// The files that a resource names, and the sockets of targets in the file system, as they are written.
    pub fn files(&self, kind: Kind, name: &str) -> Vec<(FileUse, &Path)> {
        let as_trust = |path| (FileUse::Trust, path);
        match kind {
            Kind::Certificate => self.certificates.get(name).map_or_else(Vec::new, |certificate| {
                let read = [Some(&certificate.certificate), Some(&certificate.key), certificate.ocsp.as_ref()];
                read.into_iter().flatten().map(PathBuf::as_path).map(as_trust).collect()
            }),
            Kind::TargetGroup => self.target_groups.get(name).map_or_else(Vec::new, |group| {
                let sockets = group.targets.iter().filter_map(|target| match &target.address {
                    Address::Unix(path) => Some((FileUse::Connect, path.as_path())),
                    Address::Ip(_) | Address::Host { .. } => None,
                });
                let authorities = group.tls.as_ref().and_then(|tls| tls.ca.as_deref()).map(as_trust);
                let answer = answer(&group.fallback).map(|path| (FileUse::Serve, path));
                sockets.chain(authorities).chain(answer).collect()
            }),
            Kind::LoadBalancer => self.load_balancers.get(name).map_or_else(Vec::new, |balancer| {
                let listeners = balancer.listeners.values().flat_map(|listener| {
                    let clients = listener.mutual_authentication.as_ref();
                    let clients = clients.into_iter().flat_map(|mutual| [&mutual.trust_store, &mutual.crl]);
                    let actions = listener.rules.iter().map(|rule| &rule.action).chain([&listener.default.action]);
                    let answers = actions.filter_map(answer_of).map(|path| (FileUse::Serve, path));
                    clients.filter_map(Option::as_deref).map(as_trust).chain(answers)
                });
                let log = balancer.access_log.as_ref().map(|log| (FileUse::Append, log.path.as_path()));
                listeners.chain(log).collect()
            }),
            Kind::SecurityGroup | Kind::NetworkAcl => Vec::new(),
        }
    }

    /// Makes the paths of all files whole: relative ones start at `folder`.
    pub fn make_files_absolute(&mut self, folder: &Path) {
        let whole = |path: &mut PathBuf| *path = folder.join(&*path);
        let authority = self.acme.as_mut().and_then(|acme| acme.ca.as_mut());
        [Some(&mut self.admin.data), self.admin.key_file.as_mut(), authority].into_iter().flatten().for_each(whole);
        for certificate in self.certificates.values_mut() {
            let read = [Some(&mut certificate.certificate), Some(&mut certificate.key), certificate.ocsp.as_mut()];
            read.into_iter().flatten().for_each(whole);
        }
        for group in self.target_groups.values_mut() {
            let authorities = group.tls.as_mut().and_then(|tls| tls.ca.as_mut());
            authorities.into_iter().chain(answer_mut(&mut group.fallback)).for_each(whole);
        }
        for balancer in self.load_balancers.values_mut() {
            balancer.access_log.iter_mut().for_each(|log| whole(&mut log.path));
            for listener in balancer.listeners.values_mut() {
                let clients = listener.mutual_authentication.as_mut();
                let clients = clients.into_iter().flat_map(|mutual| [&mut mutual.trust_store, &mut mutual.crl]);
                let default = answer_of_mut(&mut listener.default.action);
                clients.filter_map(Option::as_mut).chain(default).for_each(whole);
                // what others share is left to them
                if listener.rules.iter().any(|rule| answer_of(&rule.action).is_some_and(Path::is_relative)) {
                    let rules = Arc::make_mut(&mut listener.rules).iter_mut();
                    rules.filter_map(|rule| answer_of_mut(&mut rule.action)).for_each(whole);
                }
            }
        }
    }
}

fn answer(fallback: &Fallback) -> Option<&Path> {
    if let Fallback::File(file) = fallback { Some(&file.path) } else { None }
}

fn answer_mut(fallback: &mut Fallback) -> Option<&mut PathBuf> {
    if let Fallback::File(file) = fallback { Some(&mut file.path) } else { None }
}

fn answer_of(action: &Action) -> Option<&Path> {
    if let Action::Forward(forward) = action { forward.fallback.as_ref().and_then(answer) } else { None }
}

fn answer_of_mut(action: &mut Action) -> Option<&mut PathBuf> {
    if let Action::Forward(forward) = action { forward.fallback.as_mut().and_then(answer_mut) } else { None }
}
