//! Clients that write exactly the bytes they are told to, and read answers strictly.

use std::fmt;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::stream::{Buffered, End, Stream};
use crate::tls::{Agreed, Secured};
use crate::wait::PATIENCE;
use crate::wire::{Framing, Response, latin1};

/// A request in the making; its bytes are what is written here and nothing else, but for a `Host: test.example` when
/// none is given.
#[derive(Clone, Debug)]
pub struct Ask {
    line: String,
    fields: Vec<String>,
    body: Vec<u8>,
}

/// A request of this method and target: `ask("GET", "/")`.
#[must_use]
pub fn ask(method: &str, target: &str) -> Ask {
    Ask { line: format!("{method} {target} HTTP/1.1"), fields: Vec::new(), body: Vec::new() }
}

impl Ask {
    /// Reads `GET shop.example.com/api?x=1 | X-Version: v2`, the way a table writes it; without a host the default one
    /// is sent.
    ///
    /// # Panics
    /// When it is not so.
    #[must_use]
    pub fn parse(text: &str) -> Ask {
        let mut parts = text.split(" | ");
        let line = parts.next().unwrap_or_default();
        let (method, place) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} is no method and place"));
        let whole = place == "*" || place.contains("://");
        let slash = if whole { 0 } else { place.find('/').unwrap_or(place.len()) };
        let (host, target) = place.split_at(slash);
        let mut asked = ask(method, target);
        if !host.is_empty() {
            asked = asked.with(&format!("Host: {host}"));
        }
        parts.fold(asked, Ask::with)
    }

    /// Adds a field line.
    #[must_use]
    pub fn with(mut self, line: &str) -> Ask {
        self.fields.push(line.to_owned());
        self
    }

    /// Adds field lines.
    #[must_use]
    pub fn with_all(mut self, lines: &[&str]) -> Ask {
        self.fields.extend(lines.iter().map(|line| (*line).to_owned()));
        self
    }

    /// Adds a body with its Content-Length.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Ask {
        self.body = body.as_ref().to_vec();
        let length = format!("Content-Length: {}", self.body.len());
        self.with(&length)
    }

    /// Makes it HTTP/1.0.
    #[must_use]
    pub fn http10(mut self) -> Ask {
        self.line = self.line.replace("HTTP/1.1", "HTTP/1.0");
        self
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.line);
        if !self.fields.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
            text.push_str("Host: test.example\r\n");
        }
        for line in &self.fields {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.line, self.fields)
    }
}

/// A connection to the product.
#[derive(Debug)]
pub struct Client {
    pub(crate) wire: Buffered,
    local: SocketAddr,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn connect(to: SocketAddr) -> Client {
        Client::try_connect(to).unwrap_or_else(|error| panic!("cannot connect to {to}: {error}"))
    }

    /// Connects to where that may end at once.
    ///
    /// # Errors
    /// When nobody listens, or the connection is reset right away.
    pub fn try_connect(to: SocketAddr) -> std::io::Result<Client> {
        TcpStream::connect_timeout(&to, PATIENCE).map(Client::new)
    }

    /// Connects from an address of choice, or an address and port: all of 127.0.0.0/8 is this machine.
    ///
    /// # Panics
    /// When nobody listens, or `from` is not of this machine.
    #[must_use]
    pub fn connect_from(from: &str, to: SocketAddr) -> Client {
        let connected = Client::try_connect_from(from, to, PATIENCE);
        connected.unwrap_or_else(|error| panic!("cannot connect from {from} to {to}: {error}"))
    }

    /// The same, if somebody answers within `patience`.
    ///
    /// # Errors
    /// `TimedOut` when nobody does, others when it is refused.
    ///
    /// # Panics
    /// When `from` is not an address.
    pub fn try_connect_from(from: &str, to: SocketAddr, patience: Duration) -> std::io::Result<Client> {
        let any_port = || from.parse().map(|ip| SocketAddr::new(ip, 0));
        let from = from.parse().or_else(|_| any_port()).unwrap_or_else(|_| panic!("{from} is no address"));
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_reuse_address(from.port() != 0)?;
        socket.bind(&from.into())?;
        socket.connect_timeout(&to.into(), patience)?;
        Ok(Client::new(socket.into()))
    }

    pub(crate) fn new(stream: TcpStream) -> Client {
        let local = stream.local_addr();
        Client::over(Stream::from(stream), local)
    }

    pub(crate) fn secured(secured: Secured) -> Client {
        let local = secured.socket.local_addr();
        Client::over(Stream::Tls(Box::new(secured)), local)
    }

    fn over(stream: Stream, local: std::io::Result<SocketAddr>) -> Client {
        let local = local.unwrap_or_else(|error| panic!("no local address: {error}"));
        stream.prepare(PATIENCE).unwrap_or_else(|error| panic!("cannot set up a client: {error}"));
        Client { wire: Buffered::new(stream), local }
    }

    /// A second handle on the connection, with nothing read ahead: for a thread that writes while another reads.
    ///
    /// # Panics
    /// When there are no descriptors left.
    #[must_use]
    pub fn twin(&self) -> Client {
        let stream = self.wire.stream.twin().unwrap_or_else(|error| panic!("no second handle: {error}"));
        Client { wire: Buffered::new(stream), local: self.local }
    }

