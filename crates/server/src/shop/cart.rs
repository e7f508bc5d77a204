//! A visitor's cart: products with quantities, no product twice, in the order they were put in.
//!
//! Its written form is what the session cookie carries: `kettle~2!carafe~1`.

use std::fmt::{self, Display, Formatter};

use serde::ser::{Serialize, SerializeSeq, Serializer};
use serde_json::json;

use crate::shop::catalogue::{self, Product};
use crate::shop::money::{Money, Quantity};

/// A cart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cart {
    lines: Vec<CartLine>,
}

/// A product and how many of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CartLine {
    pub(crate) product: &'static Product,
    pub(crate) quantity: Quantity,
}

impl Cart {
    /// Reads the written form. A product that is no longer sold is left out: a cart may be older than the catalogue.
    pub(crate) fn parse(text: &str) -> Self {
        let mut cart = Self::default();
        for item in text.split('!') {
            let line = item.split_once('~').and_then(|(id, count)| {
                let quantity = Quantity::try_from(count.parse::<u8>().ok()?).ok()?;
                Some((catalogue::find(id)?, quantity))
            });
            if let Some((product, quantity)) = line {
                cart.add(product, quantity);
            }
        }
        cart
    }

    /// Puts more of a product in.
    pub(crate) fn add(&mut self, product: &'static Product, quantity: Quantity) {
        match self.line_mut(product) {
            Some(line) => line.quantity = line.quantity.saturating_add(quantity),
            None => self.lines.push(CartLine { product, quantity }),
        }
    }

    /// Says how many of a product there are.
    pub(crate) fn set(&mut self, product: &'static Product, quantity: Quantity) {
        match self.line_mut(product) {
            Some(line) => line.quantity = quantity,
            None => self.lines.push(CartLine { product, quantity }),
        }
    }

    /// Takes a product out.
    pub(crate) fn remove(&mut self, product: &Product) {
        self.lines.retain(|line| line.product.id != product.id);
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
    }

    /// What is in it.
    pub(crate) fn lines(&self) -> &[CartLine] {
        &self.lines
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many things are in it.
    pub(crate) fn count(&self) -> u32 {
        self.lines.iter().map(|line| u32::from(line.quantity.count())).sum()
    }

    /// What they cost, without shipping.
    pub(crate) fn goods(&self) -> Money {
        self.lines.iter().map(|line| line.total()).sum()
    }

    fn line_mut(&mut self, product: &Product) -> Option<&mut CartLine> {
        self.lines.iter_mut().find(|line| line.product.id == product.id)
    }
}

impl CartLine {
    /// Price times quantity.
    pub(crate) fn total(&self) -> Money {
        self.product.price * self.quantity
    }
}

impl Display for Cart {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for (place, line) in self.lines.iter().enumerate() {
            let separator = if place == 0 { "" } else { "!" };
            write!(out, "{separator}{}~{}", line.product.id, line.quantity.count())?;
        }
        Ok(())
    }
}

impl Serialize for Cart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.lines.len()))?;
        for line in &self.lines {
            sequence.serialize_element(&json!({
                "product": line.product.id,
                "quantity": line.quantity,
                "total_cents": line.total(),
            }))?;
        }
        sequence.end()
    }
}
