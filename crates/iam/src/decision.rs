//! Evaluating policies: an explicit deny anywhere wins; else an identity's policies must allow, and so must its boundary and the
//! session's policy where there are such; else it is denied.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

use std::fmt;

use serde::Serialize;

use crate::document::{Document, Listed, Statement};
use crate::pattern::{Case, Pattern};
use crate::request::Request;

/// What came of a question, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// The statement that decided; none when it is that there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Matched>,
}

/// Why something is allowed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The root identity may do everything.
    Root,
    /// A statement allows it, and nothing denies it.
    Allowed,
    /// A statement denies it.
    ExplicitDeny,
    /// No policy of the identity allows it.
    NoIdentityPolicyAllows,
    /// The permissions boundary does not allow it.
    NoBoundaryAllows,
    /// The session's policy does not allow it.
    NoSessionPolicyAllows,
    /// No trust policy names the principal.
    NoTrustPolicyAllows,
}

impl fmt::Display for Reason {
    /// In the words of AWS's messages, after "because".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root may do everything",
            Self::Allowed => "a policy allows it",
            Self::ExplicitDeny => "a policy denies it explicitly",
            Self::NoIdentityPolicyAllows => "no identity-based policy allows it",
            Self::NoBoundaryAllows => "no permissions boundary allows it",
            Self::NoSessionPolicyAllows => "no session policy allows it",
            Self::NoTrustPolicyAllows => "no trust policy allows it",
        })
    }
}

/// A statement of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// Whose policy, and its name.
    pub policy: String,
    /// Its Sid, or its number from 1.
    pub statement: String,
}

/// A policy and what it is called.
pub(crate) struct Named<'a> {
    pub(crate) name: String,
    pub(crate) document: &'a Document,
}

/// What is said of a principal.
#[derive(Default)]
pub(crate) struct Policies<'a> {
    pub(crate) identity: Vec<Named<'a>>,
    pub(crate) boundary: Option<Named<'a>>,
    pub(crate) session: Option<Named<'a>>,
}

impl Policies<'_> {
    /// The answer.
    pub(crate) fn decide(&self, request: &Request) -> Decision {
        let all = self.identity.iter().chain(&self.boundary).chain(&self.session);
        if let Some(by) = all.into_iter().find_map(|policy| policy.first(request, false)) {
            return Decision { allowed: false, reason: Reason::ExplicitDeny, by: Some(by) };
        }
        let denied = |reason| Decision { allowed: false, reason, by: None };
        let Some(by) = self.identity.iter().find_map(|policy| policy.first(request, true)) else {
            return denied(Reason::NoIdentityPolicyAllows);
        };
        let permits = |policy: &Option<Named<'_>>| policy.as_ref().is_none_or(|p| p.first(request, true).is_some());
        if !permits(&self.boundary) {
            return denied(Reason::NoBoundaryAllows);
        }
        if !permits(&self.session) {
            return denied(Reason::NoSessionPolicyAllows);
        }
        Decision { allowed: true, reason: Reason::Allowed, by: Some(by) }
    }
}

impl Named<'_> {
    /// The first statement of this effect that is about the request.
    pub(crate) fn first(&self, request: &Request, allows: bool) -> Option<Matched> {
        let statements = self.document.statements.iter().enumerate();
        let mut fitting = statements.filter(|(_, statement)| {
            statement.allows == allows && statement.is_about(request, self.document.has_variables)
        });
        fitting.next().map(|(index, statement)| Matched {
            policy: self.name.clone(),
            statement: statement.sid.clone().unwrap_or_else(|| (index + 1).to_string()),
        })
    }
}

impl Statement {
    /// Whether it is about what is asked.
    pub(crate) fn is_about(&self, request: &Request, has_variables: bool) -> bool {
        let resource = |text: &String| {
            Pattern::of_resource(text, request, has_variables)
                .is_some_and(|pattern| pattern.matches(&request.resource, Case::Sensitive))
        };
        self.is_about_action(request) && self.resources.has(resource) && self.holds(request, has_variables)
    }

    /// Whether it is about the action that is asked.
    pub(crate) fn is_about_action(&self, request: &Request) -> bool {
        self.actions.has(|pattern| Pattern::plain(pattern).matches(&request.action, Case::Insensitive))
    }

    /// Whether all its conditions hold.
    pub(crate) fn holds(&self, request: &Request, has_variables: bool) -> bool {
        self.conditions.iter().all(|condition| condition.holds(request, has_variables))
    }
}

impl Listed {
    pub(crate) fn has(&self, fits: impl Fn(&String) -> bool) -> bool {
        match self {
            Self::These(these) => these.iter().any(fits),
            Self::AllBut(but) => !but.iter().any(fits),
            Self::Unsaid => true,
        }
    }
}
