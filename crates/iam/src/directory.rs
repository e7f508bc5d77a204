//! All identities as they are known at one moment, and what their policies say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::decision::{Decision, Named, Policies, Reason};
use crate::denials::Denials;
use crate::document::{Attached, Document, Mistake, trust};
use crate::key::{AccessKey, Accessed};
use crate::managed::Managed;
use crate::password;
use crate::request::Request;
use crate::sign_in::{Login, Mfa, SignedIn};
use crate::trust::trusts;

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Principal {
    /// Nobody that is known.
    Anonymous,
    /// The identity that the installation began with.
    Root,
    /// Whoever can read the installation's key file on its machine.
    Local,
    /// A user, by name.
    User(String),
    /// Somebody who has assumed a role.
    Role {
        /// The role, by name.
        role: String,
        /// What the session is called.
        session: String,
        /// What the session is bounded by.
        policy: Option<Document>,
    },
}

impl fmt::Display for Principal {
    /// As a resource name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Root => f.write_str("hrn:headworks:root"),
            Self::Local => f.write_str("hrn:headworks:local"),
            Self::User(name) => write!(f, "hrn:headworks:user/{name}"),
            Self::Role { role, session, .. } => write!(f, "hrn:headworks:assumed-role/{role}/{session}"),
        }
    }
}

impl Principal {
    /// The resource name of the identity that policies are of: of a session, its role.
    pub fn identity(&self) -> String {
        match self {
            Self::Role { role, .. } => format!("hrn:headworks:role/{role}"),
            other => other.to_string(),
        }
    }
}

/// The root identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Root {
    /// Seconds since 1970.
    pub created: u64,
    /// Its keys.
    pub keys: Vec<AccessKey>,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Seconds since 1970.
    pub created: u64,
    /// The groups that it is in.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Policies of its own.
    #[serde(default)]
    pub inline: BTreeMap<String, Document>,
    /// Managed policies.
    #[serde(default)]
    pub attached: BTreeSet<String>,
    /// The managed policy that it may never go beyond.
    #[serde(default)]
    pub boundary: Option<String>,
    /// At most two.
    #[serde(default)]
    pub keys: Vec<AccessKey>,
    /// None: it cannot sign in.
    #[serde(default)]
    pub login: Option<Login>,
    /// Its second factor.
    #[serde(default)]
    pub mfa: Mfa,
    /// Those who have signed in as it.
    #[serde(default)]
    pub sessions: Vec<SignedIn>,
    /// The last time of each action, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accessed: BTreeMap<String, Accessed>,
}

/// A group of users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Seconds since 1970.
    pub created: u64,
    /// Policies of its own.
    #[serde(default)]
    pub inline: BTreeMap<String, Document>,
    /// Managed policies.
    #[serde(default)]
    pub attached: BTreeSet<String>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Seconds since 1970.
    pub created: u64,
    /// Who may assume it.
    #[serde(deserialize_with = "trust")]
    pub trust: Document,
    /// Policies of its own.
    #[serde(default)]
    pub inline: BTreeMap<String, Document>,
    /// Managed policies.
    #[serde(default)]
    pub attached: BTreeSet<String>,
    /// The managed policy that it may never go beyond.
    #[serde(default)]
    pub boundary: Option<String>,
    /// The longest session, in seconds.
    pub longest_session: u64,
    /// The last time of each action, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accessed: BTreeMap<String, Accessed>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// None until the installation is initialised.
    pub root: Option<Root>,
    /// By name.
    pub users: BTreeMap<String, User>,
    /// By name.
    pub groups: BTreeMap<String, Group>,
    /// By name.
    pub roles: BTreeMap<String, Role>,
    /// By name; those that are always there among them.
    pub policies: BTreeMap<String, Managed>,
    /// What passwords must be.
    pub password_policy: password::Policy,
    /// Whose each key is; none is root's.
    owners: HashMap<String, Option<String>>,
    /// Whose each session is, by the hash of its token.
    signed_in: HashMap<String, String>,
}

