//! The sample of the contract, read whole.

use crate::common::accept;
use headworks_model::Config;

#[test]
fn the_sample_of_the_contract_is_right() {
    let parsed = accept(include_str!("../data/contract.yaml"));
    assert_eq!(parsed.warnings, []);
    let again = Config::from_json(&parsed.config.to_json()).unwrap_or_else(|faults| panic!("\n{faults}"));
    assert_eq!(again.config, parsed.config);
}
