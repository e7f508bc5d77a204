//! Compression of answers: an extension, off unless it is declared.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::declared::{
    Codec, Cx, Defs, Fields, NonEmpty, Section, Size, Step, Token, Within, choice, declared, parsed,
};
use crate::yaml::{Node, NodeValue};

declared! {
    /// Compression of answers for clients that ask for it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[short = "algorithms"]
    #[inspect = inspect_compression]
    pub struct Compression {
        /// In order of preference among those that a client likes equally.
        #[via = NonEmpty]
        pub algorithms: Vec<CompressionAlgorithm> =
            vec![CompressionAlgorithm::Br, CompressionAlgorithm::Zstd, CompressionAlgorithm::Gzip],
        /// Media types, `text/html` or `text/*`, without parameters.
        #[via = NonEmpty<MediaType>]
        pub types: Vec<Arc<str>> = usual_types(),
        /// Answers that are known to be shorter are sent as they are.
        #[via = Size<0, 1_073_741_824>]
        pub minimum_size: u64 = 1024,
        /// How hard each algorithm tries.
        #[via = Section]
        pub levels: CompressionLevels,
    }
}

choice! {
    /// A compression algorithm.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum CompressionAlgorithm {
        /// Brotli (RFC 7932).
        Br = "br",
        /// Zstandard (RFC 8878).
        Zstd = "zstd",
        /// gzip (RFC 1952).
        Gzip = "gzip",
    }
}

declared! {
    /// Levels, 1 (fast) to 9 (small).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CompressionLevels {
        /// Of brotli.
        #[via = Within<1, 9>]
        pub br: u8 = 4,
        /// Of Zstandard.
        #[via = Within<1, 9>]
        pub zstd: u8 = 3,
        /// Of gzip.
        #[via = Within<1, 9>]
        pub gzip: u8 = 5,
    }
}

/// What is text in effect, and not `text/event-stream`: its events are small and want no delay.
fn usual_types() -> Vec<Arc<str>> {
    let types = [
        "text/html",
        "text/css",
        "text/plain",
        "text/csv",
        "text/markdown",
        "text/xml",
        "text/javascript",
        "application/javascript",
        "application/json",
        "application/ld+json",
        "application/manifest+json",
        "application/problem+json",
        "application/xml",
        "application/xhtml+xml",
        "application/rss+xml",
        "application/atom+xml",
        "application/wasm",
        "image/svg+xml",
    ];
    types.map(Into::into).to_vec()
}

fn inspect_compression<'a>(fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let Some(NodeValue::List(algorithms)) = fields.get("algorithms").map(|node| &node.value) else { return };
    let mut seen = HashSet::new();
    for (index, node) in algorithms.iter().enumerate() {
        if let Some(word) = node.as_text().filter(|word| !seen.insert(*word)) {
            let what = format!("{word} is there twice");
            cx.within(Step::Key("algorithms"), |cx| {
                cx.within(Step::Index(index), |cx| cx.wrong(node, what, "each algorithm once"));
            });
        }
    }
}

/// `type/subtype` or `type/*`, kept in lower case.
struct MediaType;

impl Codec<Arc<str>> for MediaType {
    fn expected() -> String {
        "a media type such as text/html or text/*".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Arc<str>> {
        parsed(node, Self::expected, cx, |text| {
            let named = text.split_once('/').is_some_and(|(kind, sub)| {
                Token::is(kind) && !kind.contains('*') && (sub == "*" || Token::is(sub) && !sub.contains('*'))
            });
            if named { Ok(text.to_ascii_lowercase().into()) } else { Err("is no media type") }
        })
    }

    fn write(value: &Arc<str>) -> Value {
        (**value).into()
    }

    fn schema(_defs: &mut Defs) -> Value {
        json!({ "type": "string", "examples": ["text/html", "text/*", "application/json"] })
    }
}
