//! Policy documents: whatever is written, it is read or its mistakes are told; and what it decides is what the letter of AWS's rules
//! says, however it is spelled.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::hunt::keep_shape;
use super::mutate::{Random, mutate};
use super::values::pick;
use crate::directory::{Directory, Principal, User};
use crate::document::{Attached, Document};
use crate::request::Request;
use crate::{Decision, Reason};

pub(super) const SEEDS: &[&[u8]] = &[
    br#"{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Action":"headworks:*","Resource":"*"},{"Effect":"Deny","NotAction":["headworks:Get*"],"Resource":"hrn:headworks:target-group/web"}]}"#,
    br#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["headworks:GetTargetGroup","headworks:Put*"],"NotResource":"hrn:headworks:*/api?","Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::1"]},"StringNotLikeIfExists":{"aws:username":"a*"}}}}"#,
    br#"{"Statement":[{"Effect":"Deny","Action":"*","Resource":"hrn:headworks:target-group/${aws:username}","Condition":{"ForAllValues:StringEquals":{"headworks:Tags":["blue","green"]},"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"},"Null":{"aws:x":true}}}]}"#,
    br#"{"Version":"2012-10-17","Id":"x","Statement":[{"Effect":"Allow","Action":"*","Resource":["hrn:headworks:target-group/${aws:username, 'web'}","hrn:*b"]},{"Effect":"Allow","Principal":{"AWS":"hrn:headworks:user/a"},"Action":"sts:AssumeRole","Condition":{"NumericGreaterThanEquals":{"n":5},"Bool":{"aws:SecureTransport":"false"},"BinaryEquals":{"b":"YQ=="}}}]}"#,
    br#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","NotAction":"headworks:PutT*","NotResource":["hrn:headworks:target-group/*","hrn:x:*a*a*b"]},{"Effect":"Allow","Action":"*:?et*","Resource":"*"}]}"#,
];

/// Pieces of documents.
const WORDS: &[&str] = &[
    r#""*""#,
    r#""Allow""#,
    r#""Deny""#,
    r#""headworks:Get*""#,
    r#""headworks:GetTargetGroup""#,
    r#""headworks:????argetGroup""#,
    r#""hrn:headworks:target-group/web""#,
    r#""hrn:headworks:*/w*b""#,
    r#""hrn:headworks:target-group/${aws:username}""#,
    r#""hrn:${*}:${no, 'x'}""#,
    r#"[]"#,
    r#"{}"#,
    r#"true"#,
    r#"5"#,
    r#"-0.1e9"#,
    r#"null"#,
    r#""2012-10-17""#,
    r#"{"StringLike":{"aws:username":"${aws:username}"}}"#,
    r#"{"ArnNotEquals":{"a":"*"}}"#,
    r#"{"Null":{"aws:username":"false"}}"#,
    r#"{"ForAnyValue:StringNotEqualsIgnoreCase":{"headworks:Tags":["BLUE"]}}"#,
    r#"{"NotIpAddress":{"aws:SourceIp":"10.1.2.3"}}"#,
    r#"{"DateGreaterThanIfExists":{"aws:EpochTime":"1970-01-01"}}"#,
];
const KEYS: &[&str] = &[
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Principal",
    "NotPrincipal",
    "Condition",
    "Statement",
    "Version",
];

fn asked() -> Vec<Request> {
    let about = [
        ("headworks:GetTargetGroup", "hrn:headworks:target-group/web"),
        ("headworks:PutTargetGroup", "hrn:headworks:target-group/api1"),
        ("iam:getuser", "hrn:headworks:user/*"),
        ("sts:AssumeRole", ""),
    ];
    let with = |(action, resource)| {
        Request::new(action, resource)
            .with("aws:SourceIp", "10.1.2.3")
            .with("aws:username", "web")
            .with("aws:CurrentTime", "2026-03-01T12:00:00Z")
            .with("aws:SecureTransport", "false")
            .with("headworks:Tags", "blue")
            .with("headworks:Tags", "green")
    };
    about.into_iter().map(with).collect()
}

