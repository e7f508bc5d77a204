//! The ClientHello of TLS (RFC 8446 section 4.1.2), read without being a party to it: which name a client asks for, and
//! which protocols it offers.
//!
//! Sans-I/O, incremental, bounded. What a TLS server would refuse is refused here, and so is what two readers could read
//! differently (an extension given twice): a proxy that routes by a name must mean the name that the server will. Versions
//! before TLS 1.0 are not spoken. Deliberately absent: everything that routing does not ask for.

use std::fmt;

/// The longest ClientHello that is read, its record headers not counted.
pub const LONGEST: usize = 16 * 1024;
/// The longest that its records may be all in all.
pub const LONGEST_IN_RECORDS: usize = 24 * 1024;

const RECORD_HEADER: usize = 5;
const HANDSHAKE_HEADER: usize = 4;
/// The longest content of a record (RFC 8446 section 5.1).
const RECORD: usize = 1 << 14;

const CONTENT_HANDSHAKE: u8 = 22;
const TYPE_CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const EXTENSION_ALPN: u16 = 16;
const NAME_HOST: u8 = 0;

/// What a client says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The name that it asks for (RFC 6066 section 3), in lower case.
    pub server_name: Option<Box<str>>,
    /// The protocols that it offers (RFC 7301 section 3.1), preferred first.
    pub protocols: Vec<Box<[u8]>>,
}

/// Why bytes are not the beginning of a ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// No record of the handshake.
    NotTls,
    /// A record that is by no version of TLS, or too long.
    Record,
    /// Another message than a ClientHello.
    NotHello,
    /// Longer than [`LONGEST`], or than [`LONGEST_IN_RECORDS`] with its record headers.
    TooLong,
    /// Something inside of it.
    Content,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::NotTls => "not TLS",
            Malformed::Record => "a malformed record",
            Malformed::NotHello => "another message than a ClientHello",
            Malformed::TooLong => "a ClientHello that is too long",
            Malformed::Content => "a malformed ClientHello",
        })
    }
}

impl std::error::Error for Malformed {}

/// Reads a ClientHello from the beginning of a connection, however it arrives and is cut into records.
#[derive(Debug, Default)]
pub struct Reader {
    /// Bytes of the connection that are dealt with.
    at: usize,
    /// Bytes of the record at hand that are not there yet.
    left: usize,
    /// The handshake message as far as it has come.
    message: Vec<u8>,
}

impl Reader {
    /// Looks at everything that has come since the connection began; `bytes` begins with what it began with before. The
    /// hello once it is whole, nothing while it is not.
    ///
    /// # Errors
    /// As soon as it is clear that no hello will come of it.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<ClientHello>, Malformed> {
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            if self.left == 0 {
                let Some(length) = record(rest)? else { return Ok(None) };
                self.at += RECORD_HEADER;
                self.left = length;
                continue;
            }
            let here = rest.get(..self.left).unwrap_or(rest);
            if here.is_empty() {
                return Ok(None);
            }
            self.message.extend_from_slice(here);
            self.at += here.len();
            self.left -= here.len();
            if self.at > LONGEST_IN_RECORDS {
                return Err(Malformed::TooLong);
            }
            let Some(length) = announced(&self.message)? else { continue };
            // a hello ends where its record does (RFC 8446 section 5.1): keys may change behind it
            if self.message.len() + self.left > length {
                return Err(Malformed::Content);
            }
            if self.message.len() == length {
                return parse(self.message.get(HANDSHAKE_HEADER..).unwrap_or_default()).map(Some);
            }
        }
    }
}

/// The length of the record whose header `bytes` begin with.
fn record(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let [content, rest @ ..] = bytes else { return Ok(None) };
    if *content != CONTENT_HANDSHAKE {
        return Err(Malformed::NotTls);
    }
    // 0x0301 to 0x0304; which of them means nothing (RFC 8446 section 5.1)
    let [major, rest @ ..] = rest else { return Ok(None) };
    if *major != 3 {
        return Err(Malformed::NotTls);
    }
    let [_minor, high, low, ..] = rest else { return Ok(None) };
    match usize::from(u16::from_be_bytes([*high, *low])) {
        0 => Err(Malformed::Record),
        length if length > RECORD => Err(Malformed::Record),
        length => Ok(Some(length)),
    }
}

