//! Codecs of numbers, lists and mappings.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::text::{duration_text, parse_duration};
use super::{Codec, Cx, Declared, Defs, Fields, Step};
use crate::primitive::Name;
use crate::yaml::{Node, NodeValue};

/// The most entries of one list or mapping.
const MOST: usize = 100_000;

static NOTHING: Node = Node::empty_map();

/// The type's own way.
pub(crate) struct Plain;

impl<T: Declared> Codec<T> for Plain {
    fn expected() -> String {
        T::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<T> {
        T::read(node, cx)
    }

    fn write(value: &T) -> Value {
        value.write()
    }

    fn schema(defs: &mut Defs) -> Value {
        T::schema(defs)
    }
}

/// What is not written when it is as it is by default.
pub(crate) struct LeftOut;

impl<T: Declared + Default + PartialEq> Codec<T> for LeftOut {
    fn expected() -> String {
        T::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<T> {
        T::read(node, cx)
    }

    fn write(value: &T) -> Value {
        if *value == T::default() { Value::Null } else { value.write() }
    }

    fn schema(defs: &mut Defs) -> Value {
        T::schema(defs)
    }
}

/// A mapping of which every key has a default: when it is absent, it is read as an empty one.
pub(crate) struct Section;

impl<T: Declared> Codec<T> for Section {
    const OPTIONAL: bool = true;

    fn expected() -> String {
        T::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<T> {
        T::read(node, cx)
    }

    fn write(value: &T) -> Value {
        value.write()
    }

    fn schema(defs: &mut Defs) -> Value {
        T::schema(defs)
    }

    fn field<'a>(fields: &Fields<'a>, key: &'static str, _: Option<&dyn Fn() -> T>, cx: &mut Cx<'a>) -> Option<T> {
        let node = fields.get(key).filter(|node| !node.is_null());
        let value = cx.within(Step::Key(key), |cx| T::read(node.unwrap_or(&NOTHING), cx));
        // What was written may be wrong; then the rest is still checked against the defaults.
        value.or_else(|| T::read(&NOTHING, cx))
    }
}

/// What `C` reads, or absent.
pub(crate) struct Optional<C = Plain>(PhantomData<C>);

impl<T, C: Codec<T>> Codec<Option<T>> for Optional<C> {
    fn expected() -> String {
        C::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Option<T>> {
        if node.is_null() { Some(None) } else { C::read(node, cx).map(Some) }
    }

    fn write(value: &Option<T>) -> Value {
        value.as_ref().map_or(Value::Null, C::write)
    }

    fn schema(defs: &mut Defs) -> Value {
        C::schema(defs)
    }
}

impl<T: Declared> Declared for Option<T> {
    fn expected() -> String {
        T::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        Optional::<Plain>::read(node, cx)
    }

    fn write(&self) -> Value {
        Optional::<Plain>::write(self)
    }

    fn schema(defs: &mut Defs) -> Value {
        T::schema(defs)
    }
}

impl Declared for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        let value = node.as_scalar().and_then(|scalar| scalar.as_bool());
        if value.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        value
    }

    fn write(&self) -> Value {
        (*self).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "boolean" })
    }
}

/// A whole number from `LOW` to `HIGH`.
pub(crate) struct Within<const LOW: u64, const HIGH: u64>;

impl<T: Copy + TryFrom<u64> + Into<u64>, const LOW: u64, const HIGH: u64> Codec<T> for Within<LOW, HIGH> {
    fn expected() -> String {
        format!("a whole number from {LOW} to {HIGH}")
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<T> {
        let number = node.as_scalar().and_then(|scalar| scalar.as_whole());
        let number = number.filter(|number| (LOW..=HIGH).contains(number)).and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            cx.wrong_kind(node, <Self as Codec<T>>::expected());
        }
        number
    }

    fn write(value: &T) -> Value {
        let number: u64 = (*value).into();
        number.into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "integer", "minimum": LOW, "maximum": HIGH })
    }
}

impl Declared for u32 {
    fn expected() -> String {
        <Within<0, 0xffff_ffff> as Codec<Self>>::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        Within::<0, 0xffff_ffff>::read(node, cx)
    }

    fn write(&self) -> Value {
        (*self).into()
    }

    fn schema(defs: &mut Defs) -> Value {
        <Within<0, 0xffff_ffff> as Codec<Self>>::schema(defs)
    }
}

/// A number from 0 to 1.
pub(crate) struct Ratio;

