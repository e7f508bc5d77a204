//! The values of conditions: which texts can be a host, a path, a method, a header or a query parameter.

use std::collections::HashSet;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::condition::{Conditions, HeaderCondition, QueryMatch};
use crate::declared::{Codec, Cx, Declared, Defs, NonEmpty, Optional, Plain, Step, Token, declared, parsed};
use crate::primitive::{Pattern, TextMatch};
use crate::yaml::Node;

/// A host (R6), a single label and an IP address included: people test on loopback.
pub(crate) struct HostValue;

impl Codec<TextMatch> for HostValue {
    fn expected() -> String {
        "a host such as shop.example.com or *.example.com, or { regex: ... }".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<TextMatch> {
        let value = TextMatch::read(node, cx)?;
        fitting(value, node, cx, Self::expected, is_host)
    }

    fn write(value: &TextMatch) -> Value {
        value.write()
    }

    fn schema(defs: &mut Defs) -> Value {
        TextMatch::schema(defs)
    }
}

fn is_host(text: &str) -> Result<(), &'static str> {
    let literal = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if literal.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if text.contains(':') {
        return Err("has a port, and hosts are compared without");
    }
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-._*?".contains(&b);
    if text.is_empty() || !text.bytes().all(fine) {
        return Err("has characters that no host has");
    }
    let Some((_, last)) = text.rsplit_once('.') else { return Ok(()) };
    let letters = !last.is_empty() && last.bytes().all(|b| b.is_ascii_alphabetic());
    // A top level of other scripts is written so on the wire.
    let international = last.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"));
    if letters || international { Ok(()) } else { Err("has other than letters after the last dot") }
}

/// A path (R7).
pub(crate) struct PathValue;

impl Codec<TextMatch> for PathValue {
    fn expected() -> String {
        "a path such as /img/*, of A-Za-z0-9 and _-.$/~\"'@:+&*?, or { regex: ... }".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<TextMatch> {
        let value = TextMatch::read(node, cx)?;
        if let TextMatch::Wildcard(pattern) = &value
            && !pattern.as_str().starts_with(['/', '*', '?'])
        {
            cx.warn(node.mark, "can never match: every path begins with /");
        }
        fitting(value, node, cx, Self::expected, |text| {
            let fine = |b: u8| b.is_ascii_alphanumeric() || b"_-.$/~\"'@:+&*?\\".contains(&b);
            if !text.is_empty() && text.bytes().all(fine) {
                Ok(())
            } else {
                Err("has characters that no path here has")
            }
        })
    }

    fn write(value: &TextMatch) -> Value {
        value.write()
    }

    fn schema(defs: &mut Defs) -> Value {
        TextMatch::schema(defs)
    }
}

fn fitting<'a>(
    value: TextMatch,
    node: &'a Node,
    cx: &mut Cx<'a>,
    expected: fn() -> String,
    fits: impl Fn(&str) -> Result<(), &'static str>,
) -> Option<TextMatch> {
    if let TextMatch::Wildcard(pattern) = &value
        && let Err(what) = fits(pattern.as_str())
    {
        let shown = node.as_scalar().map(|scalar| scalar.shown()).unwrap_or_default();
        cx.wrong(node, format!("{shown} {what}"), expected());
        return None;
    }
    Some(value)
}

/// A method (R5): letters in upper case, `-` and `_`, at most 40.
pub(crate) struct MethodWord;

impl Codec<String> for MethodWord {
    fn expected() -> String {
        "a method in upper case such as GET".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<String> {
        parsed(node, Self::expected, cx, |text| {
            let fine = |b: u8| b.is_ascii_uppercase() || b == b'-' || b == b'_';
            let fits = (1..=40).contains(&text.len()) && text.bytes().all(fine);
            if fits { Ok(text.to_owned()) } else { Err("is not a method") }
        })
    }

    fn write(value: &String) -> Value {
        value.as_str().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "pattern": "^[A-Z_-]{1,40}$", "examples": ["GET", "POST"] })
    }
}

/// A server name of a ClientHello, with wildcards.
pub(crate) struct ServerName;

impl Codec<Pattern> for ServerName {
    fn expected() -> String {
        "a server name such as db.example.com or *.example.com".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Pattern> {
        let pattern = Pattern::read(node, cx)?;
        match fitting(TextMatch::Wildcard(pattern), node, cx, Self::expected, is_host) {
            Some(TextMatch::Wildcard(pattern)) => Some(pattern),
            _ => None,
        }
    }

    fn write(value: &Pattern) -> Value {
        value.write()
    }

    fn schema(defs: &mut Defs) -> Value {
        Pattern::schema(defs)
    }
}

/// The name of a protocol (RFC 7301 section 6): here 1 to 255 visible ASCII characters.
pub(crate) struct ProtocolName;

impl Codec<String> for ProtocolName {
    fn expected() -> String {
        "a protocol's name such as h2 or http/1.1".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<String> {
        parsed(node, Self::expected, cx, |text| {
            let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
            if fits { Ok(text.to_owned()) } else { Err("is no protocol's name") }
        })
    }

    fn write(value: &String) -> Value {
        value.as_str().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "pattern": "^[!-~]{1,255}$", "examples": ["h2", "http/1.1"] })
    }
}

