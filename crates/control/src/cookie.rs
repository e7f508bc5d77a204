//! The cookie of who has signed in to the console, and what keeps another site's pages from using it.

use axum::http::{HeaderMap, Method, header};
use headworks_iam::sign_in::{SESSION, token_hash};
use headworks_model::config::SESSION_COOKIE as NAME;

use crate::problem::Problem;

/// What every call of the console has that changes something: a page of another origin cannot send it without being asked about,
/// and is never permitted.
const FIELD: &str = "x-headworks-request";

/// The hash of the token that a request brings.
pub(crate) fn token(fields: &HeaderMap) -> Option<String> {
    let pairs = fields.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = pairs.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, token) = pairs.find(|(name, token)| *name == NAME && !token.is_empty())?;
    Some(token_hash(token))
}

/// The field that begins a session. A browser that came by TLS, which a listener before this address has ended, is to keep it to
/// TLS.
pub(crate) fn begin(token: &str, fields: &HeaderMap) -> String {
    let is_secure = fields.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if is_secure { "; Secure" } else { "" };
    format!("{NAME}={token}; Path=/; Max-Age={SESSION}; HttpOnly; SameSite=Strict{secure}")
}

/// The field that ends it.
pub(crate) fn end() -> String {
    format!("{NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
}

/// That a call with a cookie comes from a page of this address.
///
/// # Errors
/// When it does not, as far as the browser says, or it changes something and lacks the field that says so.
pub(crate) fn check_origin(method: &Method, fields: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| fields.get(name).map(|value| value.to_str().unwrap_or_default());
    // an address that cannot be read is nobody's
    let host = text("host").filter(|host| !host.is_empty());
    let is_foreign = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) if !["same-origin", "none"].contains(&site) => true,
        (_, Some(origin)) => origin.split_once("://").is_none_or(|(_, of)| host != Some(of)),
        _ => false,
    };
    if is_foreign {
        return Err(Problem::cross_site("the request comes from a page of another site"));
    }
    if ![Method::GET, Method::HEAD].contains(method) && text(FIELD).is_none_or(str::is_empty) {
        return Err(Problem::cross_site("a call by cookie that changes something needs the field X-Headworks-Request"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
    use headworks_iam::sign_in::token_hash;

    use super::{begin, check_origin, token};

    fn fields(lines: &[&'static str]) -> HeaderMap {
        let pairs = lines.iter().map(|line| line.split_once(": ").unwrap());
        pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_comes_from_elsewhere_is_told() {
        let check = |method: Method, lines: &[&'static str], expected: bool| {
            let mut all = fields(lines);
            all.insert("host", HeaderValue::from_static("box:9080"));
            assert_eq!(check_origin(&method, &all).is_ok(), expected, "{method} {lines:?}");
        };
        check(Method::GET, &[], true);
        check(Method::GET, &["sec-fetch-site: cross-site"], false);
        check(Method::GET, &["sec-fetch-site: same-site"], false);
        check(Method::GET, &["sec-fetch-site: none"], true);
        check(Method::GET, &["origin: null"], false);
        check(Method::POST, &[], false);
        check(Method::POST, &["x-headworks-request: console"], true);
        check(Method::POST, &["x-headworks-request: console", "origin: http://box:9080"], true);
        check(Method::POST, &["x-headworks-request: console", "origin: https://box:9080"], true);
        check(Method::POST, &["x-headworks-request: console", "origin: http://box:9081"], false);
        check(
            Method::POST,
            &["x-headworks-request: console", "sec-fetch-site: same-origin", "origin: http://evil"],
            false,
        );
        check(Method::DELETE, &["origin: http://box:9080"], false);
        // neither an empty address nor one that cannot be read is the same as another
        for host in [&b""[..], b"box\xa2"] {
            let mut all = fields(&["origin: http://"]);
            all.insert("host", HeaderValue::from_bytes(host).unwrap());
            assert!(check_origin(&Method::GET, &all).is_err(), "{host:?}");
        }
        assert!(check_origin(&Method::GET, &fields(&["origin: http://"])).is_err());
    }

    #[test]
    fn a_session_is_in_its_cookie_among_others() {
        for (line, expected) in [
            ("cookie: headworks_session=abc", Some("abc")),
            ("cookie: a=b; headworks_session=abc; c=d", Some("abc")),
            ("cookie: headworks_session=", None),
            ("cookie: xheadworks_session=abc", None),
        ] {
            assert_eq!(token(&fields(&[line])), expected.map(token_hash), "{line}");
        }
        assert!(!begin("t", &HeaderMap::new()).contains("Secure"));
        assert!(begin("t", &fields(&["x-forwarded-proto: https"])).ends_with("; Secure"));
    }
}
