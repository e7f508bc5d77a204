//! Certificates by ACME (RFC 8555): which authority issues them, to whom, and how it is shown who serves a name.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::declared::{
    Codec as _, Cx, Declared, Defs, Fields, Host, Lasts, NonEmpty, OneOrMore, Optional, choice, declared, parsed,
};
use crate::yaml::Node;

/// The production directory of Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

declared! {
    /// The authority that issues what listeners ask for by `{ acme: [names] }`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[check = check_acme]
    pub struct Acme {
        /// Where the authority's directory is; default Let's Encrypt.
        pub directory: DirectoryUrl = DirectoryUrl(LETS_ENCRYPT.to_owned()),
        /// PEM file of the authorities that the directory's own certificate is verified by; without it, those of the system.
        pub ca: Option<PathBuf> = None,
        /// Mail addresses that the authority may write to.
        #[via = OneOrMore]
        pub email: Vec<Email> = Vec::new(),
        /// That the authority's terms of service are agreed to. Nothing is asked of it without.
        pub terms_agreed: bool,
        /// The account at the authority that this one is bound to, where it asks for one (RFC 8555 section 7.3.4).
        pub external_account: Option<ExternalAccount> = None,
        /// How it is shown that a name is served here; default `auto`.
        pub challenge: ChallengeChoice = ChallengeChoice::Auto,
        /// How long before its end a certificate is renewed; default a third of its life.
        #[via = Optional<Lasts<1_000, 31_536_000_000>>]
        pub renew_before: Option<Duration> = None,
    }
}

declared! {
    /// What an authority gives to its customers for an account by ACME.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ExternalAccount {
        /// The key's identifier.
        pub kid: KeyId,
        /// The key, in base64url.
        pub hmac_key: HmacKey,
    }
}

choice! {
    /// How it is shown that a name is served here.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum ChallengeChoice {
        /// A request to port 80 of the name.
        Http01 = "http-01",
        /// A handshake with port 443 of the name.
        TlsAlpn01 = "tls-alpn-01",
        /// `tls-alpn-01`, and `http-01` after it has failed where there is a listener for it.
        Auto = "auto",
    }
}

/// Where this is in the canonical form: a secret however it was written.
pub(crate) const SECRET: &str = "acme.external_account.hmac_key";

fn check_acme<'a>(acme: &Acme, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if !acme.terms_agreed {
        fields.wrong("terms_agreed", "is false", "true, once you agree to the authority's terms of service", cx);
    }
}

/// Declares a text that is checked once: its type, what it is, whether a text is one, what is wrong with one that is not.
macro_rules! text {
    ($(#[$attribute:meta])* $name:ident, $expected:literal, $is:expr, $wrong:literal, $schema:tt) => {
        $(#[$attribute])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// As it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Declared for $name {
            fn expected() -> String {
                $expected.to_owned()
            }

            fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
                let is: fn(&str) -> bool = $is;
                parsed(node, Self::expected, cx, |text| {
                    if is(text) { Ok(Self(text.to_owned())) } else { Err($wrong) }
                })
            }

            fn write(&self) -> Value {
                self.as_str().into()
            }

            fn schema(_defs: &mut Defs) -> Value {
                json!($schema)
            }
        }
    };
}

text! {
    /// The URL of a directory, `https` only.
    #[derive(Debug)]
    DirectoryUrl, "a URL such as https://acme.example.com/directory", is_directory, "is not an https URL",
    { "type": "string", "format": "uri", "pattern": "^https://" }
}

text! {
    /// A mail address.
    #[derive(Debug)]
    Email, "a mail address such as admin@example.com", is_email, "is not a mail address",
    { "type": "string", "format": "email" }
}

text! {
    /// The identifier of an external account's key.
    #[derive(Debug)]
    KeyId, "1 to 256 visible characters", is_key_id, "is not a key's identifier",
    { "type": "string", "minLength": 1, "maxLength": 256 }
}

text! {
    /// The key of an external account, in base64url; shown by nothing but [`HmacKey::as_str`].
    HmacKey, "a key in base64url, from ${env:...} or ${file:...}", is_base64url, "is not base64url",
    { "type": "string", "pattern": "^[A-Za-z0-9_-]+={0,2}$" }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn is_directory(text: &str) -> bool {
    let host = text.strip_prefix("https://").map(|rest| rest.split('/').next().unwrap_or_default());
    let has_host = host.is_some_and(|host| !host.is_empty() && !host.contains(['@', '?', '#']));
    has_host && text.len() <= 2048 && text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&b))
}

