//! Redirects (R15).

use serde_json::{Value, json};

use crate::declared::{Codec, Cx, Defs, Fields, declared, parsed};
use crate::listener::{ListenerProtocol, inspect_answer};
use crate::template::{Template, TemplatePart};
use crate::yaml::Node;

declared! {
    /// Redirect (R15). Absent parts keep the request's own; at least one must differ.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[inspect = inspect_answer]
    #[check = check_redirect]
    pub struct Redirect {
        /// `HTTP`, `HTTPS`, or absent for `#{protocol}`.
        #[via = SchemeWord]
        pub protocol: Option<Scheme> = None,
        /// Template, default `#{host}`.
        #[via = HostPart]
        pub host: Template = Template(vec![TemplatePart::Host]),
        /// Template, default `#{port}`.
        #[via = PortPart]
        pub port: Template = Template(vec![TemplatePart::Port]),
        /// Template, default `/#{path}`.
        #[via = PathPart]
        pub path: Template = Template(vec![TemplatePart::Literal("/".to_owned()), TemplatePart::Path]),
        /// Template, default `#{query}`; without its `?`.
        #[via = QueryPart]
        pub query: Template = Template(vec![TemplatePart::Query]),
        /// 301, 302, 303, 307 or 308; default 302.
        #[via = RedirectStatus]
        pub status: u16 = 302,
    }
}

/// The two schemes of the web.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

fn check_redirect<'a>(redirect: &Redirect, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let defaults = [
        ("protocol", "#{protocol}"),
        ("host", "#{host}"),
        ("port", "#{port}"),
        ("path", "/#{path}"),
        ("query", "#{query}"),
    ];
    let keeps = |(key, default)| !fields.has(key) || fields.get(key).and_then(Node::as_text) == Some(default);
    if defaults.into_iter().all(keeps) {
        let expected = "a protocol, host, port, path or query other than the request's";
        cx.fault(fields.mark(), "leads to where the request came from", Some(expected.to_owned()));
    }
    if redirect.protocol == Some(Scheme::Http) && cx.listener == Some(ListenerProtocol::Https) {
        fields.wrong("protocol", "leads from HTTPS to HTTP", "HTTPS or #{protocol}", cx);
    }
}

/// `HTTP`, `HTTPS` or `#{protocol}`.
struct SchemeWord;

impl Codec<Option<Scheme>> for SchemeWord {
    fn expected() -> String {
        "HTTP, HTTPS or #{protocol}".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Option<Scheme>> {
        parsed(node, Self::expected, cx, |text| match text {
            "HTTP" | "http" => Ok(Some(Scheme::Http)),
            "HTTPS" | "https" => Ok(Some(Scheme::Https)),
            "#{protocol}" => Ok(None),
            _ => Err("is not a protocol to redirect to"),
        })
    }

    fn write(value: &Option<Scheme>) -> Value {
        value.map_or(Value::Null, |scheme| if scheme == Scheme::Http { "HTTP" } else { "HTTPS" }.into())
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "enum": ["HTTP", "HTTPS", "#{protocol}"] })
    }
}

/// One of the statuses that redirect.
struct RedirectStatus;

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

impl Codec<u16> for RedirectStatus {
    fn expected() -> String {
        "301, 302, 303, 307 or 308".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<u16> {
        let status = node.as_scalar().and_then(|scalar| scalar.as_whole());
        let status = STATUSES.into_iter().find(|one| status == Some(u64::from(*one)));
        if status.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        status
    }

    fn write(value: &u16) -> Value {
        (*value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "enum": STATUSES })
    }
}

/// The longest template, in characters.
const LONGEST: usize = 1024;

/// Reads a template of which the literal text must pass `fits`.
fn template<'a>(
    node: &'a Node,
    cx: &mut Cx<'a>,
    expected: fn() -> String,
    fits: impl Fn(&str, &Template) -> bool,
) -> Option<Template> {
    parsed(node, expected, cx, |text| match Template::parse(text) {
        Err(error) => Err(error.to_string()),
        Ok(template) if text.len() <= LONGEST && fits(text, &template) => Ok(template),
        Ok(_) => Err("cannot be redirected to".to_owned()),
    })
}

/// `8443`, as a number or as text, or `#{port}`.
struct PortPart;

impl Codec<Template> for PortPart {
    fn expected() -> String {
        "a port from 1 to 65535, or #{port}".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Template> {
        if let Some(number) = node.as_scalar().and_then(|scalar| scalar.as_whole()) {
            if (1..=65_535).contains(&number) {
                return Some(Template(vec![TemplatePart::Literal(number.to_string())]));
            }
            cx.wrong_kind(node, Self::expected());
            return None;
        }
        template(node, cx, Self::expected, |text, template| {
            let number = text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0);
            number || template.0 == [TemplatePart::Port]
        })
    }

    fn write(value: &Template) -> Value {
        value.to_string().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": ["string", "integer"] })
    }
}

fn visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

/// Codecs of the parts of a place, each with what it expects and what fits it.
macro_rules! parts {
    ($($part:ident: $expected:literal, $fits:expr;)*) => {$(
        struct $part;

        impl Codec<Template> for $part {
            fn expected() -> String {
                $expected.to_owned()
            }

            fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Template> {
                template(node, cx, Self::expected, $fits)
            }

            fn write(value: &Template) -> Value {
                value.to_string().into()
            }

            fn schema(_defs: &mut Defs) -> Value {
                json!({ "type": "string", "maxLength": LONGEST })
            }
        }
    )*};
}

parts! {
    HostPart: "a host, in which #{host} and other placeholders may stand", |text: &str, _: &Template| {
        let outside = text.replace("#{", "").replace('}', "");
        !text.is_empty() && outside.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b))
    };
    PathPart: "a path that begins with /, in which #{path} and other placeholders may stand", |text: &str, _: &Template| {
        text.starts_with('/') && visible(text)
    };
    QueryPart: "a query without its ?, in which #{query} and other placeholders may stand", |text: &str, _: &Template| {
        !text.starts_with('?') && visible(text)
    };
}
