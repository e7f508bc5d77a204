//! What a health check logs in with.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::declared::{Codec, Cx, Declared, Defs, parsed};
use crate::yaml::Node;

/// The longest password, in bytes.
const LONGEST_PASSWORD: usize = 1024;

/// A password; shown by nothing but [`Password::as_str`].
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Arc<str>);

impl Password {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Declared for Password {
    fn expected() -> String {
        format!("a password of 1 to {LONGEST_PASSWORD} bytes, in quotes or from ${{env:...}} or ${{file:...}}")
    }

    /// What is wrong with one is said without it.
    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        let fits = |text: &&str| (1..=LONGEST_PASSWORD).contains(&text.len()) && !text.contains('\0');
        let password = node.as_text().filter(fits);
        if password.is_none() {
            cx.wrong(node, "is no password", Self::expected());
        }
        password.map(|text| Self(text.into()))
    }

    fn write(&self) -> Value {
        self.as_str().into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_PASSWORD })
    }
}

/// The name of a user or of a database: 1 to 128 bytes, none of them a control character.
pub(crate) struct Identifier;

impl Codec<Arc<str>> for Identifier {
    fn expected() -> String {
        "a name of 1 to 128 bytes without control characters".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Arc<str>> {
        parsed(node, Self::expected, cx, |text| {
            let fits = (1..=128).contains(&text.len()) && !text.contains(char::is_control);
            if fits { Ok(text.into()) } else { Err("cannot be one") }
        })
    }

    fn write(value: &Arc<str>) -> Value {
        (**value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "minLength": 1, "maxLength": 128 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(format!("{:?}", Password("secret".into())), "***");
    }
}
