//! What is remembered of one request until it ends: the one event that the access log and the counters are written from.

use std::rc::Rc;
use std::time::{Duration, Instant};

use headworks_message::encoding::ContentCoding;
use headworks_message::{Known, Reason, RequestView, Span, Tier};
use serde_json::json;

use crate::error::{ErrorReason, Kind};
use crate::explain::Decision;
use crate::upstream::target::TargetLocal;

/// Rules and targets that a decision tells of, the last and the first.
const RULES: usize = 30;
const TARGETS: usize = 30;

/// Longest target, host or agent that is remembered for the log.
const TEXT_LIMIT: usize = 4096;

/// The event of one request.
#[derive(Default)]
pub(crate) struct Record {
    /// Copies of the request's texts; the spans below point into it.
    text: Vec<u8>,
    method: Span,
    target: Span,
    host: Span,
    agent: Span,
    referer: Span,
    trace: Span,
    pub(crate) version_text: &'static str,
    /// When the whole head was there.
    pub(crate) started: Option<Instant>,
    /// When the request had been sent to the target.
    pub(crate) sent: Option<Instant>,
    /// When the response head was there.
    pub(crate) answered: Option<Instant>,
    /// What the client was sent; 0 while nothing.
    pub(crate) status: u16,
    /// What the target said.
    pub(crate) target_status: Option<u16>,
    /// It is a gRPC call to a group of gRPC: errors are told in its words.
    pub(crate) is_grpc_call: bool,
    /// What a gRPC call ended with.
    pub(crate) grpc_status: Option<u16>,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// The target that answered, or was tried last.
    pub(crate) chosen: Option<Rc<TargetLocal>>,
    pub(crate) group: Option<Rc<str>>,
    /// Index of the rule that matched; none is the default.
    pub(crate) rule: Option<usize>,
    pub(crate) routed: bool,
    pub(crate) actions: &'static str,
    pub(crate) redirect: Vec<u8>,
    pub(crate) error: Option<ErrorReason>,
    pub(crate) tier: Tier,
    pub(crate) reason: Reason,
    pub(crate) retries: u8,
    /// Its rule has injected a delay, an answer.
    pub(crate) injected: (bool, bool),
    /// Requests that were sent beside another.
    pub(crate) hedges: u8,
    /// Each attempt, where there was more than one.
    pub(crate) attempts: Vec<AttemptRecord>,
    pub(crate) upgraded: bool,
    /// Bytes of the request's body have been taken from the client.
    pub(crate) body_begun: bool,
    pub(crate) is_head_request: bool,
    /// The whole response went out in the moment its head was there.
    pub(crate) sent_at_once: bool,
    pub(crate) transformed: bool,
    pub(crate) compressed: Option<Compressed>,
    /// The decision, for a client that may ask for it.
    pub(crate) why: Option<Box<Decision>>,
}

/// One of several attempts.
pub(crate) struct AttemptRecord {
    pub(crate) target: Rc<TargetLocal>,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// What came of an attempt.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    /// An answer with this status.
    Status(u16),
    Failed(ErrorReason),
    /// Another was faster.
    Cancelled,
}

impl Outcome {
    /// What comes of an attempt that ends like this.
    pub(crate) fn of(kind: Kind) -> Outcome {
        if let Kind::RetriedStatus(status) = kind { Outcome::Status(status) } else { Outcome::Failed(kind.into()) }
    }
}

/// What became of an answer's content.
#[derive(Clone, Copy)]
pub(crate) struct Compressed {
    pub(crate) coding: ContentCoding,
    /// Bytes of content before and after.
    pub(crate) content: u64,
    pub(crate) encoded: u64,
}

impl Record {
    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity() + self.redirect.capacity()
    }

    /// Forgets the request before; keeps the memory.
    pub(crate) fn clear(&mut self) {
        let (mut text, mut redirect) = (std::mem::take(&mut self.text), std::mem::take(&mut self.redirect));
        text.clear();
        redirect.clear();
        *self = Record { text, redirect, actions: "-", ..Record::default() };
    }

    /// Copies what the log will want of the request, because the bytes are gone by then.
    pub(crate) fn remember(&mut self, view: RequestView<'_>) {
        self.method = self.put(view.method());
        self.target = self.put(view.head.target.of(view.bytes));
        self.host = self.put(view.head.authority.of(view.bytes));
        for field in &view.head.fields {
            let value = field.value.of(view.bytes);
            match field.known {
                Known::UserAgent => self.agent = self.put(value),
                Known::Referer => self.referer = self.put(value),
                _ => {}
            }
        }
    }

    /// The trace identifier as the target was sent it.
    pub(crate) fn remember_trace(&mut self, trace: &[u8]) {
        self.trace = self.put(trace);
    }

    fn put(&mut self, text: &[u8]) -> Span {
        let start = self.text.len();
        self.text.extend_from_slice(text.get(..TEXT_LIMIT).unwrap_or(text));
        Span::new(start, self.text.len())
    }

    pub(crate) fn method(&self) -> &[u8] {
        self.method.of(&self.text)
    }

    pub(crate) fn target(&self) -> &[u8] {
        self.target.of(&self.text)
    }

    pub(crate) fn host(&self) -> &[u8] {
        self.host.of(&self.text)
    }

    pub(crate) fn agent(&self) -> &[u8] {
        self.agent.of(&self.text)
    }

    pub(crate) fn referer(&self) -> &[u8] {
        self.referer.of(&self.text)
    }

    pub(crate) fn trace(&self) -> &[u8] {
        self.trace.of(&self.text)
    }
}

impl Record {
    /// The decision, in what a head has room for, and what came of it: one line of JSON, if it was asked for by who may ask.
    pub(crate) fn decision(&self) -> Option<String> {
        let mut short = self.why.as_deref()?.clone();
        let rules = short.rules.len().saturating_sub(RULES);
        short.rules.drain(..rules);
        let targets = short.targets.len().saturating_sub(TARGETS);
        short.targets.truncate(TARGETS);
        let mut told = serde_json::to_value(short).ok()?;
        let came = json!({
            "group": self.group.as_deref(),
            "target": self.chosen.as_ref().map(|target| target.display()),
            "retries": self.retries,
            "error": self.error.as_ref().map(|error| error.as_str()),
            "rules_left_out": rules,
            "targets_left_out": targets,
        });
        if let Some(told) = told.as_object_mut() {
            told.insert("came".to_owned(), came);
            // who has asked knows what
            told.remove("request");
        }
        Some(told.to_string())
    }

    /// Whether rules were evaluated for it: everything that was not refused before.
    pub(crate) fn routed_or_answered(&self) -> bool {
        self.routed || self.rule.is_some()
    }
}
