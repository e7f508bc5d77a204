//! How a line of the access log looks: JSON, the documented fields of an Application Load Balancer, Apache's combined.
//!
//! Only bytes appended to a buffer; where they go is [`super::access_log`]'s business.

use std::time::{Duration, Instant};

use headworks_message::number::{hex, padded, put_decimal};
use headworks_message::{Reason, Tier, find_unquotable};

use super::record::{Outcome, Record};
use super::time::{Anchor, Stamps};
use crate::tls::session::Session;

/// What a line says besides the record.
pub(crate) struct Context<'a> {
    /// `app/<load balancer>/<16 hex>`
    pub(crate) load_balancer: &'a str,
    /// The part of a JSON line that names load balancer and listener, up to the client's address.
    pub(crate) json_names: &'a str,
    /// The client's address with its port.
    pub(crate) client: &'a str,
    pub(crate) scheme: &'a str,
    /// What the client's TLS handshake agreed on.
    pub(crate) session: Option<&'a Session>,
    pub(crate) port: u16,
    pub(crate) rule: &'a str,
    pub(crate) ended: Instant,
    pub(crate) connection: u64,
}

/// A line in the making.
pub(super) struct Line<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) stamps: &'a mut Stamps,
    pub(super) anchor: Anchor,
    pub(super) record: &'a Record,
    pub(super) context: &'a Context<'a>,
}