/// The managed policies that are always there, and cannot be changed: name and actions.
const BUILT_IN: [(&str, &[&str]); 3] = [
    ("AdministratorAccess", &["*"]),
    ("ReadOnlyAccess", &["headworks:Get*", "headworks:List*", "headworks:ExplainRequest"]),
    (
        "OperatorAccess",
        &[
            "headworks:Get*",
            "headworks:List*",
            "headworks:ExplainRequest",
            "headworks:RegisterTargets",
            "headworks:DeregisterTargets",
            "headworks:PutRule",
        ],
    ),
];

impl Directory {
    /// Adds what is always there and what follows from the rest. To be called when anything has been put in.
    #[must_use]
    pub fn indexed(mut self) -> Self {
        for (name, actions) in BUILT_IN {
            let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
            let document = json!({ "Version": "2012-10-17", "Statement": statement });
            if let Ok(document) = Document::read(&document, Attached::Identity) {
                self.policies.insert(name.to_owned(), Managed::new(document, 0));
            }
        }
        let of_root = self.root.iter().flat_map(|root| &root.keys).map(|key| (key.id.clone(), None));
        let of_users = self
            .users
            .iter()
            .flat_map(|(name, user)| user.keys.iter().map(move |key| (key.id.clone(), Some(name.clone()))));
        self.owners = of_root.chain(of_users).collect();
        let sessions = self
            .users
            .iter()
            .flat_map(|(name, user)| user.sessions.iter().map(move |session| (session.token.clone(), name.clone())));
        self.signed_in = sessions.collect();
        self
    }

    /// Whether a managed policy of this name is always there.
    pub fn is_built_in(name: &str) -> bool {
        BUILT_IN.iter().any(|(built_in, _)| *built_in == name)
    }

    /// A key and whose it is.
    pub fn key(&self, id: &str) -> Option<(Principal, &AccessKey)> {
        match self.owners.get(id)? {
            None => Some((Principal::Root, self.root.as_ref()?.keys.iter().find(|key| key.id == id)?)),
            Some(name) => {
                let key = self.users.get(name)?.keys.iter().find(|key| key.id == id)?;
                Some((Principal::User(name.clone()), key))
            }
        }
    }

    /// Whose a session is, by the hash of its token, if it has not ended.
    pub fn session(&self, token: &str, now: u64) -> Option<(&str, &SignedIn)> {
        let (name, user) = self.users.get_key_value(self.signed_in.get(token)?)?;
        let session = user.sessions.iter().find(|session| session.token == token && session.expires > now)?;
        Some((name, session))
    }

    /// Whether a principal may do what is asked, and why.
    pub fn decide(&self, principal: &Principal, request: Request) -> Decision {
        match self.policies_of(principal) {
            None => Decision { allowed: true, reason: Reason::Root, by: None },
            Some(policies) => policies.decide(&about(principal, request)),
        }
    }

    /// Of what a principal is denied the action of `request` explicitly, whatever its resource.
    pub fn denials(&self, principal: &Principal, request: Request) -> Denials {
        let policies = self.policies_of(principal).unwrap_or_default();
        if policies.deny_nothing() { Denials::default() } else { policies.denials(&about(principal, request)) }
    }

    /// What is said of a principal; none of one that may do everything.
    fn policies_of<'a>(&'a self, principal: &'a Principal) -> Option<Policies<'a>> {
        Some(match principal {
            Principal::Root | Principal::Local => return None,
            Principal::Anonymous => Policies::default(),
            Principal::User(name) => self.users.get(name).map(|user| self.of_user(name, user)).unwrap_or_default(),
            Principal::Role { role, policy, .. } => {
                let mut policies = self.roles.get(role).map(|found| self.of_role(role, found)).unwrap_or_default();
                policies.session = policy.as_ref().map(|document| Named { name: "session".to_owned(), document });
                policies
            }
        })
    }

