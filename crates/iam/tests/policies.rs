//! Evaluation as AWS documents it: what decides, conditions, variables, boundaries, sessions.

use std::collections::BTreeMap;

use headworks_iam::directory::User;
use headworks_iam::document::Attached;
use headworks_iam::managed::Managed;
use headworks_iam::{Directory, Document, Principal, Reason, Request};
use serde_json::{Value, json};

fn document(value: &Value) -> Document {
    Document::read(value, Attached::Identity).unwrap_or_else(|mistakes| panic!("{value}: {mistakes:?}"))
}

fn version(statements: &Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// A directory with the user `alice`, who has these statements.
fn alice(statements: &Value) -> Directory {
    let inline = BTreeMap::from([("own".to_owned(), document(&version(statements)))]);
    of(User { inline, ..User::default() }, BTreeMap::new())
}

/// A directory with this user, called `alice`.
fn of(user: User, policies: BTreeMap<String, Managed>) -> Directory {
    let mut directory = Directory::default();
    directory.users.insert("alice".to_owned(), user);
    directory.policies = policies;
    directory.indexed()
}

fn asked() -> Request {
    Request::new("headworks:PutTargetGroup", "hrn:headworks:target-group/web")
        .with("aws:SourceIp", "10.1.2.3")
        .with("aws:CurrentTime", "2026-03-01T12:00:00Z")
        .with("aws:EpochTime", "1772366400")
        .with("aws:SecureTransport", "false")
        .with("headworks:Tags", "blue")
        .with("headworks:Tags", "green")
}

fn who() -> Principal {
    Principal::User("alice".to_owned())
}

#[test]
fn statements_decide() {
    let allow = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    for (statements, reason) in [
        (json!([]), None),
        (json!([allow]), Some(Reason::Allowed)),
        (json!([allow, { "Effect": "Deny", "Action": "headworks:Put*", "Resource": "*" }]), Some(Reason::ExplicitDeny)),
        (json!([{ "Effect": "Allow", "Action": "HEADWORKS:puttargetgroup", "Resource": "*" }]), Some(Reason::Allowed)),
        (
            json!([{ "Effect": "Allow", "Action": "headworks:Get*", "Resource": "*" }]),
            Some(Reason::NoIdentityPolicyAllows),
        ),
        (
            json!([{ "Effect": "Allow", "Action": "*", "Resource": "hrn:headworks:target-group/WEB" }]),
            Some(Reason::NoIdentityPolicyAllows),
        ),
        (
            json!([{ "Effect": "Allow", "Action": "*", "Resource": "hrn:headworks:target-group/we?" }]),
            Some(Reason::Allowed),
        ),
        (
            json!([{ "Effect": "Allow", "NotAction": "headworks:Put*", "Resource": "*" }]),
            Some(Reason::NoIdentityPolicyAllows),
        ),
        (
            json!([{ "Effect": "Allow", "NotAction": ["headworks:Get*", "iam:*"], "Resource": "*" }]),
            Some(Reason::Allowed),
        ),
        (
            json!([{ "Effect": "Allow", "Action": "*", "NotResource": "hrn:headworks:target-group/web" }]),
            Some(Reason::NoIdentityPolicyAllows),
        ),
        (
            json!([allow, { "Effect": "Deny", "Action": "*", "NotResource": "hrn:headworks:target-group/*" }]),
            Some(Reason::Allowed),
        ),
    ] {
        let Some(reason) = reason else { continue };
        let decision = alice(&statements).decide(&who(), asked());
        assert_eq!(decision.reason, reason, "{statements}");
        assert_eq!(decision.allowed, reason == Reason::Allowed);
    }
}

#[test]
fn conditions_hold_or_do_not() {
    for (condition, holds) in [
        (json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } }), true),
        (json!({ "IpAddress": { "AWS:sourceip": ["192.0.2.1", "10.1.2.3"] } }), true),
        (json!({ "NotIpAddress": { "aws:SourceIp": ["192.0.2.1", "10.1.2.3"] } }), false),
        (json!({ "StringEquals": { "aws:username": "alice" } }), true),
        (json!({ "StringEquals": { "aws:username": "Alice" } }), false),
        (json!({ "StringEqualsIgnoreCase": { "aws:username": "Alice" } }), true),
        (json!({ "StringLike": { "aws:username": ["b*", "al?ce"] } }), true),
        (json!({ "StringEquals": { "aws:username": "al?ce" } }), false),
        (json!({ "StringNotEquals": { "aws:username": ["alice", "bob"] } }), false),
        (json!({ "ArnLike": { "aws:PrincipalArn": "hrn:headworks:user/*" } }), true),
        (json!({ "StringEquals": { "aws:missing": "x" } }), false),
        (json!({ "StringNotEquals": { "aws:missing": "x" } }), true),
        (json!({ "StringEqualsIfExists": { "aws:missing": "x" } }), true),
        (json!({ "StringEqualsIfExists": { "aws:username": "x" } }), false),
        (json!({ "Null": { "aws:missing": "true" } }), true),
        (json!({ "Null": { "aws:username": true } }), false),
        (json!({ "Null": { "aws:username": "false" } }), true),
        (json!({ "Bool": { "aws:SecureTransport": false } }), true),
        (json!({ "NumericLessThan": { "aws:EpochTime": 1772366401 } }), true),
        (json!({ "NumericGreaterThanEquals": { "aws:EpochTime": "1772366400" } }), true),
        (json!({ "NumericNotEquals": { "aws:EpochTime": "1772366400" } }), false),
        (json!({ "DateGreaterThan": { "aws:CurrentTime": "2026-01-01T00:00:00Z" } }), true),
        (json!({ "DateLessThan": { "aws:CurrentTime": "2026-03-01T14:00:00+02:00" } }), false),
        (json!({ "DateLessThanEquals": { "aws:CurrentTime": "1772366400" } }), true),
        (json!({ "ForAllValues:StringEquals": { "headworks:Tags": ["blue", "green", "red"] } }), true),
        (json!({ "ForAllValues:StringEquals": { "headworks:Tags": ["blue"] } }), false),
        (json!({ "ForAllValues:StringEquals": { "aws:missing": ["blue"] } }), true),
        (json!({ "ForAnyValue:StringEquals": { "headworks:Tags": ["green"] } }), true),
        (json!({ "ForAnyValue:StringEquals": { "aws:missing": ["green"] } }), false),
        (json!({ "ForAnyValue:StringNotEquals": { "headworks:Tags": ["green"] } }), true),
        (json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" }, "Bool": { "aws:SecureTransport": "true" } }), false),
        (json!({ "StringEquals": { "aws:userid": "${aws:username}" } }), true),
        (json!({ "StringEquals": { "aws:username": "${aws:missing}" } }), false),
        (json!({ "StringEquals": { "aws:username": "${aws:missing, 'alice'}" } }), true),
    ] {
        let statements = json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition });
        assert_eq!(alice(&statements).decide(&who(), asked()).allowed, holds, "{condition}");
    }
}

