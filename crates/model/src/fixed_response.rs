//! Fixed responses (R16).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::declared::{Codec, Cx, Defs, Token, declared, parsed, text_of};
use crate::listener::inspect_answer;
use crate::yaml::Node;

declared! {
    /// Fixed response (R16).
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[inspect = inspect_answer]
    pub struct FixedResponse {
        /// 200 to 299, 400 to 599.
        #[via = FixedStatus]
        pub status: u16,
        /// At most 64 KiB.
        #[via = Body]
        pub body: Arc<str> = "".into(),
        /// Absent: no Content-Type; default `text/plain` when there is a body.
        #[via = ContentType]
        pub content_type: Option<Arc<str>> => default_type(body.as_deref()),
    }
}

fn default_type(body: Option<&str>) -> Option<Arc<str>> {
    body.is_some_and(|body| !body.is_empty()).then(|| "text/plain".into())
}

/// A status that is an answer and leads nowhere else.
pub(crate) struct FixedStatus;

impl Codec<u16> for FixedStatus {
    fn expected() -> String {
        "a status from 200 to 299 or 400 to 599".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<u16> {
        let status =
            node.as_scalar().and_then(|scalar| scalar.as_whole()).and_then(|status| u16::try_from(status).ok());
        let status = status.filter(|status| matches!(status, 200..=299 | 400..=599));
        if status.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        status
    }

    fn write(value: &u16) -> Value {
        (*value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 200, "maximum": 299 },
            { "type": "integer", "minimum": 400, "maximum": 599 },
        ] })
    }
}

/// Text of at most 64 KiB.
struct Body;

impl Codec<Arc<str>> for Body {
    fn expected() -> String {
        "text of at most 64 KiB".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Arc<str>> {
        let text = text_of(node, Self::expected, cx)?;
        if text.len() > 64 * 1024 {
            cx.wrong(node, format!("has {} bytes", text.len()), Self::expected());
            return None;
        }
        Some(text.into())
    }

    fn write(value: &Arc<str>) -> Value {
        (**value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "maxLength": 65_536 })
    }
}

/// `type/subtype`, with parameters if need be.
pub(crate) struct ContentType;

impl Codec<Option<Arc<str>>> for ContentType {
    fn expected() -> String {
        "a type such as text/plain, text/css, text/html, application/javascript or application/json".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Option<Arc<str>>> {
        parsed(node, Self::expected, cx, |text| {
            let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
            let named = kind.trim_end().split_once('/').is_some_and(|(kind, sub)| Token::is(kind) && Token::is(sub));
            let fine = named && text.len() <= 256 && parameters.bytes().all(|b| (0x20..=0x7e).contains(&b));
            if fine { Ok(Some(text.into())) } else { Err("is not a media type") }
        })
    }

    fn write(value: &Option<Arc<str>>) -> Value {
        value.as_deref().map_or(Value::Null, Value::from)
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({
            "type": "string",
            "examples": ["text/plain", "text/css", "text/html", "application/javascript", "application/json"],
        })
    }
}
