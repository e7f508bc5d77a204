//! Signed requests. An input is one as text: method, path and query, lines of fields, an empty line, a body.
//!
//! Whatever is claimed is read without harm. What is signed here is accepted here, in its time, by its key; and no request that
//! means something else is accepted for it.

use super::hunt::keep_shape;
use crate::sigv4::{Claim, Payload, Presented, SignatureError, WINDOW, sign};

const NOW: u64 = 1_440_938_160;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

pub(super) const SEEDS: &[&[u8]] = &[
    b"GET /v1/target-groups?limit=5&after=a%2Fb\nhost: a\n\n",
    b"PUT /v1/target-groups/web%20x/../a//b/\nhost: a:80\nx-amz-meta: a   b \nx-amz-meta: c\n\n{\"protocol\":\"http\"}",
    b"POST /?b=2&a=%41&a=+&c&%2b=%zz\nhost: a\ncontent-type: text/plain\nx-amz-security-token: t\n\nbody",
    b"GET /\nhost: a\nx-amz-date: 20150830T123600Z\nauthorization: AWS4-HMAC-SHA256 \
Credential=AK/20150830/local/headworks/aws4_request, SignedHeaders=host;x-amz-date, Signature=00ff\n\n",
];

struct Request {
    method: String,
    path: String,
    query: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// As the HTTP server would have it: no line ends in fields, names in lower case.
    fn read(bytes: &[u8]) -> Request {
        let end = bytes.windows(2).position(|end| end == b"\n\n").unwrap_or(bytes.len());
        let (head, body) = bytes.split_at(end);
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split(['\r', '\n']);
        let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or(("GET", "/"));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let fields = lines.filter_map(|line| line.split_once(':'));
        Request {
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            query: query.to_owned(),
            fields: fields.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect(),
            body: body.get(2..).unwrap_or_default().to_vec(),
        }
    }

    fn presented(&self) -> Presented<'_> {
        let Request { method, path, query, fields, body } = self;
        Presented { method, path, query, fields, body: Payload::Whole(body) }
    }

    /// What it says to whoever reads it, apart from how that is spelled.
    fn meaning(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let mut segments: Vec<String> = Vec::new();
        for segment in self.path.split('/').filter(|segment| !segment.is_empty() && *segment != ".") {
            match segment {
                ".." => drop(segments.pop()),
                segment => segments.push(segment.to_owned()),
            }
        }
        let is_folder = self.path.ends_with('/') && !segments.is_empty();
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut pairs: Vec<_> = pairs.map(|(name, value)| (by_the_letter(name), by_the_letter(value))).collect();
        pairs.sort();
        let mut fields: Vec<(String, Vec<String>)> = Vec::new();
        // what signs is not signed
        for (name, value) in self.fields.iter().filter(|(name, _)| name != "authorization") {
            let value = value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
            match fields.iter_mut().find(|(found, _)| found == name) {
                Some((_, values)) => values.push(value),
                None => fields.push((name.clone(), vec![value])),
            }
        }
        let mut fields: Vec<_> = fields.into_iter().map(|(name, values)| (name, values.join(","))).collect();
        fields.sort();
        (self.method.clone(), segments, is_folder, pairs, fields, self.body.clone())
    }
}

/// Percent-encoding as RFC 3986 has it: two hexadecimal digits, nothing else.
fn by_the_letter(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

pub(super) fn check(bytes: &[u8]) {
    let mut request = Request::read(bytes);
    let claimed = Claim::read(&request.presented());
    let as_it_is = claimed.as_ref().map(|claim| claim.verify(&request.presented(), SECRET, NOW));
    assert_ne!(as_it_is, Ok(Ok(())), "signed by nobody");
    let shape = format!("{:?}", as_it_is.map_err(|error| *error));

    let said = ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];
    request.fields.retain(|(name, _)| !said.contains(&name.as_str()));
    let added = sign(&request.presented(), "AK", SECRET, Some("token"), NOW);
    request.fields.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
    let claim = match Claim::read(&request.presented()) {
        Ok(claim) => claim,
        // a name that cannot be in a list of names, or no host
        Err(error) => {
            let is_listed = |name: &str| !name.is_empty() && !name.contains([';', ',', ' ', '\t']);
            let fields = &request.fields;
            let can_be =
                fields.iter().all(|(name, _)| is_listed(name)) && fields.iter().any(|(name, _)| name == "host");
            assert!(!can_be, "{error}: {fields:?}");
            return keep_shape(format!("{shape} {error:?}"));
        }
    };
    let holds = |request: &Request, secret: &str, now: u64| claim.verify(&request.presented(), secret, now);
    let signed = holds(&request, SECRET, NOW);
    keep_shape(format!("{shape} {signed:?} {} {}", request.fields.len(), request.query.matches('&').count()));
    if signed == Err(SignatureError::Mismatch) {
        let is_odd = |name: &String| name.contains([';', ',', ' ', '\t', '=']) || name.is_empty();
        assert!(request.fields.iter().any(|(name, _)| is_odd(name)), "{:?}", request.fields);
        return;
    }
    assert_eq!(signed, Ok(()));
    assert_eq!(holds(&request, SECRET, NOW + WINDOW), Ok(()));
    assert_eq!(holds(&request, SECRET, NOW + WINDOW + 1), Err(SignatureError::Expired));
    assert_eq!(holds(&request, SECRET, NOW - WINDOW - 1), Err(SignatureError::Expired));
    assert_eq!(holds(&request, "another", NOW), Err(SignatureError::Mismatch));
    let meaning = request.meaning();
    for other in neighbours(&request) {
        let is_accepted = holds(&other, SECRET, NOW).is_ok();
        assert!(!is_accepted || other.meaning() == meaning, "{:?} goes for {meaning:?}", other.meaning());
    }
}

/// Requests that differ from one a little: each in one place of what an attacker on the way could change.
fn neighbours(request: &Request) -> Vec<Request> {
    let copy = || Request {
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        fields: request.fields.clone(),
        body: request.body.clone(),
    };
    let mut all = Vec::new();
    for (at, _) in request.path.char_indices().step_by(1 + request.path.len() / 8) {
        let mut other = copy();
        other.path.insert_str(at, ["/", "./", "%2e", "a", "../"][at % 5]);
        all.push(other);
    }
    for (at, found) in request.query.char_indices().step_by(1 + request.query.len() / 24) {
        for text in ["&", "=", "%", "+", "0"] {
            let mut other = copy();
            other.query.insert_str(at, text);
            all.push(other);
        }
        // the same byte in other words
        let mut other = copy();
        let byte = found as u32 as u8;
        let spelled = if byte < 16 { format!("%+{byte:x}") } else { format!("%{byte:02x}") };
        other.query.replace_range(at..at + found.len_utf8(), &spelled);
        all.push(other);
    }
    if let Some(at) = request.query.find("%0") {
        let mut other = copy();
        other.query.replace_range(at + 1..at + 2, "+");
        all.push(other);
    }
    for index in 0..request.fields.len().min(6) {
        let mut without = copy();
        without.fields.remove(index);
        all.push(without);
        let mut other = copy();
        other.fields[index].1.push('x');
        all.push(other);
    }
    let mut other = copy();
    other.body.push(b'x');
    all.push(other);
    all
}
