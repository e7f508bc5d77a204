//! What a listener says in every answer (H11), after the listener attributes of an Application Load Balancer.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::declared::{Codec, Cx, Defs, FieldValue, Fields, Optional, Within, choice, declared, parsed};
use crate::listener::ListenerProtocol;
use crate::yaml::Node;

declared! {
    /// Fields of every answer of a listener, in place of those of these names that a target sends (H11).
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[inspect = inspect_response_headers]
    pub struct ResponseHeaders {
        /// `Strict-Transport-Security`, such as `max-age=31536000; includeSubDomains`; with `https` only.
        #[via = Optional<TransportSecurity>]
        pub strict_transport_security: Option<Arc<str>> = None,
        /// `Access-Control-Allow-Origin`: `*` or one origin.
        #[via = Optional<FieldValue>]
        pub access_control_allow_origin: Option<Arc<str>> = None,
        /// `Access-Control-Allow-Methods`.
        #[via = Optional<FieldValue>]
        pub access_control_allow_methods: Option<Arc<str>> = None,
        /// `Access-Control-Allow-Headers`.
        #[via = Optional<FieldValue>]
        pub access_control_allow_headers: Option<Arc<str>> = None,
        /// `Access-Control-Allow-Credentials`.
        pub access_control_allow_credentials: Option<bool> = None,
        /// `Access-Control-Expose-Headers`.
        #[via = Optional<FieldValue>]
        pub access_control_expose_headers: Option<Arc<str>> = None,
        /// `Access-Control-Max-Age`, in seconds.
        #[via = Optional<Within<0, 0xffff_ffff>>]
        pub access_control_max_age: Option<u32> = None,
        /// `Content-Security-Policy`.
        #[via = Optional<FieldValue>]
        pub content_security_policy: Option<Arc<str>> = None,
        /// `X-Content-Type-Options`.
        pub x_content_type_options: Option<ContentTypeOptions> = None,
        /// `X-Frame-Options`.
        #[via = Optional<FrameOptions>]
        pub x_frame_options: Option<Arc<str>> = None,
        /// False: no `Server`, neither a target's nor ours.
        pub server: bool = true,
    }
}

choice! {
    /// What `X-Content-Type-Options` may say.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum ContentTypeOptions {
        /// The declared type is not second-guessed.
        Nosniff = "nosniff",
    }
}

impl ResponseHeaders {
    /// The fields that are set: names as they are sent, and values.
    pub fn set(&self) -> Vec<(&'static str, String)> {
        let text = |value: &Option<Arc<str>>| value.as_ref().map(|value| value.to_string());
        let all = [
            ("Strict-Transport-Security", text(&self.strict_transport_security)),
            ("Access-Control-Allow-Origin", text(&self.access_control_allow_origin)),
            ("Access-Control-Allow-Methods", text(&self.access_control_allow_methods)),
            ("Access-Control-Allow-Headers", text(&self.access_control_allow_headers)),
            ("Access-Control-Allow-Credentials", self.access_control_allow_credentials.map(|yes| yes.to_string())),
            ("Access-Control-Expose-Headers", text(&self.access_control_expose_headers)),
            ("Access-Control-Max-Age", self.access_control_max_age.map(|seconds| seconds.to_string())),
            ("Content-Security-Policy", text(&self.content_security_policy)),
            ("X-Content-Type-Options", self.x_content_type_options.map(|word| word.word().to_owned())),
            ("X-Frame-Options", text(&self.x_frame_options)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn inspect_response_headers<'a>(fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if cx.listener.is_some_and(|listener| listener != ListenerProtocol::Https) {
        // RFC 6797 section 7.2: it must not be sent over anything else
        fields.only_with("strict_transport_security", "it on https listeners only", cx);
    }
}

/// A field value with a shape of its own.
fn shaped<'a>(
    node: &'a Node,
    expected: fn() -> String,
    cx: &mut Cx<'a>,
    fits: impl Fn(&str) -> bool,
) -> Option<Arc<str>> {
    parsed(node, expected, cx, |text| {
        FieldValue::check(text)?;
        if fits(text) { Ok(text.into()) } else { Err("is none") }
    })
}

/// RFC 6797 section 6.1: a browser ignores the whole field without a `max-age`.
struct TransportSecurity;

impl Codec<Arc<str>> for TransportSecurity {
    fn expected() -> String {
        "a policy such as max-age=31536000; includeSubDomains; preload".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Arc<str>> {
        shaped(node, Self::expected, cx, |text| {
            let ages = text.split(';').filter_map(|part| part.trim().split_once('='));
            let mut ages = ages.filter(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"));
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            ages.next().is_some_and(|(_, age)| digits(age.trim().trim_matches('"'))) && ages.next().is_none()
        })
    }

    fn write(value: &Arc<str>) -> Value {
        (**value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "examples": ["max-age=31536000; includeSubDomains"] })
    }
}

/// RFC 7034 section 2.1.
struct FrameOptions;

impl Codec<Arc<str>> for FrameOptions {
    fn expected() -> String {
        "DENY, SAMEORIGIN or ALLOW-FROM with an origin".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Arc<str>> {
        shaped(node, Self::expected, cx, |text| {
            matches!(text, "DENY" | "SAMEORIGIN")
                || text.strip_prefix("ALLOW-FROM ").is_some_and(|origin| origin.contains("://"))
        })
    }

    fn write(value: &Arc<str>) -> Value {
        (**value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "pattern": "^(DENY|SAMEORIGIN|ALLOW-FROM .+)$" })
    }
}
