//! Everything that TLS has of files: read when a configuration is built, looked at again while it runs. And what was
//! issued by ACME, as the control plane hands it in.
//!
//! It lives in the control thread. A configuration that names a file at fault is refused with its place; a file that is
//! at fault later changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use headworks_model::acme::NameSet;
use headworks_model::certificate as declared;
use headworks_model::config::Config;
use headworks_model::listener::{CertificateRef, Listener, MutualAuthentication};
use headworks_model::primitive::Name;
use headworks_model::target_group::{HttpVersion, ProxyProtocolVersion, TargetGroup, TargetTls};
use headworks_model::tls_policy::TlsPolicy;
use rustls::RootCertStore;

use super::certificate::{Certificate, Fault, Origin, Validity};
use super::client::ClientRule;
use super::dial::{self, Asked, Dial};
use super::listener::Terms;
use super::ticket::Tickets;
use super::watched::{Looked, Watched};
use crate::compile::build::{self, CannotRun};
use crate::compile::plan::ListenerKey;
use crate::upstream::announce::{Announces, Console};

/// What was read, and what it is for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vault {
    certificates: BTreeMap<Name, (declared::Certificate, Watched<Certificate>)>,
    listeners: BTreeMap<ListenerKey, Spec>,
    groups: BTreeMap<Name, GroupSpec>,
    /// By ACME: what was issued last, or what stands in for it.
    issued: BTreeMap<NameSet, Arc<Certificate>>,
    console: Option<Console>,
}

/// What a target group asks for.
#[derive(Clone, Debug)]
struct GroupSpec {
    is_secured: bool,
    announces: Announces,
    version: HttpVersion,
    /// Absent when not even health checks are over TLS.
    tls: Option<TargetTls>,
    /// Present when targets are verified.
    roots: Option<Watched<RootCertStore>>,
}

/// What a listener asks for.
#[derive(Clone, Debug)]
struct Spec {
    /// In the order of declaration.
    certificates: Vec<CertificateRef>,
    policy: TlsPolicy,
    /// Of ALPN, preferred first.
    protocols: &'static [&'static [u8]],
    mutual: Option<(MutualAuthentication, Watched<ClientRule>)>,
}

fn certificate_files(declared: &declared::Certificate) -> Vec<PathBuf> {
    [Some(&declared.certificate), Some(&declared.key), declared.ocsp.as_ref()].into_iter().flatten().cloned().collect()
}

fn rule_files(declared: &MutualAuthentication) -> Vec<PathBuf> {
    [declared.trust_store.as_ref(), declared.crl.as_ref()].into_iter().flatten().cloned().collect()
}

/// The fault of a file, with its place in the configuration.
fn placed(at: &str, files: [Option<&PathBuf>; 3], keys: [&str; 3], fault: &Fault) -> CannotRun {
    let file = keys.iter().position(|key| *key == fault.key).and_then(|i| files.get(i).copied().flatten());
    let file = file.map(|file| format!("{} ", file.display())).unwrap_or_default();
    CannotRun { path: format!("{at}.{}", fault.key), what: format!("{file}{}", fault.problem) }
}

fn certificate_fault(name: &Name, declared: &declared::Certificate, fault: &Fault) -> CannotRun {
    let files = [Some(&declared.certificate), Some(&declared.key), declared.ocsp.as_ref()];
    placed(&format!("certificates.{name}"), files, ["certificate", "key", "ocsp"], fault)
}

fn rule_fault(key: &ListenerKey, declared: &MutualAuthentication, fault: &Fault) -> CannotRun {
    let at = format!("load_balancers.{}.listeners.{}.mutual_authentication", key.load_balancer, key.listener);
    placed(&at, [declared.trust_store.as_ref(), declared.crl.as_ref(), None], ["trust_store", "crl", ""], fault)
}

fn roots_fault(name: &Name, tls: &TargetTls, fault: &Fault) -> CannotRun {
    placed(&format!("target_groups.{name}.tls"), [tls.ca.as_ref(), None, None], ["ca", "", ""], fault)
}

impl Vault {
    /// Where the program's own admin address is, and what it knows the program by.
    pub(crate) fn console_is(&mut self, console: Console) {
        self.console = Some(console);
    }

    /// Whether the targets of a group are the admin address.
    pub(crate) fn is_console(&self, group: &TargetGroup) -> bool {
        self.console.as_ref().is_some_and(|console| console.is_all_of(group))
    }

