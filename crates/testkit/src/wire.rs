//! HTTP/1.1 messages as RFC 9112 has them, and nothing else. What a lenient reader would forgive is an error here: that
//! is how tests know that the product's bytes can be read in one way only.
//!
//! Texts are kept one character a byte (Latin-1), so that no byte is lost.

use std::fmt;

use crate::stream::{Buffered, End};

/// Header or trailer fields in the order they came, names as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The value of the field, if it is there once.
    ///
    /// # Panics
    /// When it is there more than once: ask for [`Fields::all`] then.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} is there {} times: {all:?}", all.len());
        all.first().copied()
    }

    /// The values of all fields of this name, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a list-valued field has this member.
    #[must_use]
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.all(name).iter().flat_map(|value| value.split(',')).any(|m| m.trim().eq_ignore_ascii_case(member))
    }
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunked coding.
    Chunked,
    /// Until the connection ends.
    UntilClose,
}

/// A body as it was on the wire and as it was meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Without framing.
    pub content: Vec<u8>,
    /// With framing.
    pub raw: Vec<u8>,
    /// Behind the last chunk.
    pub trailers: Fields,
}

/// A request as a target sees it.
#[derive(Clone, Debug)]
pub struct Request {
    /// As written.
    pub method: String,
    /// As written.
    pub target: String,
    /// Header fields.
    pub fields: Fields,
    /// How the body is delimited.
    pub framing: Framing,
    /// The head as it came.
    pub raw: Vec<u8>,
}

/// A response as a client sees it.
#[derive(Clone, Debug)]
pub struct Response {
    /// As a number.
    pub status: u16,
    /// Behind it.
    pub reason: String,
    /// Header fields.
    pub fields: Fields,
    /// What followed.
    pub body: Body,
    /// How that was delimited.
    pub framing: Framing,
    /// The head as it came.
    pub raw: Vec<u8>,
}

impl Request {
    /// Reads a head strictly.
    ///
    /// # Errors
    /// Why it is no request.
    pub fn parse(head: &[u8]) -> Result<Request, String> {
        let (line, fields) = lines(head)?;
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(format!("request line {line:?}"));
        };
        if !is_token(method) {
            return Err(format!("method {method:?}"));
        }
        let whole = target == "*" && method == "OPTIONS";
        if !whole && !target.starts_with('/') || !target.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Err(format!("request target {target:?}"));
        }
        if fields.all("Host").len() != 1 {
            return Err(format!("Host is there {} times", fields.all("Host").len()));
        }
        let framing = match (fields.all("Transfer-Encoding").len(), length(&fields)?) {
            (0, None) => Framing::None,
            (0, Some(length)) => Framing::Length(length),
            (_, Some(_)) => return Err("Transfer-Encoding and Content-Length together".to_owned()),
            (_, None) if is_chunked(&fields)? => Framing::Chunked,
            (_, None) => return Err("Transfer-Encoding of a request does not end with chunked".to_owned()),
        };
        let (method, target) = (method.to_owned(), target.to_owned());
        Ok(Request { method, target, fields, framing, raw: head.to_vec() })
    }

    /// The target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

impl Response {
    /// Reads a head strictly; the body is empty for now.
    ///
    /// # Errors
    /// Why it is no answer to a request with this method.
    pub fn parse(head: &[u8], method: &str) -> Result<Response, String> {
        let (line, fields) = lines(head)?;
        let mut words = line.splitn(3, ' ');
        let (Some("HTTP/1.1"), Some(status), Some(reason)) = (words.next(), words.next(), words.next()) else {
            return Err(format!("status line {line:?}"));
        };
        let status = Some(status).filter(|s| s.len() == 3).and_then(|s| s.parse::<u16>().ok());
        let Some(status) = status.filter(|status| (100..1000).contains(status)) else {
            return Err(format!("status line {line:?}"));
        };
        let length = length(&fields)?;
        let encoded = !fields.all("Transfer-Encoding").is_empty();
        if encoded && length.is_some() {
            return Err("Transfer-Encoding and Content-Length together".to_owned());
        }
        if (status < 200 || status == 204) && (encoded || length.is_some()) {
            return Err(format!("{status} with a framing field"));
        }
        let framing = match (encoded, length) {
            _ if method == "HEAD" || status < 200 || status == 204 || status == 304 => Framing::None,
            (true, _) if is_chunked(&fields)? => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            _ => Framing::UntilClose,
        };
        let reason = reason.to_owned();
        Ok(Response { status, reason, fields, body: Body::default(), framing, raw: head.to_vec() })
    }

    /// The value of a header field, if it is there once.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.one(name)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.content).into_owned()
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&latin1(&self.raw))?;
        let shown: String = self.text().chars().take(2000).collect();
        f.write_str(&shown)
    }
}

/// Bytes as text, one character each.
#[must_use]
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn lines(head: &[u8]) -> Result<(String, Fields), String> {
    let text = latin1(head);
    let Some(text) = text.strip_suffix("\r\n\r\n") else { return Err("head has no end".to_owned()) };
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    // a reason phrase may have tabs (RFC 9112 section 4); elsewhere they are found out by whoever reads the line
    if first.contains(|c: char| c.is_ascii_control() && c != '\t') {
        return Err(format!("first line {first:?}"));
    }
    Ok((first, fields(lines)?))
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Fields, String> {
    let mut fields = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return Err(format!("field line {line:?}")) };
        if !is_token(name) {
            return Err(format!("field name {name:?}"));
        }
        if value.contains(|c: char| c.is_ascii_control() && c != '\t') {
            return Err(format!("value of {name}: {value:?}"));
        }
        fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    Ok(Fields(fields))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn length(fields: &Fields) -> Result<Option<u64>, String> {
    match fields.all("Content-Length")[..] {
        [] => Ok(None),
        [text] if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().map(Some).map_err(|_| format!("Content-Length {text:?}"))
        }
        ref all => Err(format!("Content-Length {all:?}")),
    }
}

