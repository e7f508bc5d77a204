//! What an authority answers, fuzzed: from its directory to the chain, whatever it is asked.
//!
//! Whatever comes: an order is over in bounded time, and comes to a key and the very chain that was answered, or to one line of
//! text; no proof is shown any longer, and none ever was of a name that was not ordered; and the next attempt has a time.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use headworks_edge::Challenges;
use headworks_model::Config;
use headworks_model::acme::{ChallengeChoice, NameSet};
use headworks_model::resolve::Nothing;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use instant_acme::{Account, BodyWrapper, BytesResponse, Error, HttpClient, NewAccount};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::http::{Asked, check_directory, one_line};
use super::order::{self, Failure, Means};
use super::schedule::{Jitter, LONGEST_ASKED, Schedule};
use crate::fuzz::hunt::{self, Target, keep_shape, last_shape};
use crate::fuzz::mutate::{Random, mutate};
use crate::fuzz::values::pick;

/// How long it is hunted in a run of all tests.
const SECONDS: u64 = 2;
/// An authority that is asked more often than this is gone: the client's patience is measured by a clock that does not stand still
/// here.
const MOST: usize = 200;
/// Longer than an order may take.
const PATIENCE: Duration = Duration::from_secs(3600);

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    static NAMES: NameSet = {
        let yaml = "load_balancers: { a: { listeners: { b: { port: 443, protocol: https, \
                    certificates: [{ acme: [a.example, b.example] }], default: { fixed_response: { status: 200 } } } } } }\n\
                    acme: { email: [a@b.example], terms_agreed: true }";
        let parsed = Config::parse("t", yaml, &Nothing).unwrap_or_else(|faults| panic!("{faults}"));
        parsed.config.acme_names().into_iter().next().expect("names").clone()
    };
}

/// Answers, one after the other: a byte that says how names are proven; then of each a status, fields a line, an empty line and
/// content, up to a `~`. The last one is given again and again.
const SEEDS: &[&[u8]] = &[
    br#"a200

{"newNonce":"/n","newAccount":"/a","newOrder":"/o"}~200
replay-nonce: a

~201
replay-nonce: b
location: /a/1

{"status":"valid"}~200
replay-nonce: c

~201
replay-nonce: c
location: /o/1

{"status":"pending","authorizations":["/z/1"],"finalize":"/f","identifiers":[]}~200
replay-nonce: d

{"status":"pending","identifier":{"type":"dns","value":"a.example"},"challenges":[{"type":"tls-alpn-01","url":"/c/1","token":"t","status":"pending"},{"type":"http-01","url":"/c/2","token":"u","status":"pending"}]}~200
replay-nonce: e

{"type":"tls-alpn-01","url":"/c/1","token":"t","status":"processing"}~200
replay-nonce: f
retry-after: 1

{"status":"ready","authorizations":[],"finalize":"/f"}~200
replay-nonce: g

{"status":"processing","authorizations":[],"finalize":"/f"}~200
replay-nonce: h

{"status":"valid","authorizations":[],"finalize":"/f","certificate":"/cert"}~200

-----BEGIN CERTIFICATE-----
MA==
-----END CERTIFICATE-----
"#,
    br#"b200

{"newNonce":"/n","newAccount":"/a","newOrder":"/o"}~200
replay-nonce: a

~200
replay-nonce: b
location: /a/1

{"status":"valid"}~200
replay-nonce: c

~429
replay-nonce: c
retry-after: 3600

{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many","status":429}"#,
    br#"c200

{"newNonce":"/n","newAccount":"/a","newOrder":"/o"}~200
replay-nonce: a

~200
replay-nonce: b
location: /a/1

{"status":"valid"}~200
replay-nonce: c

~201
replay-nonce: c
location: /o/1

{"status":"pending","authorizations":["/z/1"],"finalize":"/f"}~200

{"status":"invalid","identifier":{"type":"dns","value":"b.example"},"challenges":[{"type":"http-01","url":"/c","token":"t","status":"invalid","error":{"type":"urn:ietf:params:acme:error:dns","detail":"no such name"}}]}"#,
    br#"a200

{"newNonce":"/n","newAccount":"/a","newOrder":"/o"}~200
replay-nonce: a

~400
replay-nonce: b

{"type":"urn:ietf:params:acme:error:badNonce"}~503
retry-after: Fri, 31 Dec 9999 23:59:59 GMT

busy"#,
];
/// Between answers.
const NEXT: u8 = b'~';

/// Fields that mean something, and what else they may say.
const FIELDS: &[&str] = &[
    "retry-after: 0",
    "retry-after: 120",
    "retry-after: 18446744073709551615",
    "retry-after: 9223372036854775807",
    "retry-after: Fri, 31 Dec 9999 23:59:59 GMT",
    "retry-after: soon",
    "replay-nonce: ",
    "replay-nonce: \u{e9}",
    "location: /x",
    "location: ",
];

/// An authority: what it says, and what it has said.
#[derive(Clone, Default)]
struct Authority(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answers: VecDeque<Vec<u8>>,
    asked: usize,
    last: Vec<u8>,
    heard: Asked,
}

impl HttpClient for Authority {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked += 1;
        let is_signed = request.headers().get("content-type").is_some_and(|kind| kind == "application/jose+json");
        assert!(is_signed == (request.method() == Method::POST), "{} {:?}", request.method(), request.headers());
        let answer = if state.answers.len() > 1 { state.answers.pop_front() } else { state.answers.front().cloned() };
        let answer = answer.filter(|_| state.asked <= MOST).ok_or(Error::Str("nobody answers")).and_then(|answer| {
            let (status, mut fields, content) = read(&answer);
            state.heard.hear(status, &mut fields);
            check_directory(request.method(), &content)?;
            state.last.clone_from(&content);
            let mut response = Response::new(Full::new(Bytes::from(content)));
            *response.status_mut() = status;
            *response.headers_mut() = fields;
            Ok(BytesResponse::from(response))
        });
        Box::pin(async { answer })
    }
}

