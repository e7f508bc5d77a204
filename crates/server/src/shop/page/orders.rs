//! A visitor's orders: the list, and one of them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use crate::shop::app::App;
use crate::shop::failure::Failure;
use crate::shop::html::Markup;
use crate::shop::order::{Order, OrderLine};
use crate::shop::page::{Page, sums};
use crate::shop::session::Session;

const NO_SUCH_ORDER: Failure = Failure::NotFound("You have no such order.");

/// `GET /orders`
pub(crate) async fn list(State(app): State<Arc<App>>, session: Session) -> Result<Response, Failure> {
    let orders = app.store.orders(&session.visitor).await?;
    let body = if orders.is_empty() {
        html!(r#"<h1>Your orders</h1><p class="empty">None yet.</p><p><a class="button" href="/">Look around</a></p>"#)
    } else {
        html!(
            r#"<h1>Your orders</h1><div class="scroll"><table><thead><tr><th>Order</th><th>Placed</th><th>Taken by</th>
               <th>Items</th><th class="number">Total</th></tr></thead><tbody>{rows}</tbody></table></div>"#,
            rows = orders.iter().map(row).collect::<Markup>(),
        )
    };
    Ok(Page { app: &app, session: Some(&session), title: "Your orders", body }.answer(StatusCode::OK))
}

/// `GET /orders/{id}`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let id: i64 = id.parse().map_err(|_| NO_SUCH_ORDER)?;
    let order = app.store.order(&session.visitor, id).await?.ok_or(NO_SUCH_ORDER)?;
    let body = html!(
        r#"<section class="hero"><h1>Order {id}</h1><p>Thank you, {name}. Placed {placed} and taken by instance {instance}.</p></section>
<div class="scroll"><table><thead><tr><th>Item</th><th class="number">Price</th><th class="number">Quantity</th>
<th class="number">Total</th></tr></thead><tbody>{lines}</tbody></table></div>
{sums}
<p>It goes to</p><address>{name}
{address}
{email}</address>
<p><a href="/orders">All orders</a></p>"#,
        id = order.id,
        name = order.customer.name,
        placed = moment(&order.placed_at),
        instance = order.placed_by,
        lines = order.lines.iter().map(line).collect::<Markup>(),
        sums = sums(&order.price),
        address = order.customer.address,
        email = order.customer.email,
    );
    Ok(Page { app: &app, session: Some(&session), title: "Your order", body }.answer(StatusCode::OK))
}

fn row(order: &Order) -> Markup {
    let items: u32 = order.lines.iter().map(|line| u32::from(line.quantity.count())).sum();
    html!(
        r#"<tr><td><a href="/orders/{id}">{id}</a></td><td>{placed}</td><td>{instance}</td><td>{items}</td>
           <td class="number">{total}</td></tr>"#,
        id = order.id,
        placed = moment(&order.placed_at),
        instance = order.placed_by,
        items = items,
        total = order.price.total,
    )
}

fn line(line: &OrderLine) -> Markup {
    html!(
        r#"<tr><td>{name}</td><td class="number">{price}</td><td class="number">{quantity}</td>
           <td class="number">{total}</td></tr>"#,
        name = line.name,
        price = line.price,
        quantity = line.quantity.count(),
        total = line.price * line.quantity,
    )
}

/// RFC 3339 as people write it.
fn moment(placed_at: &str) -> Markup {
    html!(
        r#"<time datetime="{exact}">{shown}</time>"#,
        exact = placed_at,
        shown = placed_at.replace('T', " ").replace('Z', " UTC"),
    )
}
