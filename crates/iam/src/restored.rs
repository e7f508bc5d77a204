//! Identities as they were saved, brought back among those of now: whoever may do what is as it was then; what has happened
//! since is not undone.

use std::collections::BTreeMap;

use crate::directory::Directory;
use crate::key::{AccessKey, Accessed};

impl Directory {
    /// Those of `then` in place of these, with what is not a matter of what was saved:
    ///
    /// * root stays, if there is one: who restores is not locked out, and nobody becomes root by what they bring;
    /// * sessions are those of now: none that has ended comes back;
    /// * a one-time code that was taken is not taken again;
    /// * when a key, a password or a permission was last used is what is known now.
    ///
    /// To be [indexed](Directory::indexed).
    #[must_use]
    pub fn restored(&self, mut then: Directory) -> Directory {
        then.root = self.root.clone().or(then.root);
        let used: BTreeMap<&str, &AccessKey> =
            self.users.values().flat_map(|user| &user.keys).map(|key| (key.id.as_str(), key)).collect();
        for (name, user) in &mut then.users {
            let now = self.users.get(name);
            user.sessions = now.map(|now| now.sessions.clone()).unwrap_or_default();
            for key in &mut user.keys {
                let known = used.get(key.id.as_str()).and_then(|now| now.last_used.clone());
                key.last_used = known.or_else(|| key.last_used.take());
            }
            let Some(now) = now else { continue };
            user.mfa.used = user.mfa.used.max(now.mfa.used);
            if let (Some(login), Some(now)) = (&mut user.login, &now.login) {
                login.last_used = login.last_used.max(now.last_used);
            }
            keep_newer(&mut user.accessed, &now.accessed);
        }
        for (name, role) in &mut then.roles {
            if let Some(now) = self.roles.get(name) {
                keep_newer(&mut role.accessed, &now.accessed);
            }
        }
        then
    }
}

fn keep_newer(then: &mut BTreeMap<String, Accessed>, now: &BTreeMap<String, Accessed>) {
    then.extend(now.iter().map(|(action, accessed)| (action.clone(), accessed.clone())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Root, User};
    use crate::key::{KeyStatus, LastUsed};
    use crate::sign_in::{Login, SignedIn};

    fn key(id: &str, used: u64) -> AccessKey {
        let last_used = Some(LastUsed { at: used, action: String::new(), source: String::new() });
        AccessKey { id: id.to_owned(), secret: String::new(), status: KeyStatus::Active, created: 0, last_used }
    }

    fn session(token: &str) -> SignedIn {
        SignedIn { token: token.to_owned(), since: 0, expires: 9, source: String::new(), with_mfa: false }
    }

    fn user(groups: &[&str], keys: Vec<AccessKey>, sessions: &[&str], used: u64) -> User {
        let mut user = User { keys, ..User::default() };
        user.groups = groups.iter().map(|group| (*group).to_owned()).collect();
        user.sessions = sessions.iter().map(|token| session(token)).collect();
        let login = Login { last_used: Some(used), ..Login::new(String::new(), false, 0) };
        (user.mfa.used, user.login) = (used, Some(login));
        user.accessed.insert("Get".to_owned(), Accessed { at: used, source: String::new() });
        user
    }

    fn directory(root: Option<u64>, users: Vec<(&str, User)>) -> Directory {
        let mut directory = Directory::default();
        directory.root = root.map(|created| Root { created, keys: Vec::new() });
        directory.users = users.into_iter().map(|(name, user)| (name.to_owned(), user)).collect();
        directory
    }

    #[test]
    fn permissions_are_those_of_then_and_what_happened_is_what_is_known_now() {
        let now = directory(
            Some(2),
            vec![
                ("alice", user(&["ops"], vec![key("new", 8), key("old", 9)], &["live"], 7)),
                ("later", user(&[], Vec::new(), &[], 0)),
            ],
        );
        let then = directory(
            Some(1),
            vec![
                ("alice", user(&[], vec![key("old", 3), key("gone", 2)], &["ended"], 5)),
                ("bob", user(&[], Vec::new(), &["ended"], 5)),
            ],
        );
        let restored = now.restored(then.clone());
        assert_eq!(restored.root, now.root);
        assert_eq!(restored.users.keys().collect::<Vec<_>>(), ["alice", "bob"]);
        let expected = user(&[], vec![key("old", 9), key("gone", 2)], &["live"], 7);
        assert_eq!(restored.users["alice"], expected);
        assert!(restored.users["bob"].sessions.is_empty());
        assert_eq!(directory(None, Vec::new()).restored(then.clone()).root, then.root, "where there is none");
    }
}
