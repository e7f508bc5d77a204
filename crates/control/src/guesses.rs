//! How often passwords and codes may be guessed, and by how many at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use headworks_iam::directory::check_name;
use headworks_iam::password;
use headworks_iam::throttle::Throttle;
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Looks at passwords at the same time: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// How long one waits to be looked at.
const PATIENCE: Duration = Duration::from_secs(10);
/// Wrong attempts in a row that cost nothing: of one source on one name, of all on one name, of one source on all names. The
/// second is high, so that nobody is kept out by others easily.
const FREE: [u32; 3] = [5, 50, 30];

/// Attempts of the same kinds that may be under way at once. What has been admitted is judged later: without a bound, as many as
/// are sent at the same time would all count as the first.
const UNDER_WAY: [u32; 3] = [1, 10, 10];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Guess {
    Of(String, String),
    About(String),
    From(String),
}

/// Attempts to sign in.
pub(crate) struct Guesses {
    throttle: Mutex<Throttle<Guess>>,
    under_way: Mutex<HashMap<Guess, u32>>,
    looks: Semaphore,
}

/// An attempt that is under way, until what came of it is told.
#[derive(Debug)]
pub(crate) struct Admitted<'a> {
    of: &'a Mutex<HashMap<Guess, u32>>,
    keys: [Guess; 3],
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut under_way = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some(count) = under_way.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    under_way.remove(key);
                }
            }
        }
    }
}

impl Default for Guesses {
    fn default() -> Self {
        Self { throttle: Mutex::default(), under_way: Mutex::default(), looks: Semaphore::new(AT_ONCE) }
    }
}

/// A client that has a network of IPv6 has all of its addresses.
fn source_of(source: &str) -> String {
    match source.parse() {
        Ok(IpAddr::V6(address)) => format!("{:x}/64", address.to_bits() >> 64),
        _ => source.to_owned(),
    }
}

fn keys(name: &str, source: &str) -> [Guess; 3] {
    let source = source_of(source);
    // what cannot be a name is nobody's, and not kept, however long it is
    let name = if check_name(name).is_ok() { name } else { "" };
    [Guess::Of(name.to_owned(), source.clone()), Guess::About(name.to_owned()), Guess::From(source)]
}

impl Guesses {
    /// Lets an attempt begin. To be held until [`wrong`](Self::wrong) or [`right`](Self::right) has been said of it.
    ///
    /// # Errors
    /// When another attempt has to wait.
    pub(crate) fn admit(&self, name: &str, source: &str, now: u64) -> Result<Admitted<'_>, Problem> {
        let keys = keys(name, source);
        // one lock after the other would let two through that have looked at the same time
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.iter().zip(UNDER_WAY).any(|(key, most)| under_way.get(key).is_some_and(|count| *count >= most)) {
            return Err(Problem::too_many_attempts(1));
        }
        let throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seconds) = keys.iter().filter_map(|key| throttle.wait(key, now)).max() {
            return Err(Problem::too_many_attempts(seconds));
        }
        for key in &keys {
            *under_way.entry(key.clone()).or_default() += 1;
        }
        Ok(Admitted { of: &self.under_way, keys })
    }

    /// Whether a name is locked, for whoever asks.
    pub(crate) fn is_locked(&self, name: &str, now: u64) -> bool {
        let throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.wait(&Guess::About(name.to_owned()), now).is_some()
    }

    pub(crate) fn wrong(&self, name: &str, source: &str, now: u64) {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, free) in keys(name, source).iter().zip(FREE) {
            throttle.wrong(key, free, now);
        }
    }

    pub(crate) fn right(&self, name: &str, source: &str) {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(name, source).iter().take(2) {
            throttle.right(key);
        }
    }

    /// Whoever was wrong about a name may begin anew, from anywhere.
    pub(crate) fn forgive(&self, name: &str) {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.forget(|key| matches!(key, Guess::Of(of, _) | Guess::About(of) if of == name));
    }

    /// Does what looks at passwords, which is slow, with few others.
    ///
    /// # Errors
    /// When too many are waiting.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || Problem::too_many_attempts(PATIENCE.as_secs());
        let Ok(Ok(_permit)) = tokio::time::timeout(PATIENCE, self.looks.acquire()).await else { return Err(busy()) };
        tokio::task::spawn_blocking(work).await.map_err(|_| busy())
    }

    /// Whether this is the password that is kept; takes as long where none is.
    ///
    /// # Errors
    /// When too many are waiting.
    pub(crate) async fn is_password(&self, password: String, kept: Option<String>) -> Result<bool, Problem> {
        self.look(move || match kept {
            Some(kept) => password::verify(&password, &kept),
            None => {
                let _ = password::hash(&password, &[0; password::SALT]);
                false
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::Guesses;

    #[test]
    fn whoever_guesses_waits_and_others_do_not() {
        let guesses = Guesses::default();
        for _ in 0..5 {
            assert!(guesses.admit("alice", "10.0.0.1", 100).is_ok());
            guesses.wrong("alice", "10.0.0.1", 100);
        }
        assert!(guesses.admit("alice", "10.0.0.1", 100).is_err());
        for (name, source) in [("alice", "10.0.0.2"), ("bob", "10.0.0.1")] {
            assert!(guesses.admit(name, source, 100).is_ok(), "{name} from {source}");
        }
        assert!(guesses.admit("alice", "10.0.0.1", 161).is_ok());
        guesses.right("alice", "10.0.0.1");
        guesses.wrong("alice", "10.0.0.1", 161);
        assert!(guesses.admit("alice", "10.0.0.1", 161).is_ok());
    }

    #[test]
    fn what_is_sent_at_once_is_not_all_the_first() {
        let guesses = Guesses::default();
        let one = guesses.admit("alice", "10.0.0.1", 100).unwrap();
        assert!(guesses.admit("alice", "10.0.0.1", 100).is_err(), "it is not known yet whether that was right");
        let others: Vec<_> =
            (2..=20).filter_map(|n| guesses.admit("alice", &format!("10.0.0.{n}"), 100).ok()).collect();
        assert_eq!(others.len(), 9);
        let names: Vec<_> = (1..=20).filter_map(|n| guesses.admit(&format!("user{n}"), "10.0.0.1", 100).ok()).collect();
        assert_eq!(names.len(), 9);
        drop((one, others, names));
        assert!(guesses.admit("alice", "10.0.0.1", 100).is_ok() && guesses.under_way.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_many_sources_lock_a_name() {
        let guesses = Guesses::default();
        for host in 1..=5 {
            guesses.wrong("alice", &format!("2001:db8::{host}"), 100);
        }
        assert!(guesses.admit("alice", "2001:db8::99", 100).is_err());
        assert!(guesses.admit("alice", "2001:db8:1::1", 100).is_ok() && !guesses.is_locked("alice", 100));
        for host in 0..45 {
            guesses.wrong("alice", &format!("10.0.0.{host}"), 100);
        }
        assert!(guesses.admit("alice", "2001:db8:1::1", 100).is_err() && guesses.is_locked("alice", 100));
    }
}
