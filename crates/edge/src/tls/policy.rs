//! From a declared policy to what rustls is told: versions, ciphers, key exchange.

use std::sync::{Arc, LazyLock};

use headworks_model::tls_policy::{Ciphers, KeyExchange, TlsPolicy, TlsVersion};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion, quic};

/// Everything that is implemented.
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(default_provider()));
    &PROVIDER
}

/// Those of a policy's ciphers that are spoken.
fn suites(ciphers: Ciphers) -> Vec<SupportedCipherSuite> {
    let suites = provider().cipher_suites.iter();
    suites.filter(|suite| ciphers.names().contains(&cipher_name(Some(**suite)))).copied().collect()
}

/// The part of [`provider`] that a policy lets be used.
pub(crate) fn provider_of(policy: TlsPolicy) -> Arc<CryptoProvider> {
    use kx_group::{SECP256R1, SECP256R1MLKEM768, SECP384R1, X25519, X25519MLKEM768};
    let groups: &[&'static dyn SupportedKxGroup] = match policy.key_exchange() {
        KeyExchange::Classical => &[X25519, SECP256R1, SECP384R1],
        KeyExchange::P384 => &[SECP384R1],
        KeyExchange::PostQuantum => &[X25519MLKEM768, SECP256R1MLKEM768, X25519, SECP256R1, SECP384R1],
    };
    Arc::new(CryptoProvider {
        cipher_suites: policy.ciphers().iter().flat_map(|ciphers| suites(*ciphers)).collect(),
        kx_groups: groups.to_vec(),
        ..default_provider()
    })
}

/// What the first packets of QUIC are protected with, whatever a policy lists (RFC 9001 section 5.2).
pub(crate) fn initial_suite() -> Option<quic::Suite> {
    let suites = provider().cipher_suites.iter().filter_map(SupportedCipherSuite::tls13);
    suites.into_iter().find(|suite| suite.common.suite == CipherSuite::TLS13_AES_128_GCM_SHA256)?.quic_suite()
}

/// The versions that a policy lists and that are spoken.
pub(crate) fn versions(policy: TlsPolicy) -> Vec<&'static SupportedProtocolVersion> {
    let known = [(TlsVersion::Tls13, &rustls::version::TLS13), (TlsVersion::Tls12, &rustls::version::TLS12)];
    known.into_iter().filter(|(version, _)| policy.has(*version)).map(|(_, version)| version).collect()
}

/// What logs and header fields call a version.
pub(crate) fn version_name(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "-",
    }
}

/// What OpenSSL, and with it AWS, calls a cipher suite.
pub(crate) fn cipher_name(suite: Option<SupportedCipherSuite>) -> &'static str {
    match suite.map(|suite| suite.suite()) {
        Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
        Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
        Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256) => "ECDHE-ECDSA-AES128-GCM-SHA256",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) => "ECDHE-RSA-AES128-GCM-SHA256",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384) => "ECDHE-ECDSA-AES256-GCM-SHA384",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) => "ECDHE-RSA-AES256-GCM-SHA384",
        Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256) => "ECDHE-ECDSA-CHACHA20-POLY1305",
        Some(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256) => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_makes_a_configuration() {
        for policy in TlsPolicy::all() {
            let config = rustls::ServerConfig::builder_with_provider(provider_of(policy))
                .with_protocol_versions(&versions(policy));
            assert!(config.is_ok(), "{policy:?}: {:?}", config.err());
        }
    }

    /// What is implemented is what the model says is spoken, under the names that policies list.
    #[test]
    fn each_cipher_has_its_name() {
        let offered = provider_of(TlsPolicy::intermediate()).cipher_suites.len();
        assert_eq!(offered, provider().cipher_suites.len());
        for policy in TlsPolicy::all() {
            for ciphers in policy.ciphers() {
                let expected = if ciphers.is_spoken() { ciphers.names().len() } else { 0 };
                assert_eq!(suites(*ciphers).len(), expected, "{ciphers:?}");
            }
        }
    }
}
