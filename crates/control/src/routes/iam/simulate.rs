//! What would be permitted, and by which statement.

use axum::http::Method;
use headworks_iam::document::Attached;
use headworks_iam::{Directory, Principal, Request};
use serde_json::{Map, Value, json};

use super::super::{Route, route};
use super::body::Body;
use crate::call::{Call, Reply};
use crate::names::{action, hrn};
use crate::problem::Problem;

/// What a role's trust decides as well.
const ASSUME: &str = "headworks:AssumeRole";
/// The longest text that is asked about: each is held against every pattern of every policy.
const LONGEST: usize = 2048;
/// The most questions at once.
const MOST: usize = 1000;

pub(super) fn routes() -> Vec<Route> {
    let texts = json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    vec![
        route(Method::POST, "/v1/iam/simulate", "SimulatePrincipalPolicy", "policy/*", |call| Box::pin(simulate(call)))
            .about(
                "Says of each action and resource whether a principal may, why, and which statement decided. `policies` adds \
                 documents that the principal does not have yet.",
            )
            .takes(json!({
                "type": "object",
                "properties": {
                    "principal": { "type": "string", "examples": ["hrn:headworks:user/alice"] },
                    "actions": texts,
                    "resources": texts,
                    "context": { "type": "object", "additionalProperties": texts },
                    "policies": { "type": "object", "additionalProperties": { "$ref": "#/components/schemas/PolicyDocument" } },
                },
                "required": ["principal", "actions"],
                "additionalProperties": false,
            }))
            .answers(200, json!({ "type": "object" })),
    ]
}

/// Users and roles by the names that they are known by.
fn principal(directory: &Directory, text: &str) -> Option<Principal> {
    let name = text.strip_prefix("hrn:headworks:").unwrap_or(text);
    if name == "root" {
        return Some(Principal::Root);
    }
    let (kind, name) = name.split_once('/').unwrap_or(("user", name));
    match kind {
        "user" if directory.users.contains_key(name) => Some(Principal::User(name.to_owned())),
        "role" if directory.roles.contains_key(name) => {
            Some(Principal::Role { role: name.to_owned(), session: "simulated".to_owned(), policy: None })
        }
        _ => None,
    }
}

async fn simulate(call: Call) -> Result<Reply, Problem> {
    let mut body = Body::of(call.json()?, &["principal", "actions", "resources", "context", "policies"])?;
    let mut directory = (*call.plane.directory()).clone();
    let named = body.required_text("principal");
    let hidden = |who: &Principal| match who {
        Principal::User(name) => {
            call.asker.is_not_denied(&call.plane, &action("GetUser"), &hrn(&format!("user/{name}"))).is_err()
        }
        Principal::Role { role, .. } => {
            call.asker.is_not_denied(&call.plane, &action("GetRole"), &hrn(&format!("role/{role}"))).is_err()
        }
        _ => false,
    };
    let who = principal(&directory, &named).filter(|who| !hidden(who));
    if who.is_none() {
        body.mistake(
            "principal",
            format!("there is no {named:?}, expected root, or a user or role such as user/alice"),
        );
    }
    let actions = body.texts("actions");
    if actions.is_empty() {
        body.mistake("actions", "is missing, expected at least one such as headworks:PutTargetGroup");
    }
    let mut resources = body.texts("resources");
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    if actions.len() * resources.len() > MOST {
        body.mistake("actions", format!("ask more than {MOST} questions"));
    }
    let context = body.get("context").and_then(Value::as_object).cloned().unwrap_or_default();
    let values = context.values().map(|value| value.to_string().len());
    if actions.iter().chain(&resources).map(String::len).chain(values).any(|length| length > LONGEST) {
        body.mistake("actions", format!("a text that is asked about is longer than {LONGEST} bytes"));
    }
    let mut more = Vec::new();
    for (name, document) in body.get("policies").and_then(Value::as_object).cloned().into_iter().flatten() {
        match super::body::document(&document, Attached::Identity) {
            Ok(document) => more.push((name, document)),
            Err(mistakes) => {
                mistakes.iter().for_each(|m| body.mistake(format!("policies.{name}.{}", m.path), m.what.clone()));
            }
        }
    }
    body.check()?;
    let Some(who) = who else { return Err(Problem::invalid("principal", "is not known")) };
    match &who {
        Principal::User(name) => directory.users.entry(name.clone()).or_default().inline.extend(more),
        Principal::Role { role, .. } => {
            if let Some(role) = directory.roles.get_mut(role) {
                role.inline.extend(more);
            }
        }
        _ => {}
    }
    let asked = Asked { directory, who, actions, resources, context };
    // a thousand questions of many statements take a while, and others are to be answered meanwhile
    let answers = tokio::task::spawn_blocking(move || asked.answers()).await;
    answers.map(|answers| Reply::ok(&answers)).map_err(|_| Problem::unavailable("it could not be simulated"))
}

/// What is asked, with what the principal would have.
struct Asked {
    directory: Directory,
    who: Principal,
    actions: Vec<String>,
    resources: Vec<String>,
    context: Map<String, Value>,
}

impl Asked {
    fn answers(&self) -> Value {
        let of = |action| self.resources.iter().map(move |resource| self.answer(action, resource));
        let results: Vec<Value> = self.actions.iter().flat_map(of).collect();
        json!({ "principal": self.who.to_string(), "results": results })
    }

    fn answer(&self, action: &String, resource: &String) -> Value {
        let mut request = Request::new(action, resource);
        for (key, values) in &self.context {
            let values = values.as_array().cloned().unwrap_or_else(|| vec![values.clone()]);
            for value in values {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                request = request.with(key, text);
            }
        }
        let role = resource.strip_prefix("hrn:headworks:role/").filter(|_| action == ASSUME);
        let decision = match role {
            Some(role) => self.directory.may_assume(&self.who, role, request),
            None => self.directory.decide(&self.who, request),
        };
        let reason = decision.reason.to_string();
        json!({ "action": action, "resource": resource, "decision": decision, "because": reason })
    }
}
