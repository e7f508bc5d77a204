//! Who is asking: a visitor and their cart, carried in one signed cookie, so that any instance can serve any request.
//!
//! The cookie is `visitor.cart.signature`. One that was not signed with the instances' key counts as none.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};
use axum::http::request::Parts;

use crate::shop::app::App;
use crate::shop::cart::Cart;
use crate::shop::failure::Failure;
use crate::shop::key::{Key, Purpose, nonce};

const COOKIE_NAME: &str = "shop_session";

/// A visitor and their cart.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// 22 random characters.
    pub(crate) visitor: String,
    pub(crate) cart: Cart,
    /// Whether the visitor has the cookie already.
    pub(crate) standing: Standing,
    transport: Transport,
}

/// Whether a visitor is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Came without a valid cookie; the answer brings one.
    New,
    /// Came with a valid cookie.
    Known,
}

/// How the visitor reaches the load balancer, which is not always how it reaches us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Plain,
    Tls,
}

impl Session {
    /// The session of a request's cookies; a new one when there is none that is ours.
    pub(crate) fn read(headers: &HeaderMap, key: &Key) -> std::io::Result<Self> {
        let forwarded_proto = headers.get("x-forwarded-proto").map(HeaderValue::as_bytes);
        let transport = if forwarded_proto == Some(b"https") { Transport::Tls } else { Transport::Plain };
        let known = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
            .find_map(|value| open(value, key));
        Ok(match known {
            Some((visitor, cart)) => Self { visitor, cart, standing: Standing::Known, transport },
            None => Self { visitor: nonce()?, cart: Cart::default(), standing: Standing::New, transport },
        })
    }

    /// The `Set-Cookie` that carries it.
    pub(crate) fn set_cookie(&self, key: &Key) -> Option<HeaderValue> {
        let content = format!("{}.{}", self.visitor, self.cart);
        let signature = key.sign(Purpose::Session, &content);
        let mut cookie =
            format!("{COOKIE_NAME}={content}.{signature}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax");
        if self.transport == Transport::Tls {
            cookie.push_str("; Secure");
        }
        HeaderValue::from_str(&cookie).ok()
    }

    /// What this visitor's forms carry, and no other site can know.
    pub(crate) fn form_token(&self, key: &Key) -> String {
        key.sign(Purpose::Form, &self.visitor)
    }

    /// Lets a form pass that carries the token.
    ///
    /// # Errors
    ///
    /// [`Failure::Forged`] otherwise.
    pub(crate) fn admit_form(&self, key: &Key, token: &str) -> Result<(), Failure> {
        if key.verify(Purpose::Form, &self.visitor, token) { Ok(()) } else { Err(Failure::Forged) }
    }
}

impl FromRequestParts<Arc<App>> for Session {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        Ok(Self::read(&parts.headers, &app.key)?)
    }
}

fn open(value: &str, key: &Key) -> Option<(String, Cart)> {
    let (content, signature) = value.rsplit_once('.')?;
    if !key.verify(Purpose::Session, content, signature) {
        return None;
    }
    let (visitor, cart) = content.split_once('.')?;
    Some((visitor.to_owned(), Cart::parse(cart)))
}
