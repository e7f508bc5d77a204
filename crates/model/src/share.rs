//! What two configurations have in common, kept once: after a reload, most is what it was.

use std::sync::Arc;

use crate::config::Config;

impl Config {
    /// Takes rules and targets that are the same as those of another configuration from there. Both are then found to be the same
    /// by where they are, and what was read for nothing is gone.
    pub fn share(&mut self, before: &Config) {
        for (name, group) in &mut self.target_groups {
            if let Some(before) = before.target_groups.get(name)
                && group.targets == before.targets
            {
                group.targets = Arc::clone(&before.targets);
            }
        }
        for (name, balancer) in &mut self.load_balancers {
            let Some(before) = before.load_balancers.get(name) else { continue };
            for (name, listener) in &mut balancer.listeners {
                if let Some(before) = before.listeners.get(name)
                    && listener.rules == before.rules
                {
                    listener.rules = Arc::clone(&before.rules);
                }
            }
        }
    }
}
