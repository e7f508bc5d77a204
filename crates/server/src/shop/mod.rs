//! The demo application: a small, real shop, of which `headworks demo` runs three instances behind a load balancer.
//!
//! It exists to give the load balancer something honest to balance: server-rendered pages, a cart in a signed cookie,
//! orders in one SQLite file that all instances write to, a JSON API, streams and a WebSocket, and a handful of doors
//! for experiments. Two versions differ visibly, so that a release by weight can be watched. It knows nothing of the
//! load balancer's crates: it speaks to it as any application would, over HTTP.

#[macro_use]
mod html;

mod api;
mod app;
mod cart;
mod catalogue;
mod configuration;
mod customer;
mod database;
mod error;
mod experiment;
mod failure;
mod instance;
mod key;
mod money;
mod order;
mod page;
mod picture;
mod response;
mod session;
mod store;
mod version;
mod what_to_try;

pub(crate) use configuration::{Layout, configuration, settings};
pub(crate) use instance::{Instance, Parent, run};
pub(crate) use what_to_try::what_to_try;

#[cfg(test)]
mod tests;
