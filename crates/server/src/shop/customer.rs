//! Who an order goes to: three texts, trimmed and bounded once, when they come in.

use serde::{Deserialize, Serialize};

/// What came in, not looked at yet. Shown again as it is when it is wrong.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct CustomerInput {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) address: String,
}

/// Someone a parcel can be sent to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Customer {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) address: String,
}

/// What is wrong with the input, by field; a field without fault is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CustomerFaults {
    pub(crate) name: Option<&'static str>,
    pub(crate) email: Option<&'static str>,
    pub(crate) address: Option<&'static str>,
}

impl Customer {
    /// Takes the input, or says everything that is wrong with it.
    pub(crate) fn parse(input: &CustomerInput) -> Result<Self, CustomerFaults> {
        let (name, email, address) = (text(&input.name, 100), text(&input.email, 200), text(&input.address, 300));
        let email = email.and_then(|email| {
            let plausible = email.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && !domain.is_empty());
            if plausible { Ok(email) } else { Err("needs the form name@example.com") }
        });
        match (name, email, address) {
            (Ok(name), Ok(email), Ok(address)) => Ok(Self { name, email, address }),
            (name, email, address) => {
                Err(CustomerFaults { name: name.err(), email: email.err(), address: address.err() })
            }
        }
    }
}

fn text(input: &str, most: usize) -> Result<String, &'static str> {
    let text = input.trim();
    if text.is_empty() {
        Err("is needed")
    } else if text.chars().count() > most {
        Err("is too long")
    } else if text.chars().any(|character| character.is_control() && !matches!(character, '\r' | '\n')) {
        Err("has characters that cannot be printed")
    } else {
        Ok(text.to_owned())
    }
}
