//! Rewrites as users write them.

use super::*;
use headworks_model::primitive::Regex as Declared;

const TARGET: &str = "/api/users?id=7";
const HOST: &str = "shop.example.com:8080";

fn rewrite(regex: &str, replace: &str) -> Rewrite {
    Rewrite { regex: Declared::new(regex).unwrap(), replace: replace.to_owned() }
}

fn run(host: Option<Rewrite>, url: Option<Rewrite>, sent: (&str, &str)) -> Result<Rewritten, TransformError> {
    let compiled = CompiledTransforms::compile(&Transforms { host, url }).unwrap();
    let mut out = Rewritten { host: b"left over".to_vec(), target: b"left over".to_vec() };
    apply(&compiled, sent.0.as_bytes(), sent.1.as_bytes(), &mut out).map(|()| out)
}

#[track_caller]
fn url(regex: &str, replace: &str, target: &str, expected: &str) {
    let out = run(None, Some(rewrite(regex, replace)), (HOST, target)).unwrap();
    assert_eq!(String::from_utf8(out.target).unwrap(), expected);
    assert_eq!(out.host, HOST.as_bytes());
}

#[track_caller]
fn host(regex: &str, replace: &str, expected: Result<&str, TransformError>) {
    let out = run(Some(rewrite(regex, replace)), None, (HOST, TARGET));
    assert_eq!(out.map(|out| String::from_utf8(out.host).unwrap()), expected.map(str::to_owned));
}

#[test]
fn the_first_match_is_replaced() {
    url("^/api/(.*)$", "/v2/$1", TARGET, "/v2/users?id=7");
    url("/", "/x/", "/a/b", "/x/a/b");
    url("^/(?<first>[^/]+)/(.*)", "/$2/${first}", "/a/b", "/b/a");
    url("^/api", "", TARGET, "/users?id=7");
    url("^/nothing", "/x", TARGET, TARGET);
    url("^/API", "/x", TARGET, TARGET);
    url(r"\?.*", "", TARGET, "/api/users");
}

#[test]
fn a_group_number_ends_where_the_digits_end() {
    url("^/(a)", "/$1_x$$${1}y$", "/a", "/a_x$ay$");
    let unknown = CompiledTransforms::compile(&Transforms { host: None, url: Some(rewrite("(a)", "$2")) });
    assert!(matches!(unknown, Err(Fault::UnknownGroup { group, .. }) if group == "2"));
}

#[test]
fn a_url_stays_one_target_of_a_request_line() {
    url("^/a", "x", "/a", "/x");
    url("^/a", "", "/a", "/");
    url("^/a", "/ \r\nX: y#\u{e9}\t", "/a", "/%20%0D%0AX:%20y%23%C3%A9%09");
    let long = rewrite("^(.*)$", &"$1".repeat(400));
    assert_eq!(run(None, Some(long), (HOST, &"/a".repeat(4_000))), Err(TransformError::UrlTooLong));
}

#[test]
fn a_host_stays_a_host_or_is_refused() {
    host(r"^SHOP\.(.*)$", "internal.$1", Ok("internal.example.com:8080"));
    host(":.*", "", Ok("shop.example.com"));
    host("^nothing$", "x", Ok(HOST));
    host("^.*$", "", Err(TransformError::BadHost));
    host("^.*$", "a b", Err(TransformError::BadHost));
    host("^.*$", "a\r\nX: y", Err(TransformError::BadHost));
    host("^.*$", "a/b", Err(TransformError::BadHost));
    host("^(.*)$", &"$1".repeat(100), Err(TransformError::HostTooLong));
}

#[test]
fn without_transforms_nothing_changes() {
    assert!(CompiledTransforms::default().is_empty());
    let out = run(None, None, (HOST, TARGET)).unwrap();
    assert_eq!((out.host.as_slice(), out.target.as_slice()), (HOST.as_bytes(), TARGET.as_bytes()));
}
