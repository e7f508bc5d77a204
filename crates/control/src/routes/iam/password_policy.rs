//! What passwords must be.

use axum::http::{Method, StatusCode};
use headworks_iam::Directory;
use headworks_iam::password::Policy;
use headworks_iam::seal::Sealer;
use serde_json::json;

use super::super::{Route, route, schema};
use super::body::Body;
use super::changed::changed;
use crate::call::{Call, Reply};
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    let path = "/v1/iam/password-policy";
    let of = "password-policy";
    vec![
        route(Method::GET, path, "GetPasswordPolicy", of, |call| Box::pin(get(call)))
            .about("What passwords must be.")
            .answers(200, schema("PasswordPolicy")),
        route(Method::PUT, path, "PutPasswordPolicy", of, |call| Box::pin(put(call)))
            .judges()
            .about(
                "Says what passwords must be. What is left out is as it is by itself; where no class is required, three of four \
                 are. Passwords that there are stay.",
            )
            .takes(schema("PasswordPolicy"))
            .answers(200, schema("PasswordPolicy")),
    ]
}

async fn get(call: Call) -> Result<Reply, Problem> {
    let policy = json!(call.plane.directory().password_policy);
    call.represented(&call.plane.tag(&policy), || Reply::ok(&policy))
}

async fn put(call: Call) -> Result<Reply, Problem> {
    let classes = ["require_uppercase", "require_lowercase", "require_numbers", "require_symbols"];
    let numbers = ["minimum_length", "max_age_days", "reuse_prevention"];
    let mut body = Body::of(call.json()?, &[&classes[..], &numbers[..]].concat())?;
    let usual = Policy::default();
    let [require_uppercase, require_lowercase, require_numbers, require_symbols] =
        classes.map(|class| body.flag(class).unwrap_or(false));
    let policy = Policy {
        minimum_length: body.number("minimum_length", 6, 128).map_or(usual.minimum_length, |n| n as u8),
        require_uppercase,
        require_lowercase,
        require_numbers,
        require_symbols,
        max_age_days: body.number("max_age_days", 0, 1095).map_or(usual.max_age_days, |n| n as u16),
        reuse_prevention: body.number("reuse_prevention", 0, 24).map_or(usual.reuse_prevention, |n| n as u8),
    };
    body.check()?;
    let answer = json!(policy);
    let knows = call.knows("the password policy".to_owned());
    let put = move |directory: &mut Directory, _: &Sealer| {
        knows(Some(&json!(directory.password_policy)))?;
        directory.password_policy = policy;
        Ok(((), vec![("password_policy", "password_policy".to_owned())]))
    };
    changed(&call, StatusCode::OK, put, |()| Reply::ok(&answer).with("etag", &call.plane.tag(&answer))).await
}
