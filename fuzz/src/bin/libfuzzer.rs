//! The targets under libFuzzer, with coverage, on stable Rust; `FUZZ_TARGET` names one (else all run on each input).
//!
//! ```sh
//! RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
//!   -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
//!   cargo run --release --features libfuzzer --bin libfuzzer --target "$(rustc --print host-tuple)" -- artifacts
//! ```

#![no_main]

use std::sync::OnceLock;

static ONLY: OnceLock<Option<String>> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let only = ONLY.get_or_init(|| std::env::var("FUZZ_TARGET").ok());
    for target in headworks_fuzz::TARGETS {
        if only.as_ref().is_none_or(|name| name == target.name) {
            (target.run)(data);
        }
    }
});
