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
mod sessions;
mod simulate;
mod users;
mod versions;

pub(super) use self::body::Body;
use super::Route;

pub(super) fn routes() -> Vec<Route> {
    [
        users::routes(),
        keys::routes(),
        login::routes(),
        password_policy::routes(),
        groups::routes(),
        roles::routes(),
        sessions::routes(),
        managed::routes(),
        versions::routes(),
        owner::routes(),
        simulate::routes(),
        report::routes(),
    ]
    .concat()
}
