//! A visitor's browser, as far as the shop notices: it keeps the cookie and fills in forms. It calls instances directly.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use crate::shop::app::App;

/// A visitor.
#[derive(Clone, Default)]
pub(super) struct Browser {
    pub(super) cookie: Option<String>,
    /// Sent with every request.
    pub(super) idempotency_key: Option<&'static str>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Browser {
    pub(super) async fn send(
        &mut self,
        app: &Arc<App>,
        method: &str,
        uri: &str,
        body: Option<(&str, String)>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        if let Some(key) = self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let body = match body {
            Some((content_type, body)) => {
                request = request.header(CONTENT_TYPE, content_type);
                Body::from(body)
            }
            None => Body::empty(),
        };
        let response = Arc::clone(app).router().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        if let Some(cookie) = parts.headers.get(SET_COOKIE) {
            self.cookie = Some(cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
        let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(super) async fn get(&mut self, app: &Arc<App>, uri: &str) -> Answer {
        self.send(app, "GET", uri, None).await
    }

    pub(super) async fn form(&mut self, app: &Arc<App>, uri: &str, body: String) -> Answer {
        self.send(app, "POST", uri, Some(("application/x-www-form-urlencoded", body))).await
    }

    pub(super) async fn json(&mut self, app: &Arc<App>, method: &str, uri: &str, body: Value) -> Answer {
        self.send(app, method, uri, Some(("application/json", body.to_string()))).await
    }

    /// Goes to a product's page and puts it into the cart.
    pub(super) async fn buy(&mut self, app: &Arc<App>, product: &str, quantity: u8) -> Answer {
        let token = self.get(app, &format!("/products/{product}")).await.field("token");
        let form = format!("token={token}&action=add&product={product}&quantity={quantity}");
        self.form(app, "/cart", form).await
    }
}

impl Answer {
    /// The value of a form's hidden field.
    pub(super) fn field(&self, name: &str) -> String {
        let (_, rest) = self.body.split_once(&format!("name=\"{name}\" value=\"")).expect("the field is on the page");
        rest.split('"').next().unwrap().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