fn decide(documents: &[&Document], request: &Request) -> (Decision, bool) {
    let inline: BTreeMap<_, _> =
        documents.iter().enumerate().map(|(number, one)| (number.to_string(), Document::clone(one))).collect();
    let mut directory = Directory::default();
    directory.users.insert("web".to_owned(), User { inline, ..User::default() });
    let who = Principal::User("web".to_owned());
    let decision = directory.decide(&who, request.clone());
    let denials = directory.denials(&who, request.about(request.action.clone(), ""));
    let is_denied = decision.reason == Reason::ExplicitDeny;
    assert_eq!(denials.has(&request.resource), is_denied, "one look tells something else than asking");
    let mut prefixes = (0..=request.resource.len()).filter_map(|end| request.resource.get(..end));
    assert!(!is_denied || prefixes.all(|prefix| denials.may_have(prefix)), "denied, and cannot be");
    (decision, is_denied)
}

fn of(statements: Vec<Value>, like: &Value) -> Option<Document> {
    let mut written = like.clone();
    written["Statement"] = Value::Array(statements);
    Document::read(&written, Attached::Identity).ok()
}

pub(super) fn check(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return keep_shape("no JSON".to_owned()) };
    let trust = Document::read(&value, Attached::Trust);
    let read = Document::read(&value, Attached::Identity);
    for read in [&trust, &read] {
        match read {
            Ok(document) => assert_eq!(document.json(), &value),
            Err(mistakes) => assert!(mistakes.iter().all(|mistake| !mistake.what.is_empty()) && !mistakes.is_empty()),
        }
    }
    let document = match read {
        Ok(document) => document,
        Err(mistakes) => {
            let places: Vec<_> = mistakes.iter().map(|mistake| mistake.what.split(' ').next_back()).take(4).collect();
            return keep_shape(format!("{} {places:?}", trust.is_ok()));
        }
    };
    let text = serde_json::to_string(&document).expect("JSON");
    assert_eq!(text.len(), document.size());
    assert_eq!(serde_json::from_str::<Document>(&text).ok().as_ref(), Some(&document), "{text}");

    let statements = match &value["Statement"] {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    let spelled = of(statements.iter().map(listed).collect(), &value);
    let reversed = of(statements.iter().rev().cloned().collect(), &value).expect("the same statements");
    let denying: Vec<Value> = statements.iter().filter(|one| one["Effect"] == "Deny").cloned().collect();
    let has_denying = !denying.is_empty();
    let all = |effect| json!({ "Effect": effect, "Action": "*", "Resource": "*" });
    let [allow, deny] = ["Allow", "Deny"].map(|effect| of(vec![all(effect)], &value).expect("a document"));
    let mut shape = format!("{} {}", trust.is_ok(), statements.len().min(4));
    for request in asked() {
        let (decision, is_denied) = decide(&[&document], &request);
        shape += &format!(" {:?}", decision.reason);
        let same = |other: &Document, what| {
            let (other, _) = decide(&[other], &request);
            assert_eq!((other.allowed, other.reason), (decision.allowed, decision.reason), "{what}");
        };
        same(&reversed, "in another order");
        if let Some(spelled) = &spelled {
            same(spelled, "each as a list");
        }
        assert_eq!(decide(&[&document, &deny], &request).0.reason, Reason::ExplicitDeny);
        let beside = decide(&[&allow, &document], &request).0;
        assert_eq!(beside.allowed, !is_denied, "what is allowed otherwise is refused by a denial alone");
        assert!(!is_denied || has_denying, "denied by nothing");
        let swapped: String = request
            .action
            .chars()
            .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect();
        let (other, _) = decide(&[&document], &request.about(swapped, request.resource.clone()));
        assert_eq!(other.allowed, decision.allowed, "by the case of an action");
        if let Some(expected) = by_the_letter(&statements, &request) {
            assert_eq!(decision.reason, expected, "{} {} in {value}", request.action, request.resource);
        }
    }
    keep_shape(shape);
}