    /// Reads what a configuration names. What is unchanged since is not read again.
    pub(crate) fn load(&self, config: &Config, errors: &mut Vec<CannotRun>) -> Vault {
        let mut vault = Vault { console: self.console.clone(), ..Vault::default() };
        for (name, declared) in &config.certificates {
            let kept = self.certificates.get(name).filter(|(before, held)| before == declared && held.is_current());
            let read = || Watched::new(certificate_files(declared), || Certificate::read(name.as_str(), declared));
            let held = kept.map_or_else(read, |(_, held)| Ok(held.clone()));
            match held {
                Ok(held) => drop(vault.certificates.insert(name.clone(), (declared.clone(), held))),
                Err(fault) => errors.push(certificate_fault(name, declared, &fault)),
            }
        }
        for names in config.acme_names() {
            let held = self.issued.get(names).cloned();
            match held.map_or_else(|| Certificate::stand_in(names).map(Arc::new), Ok) {
                Ok(certificate) => drop(vault.issued.insert(names.clone(), certificate)),
                Err(problem) => {
                    let what = format!("the stand-in of {} {problem}", names.label());
                    errors.push(CannotRun { path: "acme".to_owned(), what });
                }
            }
        }
        for (balancer, settings) in &config.load_balancers {
            for (name, listener) in settings.listeners.iter().filter(|(_, listener)| listener.protocol.is_tls()) {
                let key = build::key(balancer, name);
                match self.spec(&key, listener) {
                    Ok(spec) => drop(vault.listeners.insert(key, spec)),
                    Err(error) => errors.push(error),
                }
            }
        }
        for (name, group) in &config.target_groups {
            match self.group_spec(name, group) {
                Ok(spec) => drop(vault.groups.insert(name.clone(), spec)),
                Err(error) => errors.push(error),
            }
        }
        vault
    }

    fn group_spec(&self, name: &Name, group: &TargetGroup) -> Result<GroupSpec, CannotRun> {
        let is_secured = group.is_secured();
        let tls = (is_secured || group.is_checked_over_tls()).then(|| group.tls.clone().unwrap_or_default());
        let roots = match tls.as_ref().filter(|tls| tls.verify) {
            None => None,
            Some(tls) => {
                let before = self.groups.get(name).filter(|before| before.tls.as_ref() == Some(tls));
                let kept = before.and_then(|before| before.roots.clone()).filter(Watched::is_current);
                let read = || Watched::new(tls.ca.iter().cloned().collect(), || dial::read_roots(tls.ca.as_deref()));
                Some(kept.map_or_else(read, Ok).map_err(|fault| roots_fault(name, tls, &fault))?)
            }
        };
        let announces = match self.console.as_ref().filter(|console| console.is_all_of(group)) {
            Some(console) => Announces { version: ProxyProtocolVersion::V2, pass: Some(console.pass.clone()) },
            None => Announces { version: group.proxy_protocol, pass: None },
        };
        Ok(GroupSpec { is_secured, announces, version: group.version, tls, roots })
    }

    /// What the targets of a group are spoken to with; none when that is `before`.
    ///
    /// # Errors
    /// When what it asks for makes no configuration.
    pub(crate) fn dial(&self, name: &Name, before: &Dial) -> Result<Option<Dial>, rustls::Error> {
        let Some(spec) = self.groups.get(name) else { return Ok(None) };
        let asked = spec.tls.as_ref().map(|tls| Asked {
            tls: tls.clone(),
            version: spec.version,
            roots: spec.roots.as_ref().map(|held| held.value().clone()),
            certificate: tls.certificate.as_ref().and_then(|name| Some(self.certificates.get(name)?.1.value().clone())),
        });
        if before.is_of(spec.is_secured, &spec.announces, asked.as_ref()) {
            return Ok(None);
        }
        Dial::new(spec.is_secured, spec.announces.clone(), asked).map(Some)
    }

