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

use self::hunt::{Target, last_shape};
use self::mutate::mutate;

/// How long each is hunted in a run of all tests.
const SECONDS: u64 = 2;

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
