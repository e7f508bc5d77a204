//! Changes of identities: carried out one at a time, and told without what is secret.

use headworks_iam::Directory;
use headworks_iam::seal::Sealer;
use headworks_store::{Entry, Identity};
use serde_json::{Value, json};

use crate::difference::{between, shortened};
use crate::keep::row;
use crate::plane::Plane;
use crate::problem::Problem;

/// An identity by its kind and name.
pub(crate) type Named = (&'static str, String);

/// An identity that is not what it was.
#[derive(Debug)]
pub(crate) struct Turned {
    pub(crate) row: Identity,
    /// What is different, without secrets; none when that is only when it was last used, or who has signed in.
    pub(crate) lines: Vec<String>,
    is_new: bool,
}

/// Those of them that differ.
pub(crate) fn turned(now: &Directory, then: &Directory, named: Vec<Named>) -> Vec<Turned> {
    let differs = |(kind, name): Named| {
        let (before, row) = (row(now, kind, name.clone()), row(then, kind, name));
        let is_new = before.body.is_none();
        (before.body != row.body).then(|| Turned { lines: lines(kind, &before, &row), row, is_new })
    };
    named.into_iter().filter_map(differs).collect()
}

/// All that there are in either.
pub(crate) fn all(now: &Directory, then: &Directory) -> Vec<Named> {
    let mut all = vec![("root", "root".to_owned()), ("password_policy", "password_policy".to_owned())];
    for of in [now, then] {
        all.extend(of.users.keys().map(|name| ("user", name.clone())));
        all.extend(of.groups.keys().map(|name| ("group", name.clone())));
        all.extend(of.roles.keys().map(|name| ("role", name.clone())));
        let own = of.policies.keys().filter(|name| !Directory::is_built_in(name));
        all.extend(own.map(|name| ("policy", name.clone())));
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// What stands for all identities but root, which no backup brings back, where a tag of them is made: what is said of them, their
/// secrets included, and not when anything was used or who has signed in.
pub(crate) fn state(directory: &Directory) -> Value {
    let all = all(directory, &Directory::default()).into_iter().filter(|(kind, _)| *kind != "root");
    let told = all.map(|(kind, name)| {
        let row = row(directory, kind, name);
        json!([kind, row.name, row.body.as_deref().map(shown), secrets(&row)])
    });
    told.collect()
}

/// Lines such as `+ iam.users.alice.groups[0]: ops`.
fn lines(kind: &str, before: &Identity, after: &Identity) -> Vec<String> {
    let collection = match kind {
        "user" => Some("users"),
        "group" => Some("groups"),
        "role" => Some("roles"),
        "policy" => Some("policies"),
        _ => None,
    };
    let whole = |identity: &Identity| {
        let body = identity.body.as_deref().map(shown);
        let named = match (collection, body) {
            (Some(collection), Some(body)) => json!({ collection: { &*identity.name: body } }),
            (Some(collection), None) => json!({ collection: {} }),
            (None, Some(body)) => json!({ kind: body }),
            (None, None) => json!({}),
        };
        json!({ "iam": named })
    };
    let lines = between(&whole(before), &whole(after));
    if lines.is_empty() && secrets(before) != secrets(after) {
        let path = collection.map_or(kind.to_owned(), |collection| format!("{collection}.{}", after.name));
        return vec![format!("~ iam.{path}: a secret")];
    }
    lines
}

const HIDDEN: &str = "***";

/// Where secrets are, sealed or hashed, in an identity or in one of its keys.
const SECRETS: [&str; 4] = ["/secret", "/login/hash", "/mfa/active", "/mfa/pending"];
/// What is not said: it says nothing of what one may do.
const UNSAID: [(&str, &str); 6] = [
    ("", "accessed"),
    ("", "sessions"),
    ("", "last_used"),
    ("/login", "last_used"),
    ("/login", "earlier"),
    ("/mfa", "used"),
];

/// An identity without what is secret in it.
fn shown(body: &str) -> Value {
    let mut identity: Value = serde_json::from_str(body).unwrap_or_default();
    hide(&mut identity);
    identity.get_mut("keys").and_then(Value::as_array_mut).into_iter().flatten().for_each(hide);
    identity
}

fn hide(value: &mut Value) {
    for path in SECRETS {
        if let Some(secret) = value.pointer_mut(path).filter(|secret| secret.is_string()) {
            *secret = HIDDEN.into();
        }
    }
    for (path, key) in UNSAID {
        let _ = value.pointer_mut(path).and_then(Value::as_object_mut).and_then(|entries| entries.remove(key));
    }
}

/// What is secret in an identity.
fn secrets(identity: &Identity) -> Vec<Value> {
    let identity: Value = identity.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let keys = identity.get("keys").and_then(Value::as_array).into_iter().flatten();
    let of = |value: &Value| SECRETS.map(|path| value.pointer(path).cloned().unwrap_or_default());
    keys.chain([&identity]).flat_map(of).collect()
}

impl Plane {
    /// Changes identities. `change` says which it touched; nothing is changed when it fails, or when it cannot be written.
    pub(crate) async fn identities<T: Send + 'static>(
        &self,
        mut entry: Entry,
        change: impl FnOnce(&mut Directory, &Sealer) -> Result<(T, Vec<Named>), Problem>,
    ) -> Result<T, Problem> {
        let _one = self.changing.lock().await;
        let (value, directory, turned) = self.tried(change).await?;
        let (rows, lines): (Vec<Identity>, Vec<_>) = turned.into_iter().map(|one| (one.row, one.lines)).unzip();
        entry.changes.extend(lines.iter().flatten().map(|line| shortened(line)));
        self.blocking(move |kept| Ok(kept.store.put_identities(&rows, Some(&entry))?)).await?;
        self.put_directory(directory.indexed());
        Ok(value)
    }

    /// What a change of identities would do, as far as whoever asks knows of them: of what it makes, and of `user/alice` and others.
    pub(crate) async fn judge<T>(
        &self,
        knows: impl Fn(&str) -> bool,
        change: impl FnOnce(&mut Directory, &Sealer) -> Result<(T, Vec<Named>), Problem>,
    ) -> Result<Vec<String>, Problem> {
        let (_, _, turned) = self.tried(change).await?;
        let named = |row: &Identity| format!("{}/{}", row.kind, row.name);
        let is_told = |one: &Turned| one.is_new || knows(&named(&one.row));
        Ok(turned.into_iter().filter(is_told).flat_map(|one| one.lines).collect())
    }

    async fn tried<T>(
        &self,
        change: impl FnOnce(&mut Directory, &Sealer) -> Result<(T, Vec<Named>), Problem>,
    ) -> Result<(T, Directory, Vec<Turned>), Problem> {
        self.follow_others().await?;
        let kept = self.kept()?.clone();
        let now = self.directory();
        let mut then = (*now).clone();
        let (value, touched) = change(&mut then, &kept.sealer)?;
        let turned = turned(&now, &then, touched);
        Ok((value, then, turned))
    }
}

#[cfg(test)]
mod tests {
    use headworks_iam::directory::User;
    use headworks_iam::key::{AccessKey, KeyStatus, LastUsed};
    use headworks_iam::sign_in::{Login, SignedIn};

    use super::*;

    fn alice() -> User {
        let last_used = Some(LastUsed { at: 1, action: "a".to_owned(), source: "s".to_owned() });
        let key = AccessKey {
            id: "HW1".to_owned(),
            secret: "sealed-1".to_owned(),
            status: KeyStatus::Active,
            created: 0,
            last_used,
        };
        let mut user =
            User { keys: vec![key], login: Some(Login::new("hash-1".to_owned(), false, 0)), ..User::default() };
        user.mfa.active = Some("sealed-2".to_owned());
        user
    }

    fn check(change: impl Fn(&mut User), expected: Option<&[&str]>) {
        let mut now = Directory::default();
        now.users.insert("alice".to_owned(), alice());
        let mut then = now.clone();
        change(then.users.entry("alice".to_owned()).or_default());
        let turned = turned(&now, &then, all(&now, &then));
        let lines: Vec<String> = turned.iter().flat_map(|one| one.lines.clone()).collect();
        assert_eq!(turned.is_empty(), expected.is_none(), "{turned:?}");
        assert_eq!(lines, expected.unwrap_or_default());
        let told = lines.concat();
        assert!(!told.contains("sealed") && !told.contains("hash-"), "{told}");
    }

    #[test]
    fn differences_tell_no_secret() {
        check(|_| {}, None);
        check(|user| user.groups.extend(["ops".to_owned()]), Some(&["+ iam.users.alice.groups[0]: ops"]));
        check(
            |user| user.login = Some(Login::new("hash-2".to_owned(), false, 0)),
            Some(&["~ iam.users.alice: a secret"]),
        );
        check(|user| user.mfa.active = Some("sealed-3".to_owned()), Some(&["~ iam.users.alice: a secret"]));
        check(|user| user.mfa.active = None, Some(&["~ iam.users.alice.mfa.active: *** -> null"]));
        check(|user| user.keys[0].secret = "sealed-4".to_owned(), Some(&["~ iam.users.alice: a secret"]));
        check(|user| user.keys[0].last_used = None, Some(&[]));
        let session =
            SignedIn { token: "sealed-5".to_owned(), since: 0, expires: 1, source: String::new(), with_mfa: false };
        check(|user| user.sessions.push(session.clone()), Some(&[]));
        check(
            |user| user.keys[0].status = KeyStatus::Inactive,
            Some(&["~ iam.users.alice.keys[0].status: active -> inactive"]),
        );
    }

    #[test]
    fn one_that_goes_or_comes_is_told_as_a_whole() {
        let (mut now, none) = (Directory::default(), Directory::default());
        now.users.insert("alice".to_owned(), alice());
        let told = |now: &Directory, then: &Directory| turned(now, then, all(now, then)).remove(0).lines.concat();
        for (line, sign) in [(told(&now, &none), '-'), (told(&none, &now), '+')] {
            assert!(line.starts_with(&format!("{sign} iam.users.alice: ")), "{line}");
            assert!(!line.contains("sealed") && !line.contains("hash-"), "{line}");
        }
    }
}