/// A statement in which what may be a list is one. An empty list stays what it is.
fn listed(statement: &Value) -> Value {
    let mut statement = statement.clone();
    for key in ["Action", "NotAction", "Resource", "NotResource"] {
        if let Some(value) = statement.get_mut(key).filter(|value| !value.is_array()) {
            *value = json!([value.take()]);
        }
    }
    let conditions = statement.get_mut("Condition").and_then(Value::as_object_mut);
    for keys in conditions.into_iter().flat_map(|operators| operators.values_mut()).filter_map(Value::as_object_mut) {
        for values in keys.values_mut().filter(|values| !values.is_array()) {
            *values = json!([values.take()]);
        }
    }
    statement
}

/// What statements without conditions and variables decide, by the rules as they are written.
fn by_the_letter(statements: &[Value], request: &Request) -> Option<Reason> {
    let texts = |value: &Value| match value {
        Value::Array(list) => list.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        one => vec![one.as_str().unwrap_or_default().to_owned()],
    };
    let (mut allows, mut denies) = (false, false);
    for statement in statements {
        let is_plain = statement.get("Condition").is_none() && !statement.to_string().contains("${");
        if !is_plain {
            return None;
        }
        let about = |key: &str, not: &str, fits: &dyn Fn(&String) -> bool| match statement.get(key) {
            Some(these) => texts(these).iter().any(fits),
            None => !texts(&statement[not]).iter().any(fits),
        };
        let action = request.action.to_ascii_lowercase();
        let is_about = about("Action", "NotAction", &|text| glob(&text.to_ascii_lowercase(), &action))
            && about("Resource", "NotResource", &|text| glob(text, &request.resource));
        allows |= is_about && statement["Effect"] == "Allow";
        denies |= is_about && statement["Effect"] == "Deny";
    }
    Some(match (denies, allows) {
        (true, _) => Reason::ExplicitDeny,
        (false, true) => Reason::Allowed,
        (false, false) => Reason::NoIdentityPolicyAllows,
    })
}

/// Whether a pattern fits, by trying: a row for each of its characters says which beginnings of the text it fits up to there.
fn glob(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut row: Vec<bool> = (0..=text.len()).map(|length| length == 0).collect();
    for wanted in pattern.chars() {
        let mut next = vec![false; row.len()];
        for at in 0..row.len() {
            next[at] = match wanted {
                '*' => row[at] || at > 0 && next[at - 1],
                '?' => at > 0 && row[at - 1],
                wanted => at > 0 && row[at - 1] && text[at - 1] == wanted,
            };
        }
        row = next;
    }
    row.last() == Some(&true)
}

/// Changes a document such that it mostly is JSON still.
pub(super) fn mutate_document(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    let Ok(mut value) = serde_json::from_slice::<Value>(input) else { return mutate(input, other, limit, random) };
    if random.below(10) == 0 {
        return mutate(input, other, limit, random);
    }
    let donor = serde_json::from_slice::<Value>(other).unwrap_or(Value::Null);
    for _ in 0..=random.below(3) {
        let with = match random.below(3) {
            0 => pick(&mut donor.clone(), random).clone(),
            _ => serde_json::from_str(WORDS[random.below(WORDS.len())]).expect("JSON"),
        };
        let place = pick(&mut value, random);
        match (random.below(5), place) {
            (0, Value::Array(list)) => list.push(with),
            (0 | 1, Value::Object(map)) => {
                let key = KEYS[random.below(KEYS.len())];
                let not = key.strip_prefix("Not").map_or_else(|| format!("Not{key}"), str::to_owned);
                match map.remove(&not).filter(|_| random.below(2) == 0) {
                    Some(moved) => map.insert(key.to_owned(), moved),
                    None => map.insert(key.to_owned(), with),
                };
            }
            (1, place @ Value::String(_)) => *place = json!([place.take(), with]),
            (2, Value::String(text)) => {
                let mut bytes = text.as_bytes().to_vec();
                mutate(&mut bytes, with.as_str().unwrap_or("*?").as_bytes(), 60, random);
                *text = String::from_utf8_lossy(&bytes).into_owned();
            }
            (2, Value::Array(list)) if list.len() > 1 => drop(list.remove(random.below(list.len()))),
            (_, place) => *place = with,
        }
    }
    let text = value.to_string();
    if text.len() <= limit {
        *input = text.into_bytes();
    }
}
