//! The JSON API. It takes and gives only JSON, so that no other site's form can write through a visitor's cookie.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::shop::app::App;
use crate::shop::cart::Cart;
use crate::shop::catalogue::{self, Category};
use crate::shop::customer::{Customer, CustomerFaults, CustomerInput};
use crate::shop::failure::Failure;
use crate::shop::key::nonce;
use crate::shop::order::{OrderDraft, OrderLine, Price, Submission, Wish};
use crate::shop::response::PUBLIC;
use crate::shop::session::Session;

const NO_SUCH_ORDER: Failure = Failure::NotFound("You have no such order.");

/// Filters of the product list.
#[derive(Debug, Deserialize)]
pub(crate) struct Browse {
    #[serde(default)]
    q: String,
    category: Option<String>,
}

/// A whole cart.
#[derive(Debug, Deserialize)]
pub(crate) struct NewCart {
    items: Vec<Wish>,
}

/// An order; without `items` it is the cart's.
#[derive(Debug, Deserialize)]
pub(crate) struct NewOrder {
    #[serde(flatten)]
    customer: CustomerInput,
    items: Option<Vec<Wish>>,
}

/// `GET /api/products?q=&category=`
pub(crate) async fn products(Query(Browse { q, category }): Query<Browse>) -> Result<Response, Failure> {
    let category = match category {
        Some(id) => Some(Category::find(&id).ok_or(Failure::BadRequest("category is garden, kitchen or home"))?),
        None => None,
    };
    let products: Vec<_> = catalogue::search(&q, category).collect();
    Ok(([(CACHE_CONTROL, PUBLIC)], Json(json!({ "products": products }))).into_response())
}

/// `GET /api/products/{id}`
pub(crate) async fn product(Path(id): Path<String>) -> Result<Response, Failure> {
    let product = catalogue::find(&id).ok_or(Failure::NotFound("There is no such product."))?;
    Ok(([(CACHE_CONTROL, PUBLIC)], Json(product)).into_response())
}

/// `GET /api/cart`
pub(crate) async fn cart(State(app): State<Arc<App>>, session: Session) -> Json<Value> {
    described(&app, &session.cart)
}

/// `PUT /api/cart`
pub(crate) async fn replace_cart(
    State(app): State<Arc<App>>,
    mut session: Session,
    Json(new): Json<NewCart>,
) -> Result<Response, Failure> {
    session.cart = cart_of(&new.items)?;
    Ok((cookie(&app, &session), described(&app, &session.cart)).into_response())
}

/// `DELETE /api/cart`
pub(crate) async fn empty_cart(State(app): State<Arc<App>>, mut session: Session) -> Response {
    session.cart.clear();
    (cookie(&app, &session), StatusCode::NO_CONTENT).into_response()
}

/// `GET /api/orders`: the visitor's newest 50.
pub(crate) async fn orders(State(app): State<Arc<App>>, session: Session) -> Result<Response, Failure> {
    let orders = app.store.orders(&session.visitor).await?;
    Ok(Json(json!({ "orders": orders })).into_response())
}

/// `GET /api/orders/{id}`
pub(crate) async fn order(
    State(app): State<Arc<App>>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let id: i64 = id.parse().map_err(|_| NO_SUCH_ORDER)?;
    let order = app.store.order(&session.visitor, id).await?.ok_or(NO_SUCH_ORDER)?;
    Ok(Json(order).into_response())
}

/// `POST /api/orders`. With an `Idempotency-Key`, sending it again gives the same order.
pub(crate) async fn place_order(
    State(app): State<Arc<App>>,
    mut session: Session,
    headers: HeaderMap,
    Json(new): Json<NewOrder>,
) -> Result<Response, Failure> {
    let submission = match headers.get("idempotency-key").map(HeaderValue::to_str) {
        Some(Ok(text)) => Submission::parse(text),
        Some(Err(_)) => None,
        None => Submission::parse(&nonce()?),
    }
    .ok_or(Failure::BadRequest("Idempotency-Key is 1 to 64 printable characters"))?;
    let customer = Customer::parse(&new.customer).map_err(|faults| Failure::Unprocessable(first(&faults)))?;
    let cart = match &new.items {
        Some(items) => cart_of(items)?,
        None => std::mem::take(&mut session.cart),
    };
    if cart.is_empty() {
        return Err(Failure::Unprocessable("an order needs items, or a cart that is not empty"));
    }
    let draft = OrderDraft {
        visitor: session.visitor.clone(),
        submission,
        customer,
        lines: OrderLine::of(&cart),
        price: Price::of(&cart, app.version),
        placed_by: app.name.clone(),
    };
    let id = app.store.place(draft).await?;
    let order = app.store.order(&session.visitor, id).await?.ok_or(NO_SUCH_ORDER)?;
    let place = [(LOCATION, format!("/api/orders/{id}"))];
    Ok((StatusCode::CREATED, cookie(&app, &session), place, Json(order)).into_response())
}

fn cart_of(items: &[Wish]) -> Result<Cart, Failure> {
    let mut cart = Cart::default();
    for wish in items {
        let product = catalogue::find(&wish.product).ok_or(Failure::Unprocessable("a product does not exist"))?;
        cart.add(product, wish.quantity);
    }
    Ok(cart)
}

fn described(app: &App, cart: &Cart) -> Json<Value> {
    let Price { goods, shipping, total } = Price::of(cart, app.version);
    Json(json!({ "items": cart, "goods_cents": goods, "shipping_cents": shipping, "total_cents": total }))
}

fn cookie(app: &App, session: &Session) -> HeaderMap {
    session.set_cookie(&app.key).map(|cookie| (SET_COOKIE, cookie)).into_iter().collect()
}

fn first(faults: &CustomerFaults) -> &'static str {
    match faults {
        CustomerFaults { name: Some(_), .. } => "name is needed, at most 100 characters",
        CustomerFaults { email: Some(_), .. } => "email is needed, like name@example.com, at most 200 characters",
        CustomerFaults { .. } => "address is needed, at most 300 characters",
    }
}
