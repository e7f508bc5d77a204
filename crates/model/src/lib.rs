//! The declared resources of Headworks: what a configuration file or the API says should be.
//!
//! One file per resource. Everything that leaves this crate is validated: below this door there are no raw strings.
//! Deliberately absent: files, sockets, clocks. Reading a file's bytes and resolving names is for the callers.

pub mod action;
pub mod certificate;
pub mod condition;
pub mod config;
pub mod guard;
pub mod listener;
pub mod load_balancer;
pub mod primitive;
pub mod rule;
pub mod target_group;
pub mod template;
