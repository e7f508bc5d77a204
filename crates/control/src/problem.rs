//! What the API answers when it does not do what it was asked: a problem of RFC 9457, with every fault and its path.

use std::fmt;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use headworks_iam::Mistake;
use headworks_model::{Fault, Faults};
use headworks_store::StoreError;
use serde_json::{Map, Value, json};

/// A refusal.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<Value>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

/// Something that is wrong with a file.
#[derive(Clone, Debug)]
pub struct FileFault {
    /// The file, the line and the column, as far as they are known.
    pub place: (Option<String>, Option<(u32, u32)>),
    /// Dotted; empty for the whole.
    pub path: String,
    /// What, and what was expected.
    pub what: String,
}

impl FileFault {
    fn json(&self) -> Value {
        let mut error = error_json(&self.path, &self.what, "\0");
        if let Some(error) = error.as_object_mut() {
            error.insert("message".to_owned(), self.to_string().into());
            let (file, at) = &self.place;
            error.extend(file.clone().map(|file| ("file".to_owned(), file.into())));
            let at = at.map(|(line, column)| [("line", line), ("column", column)]);
            error.extend(at.into_iter().flatten().map(|(key, number)| (key.to_owned(), number.into())));
        }
        error
    }
}

impl fmt::Display for FileFault {
    /// `file:line:column: path: what`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            (Some(file), Some((line, column))) => write!(f, "{file}:{line}:{column}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, _) => {}
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)
    }
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), fields: Vec::new() }
    }

    /// The request cannot be understood.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// One thing is wrong, at `path`.
    pub(crate) fn invalid(path: &str, what: impl Into<String>) -> Self {
        let mistake = Mistake { path: path.to_owned(), what: what.into() };
        Self::of_mistakes(&[mistake])
    }

    /// What is asked for is not valid. `base` is the path of what was sent; pointers start there.
    pub(crate) fn of_faults(faults: &Faults, base: &str) -> Self {
        Self::invalid_with(faults.iter().map(|fault| fault_json(fault, base)).collect())
    }

    /// The same of mistakes in a document.
    pub(crate) fn of_mistakes(mistakes: &[Mistake]) -> Self {
        Self::invalid_with(mistakes.iter().map(|mistake| error_json(&mistake.path, &mistake.what, "")).collect())
    }

    /// It is valid, but cannot be run here: path and reason of each fault.
    pub fn cannot_run(errors: impl IntoIterator<Item = (String, String)>) -> Self {
        let errors = errors.into_iter().map(|(path, what)| error_json(&path, &what, "")).collect();
        Self { detail: "it is valid, but cannot be run here".to_owned(), ..Self::invalid_with(errors) }
    }

    /// A file is refused: all that is wrong in it.
    pub fn file_refused(faults: &[FileFault]) -> Self {
        let errors = faults.iter().map(FileFault::json).collect();
        let refused = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "file-refused", "");
        Self { status: refused.status, code: refused.code, ..Self::invalid_with(errors) }
    }

    fn invalid_with(errors: Vec<Value>) -> Self {
        let first = errors.first().and_then(|error| error.get("message")).and_then(Value::as_str).unwrap_or_default();
        let more = match errors.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let detail = format!("{first}{more}");
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "invalid", detail) }
    }

    /// There is no such thing, as far as the caller may know.
    pub(crate) fn not_found(what: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no {what}"))
    }

    /// There is nothing at this path.
    pub(crate) fn no_such_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "there is nothing at this path; /v1/openapi.json lists what there is",
        )
    }

    /// It goes against what is there.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// Something refers to it, at these paths, and at so many others that are not told.
    pub(crate) fn in_use(what: impl fmt::Display, paths: &[String], untold: usize) -> Self {
        let errors = paths.iter().map(|path| error_json(path, &format!("refers to {what}"), "")).collect();
        let shown: Vec<&str> = paths.iter().take(5).map(String::as_str).collect();
        let more = paths.len() - shown.len();
        let counts = [(more, "more"), (untold, "that are not shown to whoever asks")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let named = Some(shown.join(", ")).filter(|named| !named.is_empty());
        let by = named.into_iter().chain(counts).collect::<Vec<String>>().join(" and ");
        let detail = format!("{what} is referred to by {by}");
        Self { errors, ..Self::new(StatusCode::CONFLICT, "in-use", detail) }
    }

    /// It has changed since the caller looked.
    pub(crate) fn precondition(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", detail)
    }

    /// More was sent than is taken.
    pub(crate) fn too_large(most: u64) -> Self {
        let most = if most >> 20 > 0 { format!("{} MiB", most >> 20) } else { format!("{} KiB", most >> 10) };
        let detail = format!("the body is longer than {most}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// The body is not in a form that is read here.
    pub(crate) fn unsupported(detail: impl Into<String>, accepted: &'static str) -> Self {
        let mut problem = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail);
        problem.fields.push((HeaderName::from_static("accept-patch"), HeaderValue::from_static(accepted)));
        problem
    }

    /// The body broke off.
    pub(crate) fn incomplete() -> Self {
        Self::bad_request("the request's body did not come whole")
    }

    /// The body did not come in time.
    pub(crate) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the request's body did not come in time")
    }

    /// Nobody knows who asks.
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail);
        let scheme = HeaderValue::from_static("AWS4-HMAC-SHA256 service=headworks, region=local");
        problem.fields.push((header::WWW_AUTHENTICATE, scheme));
        problem
    }

    /// Not with this name, password and code; which of them is not told.
    pub(crate) fn sign_in_failed() -> Self {
        let detail = "the user name, the password or the one-time code is not right";
        Self { code: "sign-in-failed", ..Self::unauthenticated(detail) }
    }

    /// The password is right, but not enough.
    pub(crate) fn mfa_required() -> Self {
        Self { code: "mfa-required", ..Self::unauthenticated("a one-time code is needed, as `code`") }
    }

    /// A one-time code that is not right, or has been used.
    pub(crate) fn mfa_failed() -> Self {
        Self { code: "mfa-failed", ..Self::denied("the one-time code is not right, or has been used") }
    }

    /// The password is right, but must be followed by another.
    pub(crate) fn password_expired() -> Self {
        Self::new(StatusCode::FORBIDDEN, "password-expired", "another password is needed, as `new_password`")
    }

    /// Attempts that must wait for so many seconds.
    pub(crate) fn too_many_attempts(seconds: u64) -> Self {
        let detail = format!("too many attempts; the next may be made in {seconds} seconds");
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-attempts", detail);
        problem.fields.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
        problem
    }

    /// A browser was made to ask by a page that is not the console.
    pub(crate) fn cross_site(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross-site", detail)
    }

    /// Who asks may not.
    pub(crate) fn denied(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "access-denied", detail)
    }

    /// The path is there, the method is not.
    pub(crate) fn method(allow: &str) -> Self {
        let mut problem =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", format!("expected one of {allow}"));
        problem.fields.extend(HeaderValue::from_str(allow).ok().map(|allow| (header::ALLOW, allow)));
        problem
    }

    /// It cannot be done now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// A quota is used up.
    pub(crate) fn limit(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "limit-exceeded", detail)
    }

    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, in a sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The answer, which knows by which name it is found in the audit trail.
    pub(crate) fn answer(self, request_id: &str) -> Response {
        let mut body = Map::new();
        let title = self.status.canonical_reason().unwrap_or("Problem");
        body.insert("type".to_owned(), format!("urn:headworks:problem:{}", self.code).into());
        body.insert("title".to_owned(), title.into());
        body.insert("status".to_owned(), self.status.as_u16().into());
        body.insert("detail".to_owned(), self.detail.into());
        body.insert("request_id".to_owned(), request_id.into());
        if !self.errors.is_empty() {
            body.insert("errors".to_owned(), self.errors.into());
        }
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (self.status, Value::Object(body).to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response.headers_mut().extend(self.fields);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::new(StatusCode::INSUFFICIENT_STORAGE, "no-room", error.to_string()),
            error => {
                tracing::error!(%error, "the control plane's state");
                Self::unavailable(error.to_string())
            }
        }
    }
}

fn fault_json(fault: &Fault, base: &str) -> Value {
    let expected = fault.expected.as_ref().map(|expected| format!(", expected {expected}")).unwrap_or_default();
    error_json(&fault.path, &format!("{}{expected}", fault.what), base)
}

fn error_json(path: &str, what: &str, base: &str) -> Value {
    let message = if path.is_empty() { what.to_owned() } else { format!("{path}: {what}") };
    let inside = path.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    match inside {
        Some(inside) => json!({ "path": path, "pointer": pointer(inside), "detail": what, "message": message }),
        None => json!({ "path": path, "detail": what, "message": message }),
    }
}

/// `.rules[0].if` as `#/rules/0/if` (RFC 6901).
fn pointer(path: &str) -> String {
    let mut out = "#".to_owned();
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        out.push('/');
        out.push_str(&part.strip_suffix(']').unwrap_or(part).replace('~', "~0").replace('/', "~1"));
    }
    out
}
