//! Amounts of money and of things. Whole cents and small counts, so that a sum is exact and cannot overflow.

use std::fmt::{self, Display, Formatter};
use std::iter::Sum;
use std::ops::{Add, Mul};

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

/// An amount in euro cents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Money(u32);

/// How many of one product: 1 to [`Quantity::MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub(crate) struct Quantity(u8);

/// A quantity outside its range.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QuantityOutOfRange;

impl Money {
    /// Nothing.
    pub(crate) const ZERO: Self = Self(0);

    /// From cents.
    pub(crate) const fn cents(cents: u32) -> Self {
        Self(cents)
    }

    /// As cents.
    pub(crate) fn in_cents(self) -> u32 {
        self.0
    }
}

impl Quantity {
    /// The most of one product that fits into a cart.
    pub(crate) const MOST: u8 = 20;

    /// One.
    pub(crate) const ONE: Self = Self(1);

    /// Both together, but no more than fit.
    pub(crate) fn saturating_add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0).min(Self::MOST))
    }

    /// As a number.
    pub(crate) fn count(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Quantity {
    type Error = QuantityOutOfRange;

    fn try_from(count: u8) -> Result<Self, Self::Error> {
        if (1..=Self::MOST).contains(&count) { Ok(Self(count)) } else { Err(QuantityOutOfRange) }
    }
}

impl From<Quantity> for u8 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

impl Display for QuantityOutOfRange {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "a quantity is 1 to {}", Quantity::MOST)
    }
}

impl std::error::Error for QuantityOutOfRange {}

impl Display for Money {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "€{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Mul<Quantity> for Money {
    type Output = Self;

    fn mul(self, quantity: Quantity) -> Self {
        Self(self.0.saturating_mul(u32::from(quantity.0)))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl ToSql for Money {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Money {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        u32::column_result(value).map(Self)
    }
}