impl Codec<f64> for Ratio {
    fn expected() -> String {
        "a number from 0 to 1".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<f64> {
        let number = node.as_scalar().and_then(|scalar| scalar.as_number());
        let number = number.filter(|number| (0.0..=1.0).contains(number));
        if number.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        // -0 would not come back from JSON as itself.
        number.map(|number| number + 0.0)
    }

    fn write(value: &f64) -> Value {
        (*value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

/// A number from 1 to 1,000 that something is multiplied with.
pub(crate) struct Factor;

impl Codec<f64> for Factor {
    fn expected() -> String {
        "a number from 1 to 1000".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<f64> {
        let number = node.as_scalar().and_then(|scalar| scalar.as_number());
        let number = number.filter(|number| (1.0..=1000.0).contains(number));
        if number.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        number
    }

    fn write(value: &f64) -> Value {
        (*value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "number", "minimum": 1, "maximum": 1000 })
    }
}

/// A duration from `LOW` to `HIGH` milliseconds.
pub(crate) struct Lasts<const LOW: u64, const HIGH: u64>;

impl<const LOW: u64, const HIGH: u64> Codec<Duration> for Lasts<LOW, HIGH> {
    fn expected() -> String {
        let text = |millis| duration_text(Duration::from_millis(millis));
        format!("a duration from {} to {}, such as 30s", text(LOW), text(HIGH))
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Duration> {
        let duration = node.as_text().and_then(parse_duration);
        let bounds = Duration::from_millis(LOW)..=Duration::from_millis(HIGH);
        let duration = duration.filter(|duration| bounds.contains(duration));
        if duration.is_none() {
            cx.wrong_kind(node, Self::expected());
        }
        duration
    }

    fn write(value: &Duration) -> Value {
        duration_text(*value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["30s"] })
    }
}

/// A list.
impl<T: Declared> Declared for Vec<T> {
    fn expected() -> String {
        "a list".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        let NodeValue::List(nodes) = &node.value else {
            cx.wrong_kind(node, Self::expected());
            return None;
        };
        capped(node, nodes.len(), cx);
        Some(items::<T, Plain>(nodes, cx))
    }

    fn write(&self) -> Value {
        self.iter().map(Declared::write).collect()
    }

    fn schema(defs: &mut Defs) -> Value {
        json!({ "type": "array", "items": T::schema(defs) })
    }
}

/// A list that copies share.
impl<T: Declared> Declared for Arc<Vec<T>> {
    fn expected() -> String {
        Vec::<T>::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        Vec::read(node, cx).map(Self::new)
    }

    fn write(&self) -> Value {
        (**self).write()
    }

    fn schema(defs: &mut Defs) -> Value {
        Vec::<T>::schema(defs)
    }
}

/// A list of what `C` reads, or a single one without the list around it. Left out when empty.
pub(crate) struct OneOrMore<C = Plain>(PhantomData<C>);

impl<T, C: Codec<T>> Codec<Vec<T>> for OneOrMore<C> {
    fn expected() -> String {
        format!("{}, or a list of them", C::expected())
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Vec<T>> {
        let NodeValue::List(nodes) = &node.value else {
            return C::read(node, cx).map(|value| vec![value]);
        };
        capped(node, nodes.len(), cx);
        Some(items::<T, C>(nodes, cx))
    }

    fn write(value: &Vec<T>) -> Value {
        if value.is_empty() { Value::Null } else { value.iter().map(C::write).collect() }
    }

    fn schema(defs: &mut Defs) -> Value {
        let one = C::schema(defs);
        json!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// As [`OneOrMore`], and one there must be.
pub(crate) struct NonEmpty<C = Plain>(PhantomData<C>);

impl<T, C: Codec<T>> Codec<Vec<T>> for NonEmpty<C> {
    fn expected() -> String {
        OneOrMore::<C>::expected()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Vec<T>> {
        if matches!(&node.value, NodeValue::List(nodes) if nodes.is_empty()) {
            cx.wrong(node, "is an empty list", format!("at least one of {}", C::expected()));
            return None;
        }
        OneOrMore::<C>::read(node, cx)
    }

    fn write(value: &Vec<T>) -> Value {
        OneOrMore::<C>::write(value)
    }

    fn schema(defs: &mut Defs) -> Value {
        let one = C::schema(defs);
        json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// Reads each of `nodes`, leaving out what is not usable.
fn items<'a, T, C: Codec<T>>(nodes: &'a [Node], cx: &mut Cx<'a>) -> Vec<T> {
    let mut all = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        all.extend(cx.within(Step::Index(index), |cx| C::read(node, cx)));
    }
    all
}

/// Faults what has more entries than the program can carry.
pub(crate) fn capped<'a>(node: &'a Node, count: usize, cx: &mut Cx<'a>) {
    if count > MOST {
        cx.wrong(node, format!("has {count} entries"), format!("at most {MOST}"));
    }
}

/// Resources by name.
impl<T: Declared> Declared for BTreeMap<Name, T> {
    fn expected() -> String {
        "a mapping of names".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Self> {
        let named = named(node, Self::expected, cx, T::read)?;
        Some(named.into_iter().collect())
    }

    fn write(&self) -> Value {
        let entries: Map<String, Value> =
            self.iter().map(|(name, value)| (name.as_str().to_owned(), value.write())).collect();
        entries.into()
    }

    fn schema(defs: &mut Defs) -> Value {
        json!({
            "type": "object",
            "propertyNames": Name::schema(defs),
            "additionalProperties": T::schema(defs),
        })
    }
}

/// Reads a mapping from names, in its order, leaving out what is not usable.
pub(crate) fn named<'a, T>(
    node: &'a Node,
    expected: impl FnOnce() -> String,
    cx: &mut Cx<'a>,
    mut read: impl FnMut(&'a Node, &mut Cx<'a>) -> Option<T>,
) -> Option<Vec<(Name, T)>> {
    let Some(entries) = node.as_map() else {
        cx.wrong_kind(node, expected());
        return None;
    };
    capped(node, entries.len(), cx);
    let mut all = Vec::with_capacity(entries.len());
    for entry in entries {
        cx.within(Step::Key(&entry.key), |cx| {
            let name = Name::new(&entry.key).ok();
            if name.is_none() {
                cx.fault(entry.mark, "is not a name", Some(Name::expected()));
            }
            let value = read(&entry.node, cx);
            all.extend(name.zip(value));
        });
    }
    Some(all)
}
