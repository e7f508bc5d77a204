//! The sample of the contract, read whole.

use crate::common::accept;
use headworks_model::Config;

#[test]
fn the_sample_of_the_contract_is_right() {
    let parsed = accept(include_str!("../data/contract.yaml"));
    // it shows all limits of a listener on one of TCP
    let warned: Vec<&str> = parsed.warnings.iter().map(|warning| &*warning.path).collect();
    assert_eq!(warned, ["load_balancers.edge-tcp.listeners.guarded.limits.minimum_rate"]);
    let again = Config::from_json(&parsed.config.to_json()).unwrap_or_else(|faults| panic!("\n{faults}"));
    assert_eq!(again.config, parsed.config);
}