/// The answer that bytes are.
fn read(bytes: &[u8]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (head, content) = bytes.split_at(end);
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| StatusCode::from_bytes(line).ok()).unwrap_or(StatusCode::OK);
    let field = |line: &[u8]| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line.get(..at)?, line.get(at + 1..)?);
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value.trim_ascii()).ok()?))
    };
    (status, lines.filter_map(field).collect(), content.get(2..).unwrap_or_default().to_vec())
}

/// Registers, and orders.
async fn order(authority: &Authority, means: Means, challenges: &Arc<Challenges>) -> Result<String, Failure> {
    let wanted = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_http(Box::new(authority.clone()));
    let (account, _) = builder.create(&wanted, "https://authority.example/".to_owned(), None).await?;
    let names = NAMES.with(NameSet::clone);
    order::issue(&account, &names, means, challenges).await
}

fn check(bytes: &[u8]) {
    let (first, says) = bytes.split_first().unwrap_or((&0, &[]));
    let choice = [ChallengeChoice::Auto, ChallengeChoice::Http01, ChallengeChoice::TlsAlpn01][usize::from(*first) % 3];
    let means = Means { choice, has_http: first & 8 == 0, failures: 0 };
    let authority = Authority::default();
    let (challenges, heard) = (Arc::<Challenges>::default(), {
        let mut state = authority.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.answers = says.split(|byte| *byte == NEXT).map(<[u8]>::to_vec).collect();
        state.heard.clone()
    });
    let ordered = async { tokio::time::timeout(PATIENCE, order(&authority, means, &challenges)).await };
    let ordered = RUNTIME.with(|runtime| runtime.block_on(ordered)).expect("an order that is over");
    assert_eq!(Arc::strong_count(&challenges), 1, "a proof that is still shown");
    let (asked, last) = {
        let state = authority.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.asked, state.last.clone())
    };
    let mut shape = format!("{asked} ");
    match ordered {
        Ok(pem) => {
            let chain = String::from_utf8_lossy(&last);
            let key = pem.strip_suffix(&*chain).unwrap_or_else(|| panic!("{pem} does not end with {chain}"));
            assert!(key.starts_with("-----BEGIN PRIVATE KEY-----") && key.matches("BEGIN").count() == 1, "{key}");
            shape.push_str("issued");
        }
        Err(failure) => {
            let told = one_line(&failure.to_string());
            assert!(told.chars().count() <= 1001 && !told.contains(char::is_control), "{told:?}");
            let words = told.split(' ').take(4).map(|word| word.trim_matches(|c: char| !c.is_ascii_alphabetic()));
            words.for_each(|word| shape += word);
        }
    }
    let (now, left_alone) = (SystemTime::now(), heard.take());
    let mut schedule = Schedule::new(None, None, now, Jitter(0.5));
    schedule.fail(left_alone, now, Jitter(0.5));
    let wait = schedule.wait(now);
    assert!(wait <= LONGEST_ASKED && left_alone.is_none_or(|asked| wait >= asked), "{wait:?}, {left_alone:?}");
    keep_shape(shape);
}