/// Whether chunked is the last coding; it must not be there before the last.
fn is_chunked(fields: &Fields) -> Result<bool, String> {
    let all = fields.all("Transfer-Encoding");
    let mut codings: Vec<&str> = all.iter().flat_map(|value| value.split(',')).map(str::trim).collect();
    let last = codings.pop().unwrap_or_default();
    let name = |coding: &str| coding.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if codings.iter().any(|coding| name(coding) == "chunked" || !is_token(&name(coding))) || !is_token(&name(last)) {
        return Err(format!("Transfer-Encoding {all:?}"));
    }
    Ok(name(last) == "chunked")
}

impl Buffered {
    /// Reads a request head. None when the connection ends before its first byte.
    pub(crate) fn request(&mut self) -> Result<Option<Request>, End> {
        match self.head()? {
            None => Ok(None),
            Some(head) => Request::parse(&head).map(Some).map_err(End::Malformed),
        }
    }

    /// Reads a head. None when the connection ends before its first byte.
    pub(crate) fn head(&mut self) -> Result<Option<Vec<u8>>, End> {
        match self.take_through(b"\r\n\r\n") {
            Ok(head) => Ok(Some(head)),
            Err(End::Closed) if self.buffer.is_empty() => Ok(None),
            Err(End::Closed) => Err(End::Malformed(format!("closed inside a head: {:?}", latin1(&self.buffer)))),
            Err(end) => Err(end),
        }
    }

    /// Reads a body.
    pub(crate) fn body(&mut self, framing: Framing) -> Result<Body, End> {
        let mut body = Body::default();
        match framing {
            Framing::None => {}
            Framing::Length(length) => {
                body.raw = self.take(usize::try_from(length).map_err(|_| End::Malformed("long body".to_owned()))?)?;
                body.content.clone_from(&body.raw);
            }
            Framing::UntilClose => {
                let (raw, end) = self.take_rest();
                body.content.clone_from(&raw);
                body.raw = raw;
                if end != End::Closed {
                    return Err(end);
                }
            }
            Framing::Chunked => self.chunks(&mut body)?,
        }
        Ok(body)
    }

    fn chunks(&mut self, body: &mut Body) -> Result<(), End> {
        loop {
            let line = self.take_through(b"\r\n")?;
            let text = latin1(&line[..line.len() - 2]);
            body.raw.extend_from_slice(&line);
            let (size, extension) = text.split_once(';').map_or((text.as_str(), ""), |(size, rest)| (size, rest));
            let digits = !size.is_empty() && size.len() <= 16 && size.bytes().all(|b| b.is_ascii_hexdigit());
            // as many as a target that counts with a sign can count
            let size = usize::from_str_radix(size, 16).ok().filter(|size| digits && *size <= isize::MAX as usize);
            let Some(size) = size.filter(|_| !extension.contains(|c: char| c.is_ascii_control() && c != '\t')) else {
                return Err(End::Malformed(format!("chunk size line {text:?}")));
            };
            if size == 0 {
                break;
            }
            let chunk = self.take(size + 2)?;
            if !chunk.ends_with(b"\r\n") {
                return Err(End::Malformed(format!("chunk of {size} bytes does not end with CRLF")));
            }
            body.content.extend_from_slice(&chunk[..size]);
            body.raw.extend_from_slice(&chunk);
        }
        let mut lines = Vec::new();
        loop {
            let line = self.take_through(b"\r\n")?;
            body.raw.extend_from_slice(&line);
            if line.len() == 2 {
                break;
            }
            lines.push(latin1(&line[..line.len() - 2]));
        }
        body.trailers = fields(lines.iter().map(String::as_str)).map_err(End::Malformed)?;
        Ok(())
    }
}

/// What bytes begin with, if all of it is there, and how many bytes that is.
pub type Begun<T> = Option<(T, usize)>;

/// The request, and its body, that these bytes begin with.
///
/// # Errors
/// Why they begin with none, and never will.
pub fn request_of(bytes: &[u8]) -> Result<Begun<(Request, Body)>, String> {
    begun(bytes, |reader| {
        let head = reader.take_through(b"\r\n\r\n")?;
        let request = Request::parse(&head).map_err(End::Malformed)?;
        let body = reader.body(request.framing)?;
        Ok((request, body))
    })
}

/// The response to a request with this method that these bytes, after which nothing more comes, begin with.
///
/// # Errors
/// Why they begin with none.
pub fn response_of(bytes: &[u8], method: &str) -> Result<Begun<Response>, String> {
    begun(bytes, |reader| {
        let head = reader.take_through(b"\r\n\r\n")?;
        let mut response = Response::parse(&head, method).map_err(End::Malformed)?;
        response.body = reader.body(response.framing)?;
        Ok(response)
    })
}

fn begun<T>(bytes: &[u8], read: impl FnOnce(&mut Buffered) -> Result<T, End>) -> Result<Begun<T>, String> {
    let mut reader = Buffered::of(bytes);
    match read(&mut reader) {
        Ok(value) => Ok(Some((value, bytes.len() - reader.buffer.len()))),
        Err(End::Malformed(why)) => Err(why),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reading_only() {
        let fine = ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /?q HTTP/1.1\r\nhost:a\r\nContent-Length: 3\r\n\r\n"];
        let wrong = [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        ];
        for head in fine {
            assert!(Request::parse(head.as_bytes()).is_ok(), "{head:?}");
        }
        for head in wrong {
            assert!(Request::parse(head.as_bytes()).is_err(), "{head:?}");
        }
    }
}
