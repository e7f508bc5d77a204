//! Identities: users, groups, roles, policies, access keys; who may assume a role; what would be permitted.

mod body;
mod changed;
mod groups;
mod identity;
mod keys;
mod login;
mod managed;
mod owner;
mod password_policy;
mod report;
mod roles;
mod simulate;
mod users;
mod versions;

use axum::http::Method;

pub(super) use self::body::Body;
use super::Route;

pub(super) fn routes() -> Vec<Route> {
    let routes = [
        users::routes(),
        keys::routes(),
        login::routes(),
        password_policy::routes(),
        groups::routes(),
        roles::routes(),
        managed::routes(),
        versions::routes(),
        owner::routes(),
        simulate::routes(),
        report::routes(),
    ]
    .concat();
    // what is asked and what is lent for a while changes nothing that is kept
    let changes = |route: &Route| {
        route.method != Method::GET && !["SimulatePrincipalPolicy", "AssumeRole"].contains(&route.action)
    };
    routes.into_iter().map(|route| if changes(&route) { route.judges() } else { route }).collect()
}
