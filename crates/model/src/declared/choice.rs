//! The macro for enums.

/// Declares an enum of which each variant is a word (`round_robin`) or a mapping of one key (`{ forward: web }`).
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        $(#[derive($($derive:ident),*)])?
        $vis:vis enum $name:ident {
            $(
                $(#[doc = $variant_doc:literal])*
                $variant:ident $(($(#[via = $via:ty])? $type:ty))? = $word:literal
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        $(#[derive($($derive),*)])?
        $vis enum $name {
            $($(#[doc = $variant_doc])* $variant $(($type))?,)*
        }

        impl $name {
            /// All of their words and keys.
            #[allow(dead_code, reason = "only some are a part of something")]
            pub(crate) const WORDS: &'static [&'static str] = &[$($word),*];

            /// Reads it from one key of a mapping.
            #[allow(dead_code, unused_variables, reason = "not all have variants with a key")]
            pub(crate) fn read_entry<'a>(
                entry: &'a $crate::yaml::Entry,
                cx: &mut $crate::declared::Cx<'a>,
            ) -> Option<Self> {
                $($crate::declared::choice!(@entry entry cx $variant $word $(($($via)?; $type))?);)*
                $crate::declared::unknown(entry, Self::WORDS, cx);
                None
            }

            /// Its word, or its key, in the file.
            $vis fn word(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $word,)*
                }
            }
        }

        impl $crate::declared::Declared for $name {
            fn expected() -> String {
                let all: &[&str] = &[$($crate::declared::choice!(@shown $word $($type)?)),*];
                format!("one of {}", all.join(", "))
            }

            #[allow(unused_variables, reason = "not all have variants of both kinds")]
            fn read<'a>(
                node: &'a $crate::yaml::Node,
                cx: &mut $crate::declared::Cx<'a>,
            ) -> Option<Self> {
                if let Some(text) = node.as_text() {
                    $($crate::declared::choice!(@word text $variant $word $($type)?);)*
                    let near = $crate::declared::nearest(text, Self::WORDS.iter().copied());
                    let hint = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
                    let expected = format!("{}{hint}", <Self as $crate::declared::Declared>::expected());
                    cx.wrong_kind(node, expected);
                    return None;
                }
                match node.as_map() {
                    Some([entry]) => return Self::read_entry(entry, cx),
                    Some(entries) => {
                        let what = format!("has {} keys", entries.len());
                        let expected = <Self as $crate::declared::Declared>::expected();
                        cx.wrong(node, what, expected.replacen("one", "exactly one", 1));
                    }
                    None => cx.wrong_kind(node, <Self as $crate::declared::Declared>::expected()),
                }
                None
            }

            fn write(&self) -> serde_json::Value {
                $($crate::declared::choice!(@write self $variant $word $(($($via)?; $type))?);)*
                serde_json::Value::from(self.word())
            }

            fn schema(defs: &mut $crate::declared::Defs) -> serde_json::Value {
                defs.refer(stringify!($name), |_defs| {
                    let all: Vec<serde_json::Value> = vec![$({
                        let doc = $crate::declared::doc(&[$($variant_doc),*]);
                        $crate::declared::choice!(@schema doc _defs $word $(($($via)?; $type))?)
                    }),*];
                    serde_json::json!({
                        "description": $crate::declared::doc(&[$($doc),*]),
                        "oneOf": all,
                    })
                })
            }
        }
    };

    (@shown $word:literal) => { $word };
    (@shown $word:literal $type:ty) => { concat!("{ ", $word, ": ... }") };

    (@word $text:ident $variant:ident $word:literal) => {
        if $text == $word {
            return Some(Self::$variant);
        }
    };
    (@word $text:ident $variant:ident $word:literal $type:ty) => {};

    (@entry $entry:ident $cx:ident $variant:ident $word:literal) => {};
    (@entry $entry:ident $cx:ident $variant:ident $word:literal ($($via:ty)?; $type:ty)) => {
        if $entry.key == $word {
            let step = $crate::declared::Step::Key($word);
            let read = <$crate::declared::declared!(@via $($via)?) as $crate::declared::Codec<$type>>::read;
            return $cx.within(step, |cx| read(&$entry.node, cx)).map(Self::$variant);
        }
    };

    (@write $self:ident $variant:ident $word:literal) => {};
    (@write $self:ident $variant:ident $word:literal ($($via:ty)?; $type:ty)) => {
        if let Self::$variant(value) = $self {
            let write = <$crate::declared::declared!(@via $($via)?) as $crate::declared::Codec<$type>>::write;
            return serde_json::json!({ $word: write(value) });
        }
    };

    (@schema $doc:ident $defs:ident $word:literal) => {
        serde_json::json!({ "const": $word, "description": $doc })
    };
    (@schema $doc:ident $defs:ident $word:literal ($($via:ty)?; $type:ty)) => {{
        let mut inner = <$crate::declared::declared!(@via $($via)?) as $crate::declared::Codec<$type>>::schema($defs);
        if let Some(inner) = inner.as_object_mut() {
            inner.insert("description".to_owned(), serde_json::Value::from($doc.as_str()));
        }
        serde_json::json!({
            "type": "object",
            "description": $doc,
            "properties": { $word: inner },
            "required": [$word],
            "additionalProperties": false,
        })
    }};
}

pub(crate) use choice;
