//! All that runs during a bench, and one measured run against any of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::folder::Folder;
use super::load::{Generator, Talk, Work};
use super::machine::Programs;
use super::options::Options;
use super::origin::Origin;
use super::process::Process;
use super::proxy::headworks::{Headworks, Resilience, Rules};
use super::proxy::secret::Secret;
use super::proxy::{Door, Proxy, caddy, haproxy, nginx};
use super::sample::Sample;
use super::trouble::Trouble;

/// The processes of a bench. Fields end in the order they are declared: proxies, origin, folder.
pub(crate) struct Fleet {
    /// Headworks with one rule, then the one it is compared with, if any.
    pub(crate) headworks: Vec<Headworks>,
    /// Headworks with 10,000 rules, the same two.
    pub(crate) scaled: Vec<Headworks>,
    pub(crate) haproxy: Proxy,
    pub(crate) nginx: Proxy,
    pub(crate) caddy: Proxy,
    pub(crate) origin: Origin,
    pub(crate) secret: Secret,
    pub(crate) generator: Generator,
    pub(crate) programs: Programs,
    pub(crate) binaries: Vec<(&'static str, PathBuf)>,
    pub(crate) folder: Folder,
}

/// A proxy taking part in a case through one of its doors.
#[derive(Clone, Copy)]
pub(crate) struct Contender<'a> {
    proxy: &'a Proxy,
    door: Door,
    headworks: Option<&'a Headworks>,
}

impl Fleet {
    /// Starts everything.
    pub(crate) fn start(options: &Options, binary: PathBuf, programs: Programs) -> Result<Fleet, Trouble> {
        let folder = Folder::create(options.keep)?;
        let origin = Origin::start(&folder, &programs.nginx)?;
        let secret = Secret::make(&folder)?;
        let generator = Generator::new(&folder, programs.wrk.clone(), programs.h2load.clone(), &secret)?;
        let mut binaries = vec![("headworks", binary)];
        binaries.extend(options.before.clone().map(|before| ("before", before)));
        let start = |rules, suffix: &str| {
            let one = |(name, program): &(&str, PathBuf)| {
                let declared = (rules, Resilience::Plain);
                Headworks::start(&folder, program, &format!("{name}{suffix}"), declared, &origin, &secret)
            };
            binaries.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        Ok(Fleet {
            headworks: start(Rules::One, "")?,
            scaled: start(Rules::Many, ", 10,000 rules")?,
            haproxy: haproxy::start(&folder, &programs.haproxy, &origin, &secret)?,
            nginx: nginx::start(&folder, &programs.nginx, &origin, &secret)?,
            caddy: caddy::start(&folder, &programs.caddy, &origin, &secret)?,
            secret,
            origin,
            generator,
            programs,
            binaries,
            folder,
        })
    }

    /// Ours (and the one before), HAProxy, nginx.
    pub(crate) fn everybody(&self) -> Vec<Contender<'_>> {
        let peers = [&self.haproxy, &self.nginx].into_iter().filter_map(Contender::of_peer);
        self.headworks.iter().filter_map(Contender::of).chain(peers).collect()
    }

    /// Those who speak HTTP/3: ours (and the one before), Caddy.
    pub(crate) fn speaking_http3(&self) -> Vec<Contender<'_>> {
        self.headworks.iter().filter_map(Contender::of).chain(Contender::of_peer(&self.caddy)).collect()
    }

    /// Those who carry datagrams: ours (and the one before), nginx by each of its doors for them.
    pub(crate) fn carrying_datagrams(&self) -> Vec<Contender<'_>> {
        let ours = self.headworks.iter().map(|headworks| (&headworks.proxy, Some(headworks)));
        let all = ours.chain([(&self.nginx, None)]);
        all.flat_map(|(proxy, headworks)| {
            proxy.datagrams.iter().map(move |door| Contender { proxy, door: *door, headworks })
        })
        .collect()
    }

    /// One measured run.
    pub(crate) fn measure(&self, contender: &Contender<'_>, work: Work, length: Duration) -> Result<Sample, Trouble> {
        let process = &contender.proxy.process;
        let before = process.usage()?;
        let address = match work.talk {
            Talk::Plain | Talk::Steady(_) | Talk::Datagrams => contender.door.address,
            Talk::Grpc => contender.proxy.calls,
            Talk::Secure | Talk::Handshakes | Talk::Resumed | Talk::Http2 | Talk::Http3 => contender.proxy.secure,
            Talk::Carried | Talk::CarriedOnce => contender.proxy.carried,
        };
        let counted = self.generator.run(address, work, length)?;
        let after = process.usage()?;
        contender.headworks.map_or(Ok(()), Headworks::empty_log)?;
        if counted.requests == 0 {
            return Err(Trouble::Invalid(format!("{} answered no request", contender.name())));
        }
        Ok(Sample {
            cpu_micros: (after.cpu.saturating_sub(before.cpu)).as_secs_f64() * 1e6 / counted.requests as f64,
            waited: after.waited.saturating_sub(before.waited).as_secs_f64() / counted.duration.as_secs_f64(),
            rate: counted.requests as f64 / counted.duration.as_secs_f64(),
            p50: counted.p50,
            p99: counted.p99,
            resident: after.resident,
            failed: counted.failed,
        })
    }
}

impl<'a> Contender<'a> {
    /// Headworks by its listener.
    pub(crate) fn of(headworks: &'a Headworks) -> Option<Contender<'a>> {
        let door = *headworks.proxy.doors.first()?;
        Some(Contender { proxy: &headworks.proxy, door, headworks: Some(headworks) })
    }

    fn of_peer(proxy: &'a Proxy) -> Option<Contender<'a>> {
        Some(Contender { proxy, door: *proxy.doors.first()?, headworks: None })
    }

    /// What it runs in.
    pub(crate) fn process(&self) -> &'a Process {
        &self.proxy.process
    }

    /// Where its door is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.door.address
    }

    /// The same proxy by each of its doors.
    pub(crate) fn doors(self) -> impl Iterator<Item = Contender<'a>> {
        self.proxy.doors.iter().map(move |door| Contender { door: *door, ..self })
    }

    /// Its name in tables.
    pub(crate) fn name(&self) -> String {
        let Proxy { name, .. } = self.proxy;
        if self.door.setting.is_empty() { name.clone() } else { format!("{name} ({})", self.door.setting) }
    }
}
