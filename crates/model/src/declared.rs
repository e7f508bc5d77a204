//! One declaration per resource gives its type, how it is read, its defaults, how it is written, and its JSON Schema.
//!
//! The macros [`declared!`] (structs) and [`choice!`] (enums) write the implementations; what has a shape of its own
//! implements [`Declared`] by hand, and a [`Codec`] is a further way to read and write a type, named by `#[via = ...]`.

mod choice;
mod codec;
mod context;
mod fields;
mod structure;
mod suggest;
mod text;

use serde_json::{Map, Value, json};

pub(crate) use self::choice::choice;
pub(crate) use self::codec::{
    Factor, Lasts, LeftOut, NonEmpty, OneOrMore, Optional, Plain, Ratio, Section, Within, capped, named,
};
pub(crate) use self::context::{Cx, Group, Referable, Step, To};
pub(crate) use self::fields::{Fields, unknown};
pub(crate) use self::structure::declared;
pub(crate) use self::suggest::nearest;
pub(crate) use self::text::{Cidr, FieldValue, Host, Size, Token, parse_duration, parsed, text_of};
use crate::yaml::Node;

/// A type with a way to be read and written of its own.
pub(crate) trait Declared: Sized {
    /// What a reader of a fault should write instead.
    fn expected() -> String;

    /// Reads it, telling `cx` all that is wrong; `None` when nothing usable came of it.
    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self>;

    /// Its canonical form; null stands for "left out".
    fn write(&self) -> Value;

    /// Its JSON Schema.
    fn schema(defs: &mut Defs) -> Value;
}

/// A way to read and write a `T`.
pub(crate) trait Codec<T> {
    /// Whether a field of it may be left out though it has no default.
    const OPTIONAL: bool = false;

    /// See [`Declared::expected`].
    fn expected() -> String;

    /// See [`Declared::read`].
    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<T>;

    /// See [`Declared::write`].
    fn write(value: &T) -> Value;

    /// See [`Declared::schema`].
    fn schema(defs: &mut Defs) -> Value;

    /// Reads a field of a mapping; a key without a value counts as absent.
    fn field<'a>(
        fields: &Fields<'a>,
        key: &'static str,
        default: Option<&dyn Fn() -> T>,
        cx: &mut Cx<'a>,
    ) -> Option<T> {
        match fields.get(key).filter(|node| !node.is_null()) {
            Some(node) => {
                let value = if fields.is_short() {
                    Self::read(node, cx)
                } else {
                    cx.within(Step::Key(key), |cx| Self::read(node, cx))
                };
                value.or_else(|| default.map(|default| default()))
            }
            None => {
                if default.is_none() {
                    fields.missing(key, Self::expected(), cx);
                }
                default.map(|default| default())
            }
        }
    }

    /// Writes a field of a mapping.
    fn put(value: &T, key: &'static str, into: &mut Map<String, Value>) {
        match Self::write(value) {
            Value::Null => {}
            written => drop(into.insert(key.to_owned(), written)),
        }
    }

    /// Describes a field of a mapping.
    fn describe(key: &'static str, doc: &str, default: Option<Value>, into: &mut Shape, defs: &mut Defs) {
        let mut schema = Self::schema(defs);
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), json!(doc));
            match default {
                Some(Value::Null) => {}
                Some(default) => drop(object.insert("default".to_owned(), default)),
                None => {}
            }
        }
        into.properties.insert(key.to_owned(), schema);
    }
}

/// The properties of a schema under construction.
#[derive(Default)]
pub(crate) struct Shape {
    /// By key.
    pub(crate) properties: Map<String, Value>,
    /// Keys without a default.
    pub(crate) required: Vec<Value>,
}

/// The schemas that others refer to, by name.
#[derive(Default)]
pub(crate) struct Defs(pub(crate) Map<String, Value>);

impl Defs {
    /// A reference to the schema called `name`, made by `build` the first time it is asked for.
    pub(crate) fn refer(&mut self, name: &str, build: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.0.contains_key(name) {
            // Taken before it is built, so that a type may contain itself.
            self.0.insert(name.to_owned(), Value::Null);
            let schema = build(self);
            self.0.insert(name.to_owned(), schema);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }
}

/// The text of `///` lines as one description.
pub(crate) fn doc(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
