//! Nothing is made here: the console is built before, by `make`, and what is there of it goes into the binary.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../console/dist");
}