/// Changes answers: their order, status, fields, a value in their content; or bytes.
fn mutate_answers(input: &mut Vec<u8>, other: &[u8], limit: usize, random: &mut Random) {
    // a conversation is long; what grows it is cut off by what is common to all targets
    let limit = limit.max(2048);
    let mut answers: Vec<Vec<u8>> = input.split(|byte| *byte == NEXT).map(<[u8]>::to_vec).collect();
    let others: Vec<&[u8]> = other.split(|byte| *byte == NEXT).collect();
    for _ in 0..=random.below(2) {
        let at = random.below(answers.len());
        match random.below(12) {
            0 if answers.len() > 1 => drop(answers.remove(at)),
            1 => answers.insert(at, answers[random.below(answers.len())].clone()),
            2 => answers.insert(at, others[random.below(others.len())].to_vec()),
            3 => answers.truncate(at + 1),
            4 if at > 0 => {
                let end = answers[at].len().min(3);
                drop(answers[at].splice(..end, *[b"200", b"400", b"503"][random.below(3)]));
            }
            5 | 6 => {
                let line = format!("\n{}", FIELDS[random.below(FIELDS.len())]);
                let place = answers[at].iter().position(|byte| *byte == b'\n').unwrap_or(answers[at].len());
                drop(answers[at].splice(place..place, line.into_bytes()));
            }
            7 => mutate(&mut answers[at], others[random.below(others.len())], limit, random),
            _ => mutate_content(&mut answers[at], random),
        }
    }
    *input = answers.join(&NEXT);
    input.truncate(limit);
}

fn mutate_content(answer: &mut Vec<u8>, random: &mut Random) {
    let end = answer.windows(2).position(|two| two == b"\n\n").map(|at| at + 2);
    let Some((end, mut value)) =
        end.and_then(|end| Some((end, serde_json::from_slice::<Value>(answer.get(end..)?).ok()?)))
    else {
        return;
    };
    const WORDS: [&str; 14] = [
        "valid",
        "invalid",
        "pending",
        "ready",
        "processing",
        "deactivated",
        "b.example",
        "c.example",
        "*.a.example",
        "ip",
        "dns",
        "http-01",
        "a\r\nb",
        "urn:ietf:params:acme:error:badNonce",
    ];
    *pick(&mut value, random) = match random.below(8) {
        0 => Value::Null,
        1 => u64::MAX.into(),
        2 => Value::Array(Vec::new()),
        3 => "x".repeat(random.below(1200)).into(),
        _ => WORDS[random.below(WORDS.len())].into(),
    };
    answer.splice(end.., value.to_string().into_bytes());
}

#[test]
fn an_authority() {
    let target = Target {
        name: "an_authority",
        run: check,
        shape: last_shape,
        mutate: mutate_answers,
        seeds: SEEDS,
        corpus: include_str!("../../../../fuzz/corpus/an_authority"),
    };
    // the first is an order as any other
    check(SEEDS[0]);
    assert!(last_shape(SEEDS[0]).ends_with("issued"), "{}", last_shape(SEEDS[0]));
    hunt::test(&target, SECONDS, "headworks-server");
}
