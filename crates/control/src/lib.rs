//! The control plane: declared resources by name, who may change them, what they were before, and who did what.
//!
//! What should be is the file and what came by the API, validated as one whole. A change goes to the control loop of the program,
//! which has it run before it is recorded; this crate never sees the data plane, and asks about it through [`Surroundings`].

mod asker;
mod call;
mod change;
mod clock;
mod cookie;
mod desired;
mod difference;
mod dispatch;
mod events;
mod files;
#[cfg(test)]
mod fuzz;
mod guesses;
mod identities;
mod json;
mod keep;
mod keyfile;
mod mend;
mod names;
mod openapi;
mod page;
mod parts;
mod pass;
mod plane;
mod problem;
mod query;
mod reader;
mod restore;
mod rewrite;
mod rotate;
mod routes;
mod sight;
mod sign_in;
mod signed;
mod standing;
mod strangers;
mod upload;
mod uses;

pub use self::change::{Asked, Change, Outcome, Proposed, Run};
pub use self::desired::{Clash, Desired, Origin};
pub use self::dispatch::router;
pub use self::events::Event;
pub use self::keep::{first_user, initialise, local_key, seed};
pub use self::keyfile::{KeyError, Place};
pub use self::openapi::document as openapi;
pub use self::pass::{Carrier, Pass};
pub use self::plane::{
    Access, Ask, AskOf, Groups, Parts, Plane, Reloaded, Span, Status, Surroundings, Targets, WatchFor, Watched,
};
pub use self::problem::{FileFault, Problem};
pub use self::rotate::rotate;
