//! The macro for structs.

/// Declares a struct that is read from a mapping.
///
/// Before the struct: `#[short = "key"]` lets a value that is no mapping stand for that key, and `#[check = function]`
/// names a `fn(&Self, &Fields, &mut Cx)` for what fields must be to each other, `#[inspect = function]` a
/// `fn(&Fields, &mut Cx)` for the same when it should be said even if a field is not usable. On a field: `#[key = "type"]` for a key
/// that is not the field's name, `#[also = "key"]` for a second key that the codec reads, `#[via = Codec]`,
/// `#[note = function]` to tell the context its value, `None` when that is wrong, before the next field is read. `= value` is its default;
/// `=> value` a default that may use the fields before it, each an `Option`.
macro_rules! declared {
    (
        $(#[doc = $doc:literal])*
        $(#[derive($($derive:ident),*)])?
        $(#[short = $short:literal])?
        $(#[inspect = $inspect:path])?
        $(#[check = $check:path])?
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $(#[key = $key:literal])?
                $(#[also = $also:literal])?
                $(#[via = $via:ty])?
                $(#[note = $note:path])?
                $field_vis:vis $field:ident: $type:ty $(= $default:expr)? $(=> $derived:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        $(#[derive($($derive),*)])?
        $vis struct $name {
            $($(#[doc = $field_doc])* $field_vis $field: $type,)*
        }

        impl $name {
            const KEYS: &'static [&'static str] =
                &[$($crate::declared::declared!(@key $field $($key)?), $($also,)?)*];
        }

        impl $crate::declared::Declared for $name {
            fn expected() -> String {
                format!("a mapping of {}", Self::KEYS.join(", "))
            }

            fn read<'a>(
                node: &'a $crate::yaml::Node,
                cx: &mut $crate::declared::Cx<'a>,
            ) -> Option<Self> {
                #[allow(unused_mut, unused_assignments, reason = "only some have one")]
                let mut short: Option<&'static str> = None;
                $(short = Some($short);)?
                let fields = $crate::declared::Fields::of(
                    node, Self::KEYS, short, <Self as $crate::declared::Declared>::expected, cx,
                )?;
                $(
                    $crate::declared::declared!(@count before cx $($note)?);
                    let $field = <$crate::declared::declared!(@via $($via)?) as $crate::declared::Codec<$type>>::field(
                        &fields,
                        $crate::declared::declared!(@key $field $($key)?),
                        $crate::declared::declared!(@default $($default)? $(=> $derived)?),
                        cx,
                    );
                    $($note($field.as_ref().filter(|_| cx.fault_count() == before), cx);)?
                )*
                $($inspect(&fields, cx);)?
                let value = Self { $($field: $field?,)* };
                $($check(&value, &fields, cx);)?
                Some(value)
            }

            fn write(&self) -> serde_json::Value {
                let mut into = serde_json::Map::new();
                $(<$crate::declared::declared!(@via $($via)?) as $crate::declared::Codec<$type>>::put(
                    &self.$field,
                    $crate::declared::declared!(@key $field $($key)?),
                    &mut into,
                );)*
                serde_json::Value::Object(into)
            }

            fn schema(defs: &mut $crate::declared::Defs) -> serde_json::Value {
                defs.refer(stringify!($name), |defs| {
                    let mut shape = $crate::declared::Shape::default();
                    $(
                        let key = $crate::declared::declared!(@key $field $($key)?);
                        let default: Option<$type> = $crate::declared::declared!(@value $($default)?);
                        let is_required = $crate::declared::declared!(@required $($default)? $(=> $derived)?)
                            && !<$crate::declared::declared!(@via $($via)?)
                                as $crate::declared::Codec<$type>>::OPTIONAL;
                        if is_required {
                            shape.required.push(key.into());
                        }
                        <$crate::declared::declared!(@via $($via)?) as $crate::declared::Codec<$type>>::describe(
                            key,
                            &$crate::declared::doc(&[$($field_doc),*]),
                            default.map(|value| {
                                <$crate::declared::declared!(@via $($via)?)
                                    as $crate::declared::Codec<$type>>::write(&value)
                            }),
                            &mut shape,
                            defs,
                        );
                    )*
                    let doc = $crate::declared::doc(&[$($doc),*]);
                    #[allow(unused_mut, reason = "only some have a short form")]
                    let mut schema = serde_json::json!({
                        "description": doc,
                        "type": "object",
                        "properties": &shape.properties,
                        "required": &shape.required,
                        "additionalProperties": false,
                    });
                    $(
                        let short = shape.properties.get($short).cloned().unwrap_or_default();
                        schema = serde_json::json!({ "description": doc, "anyOf": [short, schema] });
                    )?
                    schema
                })
            }
        }
    };

    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@count $before:ident $cx:ident) => {};
    (@count $before:ident $cx:ident $note:path) => { let $before = $cx.fault_count(); };
    (@via) => { $crate::declared::Plain };
    (@via $via:ty) => { $via };
    (@default) => { None };
    (@default $default:expr) => { Some(&|| $default) };
    (@default => $derived:expr) => { Some(&|| $derived) };
    (@value) => { None };
    (@value $default:expr) => { Some($default) };
    (@required) => { true };
    (@required $default:expr) => { false };
    (@required => $derived:expr) => { false };
}

pub(crate) use declared;
