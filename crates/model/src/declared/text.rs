//! Codecs of what is written as text: names, addresses, durations, networks.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::{Codec, Cx, Declared, Defs};
use crate::primitive::{Address, Name, Pattern, Regex, TextMatch};
use crate::yaml::Node;

/// The node's text; faults what is no text, and tells how to make text of what looks like something else.
pub(crate) fn text_of<'a>(node: &'a Node, expected: impl FnOnce() -> String, cx: &mut Cx<'a>) -> Option<&'a str> {
    let text = node.as_text();
    if text.is_none() {
        let quotes = node.as_scalar().filter(|scalar| !scalar.secret && !node.is_null());
        let hint = quotes.map(|scalar| format!(" (text is written in quotes: {})", scalar.shown())).unwrap_or_default();
        cx.wrong_kind(node, format!("{}{hint}", expected()));
    }
    text
}

/// What `parse` makes of the node's text.
pub(crate) fn parsed<'a, T, E: std::fmt::Display>(
    node: &'a Node,
    expected: impl Fn() -> String,
    cx: &mut Cx<'a>,
    parse: impl FnOnce(&'a str) -> Result<T, E>,
) -> Option<T> {
    let text = text_of(node, &expected, cx)?;
    match parse(text) {
        Ok(value) => Some(value),
        Err(error) => {
            let shown = node.as_scalar().map(|scalar| scalar.shown()).unwrap_or_default();
            cx.wrong(node, format!("{shown} {error}"), expected());
            None
        }
    }
}

/// `250ms`, `30s`, `5m`, `1h` or `7d`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let scale = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale).map(Duration::from_millis)
}

/// In the largest unit that is exact.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    match units.into_iter().find(|(scale, _)| millis > 0 && millis.is_multiple_of(*scale)) {
        Some((scale, unit)) => format!("{}{unit}", millis / scale),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

impl Declared for Name {
    fn expected() -> String {
        "a name: 1 to 64 of A-Za-z0-9._-, not starting or ending with - or .".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        parsed(node, Self::expected, cx, |text| Self::new(text).map_err(|_| "is not a name"))
    }

    fn write(&self) -> Value {
        self.as_str().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9_]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_])?$" })
    }
}

impl Declared for Address {
    fn expected() -> String {
        "ip:port, [ip6]:port, host:port or unix:/path".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        parsed(node, Self::expected, cx, str::parse)
    }

    fn write(&self) -> Value {
        self.to_string().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "examples": ["127.0.0.1:9001", "backend.internal:80", "unix:/run/app.sock"] })
    }
}

impl Declared for SocketAddr {
    fn expected() -> String {
        "ip:port or [ip6]:port".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        parsed(node, Self::expected, cx, |text| text.parse().map_err(|_| "is not an address"))
    }

    fn write(&self) -> Value {
        self.to_string().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "examples": ["127.0.0.1:8080"] })
    }
}

impl Declared for PathBuf {
    fn expected() -> String {
        "a path".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        path_text(node, cx).map(Into::into)
    }

    fn write(&self) -> Value {
        self.to_string_lossy().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "format": "path" })
    }
}

/// A path of a file, as text.
impl Declared for String {
    fn expected() -> String {
        "a path".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        path_text(node, cx).map(Into::into)
    }

    fn write(&self) -> Value {
        self.as_str().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string" })
    }
}

/// Text that can be a path.
pub(crate) fn path_text<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<&'a str> {
    parsed(node, PathBuf::expected, cx, |text| {
        let fine = (1..=4096).contains(&text.len()) && !text.contains('\0');
        if fine { Ok(text) } else { Err("is not a path") }
    })
}

impl Declared for Pattern {
    fn expected() -> String {
        "text in which * stands for any characters and ? for one".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        parsed(node, Self::expected, cx, Self::new)
    }

    fn write(&self) -> Value {
        self.as_str().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "maxLength": 1024 })
    }
}

impl Declared for Regex {
    fn expected() -> String {
        "a regular expression".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        let text = text_of(node, Self::expected, cx)?;
        match Self::new(text) {
            Ok(regex) => Some(regex),
            Err(error) => {
                cx.wrong(node, format!("does not compile: {error}"), Self::expected());
                None
            }
        }
    }

    fn write(&self) -> Value {
        self.as_str().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "maxLength": 1024 })
    }
}

impl Declared for TextMatch {
    fn expected() -> String {
        "text with * and ?, or { regex: ... }".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        match node.as_map() {
            Some([entry]) if entry.key == "regex" => {
                cx.within(super::Step::Key("regex"), |cx| Regex::read(&entry.node, cx)).map(Self::Regex)
            }
            Some([entry]) => {
                super::unknown(entry, &["regex"], cx);
                None
            }
            Some(_) => {
                cx.wrong_kind(node, Self::expected());
                None
            }
            None => parsed(node, Self::expected, cx, Pattern::new).map(Self::Wildcard),
        }
    }

