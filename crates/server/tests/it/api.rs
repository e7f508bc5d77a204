//! Calls of the API, signed or not.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use headworks_iam::sigv4::{Payload, Presented, sign};
use headworks_testkit::wait::PATIENCE;
use headworks_testkit::wire::Response;
use headworks_testkit::{Ask, Client, Headworks, ask};
use serde_json::Value;

/// The origin that answered; else what was answered.
pub(crate) fn who(response: &Response) -> String {
    response.field("X-Origin").map_or_else(|| response.text(), str::to_owned)
}

/// An access key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl Key {
    /// What an answer says that made one.
    pub(crate) fn of(answer: &Value) -> Key {
        let text = |key: &str| answer[key].as_str().map(str::to_owned);
        let (id, secret) = (text("access_key_id"), text("secret_access_key"));
        match (id, secret) {
            (Some(id), Some(secret)) => Key { id, secret, token: text("session_token") },
            _ => panic!("no key in {answer:#}"),
        }
    }
}

/// Whose calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Api {
    key: Option<Key>,
}

/// Nobody's.
pub(crate) const NOBODY: Api = Api { key: None };

impl Api {
    pub(crate) fn with(key: Key) -> Api {
        Api { key: Some(key) }
    }

    /// `PUT /v1/target-groups/web`, with field lines and a body.
    pub(crate) fn raw(&self, headworks: &Headworks, line: &str, fields: &[&str], body: &[u8]) -> Response {
        self.declaring(headworks, line, fields, body, None)
    }

    /// The same, with what is said to be the hash of the body.
    pub(crate) fn declaring(
        &self,
        headworks: &Headworks,
        line: &str,
        fields: &[&str],
        body: &[u8],
        hash: Option<&str>,
    ) -> Response {
        let mut asked = self.asked(headworks, line, fields, body, hash);
        if !body.is_empty() || ["PUT", "POST", "PATCH"].contains(&asked.method()) {
            asked = asked.body(body);
        }
        Client::connect(headworks.admin()).ask(&asked).response_to(asked.method())
    }

    /// The lines of a stream of events, as long as it goes on.
    pub(crate) fn watch(
        &self,
        headworks: &Headworks,
        target: &str,
        fields: &[&str],
    ) -> impl Iterator<Item = String> + use<> {
        let fields = [fields, &["Connection: close"]].concat();
        let asked = self.asked(headworks, &format!("GET {target}"), &fields, b"", None);
        let mut stream = TcpStream::connect(headworks.admin()).unwrap_or_else(|error| panic!("{error}"));
        let sent = stream.write_all(&asked.bytes()).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
        sent.unwrap_or_else(|error| panic!("{target}: {error}"));
        BufReader::new(stream).lines().map(|line| line.unwrap_or_else(|error| panic!("no event: {error}")))
    }

    fn asked(&self, headworks: &Headworks, line: &str, fields: &[&str], body: &[u8], hash: Option<&str>) -> Ask {
        let (method, target) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} is no method and target"));
        let host = headworks.admin().to_string();
        let mut asked = ask(method, target).with(&format!("Host: {host}")).with_all(fields);
        if let Some(Key { id, secret, token }) = &self.key {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let mut presented = vec![("host".to_owned(), host)];
            if let Some(hash) = hash {
                presented.push(("x-amz-content-sha256".to_owned(), hash.to_owned()));
                asked = asked.with(&format!("x-amz-content-sha256: {hash}"));
            }
            let payload = hash.map_or(Payload::Whole(body), |_| Payload::Declared);
            let presented = Presented { method, path, query, fields: &presented, body: payload };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            for (name, value) in sign(&presented, id, secret, token.as_deref(), now) {
                asked = asked.with(&format!("{name}: {value}"));
            }
        }
        asked
    }

    /// A call with JSON, or with nothing in place of null.
    pub(crate) fn call(&self, headworks: &Headworks, line: &str, body: &Value) -> Response {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.raw(headworks, line, &[], &body)
    }

    /// What is answered by this status.
    ///
    /// # Panics
    /// When it is another.
    pub(crate) fn expect(&self, headworks: &Headworks, line: &str, body: &Value, status: u16) -> Value {
        let response = self.call(headworks, line, body);
        assert_eq!(response.status, status, "{line} {body}\n{response}");
        if response.text().is_empty() { Value::Null } else { response.json() }
    }

    /// What is there.
    pub(crate) fn get(&self, headworks: &Headworks, target: &str) -> Value {
        self.expect(headworks, &format!("GET {target}"), &Value::Null, 200)
    }
}
