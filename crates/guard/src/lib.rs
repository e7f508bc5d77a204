//! Who may connect, and how often: sets of networks, numbered access lists, packet filters, clients and their offences.
//!
//! Pure: no socket, no clock, no randomness; addresses, moments and a seeded hasher go in, verdicts come out. What is done
//! with a connection that is refused, and who may hear of it, stays with the caller.

pub mod access_list;
pub mod clients;
pub mod filter;
pub mod networks;
pub mod rate;
pub mod security_group;

mod ranges;

pub use access_list::{AccessList, Action, Fate, NumberedRule};
pub use clients::{Block, Client, ClientKey, ClientLimits, Clients, Refusal};
pub use networks::Networks;
pub use rate::Rate;
pub use security_group::{Allowance, Overlap, overlaps};
