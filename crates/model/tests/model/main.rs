//! The model from outside: texts in, resources or faults out.

mod accepted;
mod arbitrary;
mod changes;
mod common;
mod contract;
mod faults;
mod files;
mod fuzz;
mod scale;
mod schema;
