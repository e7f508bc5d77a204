//! What comes with a call before it is known what to make of it, fuzzed: its query, and in it where a page begins; cookies, what
//! browsers say of where they come from, and conditions. Hunt, mutations and corpus are those of the `fuzz` crate.
//!
//! Whatever comes: nothing but what is known is read of a query, and it says the same when it is written again; pages tell each
//! entry once, and end; a session is found among any other cookies; and what another site's page may send changes nothing.

#[expect(unreachable_pub, reason = "also a part of another crate")]
#[path = "../../../fuzz/src/hunt.rs"]
mod hunt;
#[expect(unreachable_pub, reason = "also a part of another crate")]
#[path = "../../../fuzz/src/mutate.rs"]
mod mutate;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use headworks_iam::percent::encoded;
use headworks_iam::sign_in::token_hash;
use headworks_model::config::SESSION_COOKIE;

use self::hunt::{Target, keep_shape, last_shape};
use self::mutate::{Random, mutate, put_word};
use crate::change::Condition;
use crate::cookie;
use crate::page::{Page, link};
use crate::query::Query;

/// How long it is hunted in a run of all tests.
const SECONDS: u64 = 2;

/// A query, then fields a line.
const SEEDS: &[&[u8]] = &[
    b"limit=2&after=b&prefix=",
    b"prefix=%C3%A4&limit=500&dry_run=true\ncookie: a=b; headworks_session=abc; c=d",
    b"from=2026-01-31T12%3A00%3A00Z&limit=0\nif-match: \"a\", \"b\"\nif-none-match: *",
    b"after=a%2fb+c&after=z\ncookie: x\ncookie: headworks_session=\ncookie:\theadworks_session=q",
    b"dry_run\nhost: box:9080\norigin: http://box:9080\nsec-fetch-site: same-origin\nx-headworks-request: console",
    b"&&=&limit=%31\nhost: box\norigin: null\nsec-fetch-site: cross-site\nx-forwarded-proto: https",
];

/// What queries may have.
const KNOWN: &[&str] = &["limit", "after", "prefix", "dry_run", "from"];

/// A list, in its order.
const NAMES: &[&str] =
    &["", "a", "a b", "a%2Fb", "a/b", "aa", "b", "b&c=d", "b+", "z", "\u{e4}", "\u{e4}\u{e4}", "\u{1f600}"];

const WORDS: &[&str] = &[
    "&",
    "=",
    "%",
    "+",
    "limit=1",
    "limit=",
    "after=a",
    "after=%C3%A4",
    "prefix=a",
    "dry_run=false",
    "from=2026-02-30",
    "\nhost: box",
    "\norigin: https://box",
    "\norigin: ",
    "\nsec-fetch-site: none",
    "\nsec-fetch-site: same-site",
    "\nx-headworks-request: 1",
    "\ncookie: ",
    "headworks_session=",
    "; ",
    "\nif-match: \"t\"",
    "\nif-match: W/\"t\"",
    "\nif-none-match: \"t\"",
    "\"t\"",
    "\nx-forwarded-proto: https",
];

fn fields(lines: &[&[u8]]) -> HeaderMap {
    let field = |line: &&[u8]| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (HeaderName::from_bytes(line.get(..at)?).ok()?, line.get(at + 1..)?);
        Some((name, HeaderValue::from_bytes(value.trim_ascii()).ok()?))
    };
    let mut fields = HeaderMap::new();
    for (name, value) in lines.iter().filter_map(field) {
        fields.append(name, value);
    }
    fields
}

fn check(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let text = String::from_utf8_lossy(lines.first().copied().unwrap_or_default()).into_owned();
    let fields = fields(lines.get(1..).unwrap_or_default());
    let shape = format!("{} {} {}", query(&text), session(&fields), origin(&fields));
    keep_shape(format!("{shape} {}", condition(&fields)));
}

fn query(text: &str) -> String {
    let query = match Query::read(text, KNOWN) {
        Ok(query) => query,
        Err(problem) => {
            assert!(problem.status().is_client_error() && problem.detail().starts_with('?'), "{}", problem.detail());
            return "unknown".to_owned();
        }
    };
    let values = KNOWN.iter().flat_map(|name| query.all(name).into_iter().map(move |value| (*name, value)));
    let again: Vec<String> = values.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let again = Query::read(&again.join("&"), KNOWN).unwrap_or_else(|problem| panic!("{}", problem.detail()));
    KNOWN.iter().for_each(|name| assert_eq!((again.get(name), again.all(name)), (query.get(name), query.all(name))));
    let limit = query.number("limit", 1, 500);
    let read = (limit.is_ok(), query.flag("dry_run").ok(), query.time("from").is_ok());
    let told = pages(&query);
    assert_eq!(told.is_some(), limit.is_ok());
    format!("{read:?} {told:?} {}", query.get("after").is_some_and(|after| !after.is_ascii()))
}

