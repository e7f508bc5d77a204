//! The binary.
mod shop;
fn main() {}