/// What an authority can be told in a `mailto:` URL without lists and parameters (RFC 8555 section 7.3).
fn is_email(text: &str) -> bool {
    let is_graphic = text.bytes().all(|b| b.is_ascii_graphic() && !b",?<>\"%:".contains(&b));
    let parts = text.split_once('@');
    is_graphic
        && text.len() <= 254
        && parts.is_some_and(|(who, at)| !who.is_empty() && at.contains('.') && !at.contains('@'))
}

fn is_key_id(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_base64url(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let is_padded = matches!(text.len() - digits.len(), 0) || text.len().is_multiple_of(4);
    let fits = (1..=4096).contains(&digits.len()) && digits.len() % 4 != 1 && text.len() - digits.len() <= 2;
    fits && is_padded && digits.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// The names that one certificate is issued for: in order, none twice, at least one. Sets that are equal share one
/// certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameSet(Vec<String>);

impl NameSet {
    /// What authorities take in one order.
    const MOST: usize = 100;

    /// The names, in lower case.
    pub fn iter(&self) -> std::slice::Iter<'_, String> {
        self.0.iter()
    }

    /// Whether `name`, in lower case, is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|one| one == name)
    }

    /// One word for the whole set, the same in every version, and different for different sets: a name alone as it is,
    /// else the first with a hash of all.
    pub fn label(&self) -> String {
        match self.0.as_slice() {
            [name] if name.len() <= 128 => name.clone(),
            names => {
                let first = names.first().map_or("", String::as_str);
                format!("{}+{:016x}", first.get(..first.len().min(64)).unwrap_or_default(), fnv(names))
            }
        }
    }
}

/// FNV-1a over the names, each with an end.
fn fnv(names: &[String]) -> u64 {
    let bytes = names.iter().flat_map(|name| name.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Declared for NameSet {
    fn expected() -> String {
        format!("1 to {} DNS names", Self::MOST)
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        let mut names: Vec<String> = NonEmpty::<Host>::read(node, cx)?;
        names.sort_unstable();
        names.dedup();
        if names.len() > Self::MOST {
            cx.wrong(node, format!("has {} names", names.len()), Self::expected());
            return None;
        }
        Some(Self(names))
    }

    fn write(&self) -> Value {
        json!(self.0)
    }

    fn schema(defs: &mut Defs) -> Value {
        <NonEmpty<Host> as crate::declared::Codec<Vec<String>>>::schema(defs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> NameSet {
        NameSet(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn labels_tell_sets_apart() {
        assert_eq!(set(&["a.example.com"]).label(), "a.example.com");
        assert_eq!(set(&["a.example.com", "b.example.com"]).label(), "a.example.com+9f69282d92767952");
        let long = "a".repeat(60) + "." + &"b".repeat(60) + "." + &"c".repeat(60) + ".example.com";
        assert!(set(&[&long]).label().len() < 100);
        assert_ne!(set(&["a.b", "c.d"]).label(), set(&["a.b", "c.de"]).label());
        assert_ne!(set(&["a.b", "c.d", "e.f"]).label(), set(&["a.b", "c.de.f"]).label());
    }

    #[test]
    fn texts() {
        type Row<'a> = (fn(&str) -> bool, &'a str, bool);
        let rows: [Row<'_>; 17] = [
            (is_directory, "https://acme.example.com/directory", true),
            (is_directory, "https://127.0.0.1:14000/dir", true),
            (is_directory, "http://acme.example.com/directory", false),
            (is_directory, "https:///directory", false),
            (is_directory, "https://a b/", false),
            (is_directory, "https://user@host/", false),
            (is_email, "admin@example.com", true),
            (is_email, "admin", false),
            (is_email, "a@b.c?subject=x", false),
            (is_email, "a@b.c,d@e.f", false),
            (is_key_id, "kid-1", true),
            (is_key_id, "kid 1", false),
            (is_base64url, "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W", true),
            (is_base64url, "YWI=", true),
            (is_base64url, "YWI==", false),
            (is_base64url, "a+b/", false),
            (is_base64url, "abcde", false),
        ];
        for (is, text, expected) in rows {
            assert_eq!(is(text), expected, "{text}");
        }
        assert_eq!(format!("{:?}", HmacKey("secret".to_owned())), "***");
    }
}
