//! The `Set-Cookie` texts of stickiness, spelled as Elastic Load Balancing spells them.
//!
//! `Expires` is seven days ahead whatever the stickiness duration is, and there is no `Max-Age`: how long a session lasts
//! is sealed inside the cookie. Every cookie has a twin for cross-origin requests with `SameSite=None; Secure`.
//!
//! Source: Elastic Load Balancing, "Edit target group attributes", sticky sessions.

use crate::UnixSeconds;
use crate::imf_date::imf_date;

/// The cookie that keeps a client on a target for a duration.
pub const TARGET: &str = "AWSALB";
/// Its twin for cross-origin requests.
pub const TARGET_CORS: &str = "AWSALBCORS";
/// The cookie that keeps a client on a target group.
pub const GROUP: &str = "AWSALBTG";
/// Its twin for cross-origin requests.
pub const GROUP_CORS: &str = "AWSALBTGCORS";
/// The shards of the cookie that keeps a client on a target along with an application's cookie.
pub const APPLICATION: [&str; 4] = ["AWSALBAPP-0", "AWSALBAPP-1", "AWSALBAPP-2", "AWSALBAPP-3"];
/// The value of a shard that is not needed. It must be read as no cookie.
pub const REMOVED: &str = "_remove_";
/// The most bytes one shard holds.
pub const LONGEST_SHARD: usize = 4096;

const WEEK: u64 = 7 * 86_400;

/// The field value that sets a stickiness cookie.
#[must_use]
pub fn set_cookie(name: &str, value: &str, now: UnixSeconds) -> String {
    format!("{name}={value}; Expires={}; Path=/", imf_date(now.saturating_add(WEEK)))
}

/// The field value that sets a stickiness cookie's twin for cross-origin requests.
#[must_use]
pub fn set_cookie_cors(name: &str, value: &str, now: UnixSeconds) -> String {
    format!("{name}={value}; Expires={}; Path=/; SameSite=None; Secure", imf_date(now.saturating_add(WEEK)))
}

/// The four field values that set an application stickiness cookie. Our sealed value fits the first shard; the others are
/// marked as removed. A value too long for all four shards is cut, and will then not open.
#[must_use]
pub fn set_application_cookies(value: &str, now: UnixSeconds) -> [String; 4] {
    let mut rest = value;
    APPLICATION.map(|name| {
        let (shard, beyond) = rest.split_at_checked(LONGEST_SHARD.min(rest.len())).unwrap_or((rest, ""));
        rest = beyond;
        set_cookie(name, if shard.is_empty() { REMOVED } else { shard }, now)
    })
}

/// The sealed text from the shards a client sent, in order. Nothing if the first is missing or removed.
#[must_use]
pub fn join_application_cookies(shards: [Option<&str>; 4]) -> Option<String> {
    let present = |shard: &Option<&str>| shard.is_some_and(|text| text != REMOVED && text.len() <= LONGEST_SHARD);
    let text: String = shards.into_iter().take_while(present).flatten().collect();
    (!text.is_empty()).then_some(text)
}

/// Whether an application's own cookie may not be called `name`, because it would be mistaken for one of ours.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    name.starts_with(TARGET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let expires = "Expires=Thu, 08 Jan 1970 00:00:10 GMT; Path=/";
        assert_eq!(set_cookie(TARGET, "v", 10), format!("AWSALB=v; {expires}"));
        assert_eq!(set_cookie_cors(TARGET_CORS, "v", 10), format!("AWSALBCORS=v; {expires}; SameSite=None; Secure"));
        assert_eq!(set_cookie_cors(GROUP_CORS, "v", 10), format!("AWSALBTGCORS=v; {expires}; SameSite=None; Secure"));
        assert_eq!(
            set_application_cookies("v", 10),
            [
                format!("AWSALBAPP-0=v; {expires}"),
                format!("AWSALBAPP-1=_remove_; {expires}"),
                format!("AWSALBAPP-2=_remove_; {expires}"),
                format!("AWSALBAPP-3=_remove_; {expires}"),
            ]
        );
    }

    #[test]
    fn shards() {
        let long = "x".repeat(LONGEST_SHARD) + "yz";
        let [first, second, third, _] = set_application_cookies(&long, 0);
        assert!(first.starts_with("AWSALBAPP-0=xxxx") && second.starts_with("AWSALBAPP-1=yz;"));
        assert!(third.starts_with("AWSALBAPP-2=_remove_;"));
        let x = "x".repeat(LONGEST_SHARD);
        assert_eq!(join_application_cookies([Some(&x), Some("yz"), Some(REMOVED), None]), Some(long));
        assert_eq!(join_application_cookies([Some("a"), None, Some("b"), None]).as_deref(), Some("a"));
        assert_eq!(join_application_cookies([Some(REMOVED), Some("a"), None, None]), None);
        assert_eq!(join_application_cookies([None; 4]), None);
    }

    #[test]
    fn reserved() {
        assert!(["AWSALB", "AWSALBAPP", "AWSALBTG", "AWSALBX"].into_iter().all(is_reserved));
        assert!(!["session", "AWSELB", "awsalb"].into_iter().any(is_reserved));
    }
}
