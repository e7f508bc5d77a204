//! The node of the tree, and what a scalar is by YAML 1.2's core schema (`yes`, `no`, `on` and `off` are text).

use std::borrow::Cow;

use serde_json::Value;

/// A place in the text, both from 1; 0 is no place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node<'t> {
    pub(crate) mark: Mark,
    pub(crate) value: NodeValue<'t>,
}

#[derive(Clone, Debug)]
pub(crate) enum NodeValue<'t> {
    Scalar(Scalar<'t>),
    List(Vec<Node<'t>>),
    /// In the order of the text; no key twice.
    Map(Vec<Entry<'t>>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'t> {
    pub(crate) key: Cow<'t, str>,
    pub(crate) mark: Mark,
    pub(crate) node: Node<'t>,
}

#[derive(Clone, Debug)]
pub(crate) struct Scalar<'t> {
    pub(crate) text: Cow<'t, str>,
    pub(crate) style: Style,
    /// Something in it came from `${env:...}` or `${file:...}`: never quoted back.
    pub(crate) secret: bool,
}

/// How a scalar may be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Unquoted: the core schema decides.
    Plain,
    /// Quoted, a block, or tagged `!!str`: text whatever it looks like.
    Text,
    /// Unquoted with something put in: whatever is wanted of it, if it fits.
    Filled,
    /// What was to be put in is missing. That is reported, so nothing else about it need be.
    Broken,
}

impl<'t> Node<'t> {
    /// A node without a place that stands for "nothing was written".
    pub(crate) const fn empty_map() -> Self {
        Self { mark: Mark { line: 0, column: 0 }, value: NodeValue::Map(Vec::new()) }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, NodeValue::Scalar(scalar) if scalar.is_null())
    }

    pub(crate) fn as_scalar(&self) -> Option<&Scalar<'t>> {
        match &self.value {
            NodeValue::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub(crate) fn as_map(&self) -> Option<&[Entry<'t>]> {
        match &self.value {
            NodeValue::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The nodes of a list; none when it is none.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            NodeValue::List(nodes) => nodes,
            _ => &[],
        }
    }

    /// The scalar if it is text.
    pub(crate) fn as_text(&self) -> Option<&str> {
        self.as_scalar().and_then(Scalar::as_text)
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// What it is, for "is a list, expected ...".
    pub(crate) fn kind(&self) -> Cow<'static, str> {
        match &self.value {
            NodeValue::List(_) => "is a list".into(),
            NodeValue::Map(_) => "is a mapping".into(),
            NodeValue::Scalar(scalar) => scalar.kind(),
        }
    }

    /// The tree as JSON: scalars are what the core schema has them be.
    pub(crate) fn to_json(&self) -> Value {
        match &self.value {
            NodeValue::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            NodeValue::Map(entries) => {
                let entries = entries.iter().map(|entry| (entry.key.clone().into_owned(), entry.node.to_json()));
                Value::Object(entries.collect())
            }
            NodeValue::Scalar(scalar) => scalar.to_json(),
        }
    }

    /// JSON as a tree without places, nothing in it to be filled in.
    pub(crate) fn from_json(value: &'t Value) -> Self {
        let scalar = |text, style| NodeValue::Scalar(Scalar { text, style, secret: false });
        let value = match value {
            Value::Null => scalar(Cow::Borrowed(""), Style::Plain),
            Value::Bool(value) => scalar(Cow::Owned(value.to_string()), Style::Plain),
            Value::Number(value) => scalar(Cow::Owned(value.to_string()), Style::Plain),
            Value::String(text) => scalar(Cow::Borrowed(text), Style::Text),
            Value::Array(values) => NodeValue::List(values.iter().map(Self::from_json).collect()),
            Value::Object(values) => NodeValue::Map(
                values
                    .iter()
                    .map(|(key, value)| Entry {
                        key: Cow::Borrowed(key),
                        mark: Mark::default(),
                        node: Self::from_json(value),
                    })
                    .collect(),
            ),
        };
        Self { mark: Mark::default(), value }
    }
}

impl Scalar<'_> {
    fn to_json(&self) -> Value {
        if self.is_null() {
            return Value::Null;
        }
        let number = || self.as_whole().map(Value::from).or_else(|| self.as_number().map(Value::from));
        // what stands for no number of JSON, as .inf does, is text
        let number = || number().filter(Value::is_number);
        self.as_bool().map(Value::from).or_else(number).unwrap_or_else(|| (*self.text).into())
    }

    fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        let fits = match self.style {
            Style::Text | Style::Filled | Style::Broken => true,
            Style::Plain => !self.is_null() && self.plain_bool().is_none() && self.plain_number().is_none(),
        };
        fits.then_some(&*self.text)
    }

    pub(crate) fn as_bool(&self) -> Option<bool> {
        if self.style == Style::Text { None } else { self.plain_bool() }
    }

    pub(crate) fn as_number(&self) -> Option<f64> {
        if self.style == Style::Text { None } else { self.plain_number() }
    }

    /// A whole number that is not negative: `8080`, `0x1f90` or `0o17620`.
    pub(crate) fn as_whole(&self) -> Option<u64> {
        if self.style == Style::Text { None } else { whole(self.text.strip_prefix('+').unwrap_or(&self.text)) }
    }

    fn plain_bool(&self) -> Option<bool> {
        match &*self.text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    fn plain_number(&self) -> Option<f64> {
        match &*self.text {
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
            "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
            ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
            _ => {}
        }
        if let Some(whole) = whole(&self.text) {
            #[expect(clippy::cast_precision_loss, reason = "a float is asked for")]
            return Some(whole as f64);
        }
        let mut bytes = self.text.bytes();
        let first = bytes.next()?;
        let starts = first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.');
        let rest = self.text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
        if starts && rest { self.text.parse().ok() } else { None }
    }

    fn kind(&self) -> Cow<'static, str> {
        if self.secret {
            return "is not what fits here".into();
        }
        if self.is_null() {
            return "is empty".into();
        }
        let shown = self.shown();
        if self.style == Style::Text || self.plain_bool().or(self.plain_number().map(|_| true)).is_none() {
            format!("is the text {shown}").into()
        } else if self.plain_bool().is_some() {
            format!("is the truth value {}", self.text).into()
        } else {
            format!("is the number {}", self.text).into()
        }
    }

    /// The text for a message: quoted, short, and without secrets.
    pub(crate) fn shown(&self) -> String {
        if self.secret {
            return "the value".to_owned();
        }
        let mut text: String = self.text.chars().take(60).collect();
        if text.len() < self.text.len() {
            text.push('…');
        }
        format!("{text:?}")
    }
}

fn whole(text: &str) -> Option<u64> {
    let digits = |text: &str, radix| {
        let fine = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
        fine.then(|| u64::from_str_radix(text, radix).ok()).flatten()
    };
    if let Some(text) = text.strip_prefix("0x") {
        return digits(text, 16);
    }
    if let Some(text) = text.strip_prefix("0o") {
        return digits(text, 8);
    }
    digits(text, 10)
}
