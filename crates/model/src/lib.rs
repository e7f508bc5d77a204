//! The declared resources of Headworks: what a configuration file or the API says should be.
//!
//! One file per resource. Everything that leaves this crate is validated: below this door there are no raw strings.
//! Deliberately absent: files, sockets, clocks. Reading a file's bytes and resolving names is for the callers.

pub mod acme;
pub mod action;
pub mod certificate;
mod check;
mod check_guards;
mod circuit_breaker;
pub mod compression;
pub mod condition;
mod condition_value;
pub mod config;
mod credentials;
mod deadline;
mod declared;
mod default_action;
pub mod difference;
mod edit;
mod fallback;
pub mod fault;
mod files;
mod fixed_response;
mod forward;
pub mod guard;
mod health_check;
pub mod injection;
mod limits;
pub mod listener;
pub mod load_balancer;
pub mod mirror;
pub mod overload;
mod parse;
pub mod primitive;
mod redact;
mod redirect;
mod references;
pub mod request_headers;
pub mod resolve;
mod resource;
pub mod response_headers;
mod retry;
pub mod rule;
mod share;
mod stickiness;
pub mod target_group;
pub mod template;
pub mod tls_policy;
mod yaml;

pub use self::check_guards::Reach;
pub use self::config::Config;
pub use self::difference::{Change, difference, difference_of_json, difference_of_shown};
pub use self::edit::{Edit, Edited};
pub use self::fault::{Fault, Faults};
pub use self::files::FileUse;
pub use self::parse::{Parsed, json_of_yaml, place, schema, schemas};
pub use self::redact::redact;
pub use self::resolve::Resolve;
pub use self::resource::Kind;