/// Goes through all pages of a list, from where the query says: how many there are of how many entries.
fn pages(first: &Query) -> Option<(usize, usize)> {
    let mut page = Page::asked(first, 100).ok()?;
    let limit = first.number("limit", 1, 500).ok()?.unwrap_or(100);
    let (prefix, after) = (first.get("prefix").unwrap_or_default(), first.get("after"));
    let expected: Vec<&str> = NAMES
        .iter()
        .copied()
        .filter(|name| name.starts_with(prefix) && after.is_none_or(|after| *name > after))
        .collect();
    let (mut told, mut count) = (Vec::new(), 0);
    loop {
        let found = page.take(NAMES.iter().map(|name| (*name, ())), |_, ()| true.into());
        count += 1;
        assert!(found.entries.len() as u64 <= limit && count <= NAMES.len() + 1);
        told.extend(found.entries.keys().cloned());
        let Some(next) = found.next else { break };
        assert_eq!(told.last(), Some(&next));
        let field = link(first, &next);
        assert!(HeaderValue::from_str(&field).is_ok(), "{field:?}");
        let inner = field.strip_prefix("<?").and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
        let query = Query::read(inner.expect("a link"), KNOWN).unwrap_or_else(|problem| panic!("{}", problem.detail()));
        assert_eq!((query.get("after"), query.get("prefix")), (Some(next.as_str()), first.get("prefix")));
        page = Page::asked(&query, 100).unwrap_or_else(|problem| panic!("{}", problem.detail()));
    }
    assert_eq!(told, expected);
    Some((count, told.len()))
}

fn session(fields: &HeaderMap) -> String {
    let found = cookie::token(fields);
    let lines = fields.get_all("cookie").iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b';');
    let is_named = lines.windows(SESSION_COOKIE.len()).any(|found| found == SESSION_COOKIE.as_bytes());
    assert!(is_named || found.is_none());
    // ours is found among any others, before them and behind
    for own in [format!("{SESSION_COOKIE}=token"), format!("a=b; {SESSION_COOKIE}=token; c")] {
        let mut more = fields.clone();
        more.append("cookie", HeaderValue::from_str(&own).expect("a value"));
        assert_eq!(cookie::token(&more), found.clone().or_else(|| Some(token_hash("token"))));
    }
    let field = cookie::begin("token", fields);
    let is_secure = fields.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    assert_eq!(field.ends_with("; Secure"), is_secure, "{field}");
    assert!(HeaderValue::from_str(&field).is_ok() && field.contains("; HttpOnly; SameSite=Strict"), "{field}");
    format!("{} {is_named}", found.is_some())
}

fn origin(fields: &HeaderMap) -> String {
    let text = |name: &str| fields.get(name).map(HeaderValue::as_bytes);
    let [read, change] = [Method::GET, Method::DELETE].map(|method| cookie::check_origin(&method, fields).is_ok());
    assert!(read || !change, "what may not be read may be changed");
    if read {
        assert!(text("sec-fetch-site").is_none_or(|site| [&b"same-origin"[..], b"none"].contains(&site)));
        let host = text("host").unwrap_or_default();
        assert!(text("origin").is_none_or(|origin| origin.ends_with(&[&b"://"[..], host].concat())), "{fields:?}");
    }
    assert!(!change || text("x-headworks-request").is_some_and(|value| !value.is_empty()));
    format!("{read} {change}")
}

/// A condition on the tag `"t"`, and on something that is not there.
fn condition(fields: &HeaderMap) -> String {
    let condition = Condition::of(fields);
    let has = |name: &str, wanted: &[u8]| {
        fields.get_all(name).iter().any(|line| line.as_bytes().windows(wanted.len()).any(|found| found == wanted))
    };
    let [there, gone] = [Some("\"t\""), None].map(|tag| condition.check_tag(tag, "it").is_ok());
    let is_asked = fields.contains_key("if-match");
    assert!(!there || !is_asked || has("if-match", b"\"t\"") || has("if-match", b"*"), "{fields:?}");
    assert!(!gone || !is_asked, "{fields:?}");
    let is_known = has("if-none-match", b"\"t\"") || has("if-none-match", b"*");
    assert!(there || is_asked || is_known, "{fields:?}");
    format!("{there} {gone} {is_asked}")
}

/// Puts words in, or changes bytes.
fn mutate_call(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    if random.below(2) == 0 {
        return mutate(input, other, limit, random);
    }
    put_word(input, WORDS[random.below(WORDS.len())].as_bytes(), random);
    input.truncate(limit);
}

#[test]
fn a_call() {
    let target = Target {
        name: "a_call",
        run: check,
        shape: last_shape,
        mutate: mutate_call,
        seeds: SEEDS,
        corpus: include_str!("../../../fuzz/corpus/a_call"),
    };
    hunt::test(&target, SECONDS, "headworks-control");
}
