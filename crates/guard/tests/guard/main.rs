//! What is compiled decides as the plain reading of what was declared; limits hold at every moment.

mod access_list;
mod clients;
mod filter;
mod networks;
mod rate;
mod security_group;
