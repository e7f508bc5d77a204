//! The pages: one file per place in the shop. Here is the frame around all of them.

pub(crate) mod basket;
pub(crate) mod browse;
pub(crate) mod checkout;
pub(crate) mod live;
pub(crate) mod orders;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderValue, LOCATION, SET_COOKIE};
use axum::response::{Html, IntoResponse, Response};

use crate::shop::app::App;
use crate::shop::catalogue::Category;
use crate::shop::failure::Failure;
use crate::shop::html::Markup;
use crate::shop::order::Price;
use crate::shop::session::{Session, Standing};

/// A page before it is framed.
pub(crate) struct Page<'a> {
    pub(crate) app: &'a App,
    /// Absent on error pages, which then say nothing of the cart.
    pub(crate) session: Option<&'a Session>,
    pub(crate) title: &'a str,
    pub(crate) body: Markup,
}

impl Page<'_> {
    /// The answer; brings a new visitor the cookie.
    pub(crate) fn answer(self, status: StatusCode) -> Response {
        let cookie = self
            .session
            .filter(|session| session.standing == Standing::New)
            .and_then(|session| session.set_cookie(&self.app.key));
        let mut response = (status, Html(self.frame().into_string())).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if let Some(cookie) = cookie {
            headers.append(SET_COOKIE, cookie);
        }
        response
    }

    fn frame(self) -> Markup {
        let Self { app, session, title, body } = self;
        let categories: Markup = Category::ALL
            .into_iter()
            .map(|category| {
                html!(r#"<a href="/?category={id}">{name}</a>"#, id = category.id(), name = category.name())
            })
            .collect();
        let count = session.map_or(0, |session| session.cart.count());
        html!(
            r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Millrace</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">To the content</a>
{banner}
<header class="top">
<div class="wide">
<a class="logo" href="/">{logo}<span>Millrace</span></a>
<nav aria-label="Categories">{categories}</nav>
<a class="cart" href="/cart">Cart{count}</a>
</div>
</header>
<main id="main" class="wide">
{body}
</main>
<footer class="wide">
<span>Millrace, goods for garden and kitchen. A demonstration: nothing is really sold.</span>
<nav aria-label="More"><a href="/orders">Orders</a><a href="/live">Live</a><a href="/api/products">API</a><a href="/whoami">Who am I</a></nav>
<span class="badge">served by <b>{instance}</b> · {version}</span>
</footer>
</body>
</html>
"##,
            title = title,
            style = Markup::trusted(app.style.as_str()),
            banner = app.version.banner().map(|text| html!(r#"<p class="banner">{text}</p>"#, text = text)),
            logo = Markup::trusted(live::LOGO),
            categories = categories,
            count = (count > 0).then(|| html!(r#" <b>{count}</b>"#, count = count)),
            body = body,
            instance = app.name,
            version = app.version.as_str(),
        )
    }
}

/// After a form: another page, with the cart as it now is.
pub(crate) fn see_other(app: &App, session: &Session, place: &str) -> Result<Response, Failure> {
    let place = HeaderValue::from_str(place).map_err(|_| Failure::NotFound("There is nothing at this address."))?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, place);
    if let Some(cookie) = session.set_cookie(&app.key) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The hidden field that every form carries.
pub(crate) fn token_field(app: &App, session: &Session) -> Markup {
    html!(r#"<input type="hidden" name="token" value="{token}">"#, token = session.form_token(&app.key))
}

/// Goods, shipping, total: the foot of a cart, a checkout and an order.
pub(crate) fn sums(price: &Price) -> Markup {
    let shipping = if price.shipping == crate::shop::money::Money::ZERO {
        html!("free")
    } else {
        html!("{price}", price = price.shipping)
    };
    html!(
        r#"<dl class="sums"><dt>Goods</dt><dd>{goods}</dd><dt>Shipping</dt><dd>{shipping}</dd>
           <dt class="total">Total</dt><dd class="total">{total}</dd></dl>"#,
        goods = price.goods,
        shipping = shipping,
        total = price.total,
    )
}
