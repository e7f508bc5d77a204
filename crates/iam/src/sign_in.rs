//! How a user signs in to the console: what is kept of a password, of a second factor, of sessions. Whatever is secret is a
//! hash, or has been sealed before it comes here.

use serde::{Deserialize, Serialize};

use crate::password::{self, Policy};
use crate::totp;

/// Sessions that a user may have at the same time; the oldest gives way.
pub const MOST_SESSIONS: usize = 10;
/// How long a session lasts, in seconds.
pub const SESSION: u64 = 12 * 3600;
/// Random bytes of a session's token.
pub const TOKEN: usize = 32;
/// Earlier passwords that are remembered, at most.
pub const MOST_EARLIER: usize = 24;

/// A password as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// See [`crate::password`].
    pub hash: String,
    /// Seconds since 1970.
    pub changed: u64,
    /// Whether the next sign-in must bring another password.
    #[serde(default)]
    pub must_change: bool,
    /// Hashes of those before, the newest first.
    #[serde(default)]
    pub earlier: Vec<String>,
    /// Seconds since 1970 of the last sign-in.
    #[serde(default)]
    pub last_used: Option<u64>,
}

impl Login {
    /// A first password.
    pub fn new(hash: String, must_change: bool, now: u64) -> Self {
        Self { hash, changed: now, must_change, earlier: Vec::new(), last_used: None }
    }

    /// Another password in place of this.
    #[must_use]
    pub fn followed_by(mut self, hash: String, must_change: bool, now: u64) -> Self {
        self.earlier.insert(0, std::mem::replace(&mut self.hash, hash));
        self.earlier.truncate(MOST_EARLIER);
        Self { changed: now, must_change, ..self }
    }

    /// Whether another password is due.
    pub fn is_expired(&self, policy: &Policy, now: u64) -> bool {
        let age = u64::from(policy.max_age_days) * 86_400;
        self.must_change || (age > 0 && self.changed.saturating_add(age) < now)
    }

    /// Whether a new password is this one, or one of those before that must not come again. Slow, as all looks at passwords.
    pub fn repeats(&self, password: &str, policy: &Policy) -> bool {
        let reuse = usize::from(policy.reuse_prevention);
        let earlier = self.earlier.iter().take(reuse.saturating_sub(1));
        std::iter::once(&self.hash).chain(earlier).any(|hash| password::verify(password, hash))
    }
}

/// A second factor: one-time codes by time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mfa {
    /// The secret that counts, sealed; none until two codes have proved it.
    #[serde(default)]
    pub active: Option<String>,
    /// One that is waiting to be proved, sealed.
    #[serde(default)]
    pub pending: Option<String>,
    /// The step of the newest code that was taken: none is good twice.
    #[serde(default)]
    pub used: u64,
    /// Seconds since 1970 when it became active.
    #[serde(default)]
    pub since: Option<u64>,
}

/// The step of the second of two codes that follow one another, which is what proves that an app has the secret.
pub fn proved(secret: &[u8], codes: [&str; 2], now: u64) -> Option<u64> {
    let [first, second] = codes;
    let step = totp::step_of(secret, second, now, 0)?;
    (totp::code(secret, step.checked_sub(1)?) == first).then_some(step)
}

/// A session of somebody who has signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// The hash of its token; who has only this has no session.
    pub token: String,
    /// Seconds since 1970.
    pub since: u64,
    /// Seconds since 1970.
    pub expires: u64,
    /// From where.
    pub source: String,
    /// Whether a second factor was asked for.
    #[serde(default)]
    pub with_mfa: bool,
}

/// What is kept of a session's token. The token is random and long, so that one round is enough.
pub fn token_hash(token: &str) -> String {
    crate::hex::hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()).as_ref())
}

/// Takes a session in; those that have ended leave, and the oldest when there would be too many.
pub fn begin(sessions: &mut Vec<SignedIn>, session: SignedIn) {
    let now = session.since;
    sessions.retain(|session| session.expires > now);
    while sessions.len() >= MOST_SESSIONS {
        sessions.remove(0);
    }
    sessions.push(session);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::hash;

    #[test]
    fn two_codes_in_a_row_prove_a_secret() {
        let secret = b"12345678901234567890";
        let code = |step| totp::code(secret, step);
        let now = 100 * 30 + 7;
        for (first, second, expected) in [(99, 100, Some(100)), (100, 101, Some(101)), (98, 100, None), (100, 99, None)]
        {
            assert_eq!(proved(secret, [&code(first), &code(second)], now), expected, "{first}, {second}");
        }
        assert_eq!(proved(secret, ["", ""], now), None);
        assert_eq!(proved(secret, [&code(50), &code(51)], now), None, "old codes");
    }

    #[test]
    fn a_password_does_not_come_again_as_long_as_the_policy_says() {
        let kept = |password: &str| hash(password, &[7; 16]).unwrap();
        let login = Login::new(kept("First-1!"), false, 0).followed_by(kept("Second-2!"), false, 1);
        let login = login.followed_by(kept("Third-3!"), false, 2);
        for (reuse_prevention, repeated) in [(0, ["Third-3!"].as_slice()), (2, &["Third-3!", "Second-2!"])] {
            let policy = Policy { reuse_prevention, ..Policy::default() };
            for password in ["First-1!", "Second-2!", "Third-3!", "Fourth-4!"] {
                assert_eq!(
                    login.repeats(password, &policy),
                    repeated.contains(&password),
                    "{password}, {reuse_prevention}"
                );
            }
        }
    }

    #[test]
    fn passwords_expire_by_age_and_by_word() {
        let day = 86_400;
        for (must_change, max_age_days, age, expected) in
            [(false, 0, 10_000, false), (true, 0, 0, true), (false, 30, 30, false), (false, 30, 31, true)]
        {
            let policy = Policy { max_age_days, ..Policy::default() };
            let login = Login::new(String::new(), must_change, 5);
            assert_eq!(login.is_expired(&policy, 5 + age * day), expected, "{must_change} {max_age_days} {age}");
        }
    }

    #[test]
    fn sessions_are_few_and_end() {
        let mut sessions = Vec::new();
        for since in 0..12 {
            let expires = if since == 11 { 100 } else { 50 };
            begin(
                &mut sessions,
                SignedIn { token: since.to_string(), since, expires, source: String::new(), with_mfa: false },
            );
        }
        assert_eq!((sessions.len(), sessions[0].token.as_str()), (MOST_SESSIONS, "2"));
        begin(
            &mut sessions,
            SignedIn { token: "late".to_owned(), since: 60, expires: 100, source: String::new(), with_mfa: false },
        );
        assert_eq!(sessions.iter().map(|session| session.token.as_str()).collect::<Vec<_>>(), ["11", "late"]);
    }
}
