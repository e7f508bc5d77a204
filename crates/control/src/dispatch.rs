//! A call's way, in the order in which it is met: read, know who asks, ask whether it may, do it, write it down, answer. All
//! routes go this way, and none has another.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{ConnectInfo, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use bytes::BytesMut;
use headworks_iam::Principal;
use headworks_iam::sigv4::{self, Payload};
use headworks_store::{Entry, Outcome};
use http_body_util::BodyExt;
use tokio::sync::SemaphorePermit;

use crate::asker::Asker;
use crate::call::{Call, Reply};
use crate::clock::{now, now_ms};
use crate::cookie::check_origin;
use crate::keyfile::random;
use crate::names::{action, hrn};
use crate::pass::Carrier;
use crate::plane::{Access, Plane};
use crate::problem::Problem;
use crate::query::Query;
use crate::routes::{Door, Route, table};
use crate::signed;
use crate::standing::{Credential, MFA_PRESENT, MFA_SINCE, timed};
use crate::upload::Upload;

/// The longest body: a target group of a hundred thousand targets.
const LONGEST_BODY: u64 = 16 << 20;
/// The longest from those whom nobody knows yet.
const LONGEST_OPEN: u64 = 16 << 10;
/// Up to here a body needs no room of its own: of longer ones there are only so many at once.
const SMALL_BODY: usize = 64 << 10;
/// No name of anything is as long.
const LONGEST_PARAM: usize = 512;
/// So much of what a client calls itself is looked at.
const LONGEST_AGENT: usize = 256;
/// What is never denied.
const WHO_AM_I: &str = "GetCallerIdentity";
/// What a patch may be (RFC 7396).
const PATCHES: &str = "application/merge-patch+json, application/json";
/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// All routes.
pub fn router(plane: &Arc<Plane>) -> Router {
    let mut by_path: BTreeMap<String, Vec<Route>> = BTreeMap::new();
    for route in table() {
        by_path.entry(route.path.clone()).or_default().push(route);
    }
    let mut router = Router::new();
    for (path, routes) in by_path {
        let (plane, routes) = (plane.clone(), Arc::new(routes));
        let meet = move |ConnectInfo(peer): ConnectInfo<SocketAddr>,
                         params: Result<RawPathParams, RawPathParamsRejection>,
                         request: Request| {
            let (plane, routes) = (plane.clone(), routes.clone());
            // what is no text is the name of nothing
            let params: Vec<(String, String)> = params
                .iter()
                .flat_map(|params| params.iter())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            async move { met(&plane, &routes, peer, params, request).await }
        };
        router = router.route(&path, any(meet));
    }
    let plane = plane.clone();
    router.fallback(move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| {
        let plane = plane.clone();
        async move { met(&plane, &[], peer, Vec::new(), request).await }
    })
}

/// What a call is about, as far as it is known.
struct Attempt {
    entry: Entry,
    request_id: String,
    is_change: bool,
    is_public: bool,
}

/// Who asks, and when a second factor has said so.
struct Caller {
    principal: Principal,
    credential: Credential,
    mfa: Option<u64>,
}

impl Caller {
    fn without_mfa(principal: Principal, credential: Credential) -> Self {
        Self { principal, credential, mfa: None }
    }
}

