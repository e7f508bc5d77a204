//! What happens, as it happens: told to whoever listens to `/v1/events`.

use serde_json::Value;

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// `revision`, `target_state` or `reload`.
    pub kind: &'static str,
    /// What there is to say of it.
    pub data: Value,
}
