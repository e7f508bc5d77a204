//! Stickiness of a target group (T10, T11, N5): how a client keeps its target.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::declared::{Codec, Cx, Declared, Defs, Fields, Lasts, Token, choice, declared, parsed};
use crate::yaml::Node;

/// 1 second to 7 days, in milliseconds (R14, T10).
pub(crate) type StickyFor = Lasts<1000, 604_800_000>;

/// Target stickiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stickiness {
    /// `{ type: lb_cookie, duration: 1d, cookie_name: AWSALB }` (T10).
    LbCookie {
        /// 1 s to 7 days, default 1 day.
        duration: Duration,
        /// `AWSALB` unless said otherwise; `<name>CORS` goes with it.
        cookie_name: Arc<str>,
    },
    /// `{ type: app_cookie, name: JSESSIONID, duration: 1d }` (T11).
    AppCookie {
        /// The application's own cookie.
        name: Arc<str>,
        /// 1 s to 7 days, default 1 day.
        duration: Duration,
    },
    /// `{ type: source_ip }`.
    SourceIp,
}

choice! {
    /// How a client is known again.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum StickinessKind {
        /// By a cookie of the load balancer.
        LbCookie = "lb_cookie",
        /// By the application's own cookie.
        AppCookie = "app_cookie",
        /// By its address.
        SourceIp = "source_ip",
    }
}

declared! {
    /// How a client keeps its target (T10, T11).
    #[check = check_written]
    struct Written {
        /// How a client is known again.
        #[key = "type"]
        kind: StickinessKind,
        /// How long a cookie binds: 1 s to 7 days, default 1 day.
        #[via = StickyFor]
        duration: Duration = Duration::from_secs(86_400),
        /// The cookie of `lb_cookie`; default `AWSALB`. `<name>CORS` goes with it.
        #[via = Token]
        cookie_name: Arc<str> = "AWSALB".into(),
        /// The application's own cookie, of `app_cookie`.
        #[via = crate::declared::Optional<OwnCookie>]
        name: Option<Arc<str>> = None,
    }
}

fn check_written<'a>(written: &Written, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    match written.kind {
        StickinessKind::LbCookie => fields.only_with("name", "cookie_name, or type: app_cookie", cx),
        StickinessKind::AppCookie => {
            fields.only_with("cookie_name", "name", cx);
            if !fields.has("name") {
                fields.missing("name", "the application's cookie", cx);
            }
        }
        StickinessKind::SourceIp => {
            for key in ["name", "cookie_name", "duration"] {
                fields.only_with(key, "it with cookies only", cx);
            }
        }
    }
}

impl Declared for Stickiness {
    fn expected() -> String {
        "{ type: lb_cookie }, { type: app_cookie, name: ... } or { type: source_ip }".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        if node.as_map().is_none() {
            cx.wrong_kind(node, Self::expected());
            return None;
        }
        let Written { kind, duration, cookie_name, name } = Written::read(node, cx)?;
        Some(match kind {
            StickinessKind::LbCookie => Self::LbCookie { duration, cookie_name },
            StickinessKind::AppCookie => Self::AppCookie { name: name?, duration },
            StickinessKind::SourceIp => Self::SourceIp,
        })
    }

    fn write(&self) -> Value {
        match self {
            Self::LbCookie { duration, cookie_name } => json!({
                "type": StickinessKind::LbCookie.word(),
                "duration": StickyFor::write(duration),
                "cookie_name": **cookie_name,
            }),
            Self::AppCookie { name, duration } => json!({
                "type": StickinessKind::AppCookie.word(),
                "name": **name,
                "duration": StickyFor::write(duration),
            }),
            Self::SourceIp => json!({ "type": StickinessKind::SourceIp.word() }),
        }
    }

    fn schema(defs: &mut Defs) -> Value {
        Written::schema(defs)
    }
}

/// The name of a cookie that is not one of ours (T11).
struct OwnCookie;

impl Codec<Arc<str>> for OwnCookie {
    fn expected() -> String {
        "the name of a cookie that does not begin with AWSALB".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Arc<str>> {
        // AWSALBAPP and AWSALBTG begin so too.
        parsed(node, Self::expected, cx, |text| match text {
            text if !Token::is(text) => Err("is not the name of a cookie"),
            text if text.starts_with("AWSALB") => Err("is a name of the load balancer's own cookies"),
            text => Ok(text.into()),
        })
    }

    fn write(value: &Arc<str>) -> Value {
        (**value).into()
    }

    fn schema(defs: &mut Defs) -> Value {
        <Token as Codec<Arc<str>>>::schema(defs)
    }
}
