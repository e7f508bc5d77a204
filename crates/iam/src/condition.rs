//! Conditions of a statement: operators of AWS over what is known of a request.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;

use crate::pattern::{Case, Pattern};
use crate::request::Request;
use crate::time::parse_iso;

/// One operator over one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    key: String,
    quantifier: Quantifier,
    if_exists: bool,
    /// `Not...`: true when none of the values fits.
    negated: bool,
    test: Test,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    None,
    All,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Text(Case),
    Like,
    Number(Order),
    Date(Order),
    Bool,
    Binary,
    Address,
    Null,
}

impl Order {
    fn holds(self, found: f64, wanted: f64) -> bool {
        match self {
            Self::Equal => found == wanted,
            Self::Less => found < wanted,
            Self::LessOrEqual => found <= wanted,
            Self::Greater => found > wanted,
            Self::GreaterOrEqual => found >= wanted,
        }
    }

    fn named(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "Equals" => (Self::Equal, false),
            "NotEquals" => (Self::Equal, true),
            "LessThan" => (Self::Less, false),
            "LessThanEquals" => (Self::LessOrEqual, false),
            "GreaterThan" => (Self::Greater, false),
            "GreaterThanEquals" => (Self::GreaterOrEqual, false),
            _ => return None,
        })
    }
}

fn operator(name: &str) -> Option<(Test, bool)> {
    let ordered = |prefix: &str, test: fn(Order) -> Test| {
        let (order, negated) = Order::named(name.strip_prefix(prefix)?)?;
        Some((test(order), negated))
    };
    Some(match name {
        "StringEquals" => (Test::Text(Case::Sensitive), false),
        "StringNotEquals" => (Test::Text(Case::Sensitive), true),
        "StringEqualsIgnoreCase" => (Test::Text(Case::Insensitive), false),
        "StringNotEqualsIgnoreCase" => (Test::Text(Case::Insensitive), true),
        // of ARNs, equal and like are the same
        "StringLike" | "ArnEquals" | "ArnLike" => (Test::Like, false),
        "StringNotLike" | "ArnNotEquals" | "ArnNotLike" => (Test::Like, true),
        "Bool" => (Test::Bool, false),
        "BinaryEquals" => (Test::Binary, false),
        "IpAddress" => (Test::Address, false),
        "NotIpAddress" => (Test::Address, true),
        "Null" => (Test::Null, false),
        _ => return ordered("Numeric", Test::Number).or_else(|| ordered("Date", Test::Date)),
    })
}

impl Condition {
    /// Takes an operator as it is written, `ForAnyValue:StringLikeIfExists`, a key, and what is compared with.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(written: &str, key: &str, values: Vec<String>) -> Result<Self, String> {
        let (quantifier, name) = match written.split_once(':') {
            Some(("ForAllValues", name)) => (Quantifier::All, name),
            Some(("ForAnyValue", name)) => (Quantifier::Any, name),
            Some(_) => return Err(format!("{written} is no operator, expected ForAllValues: or ForAnyValue:")),
            None => (Quantifier::None, written),
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let Some((test, negated)) = operator(name) else {
            return Err(format!(
                "{written} is no operator, expected one such as StringEquals, IpAddress or DateLessThan"
            ));
        };
        if test == Test::Null && (if_exists || quantifier != Quantifier::None) {
            return Err("Null asks whether the key exists, and goes with nothing before or after it".to_owned());
        }
        if key.is_empty() {
            return Err("names no key, expected one such as aws:SourceIp".to_owned());
        }
        for value in values.iter().filter(|value| !value.contains("${")) {
            let fine = match test {
                Test::Number(_) => value.parse::<f64>().is_ok_and(f64::is_finite),
                Test::Date(_) => parse_iso(value).is_some(),
                Test::Bool | Test::Null => ["true", "false"].contains(&value.to_ascii_lowercase().as_str()),
                Test::Binary => STANDARD.decode(value).is_ok(),
                Test::Address => network(value).is_some(),
                Test::Text(_) | Test::Like => true,
            };
            if !fine {
                return Err(format!("{value:?} is not what {name} compares with"));
            }
        }
        Ok(Self { key: key.to_owned(), quantifier, if_exists, negated, test, values })
    }

    /// Whether it holds.
    pub(crate) fn holds(&self, request: &Request, has_variables: bool) -> bool {
        let found = request.values(&self.key).filter(|values| !values.is_empty());
        if self.test == Test::Null {
            let wants_none = self.values.iter().any(|value| value.eq_ignore_ascii_case("true"));
            return found.is_none() == wants_none;
        }
        let Some(found) = found else {
            // what is not there equals nothing, so that it is not equal to all
            return match self.quantifier {
                Quantifier::All => true,
                Quantifier::Any => self.if_exists,
                Quantifier::None => self.if_exists || self.negated,
            };
        };
        let fits = |found: &String| self.values.iter().any(|wanted| self.fits(found, wanted, request, has_variables));
        let holds = |found: &String| fits(found) != self.negated;
        match (self.quantifier, self.negated) {
            (Quantifier::All, _) | (Quantifier::None, true) => found.iter().all(holds),
            (Quantifier::Any, _) | (Quantifier::None, false) => found.iter().any(holds),
        }
    }

    fn fits(&self, found: &str, wanted: &str, request: &Request, has_variables: bool) -> bool {
        let look_up = |name: &str| request.value(name);
        let pattern = || match has_variables {
            true => Pattern::filled(wanted, &look_up).ok(),
            false => Some(Pattern::plain(wanted)),
        };
        match self.test {
            Test::Text(case) => pattern().is_some_and(|pattern| pattern.is(found, case)),
            Test::Like => pattern().is_some_and(|pattern| pattern.matches(found, Case::Sensitive)),
            Test::Number(order) => {
                found.parse().ok().zip(wanted.parse().ok()).is_some_and(|(found, wanted)| order.holds(found, wanted))
            }
            Test::Date(order) => {
                parse_iso(found).zip(parse_iso(wanted)).is_some_and(|(found, wanted)| order.holds(found, wanted))
            }
            Test::Bool => found.eq_ignore_ascii_case(wanted),
            Test::Binary => STANDARD.decode(found).ok().zip(STANDARD.decode(wanted).ok()).is_some_and(|(a, b)| a == b),
            Test::Address => {
                let address = found.parse::<IpAddr>().ok().map(|address| address.to_canonical());
                network(wanted).zip(address).is_some_and(|(network, address)| network.contains(&address))
            }
            Test::Null => false,
        }
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
