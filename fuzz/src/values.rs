//! Places in JSON, for those that change it.

use serde_json::Value;

use super::mutate::Random;

/// Some value inside another, or that itself.
pub fn pick<'v>(value: &'v mut Value, random: &mut Random) -> &'v mut Value {
    let count = match &*value {
        Value::Array(list) => list.len(),
        Value::Object(map) => map.len(),
        _ => 0,
    };
    if count == 0 || random.below(6) == 0 {
        return value;
    }
    let at = random.below(count);
    let next = match value {
        Value::Array(list) => list.get_mut(at),
        Value::Object(map) => map.values_mut().nth(at),
        _ => None,
    };
    pick(next.expect("one of those that were counted"), random)
}
