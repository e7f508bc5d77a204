//! The two versions of the shop, and everything in which they differ.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::Serialize;

use crate::shop::money::Money;

/// A release of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Version {
    /// The proven one: blue, shipping at a price.
    V1,
    /// The coming one: green, free shipping and a banner that says so.
    V2,
}

/// A version that does not exist.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownVersion;

impl Version {
    /// As written on a command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// Colours, as a style sheet.
    pub(crate) fn theme(self) -> &'static str {
        match self {
            Self::V1 => include_str!("theme_v1.css"),
            Self::V2 => include_str!("theme_v2.css"),
        }
    }

    /// What every page says at its top.
    pub(crate) fn banner(self) -> Option<&'static str> {
        match self {
            Self::V1 => None,
            Self::V2 => Some("New: free shipping on every order"),
        }
    }

    /// The price of shipping goods of this worth.
    pub(crate) fn shipping(self, goods: Money) -> Money {
        match self {
            Self::V1 if goods < Money::cents(10_000) => Money::cents(490),
            Self::V1 | Self::V2 => Money::ZERO,
        }
    }
}

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(UnknownVersion),
        }
    }
}

impl Display for Version {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl Display for UnknownVersion {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("a version of the shop is v1 or v2")
    }
}

impl std::error::Error for UnknownVersion {}