    /// Whether a principal may assume a role: the role's trust must name it, and nothing of its own may deny it.
    pub fn may_assume(&self, principal: &Principal, role: &str, request: Request) -> Decision {
        let own = self.decide(principal, request.clone());
        if own.reason == Reason::ExplicitDeny {
            return own;
        }
        let Some(found) = self.roles.get(role) else {
            return Decision { allowed: false, reason: Reason::NoTrustPolicyAllows, by: None };
        };
        if *principal == Principal::Anonymous {
            return Decision { allowed: false, reason: Reason::NoTrustPolicyAllows, by: None };
        }
        let (name, request) = (principal.to_string(), about(principal, request));
        // a session goes by its role's name as well as by its own
        let identity = principal.identity();
        // as with AWS, trust in root is trust in all of the installation
        let trusted = trusts(role, &found.trust, &[&name, &identity, &Principal::Root.to_string()], &request);
        let is_named = trusts(role, &found.trust, &[&name, &identity], &request).allowed
            && !trusts(role, &found.trust, &["hrn:headworks:user/"], &request).allowed;
        // trust in all leaves it to the principal's own policies; trust in one is enough
        if trusted.allowed && !is_named && !own.allowed { own } else { trusted }
    }

    fn managed<'a>(&'a self, names: impl Iterator<Item = &'a String>) -> impl Iterator<Item = Named<'a>> {
        names.filter_map(|name| {
            let policy = self.policies.get(name)?;
            Some(Named { name: format!("policy/{name}"), document: &policy.document })
        })
    }

    fn boundary<'a>(&'a self, name: Option<&'a String>) -> Option<Named<'a>> {
        self.managed(name.into_iter()).next()
    }

    fn of_user<'a>(&'a self, name: &str, user: &'a User) -> Policies<'a> {
        let own = inline(format!("user/{name}"), &user.inline);
        let mut identity: Vec<Named<'a>> = own.chain(self.managed(user.attached.iter())).collect();
        for group in &user.groups {
            if let Some(found) = self.groups.get(group) {
                identity.extend(inline(format!("group/{group}"), &found.inline));
                identity.extend(self.managed(found.attached.iter()));
            }
        }
        Policies { identity, boundary: self.boundary(user.boundary.as_ref()), session: None }
    }

    fn of_role<'a>(&'a self, name: &str, role: &'a Role) -> Policies<'a> {
        let own = inline(format!("role/{name}"), &role.inline);
        let identity = own.chain(self.managed(role.attached.iter())).collect();
        Policies { identity, boundary: self.boundary(role.boundary.as_ref()), session: None }
    }
}

fn inline<'a>(owner: String, documents: &'a BTreeMap<String, Document>) -> impl Iterator<Item = Named<'a>> {
    documents.iter().map(move |(name, document)| Named { name: format!("{owner}/{name}"), document })
}

/// The request with what is known of the principal.
fn about(principal: &Principal, request: Request) -> Request {
    let request = request.with("aws:PrincipalArn", principal.identity());
    match principal {
        Principal::Anonymous => request.with("aws:PrincipalType", "Anonymous"),
        Principal::Root | Principal::Local => request.with("aws:PrincipalType", "Account"),
        Principal::User(name) => {
            request.with("aws:PrincipalType", "User").with("aws:username", name).with("aws:userid", name)
        }
        Principal::Role { role, session, .. } => {
            request.with("aws:PrincipalType", "AssumedRole").with("aws:userid", format!("{role}:{session}"))
        }
    }
}

/// What a name of an identity may be: 1 to 64 of `A-Za-z0-9+=,.@_-`.
///
/// # Errors
/// When it is not.
pub fn check_name(name: &str) -> Result<(), Mistake> {
    let fine =
        (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c));
    if fine {
        Ok(())
    } else {
        let what = "is no name of an identity, expected 1 to 64 letters, digits or any of +=,.@_-".to_owned();
        Err(Mistake { path: "name".to_owned(), what })
    }
}
