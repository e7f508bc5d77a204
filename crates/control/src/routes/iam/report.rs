//! What credentials there are and what they were used for: the credential report, and what an identity last did.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html>

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use headworks_iam::directory::{Role, Root, User};
use headworks_iam::key::{AccessKey, Accessed, KeyStatus};
use headworks_iam::{password, sigv4, time};
use serde_json::{Value, json};

use super::super::{Route, route, schema};
use super::identity::find;
use crate::call::{Call, Reply};
use crate::names::{action, hrn};
use crate::plane::Plane;
use crate::problem::Problem;

const COLUMNS: [&str; 22] = [
    "user",
    "arn",
    "user_creation_time",
    "password_enabled",
    "password_last_used",
    "password_last_changed",
    "password_next_rotation",
    "mfa_active",
    "access_key_1_active",
    "access_key_1_last_rotated",
    "access_key_1_last_used_date",
    "access_key_1_last_used_region",
    "access_key_1_last_used_service",
    "access_key_2_active",
    "access_key_2_last_rotated",
    "access_key_2_last_used_date",
    "access_key_2_last_used_region",
    "access_key_2_last_used_service",
    "cert_1_active",
    "cert_1_last_rotated",
    "cert_2_active",
    "cert_2_last_rotated",
];

/// Where there is nothing that the column could be about.
const NONE: &str = "N/A";
/// Where there never will be.
const UNSUPPORTED: &str = "not_supported";
/// Of a password that was never used.
const UNKNOWN: &str = "no_information";

pub(super) fn routes() -> Vec<Route> {
    let listed = schema("LastAccessed");
    vec![
        route(Method::GET, "/v1/iam/credential-report", "GetCredentialReport", "credential-report", |call| {
            Box::pin(report(call))
        })
        .about(
            "Every user with its password, second factor and keys, and when they were used: CSV in the columns of AWS.",
        )
        .answers(200, json!({ "type": "string" })),
        route(Method::GET, "/v1/iam/users/{name}/last-accessed", "GetUserLastAccessed", "user/{name}", |call| {
            Box::pin(of_user(call))
        })
        .about("When a user was last permitted each action, and from where; the latest first.")
        .answers(200, listed.clone()),
        route(Method::GET, "/v1/iam/roles/{name}/last-accessed", "GetRoleLastAccessed", "role/{name}", |call| {
            Box::pin(of_role(call))
        })
        .about("When somebody in a role was last permitted each action, and from where; the latest first.")
        .answers(200, listed),
    ]
}

async fn report(call: Call) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let root = directory.root.iter().map(|root| of_root(&call.plane, root));
    let unseen = call.asker.denied(&call.plane, &action("GetUser"));
    let seen = directory.users.iter().filter(|(name, _)| !unseen.has(&hrn(&format!("user/{name}"))));
    let users = seen.map(|(name, user)| line(&call.plane, name, user, &directory.password_policy));
    let head = COLUMNS.map(str::to_owned).to_vec();
    let text: String = std::iter::once(head).chain(root).chain(users).map(|cells| csv(&cells)).collect();
    Ok(Reply::text(StatusCode::OK, "text/csv", text))
}

fn csv(cells: &[String]) -> String {
    let quoted = |cell: &String| {
        if cell.contains([',', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
    };
    let cells: Vec<String> = cells.iter().map(quoted).collect();
    format!("{}\n", cells.join(","))
}

fn of_root(plane: &Plane, root: &Root) -> Vec<String> {
    let who = ["<root_account>", &hrn("root"), &time::iso(root.created)].map(str::to_owned);
    let password = [UNSUPPORTED; 4].map(str::to_owned);
    [&who[..], &password, &["false".to_owned()], &keys(plane, &root.keys), &certificates()].concat()
}

fn line(plane: &Plane, name: &str, user: &User, policy: &password::Policy) -> Vec<String> {
    let who = [name, &hrn(&format!("user/{name}")), &time::iso(user.created)].map(str::to_owned);
    let password = match &user.login {
        None => ["false", NONE, NONE, NONE].map(str::to_owned),
        Some(login) => {
            let age = u64::from(policy.max_age_days) * 86_400;
            let next = if age == 0 { NONE.to_owned() } else { time::iso(login.changed.saturating_add(age)) };
            ["true".to_owned(), login.last_used.map_or(UNKNOWN.to_owned(), time::iso), time::iso(login.changed), next]
        }
    };
    let mfa = user.mfa.active.is_some().to_string();
    [&who[..], &password, &[mfa], &keys(plane, &user.keys), &certificates()].concat()
}

/// Both keys of an identity, in the order in which they were made.
fn keys(plane: &Plane, keys: &[AccessKey]) -> Vec<String> {
    let cells = |key: Option<&AccessKey>| {
        let Some(key) = key else { return ["false", NONE, NONE, NONE, NONE].map(str::to_owned) };
        let used = plane.uses.of_key(key);
        let [region, service] = [sigv4::REGION, sigv4::SERVICE].map(|word| if used.is_some() { word } else { NONE });
        let used = used.map_or(NONE.to_owned(), |used| time::iso(used.at));
        let is_active = (key.status == KeyStatus::Active).to_string();
        [is_active, time::iso(key.created), used, region.to_owned(), service.to_owned()]
    };
    [cells(keys.first()), cells(keys.get(1))].concat()
}

/// There are no signing certificates here.
fn certificates() -> [String; 4] {
    ["false", NONE, "false", NONE].map(str::to_owned)
}

async fn of_user(call: Call) -> Result<Reply, Problem> {
    let (name, directory) = (call.param("name"), call.plane.directory());
    Ok(accessed(call.plane.uses.of_user(name, &find::<User>(&directory, name)?.accessed)))
}

async fn of_role(call: Call) -> Result<Reply, Problem> {
    let (name, directory) = (call.param("name"), call.plane.directory());
    Ok(accessed(call.plane.uses.of_role(name, &find::<Role>(&directory, name)?.accessed)))
}

fn accessed(actions: BTreeMap<String, Accessed>) -> Reply {
    let mut actions: Vec<(String, Accessed)> = actions.into_iter().collect();
    actions.sort_by_key(|(_, accessed)| std::cmp::Reverse(accessed.at));
    let told = |(action, Accessed { at, source }): (String, Accessed)| json!({ "action": action, "at": time::iso(at), "source": source });
    Reply::ok(&json!({ "service": sigv4::SERVICE, "actions": actions.into_iter().map(told).collect::<Vec<Value>>() }))
}