    fn write(&self) -> Value {
        match self {
            Self::Wildcard(pattern) => pattern.as_str().into(),
            Self::Regex(regex) => json!({ "regex": regex.as_str() }),
        }
    }

    fn schema(defs: &mut Defs) -> Value {
        let pattern = Pattern::schema(defs);
        let mut regex = Regex::schema(defs);
        if let Some(regex) = regex.as_object_mut() {
            regex.insert("description".to_owned(), "A regular expression in the syntax of the regex crate.".into());
        }
        json!({ "anyOf": [pattern, {
            "type": "object",
            "properties": { "regex": regex },
            "required": ["regex"],
            "additionalProperties": false,
        }] })
    }
}

/// A network; an address alone is a network of one.
pub(crate) struct Cidr;

impl Codec<IpNet> for Cidr {
    fn expected() -> String {
        "a network such as 10.0.0.0/8 or fd00::/8, or an address".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<IpNet> {
        parsed(node, Self::expected, cx, |text| {
            let one = |address: IpAddr| IpNet::from(address);
            let net = text.parse::<IpNet>().ok().or_else(|| text.parse().ok().map(one));
            // 10.1.2.3/8 is 10.0.0.0/8: told apart, a network would be there twice.
            net.map(|net| net.trunc()).ok_or("is not a network")
        })
    }

    fn write(value: &IpNet) -> Value {
        value.to_string().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "examples": ["10.0.0.0/8", "fd00::/8", "203.0.113.25"] })
    }
}

/// A token of HTTP: what a header field or a cookie may be called.
pub(crate) struct Token;

impl Token {
    /// Whether `text` is one, of at most 128 characters.
    pub(crate) fn is(text: &str) -> bool {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        (1..=128).contains(&text.len()) && text.bytes().all(inner)
    }
}

impl<T: From<String> + AsRef<str>> Codec<T> for Token {
    fn expected() -> String {
        "1 to 128 letters, digits or any of !#$%&'*+-.^_`|~".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<T> {
        let expected = <Self as Codec<T>>::expected;
        parsed(node, expected, cx, |text| {
            if Self::is(text) { Ok(T::from(text.to_owned())) } else { Err("is not a token of HTTP") }
        })
    }

    fn write(value: &T) -> Value {
        value.as_ref().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$" })
    }
}

/// A number of bytes from `LOW` to `HIGH`.
pub(crate) struct Size<const LOW: u64, const HIGH: u64>;

/// `512B`, `1KiB`, `16MiB` or `1GiB`.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let scale = SIZES.into_iter().find(|(_, word)| *word == unit)?.0;
    number.parse::<u64>().ok()?.checked_mul(scale)
}

const SIZES: [(u64, &str); 4] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];

/// In the largest unit that is exact.
fn size_text(size: u64) -> String {
    let unit = SIZES.into_iter().find(|(scale, _)| size > 0 && size.is_multiple_of(*scale));
    unit.map_or_else(|| format!("{size}B"), |(scale, word)| format!("{}{word}", size / scale))
}

impl<const LOW: u64, const HIGH: u64> Codec<u64> for Size<LOW, HIGH> {
    fn expected() -> String {
        format!("a size from {} to {}, such as 1KiB", size_text(LOW), size_text(HIGH))
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<u64> {
        let size = node.as_text().and_then(parse_size).filter(|size| (LOW..=HIGH).contains(size));
        if size.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        size
    }

    fn write(value: &u64) -> Value {
        size_text(*value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$", "examples": ["1KiB"] })
    }
}

/// The value of a header field that is sent: it cannot become a second line.
pub(crate) struct FieldValue;

impl FieldValue {
    const LONGEST: usize = 4096;

    /// Whether `text` is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(text: &str) -> Result<(), &'static str> {
        if text.is_empty() || text.len() > Self::LONGEST {
            Err("is empty or too long")
        } else if text.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            Err("has a line's end or another control character")
        } else if !text.is_ascii() {
            Err("has a character that is not ASCII")
        } else if text.trim_matches([' ', '\t']).len() < text.len() {
            Err("begins or ends with white space")
        } else {
            Ok(())
        }
    }
}

impl Codec<Arc<str>> for FieldValue {
    fn expected() -> String {
        format!("a header field's value: 1 to {} characters of ASCII on one line", Self::LONGEST)
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Arc<str>> {
        parsed(node, Self::expected, cx, |text| Self::check(text).map(|()| text.into()))
    }

    fn write(value: &Arc<str>) -> Value {
        (**value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "minLength": 1, "maxLength": Self::LONGEST })
    }
}

/// A DNS name without port, kept in lower case.
pub(crate) struct Host;

impl Codec<String> for Host {
    fn expected() -> String {
        "a DNS name such as shop.example.com".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<String> {
        parsed(node, Self::expected, cx, |text| match format!("{text}:1").parse() {
            Ok(Address::Host { host, .. }) => Ok(host.to_string()),
            _ => Err("is not a DNS name"),
        })
    }

    fn write(value: &String) -> Value {
        value.as_str().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "format": "hostname" })
    }
}