    fn spec(&self, key: &ListenerKey, listener: &Listener) -> Result<Spec, CannotRun> {
        let mutual = match &listener.mutual_authentication {
            None => None,
            Some(declared) => {
                let before = self.listeners.get(key).and_then(|spec| spec.mutual.as_ref());
                let kept = before.filter(|(before, held)| before == declared && held.is_current());
                let read = || Watched::new(rule_files(declared), || ClientRule::read(declared));
                let held = kept.map_or_else(read, |(_, held)| Ok(held.clone()));
                let held = held.map_err(|fault| rule_fault(key, declared, &fault))?;
                Some((declared.clone(), held))
            }
        };
        let protocols = if listener.protocol.is_http() { super::ALPN } else { listener.alpn_policy.protocols() };
        Ok(Spec { certificates: listener.certificates.clone(), policy: listener.tls_policy, protocols, mutual })
    }

    /// What a listener meets clients with; none when it does not speak TLS.
    ///
    /// # Errors
    /// When what it asks for makes no configuration.
    pub(crate) fn terms(&self, key: &ListenerKey, tickets: &Tickets) -> Option<Result<Terms, rustls::Error>> {
        let spec = self.listeners.get(key)?;
        let certificates = spec.certificates.iter().filter_map(|certificate| match certificate {
            CertificateRef::Named(name) => self.certificates.get(name).map(|(_, held)| held.value().clone()),
            CertificateRef::Acme(names) => self.issued.get(names).cloned(),
        });
        let certificates = certificates.collect();
        let clients =
            spec.mutual.as_ref().map_or_else(|| Arc::new(ClientRule::none()), |(_, held)| held.value().clone());
        Some(Terms::new(key, certificates, spec.policy, spec.protocols, clients, tickets))
    }

    /// Shows what was issued for `names` in place of what was shown for them before.
    pub(crate) fn put(&mut self, names: &NameSet, certificate: Certificate) {
        self.issued.insert(names.clone(), Arc::new(certificate));
    }

    /// The life of what was issued for `names`; none while there is nothing but a stand-in.
    pub(crate) fn validity(&self, names: &NameSet) -> Option<Validity> {
        let held = self.issued.get(names).filter(|certificate| certificate.origin == Origin::Acme)?;
        Some(held.facts.validity)
    }

    /// All certificates, those of files first. What was issued for names that no listener asks for is not among them.
    pub(crate) fn certificates(&self) -> Vec<Arc<Certificate>> {
        let files = self.certificates.values().map(|(_, held)| held.value());
        let asks = |spec: &Spec, names: &NameSet| {
            spec.certificates.iter().any(|one| matches!(one, CertificateRef::Acme(asked) if asked == names))
        };
        let issued = self.issued.iter().filter(|(names, _)| self.listeners.values().any(|spec| asks(spec, names)));
        files.chain(issued.map(|(_, certificate)| certificate)).cloned().collect()
    }

    /// Looks whether files have changed, and reads those that have. True when something is new.
    pub(crate) fn look(&mut self) -> bool {
        let mut changed = false;
        for (name, (declared, held)) in &mut self.certificates {
            match held.look(|| Certificate::read(name.as_str(), declared)) {
                Looked::Same => {}
                Looked::Changed => {
                    tracing::info!(certificate = %name, "certificate read again");
                    changed = true;
                }
                Looked::Broken(fault) => {
                    let error = certificate_fault(name, declared, &fault);
                    tracing::error!(certificate = %name, %error, "certificate cannot be read again, the one before goes on");
                }
            }
        }
        for (key, spec) in &mut self.listeners {
            let Some((declared, held)) = &mut spec.mutual else { continue };
            match held.look(|| ClientRule::read(declared)) {
                Looked::Same => {}
                Looked::Changed => {
                    tracing::info!(load_balancer = %key.load_balancer, listener = %key.listener, "trust store read again");
                    changed = true;
                }
                Looked::Broken(fault) => {
                    let error = rule_fault(key, declared, &fault);
                    tracing::error!(%error, "trust store cannot be read again, the one before goes on");
                }
            }
        }
        for (name, spec) in &mut self.groups {
            let (Some(tls), Some(held)) = (&spec.tls, &mut spec.roots) else { continue };
            match held.look(|| dial::read_roots(tls.ca.as_deref())) {
                Looked::Same => {}
                Looked::Changed => {
                    tracing::info!(group = %name, "authorities of targets read again");
                    changed = true;
                }
                Looked::Broken(fault) => {
                    let error = roots_fault(name, tls, &fault);
                    tracing::error!(%error, "authorities of targets cannot be read again, those before go on");
                }
            }
        }
        changed
    }
}
