//! The checkout: a form, and the order it becomes.
//!
//! A form sent twice is one order. A form whose total another version would not charge is shown again, not charged.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::shop::app::App;
use crate::shop::customer::{Customer, CustomerFaults, CustomerInput};
use crate::shop::failure::Failure;
use crate::shop::html::Markup;
use crate::shop::key::nonce;
use crate::shop::money::Money;
use crate::shop::order::{OrderDraft, OrderLine, Price, Submission};
use crate::shop::page::{Page, see_other, sums, token_field};
use crate::shop::session::Session;

/// The form.
#[derive(Debug, Deserialize)]
pub(crate) struct CheckoutForm {
    token: String,
    submission: String,
    /// The total that the page showed, in cents.
    agreed: Money,
    // Flattening would lose the numbers' types in a form.
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    address: String,
}

/// What the form looks like when it is shown.
struct Draft<'a> {
    submission: &'a str,
    input: &'a CustomerInput,
    faults: CustomerFaults,
    notice: Option<&'static str>,
}

/// `GET /checkout`
pub(crate) async fn show(State(app): State<Arc<App>>, session: Session) -> Result<Response, Failure> {
    if session.cart.is_empty() {
        return see_other(&app, &session, "/cart");
    }
    let input = CustomerInput::default();
    let draft = Draft { submission: &nonce()?, input: &input, faults: CustomerFaults::default(), notice: None };
    Ok(form(&app, &session, draft, StatusCode::OK))
}

/// `POST /checkout`
pub(crate) async fn place(
    State(app): State<Arc<App>>,
    mut session: Session,
    Form(sent): Form<CheckoutForm>,
) -> Result<Response, Failure> {
    session.admit_form(&app.key, &sent.token)?;
    if session.cart.is_empty() {
        return see_other(&app, &session, "/orders");
    }
    let submission = Submission::parse(&sent.submission).ok_or(Failure::BadRequest("The form is not complete."))?;
    let input = CustomerInput { name: sent.name, email: sent.email, address: sent.address };
    let again = |faults, notice, status| {
        let draft = Draft { submission: submission.as_str(), input: &input, faults, notice };
        Ok(form(&app, &session, draft, status))
    };
    let customer = match Customer::parse(&input) {
        Ok(customer) => customer,
        Err(faults) => {
            return again(faults, Some("Please look at the marked fields."), StatusCode::UNPROCESSABLE_ENTITY);
        }
    };
    let price = Price::of(&session.cart, app.version);
    if price.total != sent.agreed {
        let notice = "The price has changed. Please look at it once more.";
        return again(CustomerFaults::default(), Some(notice), StatusCode::CONFLICT);
    }
    let draft = OrderDraft {
        visitor: session.visitor.clone(),
        submission,
        customer,
        lines: OrderLine::of(&session.cart),
        price,
        placed_by: app.name.clone(),
    };
    let id = app.store.place(draft).await?;
    session.cart.clear();
    see_other(&app, &session, &format!("/orders/{id}"))
}

fn form(app: &App, session: &Session, draft: Draft<'_>, status: StatusCode) -> Response {
    let price = Price::of(&session.cart, app.version);
    let Draft { submission, input, faults, notice } = draft;
    let body = html!(
        r#"<h1>Checkout</h1>{notice}
<div class="columns">
<form action="/checkout" method="post" class="fields">
{token}
<input type="hidden" name="submission" value="{submission}">
<input type="hidden" name="agreed" value="{agreed}">
<label>Name{name_fault}<input name="name" value="{name}" required maxlength="100" autocomplete="name"></label>
<label>E-mail{email_fault}<input type="email" name="email" value="{email}" required maxlength="200" autocomplete="email"></label>
<label>Address{address_fault}<textarea name="address" rows="3" required maxlength="300" autocomplete="street-address">{address}</textarea></label>
<button>Place the order</button>
</form>
<aside><ul class="plain">{lines}</ul>{sums}</aside>
</div>"#,
        notice = notice.map(|text| html!(r#"<p class="warning" role="alert">{text}</p>"#, text = text)),
        token = token_field(app, session),
        submission = submission,
        agreed = price.total.in_cents(),
        name = input.name,
        name_fault = fault(faults.name),
        email = input.email,
        email_fault = fault(faults.email),
        address = input.address,
        address_fault = fault(faults.address),
        lines = session
            .cart
            .lines()
            .iter()
            .map(|line| html!(
                "<li>{quantity} × {name}</li>",
                quantity = line.quantity.count(),
                name = line.product.name
            ))
            .collect::<Markup>(),
        sums = sums(&price),
    );
    Page { app, session: Some(session), title: "Checkout", body }.answer(status)
}

fn fault(text: Option<&'static str>) -> Option<Markup> {
    text.map(|text| html!(r#" <em class="fault">{text}</em>"#, text = text))
}
