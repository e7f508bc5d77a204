//! The fields that a listener says in every answer (H11), as they are sent.

use headworks_message::send::put_field;
use headworks_model::response_headers::ResponseHeaders;

/// What is changed about the fields of every answer.
pub(crate) struct Attributes {
    /// Names of a target's fields that are left out: those that `lines` has in their place, and Server where it is hidden.
    pub(crate) removed: Vec<&'static str>,
    /// Whole lines, each with CRLF.
    pub(crate) lines: Vec<u8>,
    /// No Server of ours either.
    pub(crate) hides_server: bool,
}

impl Attributes {
    /// None when nothing is changed, so that an answer costs one look. `http3`: the port where it is spoken.
    pub(crate) fn new(headers: Option<&ResponseHeaders>, http3: Option<u16>) -> Option<Attributes> {
        let hides_server = headers.is_some_and(|headers| !headers.server);
        let mut attributes = Attributes { removed: Vec::new(), lines: Vec::new(), hides_server };
        for (name, value) in headers.iter().flat_map(|headers| headers.set()) {
            attributes.removed.push(name);
            put_field(&mut attributes.lines, name.as_bytes(), value.as_bytes());
        }
        if let Some(port) = http3 {
            // RFC 7838 section 3; in a day, as everybody does
            attributes.removed.push("Alt-Svc");
            put_field(&mut attributes.lines, b"Alt-Svc", format!("h3=\":{port}\"; ma=86400").as_bytes());
        }
        if hides_server {
            attributes.removed.push("Server");
        }
        (!attributes.removed.is_empty()).then_some(attributes)
    }
}
