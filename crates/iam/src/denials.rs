//! What a principal is denied explicitly, of many resources at once: its policies are looked through one time, and each resource is
//! then held against what they name. What is allowed is not asked here.

use crate::decision::Policies;
use crate::document::{Listed, Statement};
use crate::pattern::{Case, Pattern};
use crate::request::Request;

/// The resources on which one action is denied explicitly, under the circumstances of a request. As
/// [`Directory::decide`](crate::Directory::decide) has it for each.
#[derive(Debug, Default)]
pub struct Denials(Vec<Named>);

/// What one statement names: these, or all but these.
#[derive(Debug)]
struct Named {
    patterns: Vec<Pattern>,
    are_excepted: bool,
}

impl Denials {
    /// Whether nothing is denied, whatever is asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is denied on this resource.
    pub fn has(&self, resource: &str) -> bool {
        self.0.iter().any(|named| {
            named.patterns.iter().any(|pattern| pattern.matches(resource, Case::Sensitive)) != named.are_excepted
        })
    }

    /// Whether it may be denied on a resource whose name begins so.
    pub fn may_have(&self, prefix: &str) -> bool {
        self.0.iter().any(|named| {
            named.are_excepted || named.patterns.iter().any(|pattern| pattern.fits_some_that_begin(prefix))
        })
    }
}

impl Policies<'_> {
    /// Whether no statement denies anything.
    pub(crate) fn deny_nothing(&self) -> bool {
        let mut all = self.identity.iter().chain(&self.boundary).chain(&self.session);
        all.all(|policy| policy.document.statements.iter().all(|statement| statement.allows))
    }

    pub(crate) fn denials(&self, request: &Request) -> Denials {
        let all = self.identity.iter().chain(&self.boundary).chain(&self.session);
        let statements = all.flat_map(|policy| {
            let has_variables = policy.document.has_variables;
            policy.document.statements.iter().map(move |statement| (statement, has_variables))
        });
        let denying = statements.filter(|(statement, has_variables)| {
            !statement.allows && statement.is_about_action(request) && statement.holds(request, *has_variables)
        });
        Denials(denying.map(|(statement, has_variables)| named(statement, request, has_variables)).collect())
    }
}

fn named(statement: &Statement, request: &Request, has_variables: bool) -> Named {
    let (these, are_excepted): (&[String], bool) = match &statement.resources {
        Listed::These(these) => (these, false),
        Listed::AllBut(these) => (these, true),
        Listed::Unsaid => (&[], true),
    };
    let patterns = these.iter().filter_map(|text| Pattern::of_resource(text, request, has_variables)).collect();
    Named { patterns, are_excepted }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::directory::{Directory, Principal, User};
    use crate::document::{Attached, Document};
    use crate::request::Request;

    const RESOURCES: [&str; 6] = [
        "hrn:headworks:a",
        "hrn:headworks:a/b",
        "hrn:headworks:pay",
        "hrn:headworks:payments",
        "hrn:headworks:web-*",
        "hrn:headworks:none",
    ];

    /// One look tells what asking for each would.
    fn check(statements: &Value, denied: &[&str]) {
        let written = json!({ "Version": "2012-10-17", "Statement": statements });
        let document = Document::read(&written, Attached::Identity).unwrap();
        let mut directory = Directory::default();
        directory
            .users
            .insert("pay".to_owned(), User { inline: [("own".to_owned(), document)].into(), ..User::default() });
        let (principal, request) =
            (Principal::User("pay".to_owned()), Request::default().with("aws:SourceIp", "10.0.0.1"));
        let denials = directory.denials(&principal, request.about("headworks:GetX", ""));
        let found: Vec<&str> = RESOURCES.into_iter().filter(|resource| denials.has(resource)).collect();
        assert_eq!(found, denied, "{statements}");
        for resource in RESOURCES {
            let decision = directory.decide(&principal, request.about("headworks:GetX", resource));
            let is_denied = decision.reason == crate::Reason::ExplicitDeny;
            assert_eq!(denials.has(resource), is_denied, "{resource} {statements}");
            let mut prefixes = (0..=resource.len()).filter_map(|end| resource.get(..end));
            assert!(!is_denied || prefixes.all(|prefix| denials.may_have(prefix)), "{resource} {statements}");
        }
    }

    #[test]
    fn one_look_tells_what_each_question_would() {
        let deny =
            |action: &str, key: &str, resource: &Value| json!({ "Effect": "Deny", "Action": action, key: resource });
        let every = RESOURCES;
        check(&json!({ "Effect": "Allow", "Action": "*", "Resource": "*" }), &[]);
        check(
            &deny("headworks:get*", "Resource", &json!("hrn:headworks:pay*")),
            &["hrn:headworks:pay", "hrn:headworks:payments"],
        );
        check(&deny("headworks:Put*", "Resource", &json!("*")), &[]);
        check(
            &deny("*", "Resource", &json!(["hrn:headworks:a/?", "hrn:headworks:web-${*}"])),
            &["hrn:headworks:a/b", "hrn:headworks:web-*"],
        );
        check(&deny("*", "Resource", &json!("hrn:headworks:${aws:username}")), &["hrn:headworks:pay"]);
        check(&deny("*", "Resource", &json!("hrn:headworks:${aws:unknown}")), &[]);
        check(&deny("*", "NotResource", &json!(["hrn:headworks:a*", "hrn:headworks:${aws:unknown}"])), &every[2..]);
        let mut conditional = deny("*", "Resource", &json!("*"));
        conditional["Condition"] = json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } });
        check(&conditional, &every);
        conditional["Condition"] = json!({ "NotIpAddress": { "aws:SourceIp": "10.0.0.0/8" } });
        check(&conditional, &[]);
        check(
            &json!([
                deny("*", "Resource", &json!("hrn:headworks:a")),
                deny("*", "Resource", &json!("hrn:headworks:none"))
            ]),
            &["hrn:headworks:a", "hrn:headworks:none"],
        );
    }
}