impl Line<'_> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, n: u64) {
        put_decimal(self.out, n);
    }

    /// Seconds with microseconds; -1 when one of the ends never came, as documented.
    fn seconds(&mut self, from: Option<Instant>, to: Option<Instant>) {
        match (from, to) {
            (Some(from), Some(to)) => self.duration(to.saturating_duration_since(from)),
            _ => self.text("-1"),
        }
    }

    /// Seconds with microseconds.
    fn duration(&mut self, duration: Duration) {
        let micros = duration.as_micros() as u64;
        self.number(micros / 1_000_000);
        self.out.push(b'.');
        self.out.extend_from_slice(&padded::<6>(micros % 1_000_000));
    }

    fn started(&self) -> Instant {
        self.record.started.unwrap_or(self.context.ended)
    }

    /// In quotes, with quotes, backslashes and everything outside of printable ASCII escaped as `\xHH`.
    fn quoted(&mut self, text: &[u8], otherwise: &str) {
        self.out.push(b'"');
        if text.is_empty() {
            self.text(otherwise);
        }
        self.escaped(text);
        self.out.push(b'"');
    }

    fn escaped(&mut self, text: &[u8]) {
        self.escaped_as(b"\\x", text);
    }

    /// With two hexadecimal digits behind `mark` for each byte that cannot stand as it is.
    fn escaped_as(&mut self, mark: &[u8], text: &[u8]) {
        let mut rest = text;
        loop {
            let (clean, odd) = rest.split_at(find_unquotable(rest));
            self.out.extend_from_slice(clean);
            let Some((byte, behind)) = odd.split_first() else { return };
            self.out.extend_from_slice(mark);
            self.out.extend_from_slice(&hex::<2>(u64::from(*byte)));
            rest = behind;
        }
    }

    fn status(&mut self) {
        match self.record.status {
            0 => self.out.push(b'-'),
            status => self.number(u64::from(status)),
        }
    }

    /// `GET http://host:port/path HTTP/1.1`, as an Application Load Balancer writes it.
    fn request_line(&mut self) {
        let record = self.record;
        if record.method().is_empty() {
            self.text("- ");
            self.text(self.context.scheme);
            self.text("://-:");
            self.number(u64::from(self.context.port));
            self.text("- -");
            return;
        }
        self.escaped(record.method());
        self.out.push(b' ');
        self.text(self.context.scheme);
        self.text("://");
        self.escaped(record.host());
        if !record.host().rsplit(|b| *b == b']').next().is_some_and(|tail| tail.contains(&b':')) {
            self.out.push(b':');
            self.number(u64::from(self.context.port));
        }
        self.escaped(record.target());
        self.out.push(b' ');
        self.text(record.version_text);
    }

    fn classification(&self) -> (&'static str, &'static str) {
        let reason = match self.record.reason {
            Reason::Compliant => "-",
            reason => reason.as_str(),
        };
        match self.record.tier {
            Tier::Compliant => ("-", "-"),
            Tier::Acceptable => ("Acceptable", reason),
            Tier::Ambiguous => ("Ambiguous", reason),
            Tier::Severe => ("Severe", reason),
        }
    }

    /// The documented fields of an Application Load Balancer's access log, in order.
    pub(super) fn alb(&mut self) {
        let (record, context) = (self.record, self.context);
        let ended = Some(context.ended);
        let target = record.chosen.as_ref();
        self.text(match (record.upgraded, context.session) {
            (false, None) => "http ",
            (false, Some(_)) => "https ",
            (true, None) => "ws ",
            (true, Some(_)) => "wss ",
        });
        let at = self.anchor.unix(context.ended);
        self.stamps.iso(at, self.out);
        self.out.push(b' ');
        self.text(context.load_balancer);
        self.out.push(b' ');
        self.text(context.client);
        self.out.push(b' ');
        self.text(target.map_or("-", |t| t.display()));
        self.out.push(b' ');
        self.seconds(record.started, record.sent);
        self.out.push(b' ');
        self.seconds(record.sent, record.answered);
        self.out.push(b' ');
        self.seconds(record.answered, ended.filter(|_| record.answered.is_some()));
        self.out.push(b' ');
        self.status();
        self.out.push(b' ');
        match record.target_status {
            Some(status) => self.number(u64::from(status)),
            None => self.out.push(b'-'),
        }
        self.out.push(b' ');
        self.number(record.received_bytes);
        self.out.push(b' ');
        self.number(record.sent_bytes);
        self.text(" \"");
        self.request_line();
        self.text("\" ");
        self.quoted(record.agent(), "-");
        match context.session {
            None => self.text(" - - "),
            Some(session) => {
                self.out.push(b' ');
                self.text(session.cipher);
                self.out.push(b' ');
                self.text(session.version);
                self.out.push(b' ');
            }
        }
        match &record.group {
            Some(group) => {
                self.text("targetgroup/");
                self.text(group);
            }
            None => self.out.push(b'-'),
        }
        self.out.push(b' ');
        self.quoted(record.trace(), "-");
        self.out.push(b' ');
        match context.session {
            None => {
                let host = record.host();
                let domain = host.get(..headworks_message::request::host_length(host)).unwrap_or(host);
                self.quoted(domain, "-");
                self.text(" \"-\" ");
            }
            Some(session) => {
                self.quoted(session.server_name.as_deref().unwrap_or_default().as_bytes(), "-");
                self.text(" \"");
                self.text(if session.resumed { "session-reused" } else { &session.certificate });
                self.text("\" ");
            }
        }
        match record.rule {
            Some(rule) => self.number(rule as u64 + 1),
            None => self.text(if record.started.is_some() && record.routed_or_answered() { "0" } else { "-1" }),
        }
        self.out.push(b' ');
        let created = self.anchor.unix(self.started());
        self.stamps.iso(created, self.out);
        self.text(" \"");
        self.text(record.actions);
        self.text("\" ");
        self.quoted(&record.redirect, "-");
        self.out.push(b' ');
        self.quoted(record.error.map_or("", |e| e.as_str()).as_bytes(), "-");
        self.out.push(b' ');
        self.quoted(target.map_or("", |t| t.display()).as_bytes(), "-");
        self.text(" \"");
        match record.target_status {
            Some(status) => self.number(u64::from(status)),
            None => self.out.push(b'-'),
        }
        let (tier, reason) = self.classification();
        self.text("\" \"");
        self.text(tier);
        self.text("\" \"");
        self.text(reason);
        self.text("\" TID_");
        self.out.extend_from_slice(&hex::<16>(context.connection));
        self.text(if record.transformed { " \"-\" \"-\" \"TransformSuccess\"\n" } else { " \"-\" \"-\" \"-\"\n" });
    }

    /// Apache's combined format.
    pub(super) fn combined(&mut self) {
        let record = self.record;
        let client = self.context.client;
        self.text(client.rsplit_once(':').map_or(client, |(ip, _)| ip).trim_matches(['[', ']']));
        self.text(" - - ");
        let at = self.anchor.unix(self.started());
        self.stamps.apache(at, self.out);
        self.text(" \"");
        if record.method().is_empty() {
            self.out.push(b'-');
        } else {
            self.escaped(record.method());
            self.out.push(b' ');
            self.escaped(record.target());
            self.out.push(b' ');
            self.text(record.version_text);
        }
        self.text("\" ");
        self.status();
        self.out.push(b' ');
        self.number(record.sent_bytes);
        self.out.push(b' ');
        self.quoted(record.referer(), "-");
        self.out.push(b' ');
        self.quoted(record.agent(), "-");
        self.out.push(b'\n');
    }

    /// `key` with its colon and the value's opening quote.
    fn json_text(&mut self, key: &str, value: &[u8]) {
        self.text(key);
        self.escaped_as(b"\\u00", value);
        self.out.push(b'"');
    }

    fn json_optional(&mut self, key: &str, value: &[u8]) {
        if !value.is_empty() {
            self.json_text(key, value);
        }
    }

    /// Each attempt, where there was more than one.
    fn attempts(&mut self) {
        let attempts = &self.record.attempts;
        if attempts.is_empty() {
            return;
        }
        if self.record.hedges > 0 {
            self.text(",\"hedges\":");
            self.number(u64::from(self.record.hedges));
        }
        for (i, attempt) in attempts.iter().enumerate() {
            self.text(if i == 0 { ",\"attempts\":[{\"target\":\"" } else { ",{\"target\":\"" });
            self.text(attempt.target.display());
            self.text("\",\"outcome\":\"");
            match attempt.outcome {
                Outcome::Status(status) => self.number(u64::from(status)),
                Outcome::Failed(reason) => self.text(reason.as_str()),
                Outcome::Cancelled => self.text("cancelled"),
            }
            self.text("\",\"duration\":");
            self.duration(attempt.took);
            self.out.push(b'}');
        }
        self.out.push(b']');
    }

    /// One JSON object; keys that have nothing to say are absent.
    pub(super) fn json(&mut self) {
        let (record, context) = (self.record, self.context);
        self.text("{\"time\":\"");
        let at = self.anchor.unix(self.started());
        self.stamps.iso(at, self.out);
        self.text(context.json_names);
        self.text(context.client);
        self.out.push(b'"');
        if !record.method().is_empty() {
            // a token: nothing in it can need escaping
            self.text(",\"method\":\"");
            self.out.extend_from_slice(record.method());
            self.out.push(b'"');
        }
        self.json_optional(",\"host\":\"", record.host());
        self.json_optional(",\"target\":\"", record.target());
        if !record.version_text.is_empty() {
            self.text(",\"version\":\"");
            self.text(record.version_text);
            self.out.push(b'"');
        }
        if let Some(session) = context.session {
            self.text(",\"tls_version\":\"");
            self.text(session.version);
            self.text("\",\"tls_cipher\":\"");
            self.text(session.cipher);
            self.text(if session.resumed { "\",\"tls_resumed\":true" } else { "\",\"tls_resumed\":false" });
            self.json_optional(",\"certificate\":\"", session.certificate.as_bytes());
            self.json_optional(",\"server_name\":\"", session.server_name.as_deref().unwrap_or_default().as_bytes());
        }
        self.text(",\"rule\":\"");
        self.text(context.rule);
        self.text("\",\"action\":\"");
        self.text(record.actions);
        self.text("\",\"status\":");
        self.number(u64::from(record.status));
        if let Some(group) = &record.group {
            self.text(",\"target_group\":\"");
            self.text(group);
            self.out.push(b'"');
        }
        if let Some(target) = &record.chosen {
            self.text(",\"target_address\":\"");
            self.text(target.display());
            self.out.push(b'"');
        }
        if let Some(status) = record.target_status {
            self.text(",\"target_status\":");
            self.number(u64::from(status));
        }
        if let Some(status) = record.grpc_status {
            self.text(",\"grpc_status\":");
            self.number(u64::from(status));
        }
        self.text(",\"received_bytes\":");
        self.number(record.received_bytes);
        self.text(",\"sent_bytes\":");
        self.number(record.sent_bytes);
        self.text(",\"duration\":");
        self.seconds(Some(self.started()), Some(context.ended));
        if record.answered.is_some() {
            self.text(",\"target_duration\":");
            self.seconds(record.sent, record.answered);
        }
        if record.retries > 0 {
            self.text(",\"retries\":");
            self.number(u64::from(record.retries));
        }
        match record.injected {
            (false, false) => {}
            (true, false) => self.text(",\"fault\":\"delay\""),
            (false, true) => self.text(",\"fault\":\"abort\""),
            (true, true) => self.text(",\"fault\":\"delay, abort\""),
        }
        self.attempts();
        if let Some(decision) = record.decision() {
            self.text(",\"decision\":");
            self.text(&decision);
        }
        self.json_optional(",\"trace\":\"", record.trace());
        self.json_optional(",\"user_agent\":\"", record.agent());
        self.json_optional(",\"referer\":\"", record.referer());
        self.json_optional(",\"redirect\":\"", &record.redirect);
        if let Some(error) = record.error {
            self.json_text(",\"error\":\"", error.as_str().as_bytes());
        }
        let (tier, reason) = self.classification();
        if record.tier != Tier::Compliant {
            self.json_text(",\"classification\":\"", tier.as_bytes());
            self.json_text(",\"classification_reason\":\"", reason.as_bytes());
        }
        self.text("}\n");
    }
}
