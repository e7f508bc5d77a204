//! TLS policies: which versions and ciphers a listener offers (S2).
//!
//! Two of our own, and those of Elastic Load Balancing by their names, with what each of them lists there, so that an
//! API can say it. What of it can be spoken is narrower: TLS 1.2 and 1.3 with AEAD ciphers and ephemeral keys.

use std::fmt;

use serde_json::{Value, json};

use crate::declared::{Cx, Declared, Defs, nearest, text_of};
use crate::yaml::Node;

/// A version of TLS, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the versions'")]
pub enum TlsVersion {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

/// Ciphers that policies list together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ciphers {
    /// TLS 1.3: AES-128-GCM.
    Aes128,
    /// TLS 1.3: AES-256-GCM.
    Aes256,
    /// TLS 1.3: ChaCha20-Poly1305.
    Chacha,
    /// ECDHE with AES-128-GCM.
    EcdheAes128Gcm,
    /// ECDHE with AES-256-GCM.
    EcdheAes256Gcm,
    /// ECDHE with ChaCha20-Poly1305.
    EcdheChacha,
    /// ECDHE with AES-CBC and SHA-2.
    EcdheCbcSha2,
    /// ECDHE with AES-CBC and SHA-1.
    EcdheCbcSha1,
    /// RSA key transport with AES-GCM.
    RsaGcm,
    /// RSA key transport with AES-CBC and SHA-2.
    RsaCbcSha2,
    /// RSA key transport with AES-CBC and SHA-1.
    RsaCbcSha1,
    /// RSA key transport with Triple DES.
    TripleDes,
}

/// How keys are agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyExchange {
    /// Elliptic curves.
    Classical,
    /// Elliptic curves, P-384 alone (RFC 9151).
    P384,
    /// Hybrids with ML-KEM first, then elliptic curves.
    PostQuantum,
}

/// What a policy lists.
#[derive(Debug, PartialEq, Eq)]
struct Definition {
    name: &'static str,
    oldest: TlsVersion,
    newest: TlsVersion,
    ciphers: &'static [Ciphers],
    key_exchange: KeyExchange,
}

/// A TLS policy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TlsPolicy(&'static Definition);

use Ciphers::{
    Aes128, Aes256, Chacha, EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha1, EcdheCbcSha2, EcdheChacha, RsaCbcSha1,
    RsaCbcSha2, RsaGcm, TripleDes,
};
use KeyExchange::{Classical, P384, PostQuantum};
use TlsVersion::{Tls10, Tls11, Tls12, Tls13};

impl Ciphers {
    /// By the names of OpenSSL.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Aes128 => &["TLS_AES_128_GCM_SHA256"],
            Aes256 => &["TLS_AES_256_GCM_SHA384"],
            Chacha => &["TLS_CHACHA20_POLY1305_SHA256"],
            EcdheAes128Gcm => &["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"],
            EcdheAes256Gcm => &["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"],
            EcdheChacha => &["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"],
            EcdheCbcSha2 => &[
                "ECDHE-ECDSA-AES128-SHA256",
                "ECDHE-RSA-AES128-SHA256",
                "ECDHE-ECDSA-AES256-SHA384",
                "ECDHE-RSA-AES256-SHA384",
            ],
            EcdheCbcSha1 => {
                &["ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA", "ECDHE-ECDSA-AES256-SHA"]
            }
            RsaGcm => &["AES128-GCM-SHA256", "AES256-GCM-SHA384"],
            RsaCbcSha2 => &["AES128-SHA256", "AES256-SHA256"],
            RsaCbcSha1 => &["AES128-SHA", "AES256-SHA"],
            TripleDes => &["DES-CBC3-SHA"],
        }
    }

    /// Whether they are spoken: no CBC, no key transport.
    pub fn is_spoken(self) -> bool {
        matches!(self, Aes128 | Aes256 | Chacha | EcdheAes128Gcm | EcdheAes256Gcm | EcdheChacha)
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tls10 => "TLS 1.0",
            Tls11 => "TLS 1.1",
            Tls12 => "TLS 1.2",
            Tls13 => "TLS 1.3",
        })
    }
}