/// The length of the message that `bytes` begin with, its header included.
fn announced(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    if bytes.first().is_some_and(|kind| *kind != TYPE_CLIENT_HELLO) {
        return Err(Malformed::NotHello);
    }
    let [_, a, b, c, ..] = bytes else { return Ok(None) };
    match u32::from_be_bytes([0, *a, *b, *c]) as usize + HANDSHAKE_HEADER {
        length if length > LONGEST => Err(Malformed::TooLong),
        length => Ok(Some(length)),
    }
}

/// What is left of a structure.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed::Content)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1)?.first().copied().ok_or(Malformed::Content)
    }

    fn number(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// A vector with a length of one byte in front.
    fn short(&mut self) -> Result<Rest<'a>, Malformed> {
        let length = self.byte()?;
        self.take(length.into()).map(Rest)
    }

    /// A vector with a length of two bytes in front.
    fn long(&mut self) -> Result<Rest<'a>, Malformed> {
        let length = self.number()?;
        self.take(length.into()).map(Rest)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

fn parse(body: &[u8]) -> Result<ClientHello, Malformed> {
    let mut rest = Rest(body);
    let mut hello = ClientHello::default();
    let version = rest.number()?;
    let _random = rest.take(32)?;
    let session = rest.short()?;
    let ciphers = rest.long()?;
    let compressions = rest.short()?;
    // 0x0300 is SSL 3.0
    let is_sound = version > 0x0300
        && session.len() <= 32
        && ciphers.len() >= 2
        && ciphers.len().is_multiple_of(2)
        && !compressions.is_empty();
    if !is_sound {
        return Err(Malformed::Content);
    }
    // TLS 1.2 and earlier had hellos without any (RFC 5246 section 7.4.1.2)
    if rest.is_empty() {
        return Ok(hello);
    }
    let mut extensions = rest.long()?;
    if !rest.is_empty() {
        return Err(Malformed::Content);
    }
    let (mut has_name, mut has_protocols) = (false, false);
    while !extensions.is_empty() {
        let kind = extensions.number()?;
        let content = extensions.long()?;
        let was_there = match kind {
            EXTENSION_SERVER_NAME => {
                hello.server_name = server_name(content)?;
                std::mem::replace(&mut has_name, true)
            }
            EXTENSION_ALPN => {
                hello.protocols = protocols(content)?;
                std::mem::replace(&mut has_protocols, true)
            }
            _ => false,
        };
        if was_there {
            return Err(Malformed::Content);
        }
    }
    Ok(hello)
}

/// RFC 6066 section 3: one name of each type, and there is only one type.
fn server_name(mut content: Rest<'_>) -> Result<Option<Box<str>>, Malformed> {
    let mut list = content.long()?;
    if !content.is_empty() || list.byte()? != NAME_HOST {
        return Err(Malformed::Content);
    }
    let name = list.long()?;
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
    if !list.is_empty() || !(1..=255).contains(&name.len()) || !name.0.iter().all(is_plain) {
        return Err(Malformed::Content);
    }
    let name = std::str::from_utf8(name.0).map_err(|_| Malformed::Content)?;
    Ok(Some(name.to_ascii_lowercase().into()))
}

/// RFC 7301 section 3.1: at least one name, none of them empty.
fn protocols(mut content: Rest<'_>) -> Result<Vec<Box<[u8]>>, Malformed> {
    let mut list = content.long()?;
    if !content.is_empty() || list.is_empty() {
        return Err(Malformed::Content);
    }
    let mut names = Vec::new();
    while !list.is_empty() {
        let name = list.short()?;
        if name.is_empty() {
            return Err(Malformed::Content);
        }
        names.push(name.0.into());
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
