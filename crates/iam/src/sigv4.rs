//! AWS Signature Version 4: reading what a request claims, checking it, and signing.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256, digest};
use aws_lc_rs::hmac;

use crate::hex::hex;
use crate::percent::{decoded, encoded};
use crate::time::{basic, parse_basic};

/// The service that requests are signed for.
pub const SERVICE: &str = "headworks";
/// The region that they are signed for.
pub const REGION: &str = "local";
/// A request is good for so many seconds before and after the time that it says.
pub const WINDOW: u64 = 300;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// In capitals.
    pub method: &'a str,
    /// As on the wire, still encoded.
    pub path: &'a str,
    /// As on the wire, without `?`.
    pub query: &'a str,
    /// Names in lower case, values as text.
    pub fields: &'a [(String, String)],
    /// What it brings.
    pub body: Payload<'a>,
}

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// Too long to be waited for before it is known who sends it. Its hash is what `x-amz-content-sha256` says, and whoever
    /// takes it holds it against that.
    Declared,
}

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// There is none.
    Missing,
    /// It is not by the grammar.
    Malformed(&'static str),
    /// It is for another service, region or day.
    Scope,
    /// It was made too long ago, or too far ahead.
    Expired,
    /// What must be signed is not.
    Unsigned,
    /// The body is not the one that was signed.
    Body,
    /// The body is still to come, and its hash has not been said.
    Undeclared,
    /// It is not that of the key, or of another request.
    Mismatch,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the request is not signed"),
            Self::Malformed(what) => write!(f, "the signature cannot be read: {what}"),
            Self::Scope => {
                write!(
                    f,
                    "the signature is not for service {SERVICE}, region {REGION} and the day that the request says"
                )
            }
            Self::Expired => {
                write!(
                    f,
                    "the request was signed more than {} minutes ago or ahead of now: look at the clocks",
                    WINDOW / 60
                )
            }
            Self::Unsigned => f.write_str("host, x-amz-date and every other x-amz- field must be signed"),
            Self::Body => f.write_str("x-amz-content-sha256 is not the hash of the body"),
            Self::Undeclared => {
                f.write_str("x-amz-content-sha256 is missing: it must say the hash of a body this long")
            }
            Self::Mismatch => f.write_str("the signature is not that of this key and this request"),
        }
    }
}

impl std::error::Error for SignatureError {}

/// What a signed request says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The access key.
    pub key: String,
    /// The token of a session.
    pub token: Option<String>,
    date: String,
    at: u64,
    signed: Vec<String>,
    signature: String,
}

impl Claim {
    /// Reads what `presented` claims.
    ///
    /// # Errors
    /// When it claims nothing that can be checked.
    pub fn read(presented: &Presented<'_>) -> Result<Self, SignatureError> {
        let text = presented.field("authorization").ok_or(SignatureError::Missing)?;
        let rest = text.strip_prefix(ALGORITHM).ok_or(SignatureError::Malformed("it is not AWS4-HMAC-SHA256"))?;
        let part = |name: &str| {
            let mut parts = rest.split(',').map(str::trim);
            parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        let credential = part("Credential").ok_or(SignatureError::Malformed("it has no Credential"))?;
        let signed = part("SignedHeaders").ok_or(SignatureError::Malformed("it has no SignedHeaders"))?;
        let signature = part("Signature").ok_or(SignatureError::Malformed("it has no Signature"))?;
        let mut scope = credential.rsplitn(5, '/');
        let mut next = || scope.next().unwrap_or_default();
        let (last, service, region, day, key) = (next(), next(), next(), next(), next());
        let date = presented.field("x-amz-date").ok_or(SignatureError::Malformed("there is no x-amz-date"))?;
        let at =
            parse_basic(date).ok_or(SignatureError::Malformed("x-amz-date is no time such as 20150830T123600Z"))?;
        if last != "aws4_request" || service != SERVICE || region != REGION || !date.starts_with(day) || day.len() != 8
        {
            return Err(SignatureError::Scope);
        }
        if key.is_empty() || key.len() > 128 {
            return Err(SignatureError::Malformed("it has no access key"));
        }
        let signed: Vec<String> = signed.split(';').map(str::to_owned).collect();
        let must = |name: &str| name == "host" || name.starts_with("x-amz-");
        let is_signed = |name: &str| signed.iter().any(|signed| signed == name);
        let mut names = presented.fields.iter().map(|(name, _)| name.as_str());
        if !is_signed("host") || names.any(|name| must(name) && !is_signed(name)) {
            return Err(SignatureError::Unsigned);
        }
        Ok(Self {
            key: key.to_owned(),
            token: presented.field("x-amz-security-token").map(str::to_owned),
            date: date.to_owned(),
            at,
            signed,
            signature: signature.to_owned(),
        })
    }

    /// Checks the claim with the key's secret at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn verify(&self, presented: &Presented<'_>, secret: &str, now: u64) -> Result<(), SignatureError> {
        let body = presented.content_hash().ok_or(SignatureError::Undeclared)?;
        if presented.declared().is_some_and(|said| said != body) {
            return Err(SignatureError::Body);
        }
        // one that is gone would be as good as one that is empty
        if self.signed.iter().any(|name| presented.field(name).is_none()) {
            return Err(SignatureError::Mismatch);
        }
        let expected = signature(presented, &self.signed, &self.date, &body, secret);
        if verify_slices_are_equal(expected.as_bytes(), self.signature.as_bytes()).is_err() {
            return Err(SignatureError::Mismatch);
        }
        if self.at.abs_diff(now) > WINDOW { Err(SignatureError::Expired) } else { Ok(()) }
    }
}