/// A mapping from header names to values.
pub(crate) struct HeaderConditions;

impl Codec<Vec<HeaderCondition>> for HeaderConditions {
    fn expected() -> String {
        "a mapping from header names to values".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Vec<HeaderCondition>> {
        let Some(entries) = node.as_map() else {
            cx.wrong_kind(node, Self::expected());
            return None;
        };
        let mut all = Vec::with_capacity(entries.len());
        let mut seen = HashSet::new();
        for entry in entries {
            cx.within(Step::Key(&entry.key), |cx| {
                let name = entry.key.to_ascii_lowercase();
                // `*` is a token's character, and a wildcard is what its writer would mean.
                let wrong = if !Token::is(&name) || name.contains('*') {
                    Some(("is not a header's name", "letters, digits or any of !#$%&'+-.^_`|~, without wildcards"))
                } else if name == "host" {
                    Some(("cannot be a header condition", "the condition host"))
                } else if !seen.insert(name.clone()) {
                    Some(("is there twice", "each header once, upper and lower case being the same"))
                } else {
                    None
                };
                if let Some((what, expected)) = wrong {
                    cx.fault(entry.mark, what, Some(expected.to_owned()));
                }
                let values = NonEmpty::<Plain>::read(&entry.node, cx);
                all.extend(values.map(|values| HeaderCondition { name, values }));
            });
        }
        Some(all)
    }

    fn write(value: &Vec<HeaderCondition>) -> Value {
        let one = |header: &HeaderCondition| (header.name.clone(), NonEmpty::<Plain>::write(&header.values));
        let all: Map<String, Value> = value.iter().map(one).collect();
        if all.is_empty() { Value::Null } else { all.into() }
    }

    fn schema(defs: &mut Defs) -> Value {
        let values = <NonEmpty<Plain> as Codec<Vec<TextMatch>>>::schema(defs);
        json!({ "type": "object", "additionalProperties": values })
    }
}

declared! {
    /// A condition on one query parameter, its two parts named.
    struct KeyAndValue {
        /// Absent: any key.
        key: Option<Pattern> = None,
        /// Absent: any value.
        value: Option<Pattern> = None,
    }
}

impl Declared for QueryMatch {
    fn expected() -> String {
        "{ name: value }, { key: ..., value: ... } or { value: ... }".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        match node.as_map() {
            Some([entry]) if entry.key != "key" && entry.key != "value" => cx.within(Step::Key(&entry.key), |cx| {
                let key = match Pattern::new(&entry.key) {
                    Ok(key) => Some(key),
                    Err(error) => {
                        cx.fault(entry.mark, format!("the key {error}"), Some(Pattern::expected()));
                        None
                    }
                };
                let value = Pattern::read(&entry.node, cx)?;
                Some(Self { key: Some(key?), value: Some(value) })
            }),
            Some(entries) if entries.iter().any(|entry| entry.key == "key" || entry.key == "value") => {
                let KeyAndValue { key, value } = KeyAndValue::read(node, cx)?;
                if key.is_none() && value.is_none() {
                    cx.wrong(node, "names neither a key nor a value", Self::expected());
                    return None;
                }
                Some(Self { key, value })
            }
            Some(_) => {
                cx.wrong(node, "is not one pair", Self::expected());
                None
            }
            None => {
                cx.wrong_kind(node, Self::expected());
                None
            }
        }
    }

    fn write(&self) -> Value {
        KeyAndValue { key: self.key.clone(), value: self.value.clone() }.write()
    }

    fn schema(defs: &mut Defs) -> Value {
        let pair = Pattern::schema(defs);
        json!({ "anyOf": [
            KeyAndValue::schema(defs),
            {
                "type": "object",
                "additionalProperties": pair,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ] })
    }
}

/// Conditions inside of conditions.
pub(crate) struct Inner;

impl Codec<Option<Box<Conditions>>> for Inner {
    fn expected() -> String {
        Conditions::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Option<Box<Conditions>>> {
        let inner: Option<Conditions> = Optional::<Plain>::read(node, cx)?;
        Some(inner.map(Box::new))
    }

    fn write(value: &Option<Box<Conditions>>) -> Value {
        value.as_ref().map_or(Value::Null, |inner| inner.write())
    }

    fn schema(defs: &mut Defs) -> Value {
        Conditions::schema(defs)
    }
}
