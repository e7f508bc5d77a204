//! What whole-product tests are made of: the program on ports of its own, scripted origins behind it, clients that
//! write raw bytes in front of it, and a strict reading of everything that comes out of it.
//!
//! Everything blocks, and everything has a deadline that fails with what it was waiting for. Nothing here knows how the
//! product is built inside; for tests only, so a broken expectation panics.

pub mod authority;
pub mod client;
pub mod database;
pub mod dns;
pub mod door;
pub mod echo;
pub mod frames;
pub mod gate;
pub mod machine;
pub mod metrics;
pub mod origin;
pub mod pebble;
pub mod port;
pub mod program;
pub mod script;
mod serving;
pub mod stream;
pub mod table;
pub mod tls;
pub mod wait;
pub mod wire;

pub use authority::{Authority, Issued};
pub use client::{Ask, Client, ask};
pub use door::{Door, Walled};
pub use echo::Echo;
pub use gate::Gate;
pub use machine::Machine;
pub use origin::{Origin, Received};
pub use pebble::Pebble;
pub use port::free_port;
pub use program::{Headworks, Program};
pub use rcgen::DnType;
pub use script::Step;
pub use table::check;
pub use tls::Caller;
pub use wire::{Fields, Request, Response};
