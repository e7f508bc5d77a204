//! What the control plane must not forget: resources that came by the API, their revisions, identities, and who did what.
//!
//! One SQLite database in WAL mode with `synchronous=FULL`: what is acknowledged outlives a kill and a loss of power. Bodies are
//! texts to this crate; what they mean, whether they are right, and what in them is secret is for those above it.

mod audit;
mod database;
mod error;
mod identity;
mod keep;
mod migrations;
mod resource;
mod retention;
mod revision;
mod sealing;

pub use self::audit::{Broken, Entry, Linked, Outcome, Query, Verified};
pub use self::database::Store;
pub use self::error::StoreError;
pub use self::identity::Identity;
pub use self::keep::Keep;
pub use self::resource::Stored;
pub use self::retention::EXPIRE;
pub use self::revision::{Commit, Difference, Edit, Revision};
pub use self::sealing::Body;
