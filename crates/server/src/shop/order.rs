//! An order: what a cart becomes at the checkout.

use serde::{Deserialize, Serialize};

use crate::shop::cart::Cart;
use crate::shop::customer::Customer;
use crate::shop::money::{Money, Quantity};
use crate::shop::version::Version;

/// What makes two submissions of one checkout the same: a visitor's second one with it gets the first one's order.
#[derive(Clone, Debug)]
pub(crate) struct Submission(String);

/// An order that is not placed yet.
#[derive(Clone, Debug)]
pub(crate) struct OrderDraft {
    pub(crate) visitor: String,
    pub(crate) submission: Submission,
    pub(crate) customer: Customer,
    pub(crate) lines: Vec<OrderLine>,
    pub(crate) price: Price,
    /// The instance that took it.
    pub(crate) placed_by: String,
}

/// An order that was placed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Order {
    /// Counts up over all instances.
    pub(crate) id: i64,
    /// In UTC, as RFC 3339 has it.
    pub(crate) placed_at: String,
    pub(crate) placed_by: String,
    pub(crate) customer: Customer,
    pub(crate) lines: Vec<OrderLine>,
    #[serde(flatten)]
    pub(crate) price: Price,
}

/// A product as it was when it was ordered.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OrderLine {
    pub(crate) product: String,
    pub(crate) name: String,
    pub(crate) quantity: Quantity,
    #[serde(rename = "price_cents")]
    pub(crate) price: Money,
}

/// What an order costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Price {
    #[serde(rename = "goods_cents")]
    pub(crate) goods: Money,
    #[serde(rename = "shipping_cents")]
    pub(crate) shipping: Money,
    #[serde(rename = "total_cents")]
    pub(crate) total: Money,
}

/// A wish for a product, as the API takes it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Wish {
    pub(crate) product: String,
    pub(crate) quantity: Quantity,
}

impl Submission {
    /// 1 to 64 printable ASCII characters.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Price {
    /// Of a cart, at this version's shipping price.
    pub(crate) fn of(cart: &Cart, version: Version) -> Self {
        let goods = cart.goods();
        let shipping = version.shipping(goods);
        Self { goods, shipping, total: goods + shipping }
    }
}

impl OrderLine {
    /// The lines of a cart, at today's prices.
    pub(crate) fn of(cart: &Cart) -> Vec<Self> {
        let line = |line: &crate::shop::cart::CartLine| Self {
            product: line.product.id.to_owned(),
            name: line.product.name.to_owned(),
            quantity: line.quantity,
            price: line.product.price,
        };
        cart.lines().iter().map(line).collect()
    }
}
