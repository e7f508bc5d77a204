//! When keys were last used, and when each identity last did what: noted in memory, written with the identities once a minute.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use headworks_iam::key::{AccessKey, Accessed, LastUsed};
use headworks_iam::{Directory, Principal};

/// Actions of one identity that are remembered: more than there are.
const MOST_ACTIONS: usize = 256;

/// What one identity did, by action.
type Actions = BTreeMap<String, Accessed>;

/// What was noted and is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<Noted>);

#[derive(Debug, Default)]
pub(crate) struct Noted {
    keys: HashMap<String, LastUsed>,
    users: HashMap<String, Actions>,
    roles: HashMap<String, Actions>,
}

impl Uses {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key was used.
    pub(crate) fn key(&self, id: &str, used: LastUsed) {
        self.noted().keys.insert(id.to_owned(), used);
    }

    /// Somebody was permitted something.
    pub(crate) fn action(&self, principal: &Principal, action: &str, at: u64, source: &str) {
        let mut noted = self.noted();
        let of = match principal {
            Principal::User(name) => noted.users.entry(name.clone()).or_default(),
            Principal::Role { role, .. } => noted.roles.entry(role.clone()).or_default(),
            Principal::Anonymous | Principal::Root | Principal::Local => return,
        };
        of.insert(action.to_owned(), Accessed { at, source: source.to_owned() });
    }

    /// When a key was last used.
    pub(crate) fn of_key(&self, key: &AccessKey) -> Option<LastUsed> {
        self.noted().keys.get(&key.id).cloned().or_else(|| key.last_used.clone())
    }

    /// What a user did, written or not.
    pub(crate) fn of_user(&self, name: &str, written: &Actions) -> Actions {
        joined(written, self.noted().users.get(name))
    }

    /// What was done in a role.
    pub(crate) fn of_role(&self, name: &str, written: &Actions) -> Actions {
        joined(written, self.noted().roles.get(name))
    }

    /// What is to be written; none when there is nothing.
    pub(crate) fn take(&self) -> Option<Noted> {
        let noted = std::mem::take(&mut *self.noted());
        let is_empty = noted.keys.is_empty() && noted.users.is_empty() && noted.roles.is_empty();
        (!is_empty).then_some(noted)
    }
}

fn joined(written: &Actions, noted: Option<&Actions>) -> Actions {
    let mut all = written.clone();
    all.extend(noted.into_iter().flatten().map(|(action, accessed)| (action.clone(), accessed.clone())));
    while all.len() > MOST_ACTIONS {
        let oldest = all.iter().min_by_key(|(_, accessed)| accessed.at).map(|(action, _)| action.clone());
        oldest.into_iter().for_each(|action| drop(all.remove(&action)));
    }
    all
}

impl Noted {
    /// Puts it where it is kept: the identities that it is of.
    pub(crate) fn put(self, directory: &mut Directory) -> Vec<(&'static str, String)> {
        let mut touched = Vec::new();
        let take = |keys: &mut Vec<AccessKey>| {
            let of = keys.iter_mut().filter_map(|key| Some((self.keys.get(&key.id)?.clone(), key)));
            of.map(|(at, key)| key.last_used = Some(at)).count() > 0
        };
        if directory.root.as_mut().is_some_and(|root| take(&mut root.keys)) {
            touched.push(("root", "root".to_owned()));
        }
        for (name, user) in &mut directory.users {
            let did = self.users.get(name);
            if take(&mut user.keys) || did.is_some() {
                user.accessed = joined(&user.accessed, did);
                touched.push(("user", name.clone()));
            }
        }
        for (name, did) in &self.roles {
            if let Some(role) = directory.roles.get_mut(name) {
                role.accessed = joined(&role.accessed, Some(did));
                touched.push(("role", name.clone()));
            }
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_action_is_kept_and_the_oldest_leave() {
        let uses = Uses::default();
        let user = Principal::User("alice".to_owned());
        let mut directory = Directory::default();
        directory.users.entry("alice".to_owned()).or_default();
        for at in 0..2 * MOST_ACTIONS as u64 {
            uses.action(&user, &format!("headworks:A{at}"), at, "here");
        }
        uses.action(&Principal::User("gone".to_owned()), "headworks:A", 1, "here");
        uses.action(&Principal::Root, "headworks:A", 1, "here");
        assert_eq!(uses.of_user("alice", &Actions::new()).len(), MOST_ACTIONS);
        let touched = uses.take().map(|noted| noted.put(&mut directory));
        assert_eq!(touched, Some(vec![("user", "alice".to_owned())]));
        assert!(uses.take().is_none());
        let kept = &directory.users["alice"].accessed;
        assert_eq!(kept.values().map(|accessed| accessed.at).min(), Some(MOST_ACTIONS as u64));
        uses.action(&user, "headworks:A511", 1000, "there");
        let all = uses.of_user("alice", kept);
        assert_eq!(all["headworks:A511"], Accessed { at: 1000, source: "there".to_owned() });
    }
}
