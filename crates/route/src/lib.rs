//! Listener rules, compiled: which rule a request meets, where a redirect points, how a rewrite reads.
//!
//! Pure: no socket, no clock, no randomness; a request and its peer go in, the index of a rule comes out. The default
//! action, the choice of a target and the sending stay with the caller. [`explain()`] gives the same answers slowly,
//! straight from the declared rules, and is what [`Table::find`] is tested against.

pub mod error;
pub mod explain;
pub mod flow;
pub mod redirect;
pub mod table;
pub mod transform;
pub mod weighted;

mod cidr;
mod condition;
mod exact;
mod index;
mod matcher;
mod trie;
mod uri;
mod wildcard;

pub use error::{CompileError, Fault};
pub use explain::{Condition, Verdict, explain};
pub use flow::{FlowTable, FlowView};
pub use redirect::{Arrival, RedirectError};
pub use table::Table;
pub use transform::{CompiledTransforms, Rewritten, TransformError};
