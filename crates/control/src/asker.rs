//! Who asks, and whether it may: the one place where policies are asked.

use headworks_iam::{Decision, Denials, Principal, Reason, Request};
use headworks_model::Kind;

use crate::names::{action, hrn, noun, word};
use crate::plane::{Access, Plane};
use crate::problem::Problem;
use crate::sight::Sight;

/// Who asks, and under which circumstances.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) principal: Principal,
    /// What is known of the request, for conditions.
    pub(crate) circumstances: Request,
}

impl Asker {
    /// Asks whether it may do something.
    ///
    /// # Errors
    /// When it may not.
    pub(crate) fn may(&self, plane: &Plane, action: &str, resource: &str) -> Result<(), Problem> {
        self.refused_if(plane, action, resource, |decision| !decision.allowed)
    }

    /// Asks whether it is denied something that everybody may.
    ///
    /// # Errors
    /// When it is.
    pub(crate) fn is_not_denied(&self, plane: &Plane, action: &str, resource: &str) -> Result<(), Problem> {
        self.refused_if(plane, action, resource, |decision| decision.reason == Reason::ExplicitDeny)
    }

    /// On what it is denied an action explicitly: for many resources at once.
    pub(crate) fn denied(&self, plane: &Plane, action: &str) -> Denials {
        match plane.access {
            Access::Open => Denials::default(),
            Access::Required => plane.directory().denials(&self.principal, self.circumstances.about(action, "")),
        }
    }

    /// Whether it may be told that a resource is there, when it is not about that: it may get it, or is shown it in lists.
    pub(crate) fn knows(&self, plane: &Plane, kind: Kind, name: &str) -> bool {
        self.knows_of(plane, (noun(kind), &format!("{}s", noun(kind))), (&word(kind), name))
    }

    /// The same of a user, group, role or managed policy: `user/alice`.
    pub(crate) fn knows_identity(&self, plane: &Plane, identity: &str) -> bool {
        let (word, name) = identity.split_once('/').unwrap_or((identity, ""));
        let nouns = match word {
            "user" if self.principal == Principal::User(name.to_owned()) => return true,
            "user" => ("User", "Users"),
            "group" => ("Group", "Groups"),
            "role" => ("Role", "Roles"),
            "policy" => ("Policy", "Policies"),
            // there is one, which hides nobody
            _ => return true,
        };
        self.knows_of(plane, nouns, (word, name))
    }

    fn knows_of(&self, plane: &Plane, (noun, nouns): (&str, &str), (word, name): (&str, &str)) -> bool {
        let (get, one) = (action(&format!("Get{noun}")), hrn(&format!("{word}/{name}")));
        let is_listed = || self.may(plane, &action(&format!("List{nouns}")), &hrn(&format!("{word}/*"))).is_ok();
        self.is_not_denied(plane, &get, &one).is_ok() && (self.may(plane, &get, &one).is_ok() || is_listed())
    }

    /// What it sees where many things are shown.
    pub(crate) fn sight(&self, plane: &Plane) -> Sight {
        Sight::of(self, plane)
    }

    /// The refusal where something is not permitted that the caller has not named, and that is not shown to it.
    pub(crate) fn refused_unshown(&self) -> Problem {
        let principal = &self.principal;
        Problem::denied(format!("User: {principal} is not authorized to change something that is not shown to it"))
    }

    fn refused_if(
        &self,
        plane: &Plane,
        action: &str,
        resource: &str,
        is_refused: impl FnOnce(&Decision) -> bool,
    ) -> Result<(), Problem> {
        if plane.access == Access::Open {
            return Ok(());
        }
        let decision = plane.directory().decide(&self.principal, self.circumstances.about(action, resource));
        if is_refused(&decision) { Err(refusal(&self.principal, action, resource, &decision)) } else { Ok(()) }
    }
}

/// Why somebody may not, in the words of AWS.
pub(crate) fn refusal(principal: &Principal, action: &str, resource: &str, decision: &Decision) -> Problem {
    let by = decision.by.as_ref().map(|by| format!(" ({}, statement {})", by.policy, by.statement)).unwrap_or_default();
    let reason = decision.reason;
    Problem::denied(format!(
        "User: {principal} is not authorized to perform: {action} on resource: {resource} because {reason}{by}"
    ))
}
