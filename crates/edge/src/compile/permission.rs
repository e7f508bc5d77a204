//! What a configuration needs a privilege for: found out by trying, before anything is changed.

use headworks_model::config::Config;

use super::build::CannotRun;
use crate::runtime::transparent;

/// What this process is not permitted to do of what a configuration asks for. On another machine it may be.
pub fn unpermitted(config: &Config) -> Vec<CannotRun> {
    let mut preserving = config.target_groups.iter().filter(|(_, group)| group.preserve_client_ip).peekable();
    if preserving.peek().is_none() {
        return Vec::new();
    }
    let Err(error) = transparent::permitted() else { return Vec::new() };
    let what = format!(
        "needs the capability CAP_NET_ADMIN, which this process does not have ({error}); grant it, or tell targets of their \
         clients by proxy_protocol: v2"
    );
    let cannot = |name| CannotRun { path: format!("target_groups.{name}.preserve_client_ip"), what: what.clone() };
    preserving.map(|(name, _)| cannot(name)).collect()
}
