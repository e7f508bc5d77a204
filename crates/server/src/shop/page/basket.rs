//! The cart's page, and the one form target that changes a cart.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::shop::app::App;
use crate::shop::cart::CartLine;
use crate::shop::catalogue;
use crate::shop::failure::Failure;
use crate::shop::html::Markup;
use crate::shop::money::Quantity;
use crate::shop::order::Price;
use crate::shop::page::{Page, see_other, sums, token_field};
use crate::shop::session::Session;

/// A change to the cart.
#[derive(Debug, Deserialize)]
pub(crate) struct Change {
    token: String,
    action: Action,
    product: String,
    #[serde(default = "one")]
    quantity: u8,
}

/// The buttons.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Add,
    Set,
    Remove,
}

/// `GET /cart`
pub(crate) async fn show(State(app): State<Arc<App>>, session: Session) -> Response {
    let body = if session.cart.is_empty() {
        html!(
            r#"<h1>Your cart</h1><p class="empty">Nothing in it yet.</p><p><a class="button" href="/">Look around</a></p>"#
        )
    } else {
        html!(
            r#"<h1>Your cart</h1><ul class="lines">{lines}</ul>{sums}
               <p class="end"><a class="button" href="/checkout">Go to the checkout</a></p>"#,
            lines = session.cart.lines().iter().map(|line| row(&app, &session, line)).collect::<Markup>(),
            sums = sums(&Price::of(&session.cart, app.version)),
        )
    };
    Page { app: &app, session: Some(&session), title: "Your cart", body }.answer(StatusCode::OK)
}

/// `POST /cart`
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    mut session: Session,
    Form(change): Form<Change>,
) -> Result<Response, Failure> {
    session.admit_form(&app.key, &change.token)?;
    let product = catalogue::find(&change.product).ok_or(Failure::NotFound("We do not sell that."))?;
    match (change.action, Quantity::try_from(change.quantity)) {
        (Action::Remove, _) => session.cart.remove(product),
        (Action::Set, _) if change.quantity == 0 => session.cart.remove(product),
        (Action::Add, Ok(quantity)) => session.cart.add(product, quantity),
        (Action::Set, Ok(quantity)) => session.cart.set(product, quantity),
        (Action::Add | Action::Set, Err(_)) => return Err(Failure::BadRequest("We sell 1 to 20 of each.")),
    }
    see_other(&app, &session, "/cart")
}

fn row(app: &App, session: &Session, line: &CartLine) -> Markup {
    html!(
        r#"<li><a class="picture" href="/products/{id}" aria-label="{name}">{picture}</a>
<div><a href="/products/{id}">{name}</a><br><small>{price} each</small></div>
<form action="/cart" method="post" class="row">{token}<input type="hidden" name="product" value="{id}">
<input type="number" name="quantity" value="{quantity}" min="0" max="{most}" aria-label="Quantity of {name}">
<button class="quiet" name="action" value="set">Change</button>
<button class="quiet" name="action" value="remove" aria-label="Remove {name}">Remove</button></form>
<span class="price">{total}</span></li>"#,
        id = line.product.id,
        name = line.product.name,
        picture = Markup::trusted(line.product.picture),
        price = line.product.price,
        token = token_field(app, session),
        quantity = line.quantity.count(),
        most = Quantity::MOST,
        total = line.total(),
    )
}

fn one() -> u8 {
    Quantity::ONE.count()
}
