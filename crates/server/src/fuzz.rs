//! What the fuzz targets of this crate hunt with: hunt, mutations and corpus are those of the `fuzz` crate.

#[expect(unreachable_pub, reason = "also a part of another crate")]
#[path = "../../../fuzz/src/hunt.rs"]
pub(crate) mod hunt;
#[expect(unreachable_pub, reason = "also a part of another crate")]
#[path = "../../../fuzz/src/mutate.rs"]
pub(crate) mod mutate;
#[expect(unreachable_pub, reason = "also a part of another crate")]
#[path = "../../../fuzz/src/values.rs"]
pub(crate) mod values;