async fn met(
    plane: &Arc<Plane>,
    routes: &[Route],
    peer: SocketAddr,
    params: Vec<(String, String)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let route = routes.iter().find(|route| route.method == method);
    let is_short = params.iter().all(|(_, value)| value.len() <= LONGEST_PARAM);
    let mut attempt = Attempt::new(route, is_short.then_some(&*params), &parts, peer);
    let mut who = Principal::Anonymous;
    let mut room = None;
    let done = async {
        if !is_short {
            return Err(Problem::no_such_path());
        }
        let fields = fields_of(&parts);
        // who does not even say who it is, or is not who it says, gets no memory for its body
        let door = route.map_or(Door::Known, |route| route.door);
        if plane.access == Access::Required && !door.is_open() {
            if parts.headers.contains_key(header::AUTHORIZATION) {
                signed::announced(plane, &presented(&parts, &fields, Payload::Declared)).await?;
            } else {
                plane.session(&parts.headers)?;
            }
        }
        // a file is taken when it is known who sends it, by whoever makes something of it
        let (body, file) = match route {
            Some(route) if route.is_for_files() => (Bytes::new(), Some(body)),
            _ => (read(plane, body, door, &mut room).await?, None),
        };
        let payload = if file.is_some() { Payload::Declared } else { Payload::Whole(&body) };
        // asked again: it may have ended while the body came
        let caller = known(plane, route, &mut attempt, &parts, presented(&parts, &fields, payload)).await?;
        let Some(route) = route else { return Err(nowhere(routes)) };
        who = caller.principal.clone();
        let upload = file.map(|file| Upload::new(file, signed::declared(&parts.headers)));
        let call = admitted(plane, route, caller, &attempt, params, parts)?;
        (route.handler)(Call { body, upload, ..call }).await
    };
    let done = Box::pin(done).await;
    let (mut response, is_noted) = match done {
        Ok(Reply { response, is_noted, changes }) => {
            attempt.entry.changes.extend(changes);
            (response, is_noted)
        }
        Err(problem) => {
            attempt.refused(&problem);
            (problem.answer(&attempt.request_id), false)
        }
    };
    if attempt.entry.outcome == Outcome::Allowed {
        plane.uses.action(&who, &attempt.entry.action, now(), &attempt.entry.source);
    }
    if !is_noted {
        attempt.note(plane, response.status()).await;
    }
    if let Ok(id) = HeaderValue::from_str(&attempt.request_id) {
        response.headers_mut().insert("x-request-id", id);
    }
    if !attempt.is_public {
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

/// Whether it is only asked what would change.
fn is_dry(route: &Route, parts: &Parts) -> bool {
    let query = Query::read(parts.uri.query().unwrap_or_default(), &route.parameters());
    query.and_then(|query| query.flag("dry_run")).unwrap_or(false)
}

/// What is answered where there is no route.
fn nowhere(routes: &[Route]) -> Problem {
    if routes.is_empty() {
        return Problem::no_such_path();
    }
    let with_head = |method: &Method| if *method == Method::GET { vec!["GET", "HEAD"] } else { Vec::new() };
    let mut methods: Vec<&str> = Vec::new();
    for route in routes {
        let all = with_head(&route.method);
        methods.extend(if all.is_empty() { vec![route.method.as_str()] } else { all });
    }
    Problem::method(&methods.join(", "))
}

/// Reads a body; for a large one there has to be `room`, which is kept until the call is done.
async fn read<'p>(
    plane: &'p Plane,
    body: axum::body::Body,
    door: Door,
    room: &mut Option<SemaphorePermit<'p>>,
) -> Result<Bytes, Problem> {
    let most = if door.is_open() { LONGEST_OPEN } else { LONGEST_BODY };
    let mut body = pin!(body);
    let whole = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.as_mut().frame().await {
            let Ok(data) = frame.map_err(|_| Problem::incomplete())?.into_data() else { continue };
            let length = whole.len() + data.len();
            if length as u64 > most {
                return Err(Problem::too_large(most));
            }
            if length > SMALL_BODY && room.is_none() {
                *room = plane.large_bodies.acquire().await.ok();
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    };
    tokio::time::timeout(BODY_PATIENCE, whole).await.unwrap_or_else(|_| Err(Problem::too_slow()))
}

fn fields_of(parts: &Parts) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn presented<'a>(parts: &'a Parts, fields: &'a [(String, String)], body: Payload<'a>) -> sigv4::Presented<'a> {
    sigv4::Presented {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        fields,
        body,
    }
}

/// Who asks.
async fn known(
    plane: &Plane,
    route: Option<&Route>,
    attempt: &mut Attempt,
    parts: &Parts,
    presented: sigv4::Presented<'_>,
) -> Result<Caller, Problem> {
    let is_open = route.is_some_and(|route| route.door.is_open());
    if is_open || plane.access == Access::Open {
        return Ok(Caller::without_mfa(Principal::Anonymous, Credential::Lasting));
    }
    if !parts.headers.contains_key(header::AUTHORIZATION) {
        let (name, session) = plane.session(&parts.headers)?;
        let principal = Principal::User(name);
        attempt.entry.principal = principal.to_string();
        check_origin(&parts.method, &parts.headers)?;
        let mfa = session.with_mfa.then_some(session.since);
        return Ok(Caller { principal, credential: Credential::Cookie(session.token), mfa });
    }
    let (principal, credential) =
        signed::principal(plane, &presented, &attempt.entry.action, &attempt.entry.source).await?;
    attempt.entry.principal = principal.to_string();
    let mfa = match &credential {
        Credential::Session(session) => session.mfa,
        _ => None,
    };
    Ok(Caller { principal, credential, mfa })
}

/// Whether it may.
fn admitted(
    plane: &Arc<Plane>,
    route: &Route,
    Caller { principal, credential, mfa }: Caller,
    attempt: &Attempt,
    params: Vec<(String, String)>,
    parts: Parts,
) -> Result<Call, Problem> {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_secure = parts.extensions.get() == Some(&Carrier::Secured);
    let circumstances = headworks_iam::Request::new(&attempt.entry.action, &attempt.entry.resource)
        .with("aws:SourceIp", &attempt.entry.source)
        .with("aws:SecureTransport", is_secure.to_string())
        .with("aws:UserAgent", text("user-agent").get(..LONGEST_AGENT).unwrap_or_else(|| text("user-agent")))
        .with("aws:RequestedRegion", sigv4::REGION)
        .with(MFA_PRESENT, mfa.is_some().to_string());
    let circumstances = mfa.map_or(circumstances.clone(), |since| circumstances.with(MFA_SINCE, since.to_string()));
    let asker = Asker { principal, circumstances: timed(circumstances) };
    let Entry { action, resource, .. } = &attempt.entry;
    match route.door {
        Door::Guarded => asker.may(plane, action, resource)?,
        // what everybody may who is known can be denied all the same, but to know who one is
        Door::Known if route.action != WHO_AM_I => asker.is_not_denied(plane, action, resource)?,
        Door::Known | Door::Public | Door::SignIn => {}
    }
    let query = Query::read(parts.uri.query().unwrap_or_default(), &route.parameters())?;
    meaningful(route, &parts)?;
    readable(route, &parts)?;
    Ok(Call {
        plane: plane.clone(),
        asker,
        credential,
        entry: attempt.entry.clone(),
        params,
        query,
        fields: parts.headers,
        body: Bytes::new(),
        upload: None,
    })
}

