//! The sample of the contract, read whole.

mod common;

use common::parse;
use headworks_model::Config;

#[test]
fn the_sample_of_the_contract_is_right() {
    let parsed = parse(include_str!("data/contract.yaml")).unwrap_or_else(|faults| panic!("\n{faults}"));
    assert_eq!(parsed.warnings, []);
    let again = Config::from_json(&parsed.config.to_json()).unwrap_or_else(|faults| panic!("\n{faults}"));
    assert_eq!(again.config, parsed.config);
}
