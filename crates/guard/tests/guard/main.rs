//! What is compiled decides as the plain reading of what was declared; limits hold at every moment.

#![expect(clippy::unwrap_used, reason = "a test that is written wrongly should fail")]

mod access_list;
mod clients;
mod filter;
mod networks;
mod rate;
mod security_group;
