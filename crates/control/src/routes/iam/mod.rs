//! Identities: users, groups, roles, policies, access keys; who may assume a role; what would be permitted.

mod body;
mod groups;
mod keys;
mod managed;
mod owner;
mod roles;
mod simulate;
mod users;

use super::Route;

pub(super) fn routes() -> Vec<Route> {
    [
        users::routes(),
        keys::routes(),
        groups::routes(),
        roles::routes(),
        managed::routes(),
        owner::routes(),
        simulate::routes(),
    ]
    .concat()
}