/// A condition that nothing is held against is not passed over: whoever sends one counts on it.
fn meaningful(route: &Route, parts: &Parts) -> Result<(), Problem> {
    if route.is_conditional || route.method == Method::GET {
        return Ok(());
    }
    let given = ["If-Match", "If-None-Match"].into_iter().find(|name| parts.headers.contains_key(*name));
    given.map_or(Ok(()), |name| {
        let what =
            format!("{name} has no meaning for {} {}: it changes nothing that has a tag", route.method, route.path);
        Err(Problem::bad_request(what))
    })
}

/// A body that says it is something else than JSON is not read as if it were. What `curl -d` calls everything is let pass; pages of
/// other sites, which can send that, come no further than here.
fn readable(route: &Route, parts: &Parts) -> Result<(), Problem> {
    if route.is_for_files() || route.method == Method::GET {
        return Ok(());
    }
    let text =
        |name: HeaderName| parts.headers.get(name).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    if let Some(encoding) = text(header::CONTENT_ENCODING).filter(|encoding| encoding != "identity") {
        return Err(Problem::unsupported(format!("Content-Encoding: {encoding} is not read, expected none"), PATCHES));
    }
    let Some(kind) = text(header::CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_json = match kind {
        "application/merge-patch+json" => route.method == Method::PATCH,
        "application/json-patch+json" => false,
        "" | "application/json" | "application/x-www-form-urlencoded" => true,
        kind => kind.starts_with("application/") && kind.ends_with("+json"),
    };
    let expected = if route.method == Method::PATCH { PATCHES } else { "application/json" };
    let what = || Problem::unsupported(format!("Content-Type: {kind} is not read, expected {expected}"), PATCHES);
    if is_json { Ok(()) } else { Err(what()) }
}

impl Attempt {
    /// What it is about is not told where its parameters are none.
    fn new(route: Option<&Route>, params: Option<&[(String, String)]>, parts: &Parts, peer: SocketAddr) -> Self {
        let request_id = random::<8>().map_or(0, u64::from_be_bytes);
        let request_id = format!("{request_id:016x}");
        let resource = route.zip(params).map(|(route, params)| route.resource(params));
        let entry = Entry {
            at: now_ms(),
            principal: Principal::Anonymous.to_string(),
            action: action(route.map_or("Unknown", |route| route.action)),
            resource: hrn(&resource.unwrap_or_else(|| "none".to_owned())),
            source: peer.ip().to_canonical().to_string(),
            request_id: request_id.clone(),
            outcome: Outcome::Allowed,
            status: 200,
            dry_run: route.is_some_and(|route| is_dry(route, parts)),
            revision: None,
            changes: Vec::new(),
            why: None,
        };
        let is_change = ![Method::GET, Method::HEAD].contains(&parts.method);
        Self { entry, request_id, is_change, is_public: route.is_some_and(|route| route.door == Door::Public) }
    }

    fn refused(&mut self, problem: &Problem) {
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&problem.status()) {
            self.entry.outcome = Outcome::Denied;
        }
        self.entry.why = Some(problem.detail().to_owned());
    }

    /// Writes it down: at once what changes something or was denied, else with what comes next. Where anyone may look, who
    /// looked says nothing.
    async fn note(&mut self, plane: &Plane, status: StatusCode) {
        self.entry.status = status.as_u16();
        let is_told = self.is_change || plane.access == Access::Required;
        if self.is_public || !is_told {
            return;
        }
        // those whom nobody knows are not to order writes to the disk
        let is_known = ![StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&status);
        if !is_known && !plane.strangers.may_be_noted(&mut self.entry, now()) {
            return;
        }
        let is_urgent = is_known && (self.is_change || self.entry.outcome == Outcome::Denied);
        let entry = self.entry.clone();
        let noted = plane.blocking(move |kept| {
            if is_urgent {
                kept.store.note(&entry)?;
            } else {
                kept.store.note_later(entry);
            }
            Ok(())
        });
        if let Err(problem) = noted.await
            && plane.kept().is_ok()
        {
            tracing::error!(error = problem.detail(), "an attempt is missing from the audit trail");
        }
    }
}
