//! YAML as a tree with places. Knows nothing of what the keys mean.

mod node;
mod read;
mod simple;

pub(crate) use self::node::{Entry, Mark, Node, NodeValue, Scalar, Style};
pub(crate) use self::read::{Document, read};
