//! What strangers and operators send to be judged, fuzzed: signed requests, policy documents, times. Hunt, mutations and corpus are
//! those of the `fuzz` crate.

#[expect(unreachable_pub, reason = "also a part of another crate")]
#[path = "../../../../fuzz/src/hunt.rs"]
mod hunt;
#[expect(unreachable_pub, reason = "also a part of another crate")]
#[path = "../../../../fuzz/src/mutate.rs"]
mod mutate;
mod policy;
mod signature;
mod time;
#[expect(unreachable_pub, reason = "also a part of another crate")]
#[path = "../../../../fuzz/src/values.rs"]
mod values;

use std::cell::RefCell;

use self::hunt::Target;
use self::mutate::mutate;

/// How long each is hunted in a run of all tests.
const SECONDS: u64 = 2;

thread_local! {
    /// What the last input came to, in short.
    static SHAPE: RefCell<String> = const { RefCell::new(String::new()) };
}

fn keep_shape(shape: String) {
    SHAPE.with_borrow_mut(|kept| *kept = shape);
}

fn last_shape(_: &[u8]) -> String {
    SHAPE.with_borrow(Clone::clone)
}

/// A target with what earlier hunts have left.
macro_rules! target {
    ($name:literal, $run:expr, $mutate:expr, $seeds:expr) => {
        Target {
            name: $name,
            run: $run,
            shape: last_shape,
            mutate: $mutate,
            seeds: $seeds,
            corpus: include_str!(concat!("../../../../fuzz/corpus/", $name)),
        }
    };
}

fn hunt_for(target: &Target) {
    hunt::test(target, SECONDS, "headworks-iam");
}

#[test]
fn a_signature() {
    hunt_for(&target!("a_signature", signature::check, mutate, signature::SEEDS));
}

#[test]
fn a_policy() {
    hunt_for(&target!("a_policy", policy::check, policy::mutate_document, policy::SEEDS));
}

#[test]
fn a_time() {
    hunt_for(&target!("a_time", time::check, mutate, time::SEEDS));
}