// The columns of AWS's tables of ciphers by policy; each is the one before and more.
const ONLY_13: &[Ciphers] = &[Aes128, Aes256, Chacha];
const ONLY_13_FIPS: &[Ciphers] = &[Aes128, Aes256];
const RES_13: &[Ciphers] = &[Aes128, Aes256, Chacha, EcdheAes128Gcm, EcdheAes256Gcm];
const RES_13_FIPS: &[Ciphers] = &[Aes128, Aes256, EcdheAes128Gcm, EcdheAes256Gcm];
const BASE_13: &[Ciphers] = &[Aes128, Aes256, Chacha, EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha2];
const BASE_13_FIPS: &[Ciphers] = &[Aes128, Aes256, EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha2];
const EXT0_13_FIPS: &[Ciphers] = &[Aes128, Aes256, EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha2, EcdheCbcSha1];
const EXT1_13: &[Ciphers] = &[Aes128, Aes256, Chacha, EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha2, RsaGcm, RsaCbcSha2];
const EXT1_13_FIPS: &[Ciphers] = &[Aes128, Aes256, EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha2, RsaGcm, RsaCbcSha2];
const EXT2_13: &[Ciphers] = &[
    Aes128,
    Aes256,
    Chacha,
    EcdheAes128Gcm,
    EcdheAes256Gcm,
    EcdheCbcSha2,
    EcdheCbcSha1,
    RsaGcm,
    RsaCbcSha2,
    RsaCbcSha1,
];
const EXT2_13_FIPS: &[Ciphers] =
    &[Aes128, Aes256, EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha2, EcdheCbcSha1, RsaGcm, RsaCbcSha2, RsaCbcSha1];
const CNSA_13: &[Ciphers] = &[Aes256];
const CNSA: &[Ciphers] = &[Aes256, EcdheAes256Gcm];
const RES: &[Ciphers] = &[EcdheAes128Gcm, EcdheAes256Gcm];
const RES_CBC: &[Ciphers] = &[EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha2];
const FORWARD_SECRET: &[Ciphers] = &[EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha2, EcdheCbcSha1];
const ONLY_12: &[Ciphers] = &[EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha2, RsaGcm, RsaCbcSha2];
const WIDE: &[Ciphers] = &[EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha2, EcdheCbcSha1, RsaGcm, RsaCbcSha2, RsaCbcSha1];
const WIDEST: &[Ciphers] =
    &[EcdheAes128Gcm, EcdheAes256Gcm, EcdheCbcSha2, EcdheCbcSha1, RsaGcm, RsaCbcSha2, RsaCbcSha1, TripleDes];

const fn policy(
    name: &'static str,
    oldest: TlsVersion,
    newest: TlsVersion,
    ciphers: &'static [Ciphers],
    key_exchange: KeyExchange,
) -> Definition {
    Definition { name, oldest, newest, ciphers, key_exchange }
}