#[test]
fn variables_are_of_the_newer_version_only() {
    for (version, allowed) in [("2012-10-17", true), ("2008-10-17", false)] {
        let statement =
            json!({ "Effect": "Allow", "Action": "*", "Resource": "hrn:headworks:target-group/${aws:username}" });
        let document = document(&json!({ "Version": version, "Statement": statement }));
        let user = User { inline: BTreeMap::from([("own".to_owned(), document)]), ..User::default() };
        let directory = of(user, BTreeMap::new());
        let request = Request::new("headworks:GetTargetGroup", "hrn:headworks:target-group/alice");
        assert_eq!(directory.decide(&who(), request).allowed, allowed, "{version}");
    }
}

/// What a boundary does not allow is denied, and it allows nothing by itself.
#[test]
fn boundaries_only_take_away() {
    let everything = document(&version(&json!({ "Effect": "Allow", "Action": "*", "Resource": "*" })));
    let reading = document(&version(&json!({ "Effect": "Allow", "Action": "headworks:Get*", "Resource": "*" })));
    for (own, bound, action, reason) in [
        (&everything, &reading, "headworks:GetRule", Reason::Allowed),
        (&everything, &reading, "headworks:PutRule", Reason::NoBoundaryAllows),
        (&reading, &everything, "headworks:PutRule", Reason::NoIdentityPolicyAllows),
    ] {
        let policies = BTreeMap::from([("bound".to_owned(), Managed::new(bound.clone(), 0))]);
        let user = User {
            inline: BTreeMap::from([("own".to_owned(), own.clone())]),
            boundary: Some("bound".to_owned()),
            ..User::default()
        };
        let directory = of(user, policies);
        assert_eq!(directory.decide(&who(), Request::new(action, "hrn:headworks:x/y")).reason, reason, "{action}");
    }
}

#[test]
fn a_user_that_is_gone_has_nothing_and_root_has_all() {
    let directory = Directory::default().indexed();
    assert!(!directory.decide(&who(), asked()).allowed);
    assert!(!directory.decide(&Principal::Anonymous, asked()).allowed);
    assert!(directory.decide(&Principal::Root, asked()).allowed);
}