/// The fields that sign a request of a host, to be added to it.
pub fn sign(
    presented: &Presented<'_>,
    key: &str,
    secret: &str,
    token: Option<&str>,
    now: u64,
) -> Vec<(&'static str, String)> {
    let date = basic(now);
    let mut added = vec![("x-amz-date", date.clone())];
    added.extend(token.map(|token| ("x-amz-security-token", token.to_owned())));
    let mut fields = presented.fields.to_vec();
    fields.extend(added.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let mut signed: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
    signed.sort_unstable();
    signed.dedup();
    let body = presented.content_hash().unwrap_or_default();
    let with_fields = Presented { fields: &fields, ..*presented };
    let signature = signature(&with_fields, &signed, &date, &body, secret);
    let day = date.get(..8).unwrap_or_default();
    let authorization = format!(
        "{ALGORITHM} Credential={key}/{day}/{REGION}/{SERVICE}/aws4_request, SignedHeaders={}, Signature={signature}",
        signed.join(";")
    );
    added.push(("authorization", authorization));
    added
}

/// The hash of a body, as `x-amz-content-sha256` says it.
pub fn content_hash(body: &[u8]) -> String {
    hex(digest(&SHA256, body).as_ref())
}

/// The same of a body that comes in parts.
pub struct ContentHash(Context);

impl Default for ContentHash {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl ContentHash {
    /// Takes the next part in.
    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The hash of all of them.
    pub fn finish(self) -> String {
        hex(self.0.finish().as_ref())
    }
}

impl Presented<'_> {
    fn declared(&self) -> Option<&str> {
        self.field("x-amz-content-sha256")
    }

    /// The hash of what it brings; none when that is still to come and its hash has not been said.
    pub fn content_hash(&self) -> Option<String> {
        match self.body {
            Payload::Whole(body) => Some(content_hash(body)),
            Payload::Declared => self.declared().map(str::to_owned),
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

fn signature(presented: &Presented<'_>, signed: &[String], date: &str, body: &str, secret: &str) -> String {
    let mut fields = String::new();
    for name in signed {
        let values: Vec<String> =
            presented.fields.iter().filter(|(found, _)| found == name).map(|(_, value)| squeezed(value)).collect();
        fields.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let canonical = format!(
        "{}\n{}\n{}\n{fields}\n{}\n{body}",
        presented.method,
        canonical_path(presented.path),
        canonical_query(presented.query),
        signed.join(";"),
    );
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{REGION}/{SERVICE}/aws4_request");
    let hashed = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{hashed}");
    let mac = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let key = [day, REGION, SERVICE, "aws4_request"]
        .iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, text| mac(&key, text).as_ref().to_vec());
    hex(mac(&key, &to_sign).as_ref())
}

/// Without space around it, and one space for many inside.
fn squeezed(value: &str) -> String {
    value.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Dot segments and empty ones taken out, then each byte encoded: what was encoded is so twice.
fn canonical_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if path.len() > 1 && path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    let encoded: Vec<String> = kept.iter().map(|segment| encoded(segment.as_bytes())).collect();
    format!("/{}{end}", encoded.join("/"))
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded(decoded(name)), encoded(decoded(value)))
        })
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::{Claim, Payload, Presented, SignatureError, canonical_query, sign};

    #[test]
    fn what_is_signed_is_there_though_it_be_empty() {
        let own = [("host", "a"), ("x-empty", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let unsigned = Presented { method: "GET", path: "/", query: "", fields: &own, body: Payload::Whole(b"") };
        let added = sign(&unsigned, "AK", "secret", None, 0).into_iter().map(|(name, value)| (name.to_owned(), value));
        let mut fields: Vec<_> = own.iter().cloned().chain(added).collect();
        let verified = |fields: &[(String, String)]| {
            let presented = Presented { fields, ..unsigned };
            Claim::read(&presented).and_then(|claim| claim.verify(&presented, "secret", 0))
        };
        assert_eq!(verified(&fields), Ok(()));
        fields.retain(|(name, _)| name != "x-empty");
        assert_eq!(verified(&fields), Err(SignatureError::Mismatch));
    }

    #[test]
    fn each_query_is_signed_as_what_it_says() {
        for (query, canonical) in [
            ("b=2&a=1&&a=%30", "a=0&a=1&b=2"),
            ("a=%4a%4A", "a=JJ"),
            ("a=%+1&b=%-1", "a=%25%2B1&b=%25-1"),
            ("a=%1&b=%g0&%", "%25=&a=%251&b=%25g0"),
            ("a", "a="),
        ] {
            assert_eq!(canonical_query(query), canonical, "{query}");
        }
    }
}