/// Ours, then those of the pages "Security policies for your Application Load Balancer" and "... Network Load Balancer".
static POLICIES: &[Definition] = &[
    policy("modern", Tls13, Tls13, ONLY_13, PostQuantum),
    policy(
        "intermediate",
        Tls12,
        Tls13,
        &[Aes128, Aes256, Chacha, EcdheAes128Gcm, EcdheAes256Gcm, EcdheChacha],
        PostQuantum,
    ),
    policy("ELBSecurityPolicy-TLS13-1-3-PQ-2025-09", Tls13, Tls13, ONLY_13, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-2-PQ-2025-09", Tls12, Tls13, BASE_13, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", Tls12, Tls13, RES_13, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext1-PQ-2025-09", Tls12, Tls13, EXT1_13, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext2-PQ-2025-09", Tls12, Tls13, EXT2_13, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-0-PQ-2025-09", Tls10, Tls13, EXT2_13, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-3-2021-06", Tls13, Tls13, ONLY_13, Classical),
    policy("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", Tls12, Tls13, RES_13, Classical),
    policy("ELBSecurityPolicy-TLS13-1-2-2021-06", Tls12, Tls13, BASE_13, Classical),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", Tls12, Tls13, EXT1_13, Classical),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06", Tls12, Tls13, EXT2_13, Classical),
    policy("ELBSecurityPolicy-TLS13-1-1-2021-06", Tls11, Tls13, EXT2_13, Classical),
    policy("ELBSecurityPolicy-TLS13-1-0-2021-06", Tls10, Tls13, EXT2_13, Classical),
    policy("ELBSecurityPolicy-TLS13-1-3-FIPS-PQ-2025-09", Tls13, Tls13, ONLY_13_FIPS, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-2-FIPS-PQ-2025-09", Tls12, Tls13, BASE_13_FIPS, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-2-Res-FIPS-PQ-2025-09", Tls12, Tls13, RES_13_FIPS, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext0-FIPS-PQ-2025-09", Tls12, Tls13, EXT0_13_FIPS, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext1-FIPS-PQ-2025-09", Tls12, Tls13, EXT1_13_FIPS, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext2-FIPS-PQ-2025-09", Tls12, Tls13, EXT2_13_FIPS, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-0-FIPS-PQ-2025-09", Tls10, Tls13, EXT2_13_FIPS, PostQuantum),
    policy("ELBSecurityPolicy-TLS13-1-3-FIPS-2023-04", Tls13, Tls13, ONLY_13_FIPS, Classical),
    policy("ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04", Tls12, Tls13, BASE_13_FIPS, Classical),
    policy("ELBSecurityPolicy-TLS13-1-2-Res-FIPS-2023-04", Tls12, Tls13, RES_13_FIPS, Classical),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext0-FIPS-2023-04", Tls12, Tls13, EXT0_13_FIPS, Classical),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext1-FIPS-2023-04", Tls12, Tls13, EXT1_13_FIPS, Classical),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext2-FIPS-2023-04", Tls12, Tls13, EXT2_13_FIPS, Classical),
    policy("ELBSecurityPolicy-TLS13-1-1-FIPS-2023-04", Tls11, Tls13, EXT2_13_FIPS, Classical),
    policy("ELBSecurityPolicy-TLS13-1-0-FIPS-2023-04", Tls10, Tls13, EXT2_13_FIPS, Classical),
    policy("ELBSecurityPolicy-TLS13-1-3-RFC9151-FIPS-2023-07", Tls13, Tls13, CNSA_13, P384),
    policy("ELBSecurityPolicy-TLS13-1-2-RFC9151-FIPS-2023-07", Tls12, Tls13, CNSA, P384),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext0-RFC9151-FIPS-2023-07", Tls12, Tls13, CNSA, P384),
    policy("ELBSecurityPolicy-TLS13-1-2-RFC9151-INTEROP1-FIPS-2023-07", Tls12, Tls13, CNSA, P384),
    policy("ELBSecurityPolicy-TLS13-1-2-RFC9151-INTEROP2-FIPS-2023-07", Tls12, Tls13, CNSA, P384),
    policy("ELBSecurityPolicy-TLS13-1-2-RFC9151-INTEROP3-FIPS-2023-07", Tls12, Tls13, CNSA, P384),
    policy("ELBSecurityPolicy-TLS13-1-2-RFC9151-INTEROP4-FIPS-2023-07", Tls12, Tls13, CNSA, P384),
    policy("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", Tls12, Tls12, WIDE, Classical),
    policy("ELBSecurityPolicy-TLS-1-2-2017-01", Tls12, Tls12, ONLY_12, Classical),
    policy("ELBSecurityPolicy-TLS-1-1-2017-01", Tls11, Tls12, WIDE, Classical),
    policy("ELBSecurityPolicy-2016-08", Tls10, Tls12, WIDE, Classical),
    policy("ELBSecurityPolicy-2015-05", Tls10, Tls12, WIDE, Classical),
    policy("ELBSecurityPolicy-TLS-1-0-2015-04", Tls10, Tls12, WIDEST, Classical),
    policy("ELBSecurityPolicy-FS-1-2-Res-2020-10", Tls12, Tls12, RES, Classical),
    policy("ELBSecurityPolicy-FS-1-2-Res-2019-08", Tls12, Tls12, RES_CBC, Classical),
    policy("ELBSecurityPolicy-FS-1-2-2019-08", Tls12, Tls12, FORWARD_SECRET, Classical),
    policy("ELBSecurityPolicy-FS-1-1-2019-08", Tls11, Tls12, FORWARD_SECRET, Classical),
    policy("ELBSecurityPolicy-FS-2018-06", Tls10, Tls12, FORWARD_SECRET, Classical),
];

impl TlsPolicy {
    /// The policy of this name.
    pub fn named(name: &str) -> Option<TlsPolicy> {
        POLICIES.iter().find(|policy| policy.name == name).map(TlsPolicy)
    }

    /// All there are, ours first.
    pub fn all() -> impl Iterator<Item = TlsPolicy> {
        POLICIES.iter().map(TlsPolicy)
    }

