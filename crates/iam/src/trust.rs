//! Who may assume a role: its trust policy, and for principals of this installation that is enough (same account).

use crate::decision::{Decision, Matched, Named, Reason};
use crate::document::Document;
use crate::pattern::{Case, Pattern};
use crate::request::Request;

/// Whether a trust policy lets a principal do what is asked. `names` are what the principal may be called: itself, and all of
/// the installation.
pub fn trusts(role: &str, document: &Document, names: &[&str], request: &Request) -> Decision {
    let named = Named { name: format!("{role} (trust)"), document };
    let about = |allows: bool| {
        let statements = document.statements.iter().enumerate();
        let mut fitting = statements.filter(|(_, statement)| {
            let principal = |pattern: &String| {
                let pattern = Pattern::plain(pattern);
                names.iter().any(|name| pattern.matches(name, Case::Sensitive))
            };
            statement.allows == allows
                && statement.principals.has(principal)
                && statement.is_about(request, document.has_variables)
        });
        fitting.next().map(|(index, statement)| Matched {
            policy: named.name.clone(),
            statement: statement.sid.clone().unwrap_or_else(|| (index + 1).to_string()),
        })
    };
    match (about(false), about(true)) {
        (Some(by), _) => Decision { allowed: false, reason: Reason::ExplicitDeny, by: Some(by) },
        (None, Some(by)) => Decision { allowed: true, reason: Reason::Allowed, by: Some(by) },
        (None, None) => Decision { allowed: false, reason: Reason::NoTrustPolicyAllows, by: None },
    }
}