    /// The client's own address.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Who is at the other end.
    ///
    /// # Panics
    /// When nobody is any more.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.wire.stream.peer().unwrap_or_else(|error| panic!("no peer: {error}"))
    }

    /// What its TLS handshake agreed on.
    ///
    /// # Panics
    /// When it had none.
    #[must_use]
    pub fn agreed(&self) -> Agreed {
        match &self.wire.stream {
            Stream::Tls(secured) => secured.agreed(),
            other => panic!("{other:?} is not TLS"),
        }
    }

    /// Writes bytes.
    ///
    /// # Panics
    /// When the connection does not take them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        let sent = self.wire.stream.write(bytes.as_ref());
        sent.unwrap_or_else(|end| panic!("cannot send, the connection is {end}"));
        self
    }

    /// Writes bytes to a peer that may have heard enough already.
    pub fn send_anyway(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        let _ = self.wire.stream.write(bytes.as_ref());
        self
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// How the connection has ended, when it does not take them.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), End> {
        self.wire.stream.write(bytes.as_ref())
    }

    /// Writes one byte that readers are to notice at once (RFC 9293 section 3.8.5), and mostly do not find among the others.
    ///
    /// # Panics
    /// When the connection does not take it.
    pub fn urge(&mut self, byte: u8) -> &mut Client {
        let sent = self.wire.stream.urge(byte);
        sent.unwrap_or_else(|error| panic!("cannot send urgent data: {error}"));
        self
    }

    /// Writes a request.
    pub fn ask(&mut self, ask: &Ask) -> &mut Client {
        self.send(ask.bytes())
    }

    /// Writes a request and reads its answer.
    pub fn exchange(&mut self, ask: &Ask) -> Response {
        self.ask(ask).response_to(ask.method())
    }

    /// Says that nothing more follows.
    pub fn finish(&mut self) -> &mut Client {
        self.wire.stream.shutdown(Shutdown::Write);
        self
    }

    /// Hangs up with a reset.
    pub fn reset(self) {
        self.wire.stream.reset();
    }

    /// Reads an answer to a GET. Of 101 the head only.
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads an answer to a request of this method.
    ///
    /// # Panics
    /// When there is none, or it is not by RFC 9112.
    pub fn response_to(&mut self, method: &str) -> Response {
        self.try_response_to(method).unwrap_or_else(|end| panic!("no answer to {method}: {end}"))
    }

    /// Reads an answer to a request of this method, if there is one.
    ///
    /// # Errors
    /// How the connection ended instead.
    pub fn try_response_to(&mut self, method: &str) -> Result<Response, End> {
        let head = self.wire.head()?.ok_or(End::Closed)?;
        let mut response = Response::parse(&head, method).map_err(End::Malformed)?;
        response.body = self.wire.body(response.framing).map_err(|end| match end {
            End::Closed => End::Malformed(format!("closed inside the body of\n{response}")),
            other => other,
        })?;
        Ok(response)
    }

    /// Reads the head of an answer, and leaves its body to be read with [`Client::bytes`] or [`Client::body`].
    ///
    /// # Panics
    /// When there is none, or it is not by RFC 9112.
    pub fn response_head(&mut self) -> Response {
        let head = match self.wire.head() {
            Ok(Some(head)) => head,
            Ok(None) => panic!("no answer: closed"),
            Err(end) => panic!("no answer: {end}"),
        };
        Response::parse(&head, "GET").unwrap_or_else(|why| panic!("answer is malformed: {why}: {:?}", latin1(&head)))
    }

    /// Reads a body.
    ///
    /// # Panics
    /// When it breaks off.
    pub fn body(&mut self, framing: Framing) -> Vec<u8> {
        self.wire.body(framing).unwrap_or_else(|end| panic!("no body: {end}")).content
    }

    /// Whether something has arrived that was not read yet, or the connection has ended; does not wait.
    #[must_use]
    pub fn arrived(&self) -> bool {
        !self.wire.buffer.is_empty() || self.wire.stream.is_readable()
    }

    /// Reads exactly so many bytes.
    ///
    /// # Panics
    /// When they do not come.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        self.wire.take(length).unwrap_or_else(|end| panic!("waited for {length} bytes: {end}"))
    }

    /// Reads to the end: what came, and how it ended.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        self.wire.take_rest()
    }

    /// Expects that the connection is closed in good order, with nothing left to read.
    ///
    /// # Panics
    /// When it is not.
    pub fn expect_closed(&mut self) {
        let (rest, end) = self.rest();
        assert!(
            end == End::Closed && rest.is_empty(),
            "expected a closed connection, it is {end}, {:?}",
            latin1(&rest)
        );
    }

    /// Expects that the connection ends, in whichever way, without another byte.
    ///
    /// # Panics
    /// When it does not.
    pub fn expect_ended(&mut self) {
        let (rest, end) = self.rest();
        let ended = matches!(end, End::Closed | End::Reset);
        assert!(ended && rest.is_empty(), "expected the connection's end, it is {end}, {:?}", latin1(&rest));
    }
}