    /// TLS 1.2 and 1.3, what is not said otherwise.
    pub fn intermediate() -> TlsPolicy {
        POLICIES.get(1).map_or(TlsPolicy(&POLICIES[0]), TlsPolicy)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The oldest version it lists.
    pub fn oldest(self) -> TlsVersion {
        self.0.oldest
    }

    /// The newest version it lists.
    pub fn newest(self) -> TlsVersion {
        self.0.newest
    }

    /// Whether it lists a version.
    pub fn has(self, version: TlsVersion) -> bool {
        (self.0.oldest..=self.0.newest).contains(&version)
    }

    /// The ciphers it lists, preferred first.
    pub fn ciphers(self) -> &'static [Ciphers] {
        self.0.ciphers
    }

    /// How keys are agreed on.
    pub fn key_exchange(self) -> KeyExchange {
        self.0.key_exchange
    }

    /// What it lists and is not spoken, if anything.
    pub fn unspoken(self) -> Option<String> {
        let versions: Vec<String> = [Tls10, Tls11].iter().filter(|v| self.has(**v)).map(ToString::to_string).collect();
        let ciphers = self.0.ciphers.iter().filter(|c| !c.is_spoken()).map(|c| c.names().len()).sum::<usize>();
        let mut parts = versions;
        if ciphers > 0 {
            parts.push(format!("{ciphers} ciphers with CBC or without forward secrecy"));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl fmt::Debug for TlsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Declared for TlsPolicy {
    fn expected() -> String {
        "modern, intermediate, or the name of a policy of Elastic Load Balancing such as \
         ELBSecurityPolicy-TLS13-1-2-2021-06"
            .to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        let text = text_of(node, Self::expected, cx)?;
        let Some(policy) = Self::named(text) else {
            let near = nearest(text, POLICIES.iter().map(|policy| policy.name));
            let hint = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            cx.wrong_kind(node, format!("{}{hint}", Self::expected()));
            return None;
        };
        if let Some(unspoken) = policy.unspoken() {
            cx.warn(node.mark, format!("{text} lists what is not spoken here: {unspoken}; the rest of it is offered"));
        }
        Some(policy)
    }

    fn write(&self) -> Value {
        self.0.name.into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "enum": POLICIES.iter().map(|policy| policy.name).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each policy leaves to be spoken, and what it is warned about.
    #[test]
    fn what_is_spoken() {
        let rows = [
            ("modern", "TLS 1.3..TLS 1.3", None),
            ("intermediate", "TLS 1.2..TLS 1.3", None),
            ("ELBSecurityPolicy-TLS13-1-3-2021-06", "TLS 1.3..TLS 1.3", None),
            ("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", "TLS 1.2..TLS 1.3", None),
            ("ELBSecurityPolicy-FS-1-2-Res-2020-10", "TLS 1.2..TLS 1.2", None),
            (
                "ELBSecurityPolicy-TLS13-1-2-2021-06",
                "TLS 1.2..TLS 1.3",
                Some("4 ciphers with CBC or without forward secrecy"),
            ),
            (
                "ELBSecurityPolicy-2016-08",
                "TLS 1.0..TLS 1.2",
                Some("TLS 1.0, TLS 1.1, 14 ciphers with CBC or without forward secrecy"),
            ),
        ];
        for (name, versions, unspoken) in rows {
            let policy = TlsPolicy::named(name).unwrap_or_else(|| panic!("there is no {name}"));
            assert_eq!(format!("{}..{}", policy.oldest(), policy.newest()), versions, "{name}");
            assert_eq!(policy.unspoken().as_deref(), unspoken, "{name}");
        }
    }

    #[test]
    fn each_policy_can_be_spoken_and_is_there_once() {
        let mut names = std::collections::HashSet::new();
        for policy in TlsPolicy::all() {
            assert!(names.insert(policy.name()), "{policy:?} is there twice");
            assert!(policy.newest() >= Tls12, "{policy:?}");
            assert!(policy.ciphers().iter().any(|ciphers| ciphers.is_spoken()), "{policy:?}");
            let is_13 = |ciphers: &&Ciphers| matches!(ciphers, Aes128 | Aes256 | Chacha);
            assert_eq!(policy.ciphers().iter().any(|c| is_13(&c)), policy.has(Tls13), "{policy:?}");
            assert_eq!(policy.ciphers().iter().any(|c| !is_13(&c)), policy.has(Tls12), "{policy:?}");
        }
        assert_eq!(TlsPolicy::intermediate().name(), "intermediate");
    }
}
