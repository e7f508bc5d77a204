//! Where targets and listeners are. Host names stay names here: resolving is I/O.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// Where a target listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// `ip:port` or `[ip6]:port`.
    Ip(SocketAddr),
    /// `host:port`: resolved, and resolved again as its TTL runs out.
    Host {
        /// The DNS name, lower case.
        host: Arc<str>,
        /// The TCP or UDP port.
        port: u16,
    },
    /// `unix:/path`: a stream socket in the file system.
    Unix(PathBuf),
}

/// Where a listener listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bind {
    /// `port: 8080`: every address of the machine, IPv4 and IPv6.
    Any(u16),
    /// `address: 127.0.0.1:8080`.
    Address(SocketAddr),
}

/// Why a text is not an [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// There is no `:port` at the end.
    NoPort,
    /// The port is not 1 to 65535.
    BadPort,
    /// Neither an IP address nor a DNS name.
    BadHost,
    /// `unix:` without an absolute path, or one longer than a socket's path may be.
    BadPath,
}

/// `sockaddr_un` holds 108 bytes with the closing zero.
const LONGEST_SOCKET_PATH: usize = 107;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let fine = path.starts_with('/') && path.len() <= LONGEST_SOCKET_PATH && !path.contains('\0');
            return if fine { Ok(Self::Unix(path.into())) } else { Err(AddressError::BadPath) };
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 { Err(AddressError::BadPort) } else { Ok(Self::Ip(address)) };
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
        if port.is_empty() {
            return Err(AddressError::NoPort);
        }
        if !is_host_name(host) {
            return Err(AddressError::BadHost);
        }
        match port.parse::<u16>() {
            Ok(port) if port > 0 && !text.contains('+') => {
                Ok(Self::Host { host: host.to_ascii_lowercase().into(), port })
            }
            _ => Err(AddressError::BadPort),
        }
    }
}

/// A DNS name whose last label is not a number (else a mistyped IPv4 address would be asked of the DNS).
fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(label) && !text.rsplit('.').next().is_some_and(number)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Bind {
    /// The port; 0 lets the system choose.
    pub fn port(self) -> u16 {
        match self {
            Self::Any(port) => port,
            Self::Address(address) => address.port(),
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(port) => write!(f, "*:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPort => "has no port",
            Self::BadPort => "has a port that is not 1 to 65535",
            Self::BadHost => "has neither an IP address nor a host name",
            Self::BadPath => "is not an absolute path of at most 107 bytes",
        })
    }
}

impl std::error::Error for AddressError {}
