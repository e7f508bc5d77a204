//! What the attempts of one request have in common: the request on its way, who has been asked, and what is left of its time.

use std::time::{Duration, Instant};

use headworks_balance::{Attempts, TargetKey, Tried};
use headworks_message::Framing;
use headworks_message::send::Reframe;
use headworks_model::target_group::HttpVersion;
use http::HeaderMap;

use super::connect::Which;
use super::deadline::Deadlines;
use super::prepare::Prepared;
use crate::error::Kind;
use crate::l7::codec::flow::Flow;
use crate::observe::record::{AttemptRecord, Outcome, Record};
use crate::runtime::pool::Scratch;

/// The attempts of one request, so far.
pub(super) struct Course {
    /// The request on its way to a target.
    pub(super) request: Flow,
    /// What followed its body, once it has been read.
    pub(super) trailers: Option<HeaderMap>,
    /// Whom it has been sent to in vain.
    pub(super) tried: Tried,
    /// Those that followed another.
    pub(super) attempts: Attempts,
    pub(super) deadlines: Deadlines,
    /// A copy for another group is on its way.
    pub(super) mirrored: bool,
    /// When the attempt under way began, if it is not the first.
    pub(super) began: Option<Instant>,
}

impl Course {
    pub(super) fn new(prepared: &Prepared<'_>, scratch: &Scratch) -> Course {
        let settings = &prepared.plan.settings;
        let framing = scratch.request.framing;
        let reframe = match (framing, settings.version) {
            (Framing::UntilClose, HttpVersion::Http1) => Reframe::Chunk,
            (Framing::Chunked, HttpVersion::Http2) => Reframe::Unchunk,
            _ => Reframe::Keep,
        };
        Course {
            request: Flow::new(framing, reframe).keeping(prepared.kept),
            trailers: None,
            tried: Tried::default(),
            attempts: Attempts::default(),
            deadlines: Deadlines::of(prepared.deadline),
            mirrored: false,
            began: None,
        }
    }

    /// An attempt begins that may take so long.
    pub(super) fn begin_attempt(&mut self, patience: Option<Duration>) {
        self.deadlines.begin_attempt(patience);
    }

    /// This target has not answered it, for that reason.
    pub(super) fn count_failed(&mut self, target: TargetKey, kind: Kind) {
        match kind {
            Kind::Unprocessed => self.tried.turned_away(target),
            _ => self.tried.failed(target),
        }
    }

    /// Which connection the next attempt is to be made on: after one that was stale, others that were idle as long may be, too.
    pub(super) fn wanted(&self) -> Which {
        if self.attempts.met_stale() { Which::New } else { Which::Idle }
    }

    /// An attempt has failed, and another follows: what the log will say of it.
    pub(super) fn note(&mut self, outcome: Outcome, record: &mut Record) {
        let now = Instant::now();
        let began = self.began.or(record.started).unwrap_or(now);
        if let Some(target) = record.chosen.clone() {
            record.attempts.push(AttemptRecord { target, outcome, took: now.saturating_duration_since(began) });
        }
        self.began = Some(now);
    }

    /// The last attempt has ended, with an answer or without one: what the log will say of it, if there were others.
    pub(super) fn end(&self, outcome: Outcome, record: &mut Record) {
        record.received_bytes += self.request.taken;
        if record.attempts.is_empty() {
            return;
        }
        let now = record.answered.unwrap_or_else(Instant::now);
        if let (Some(target), Some(began)) = (record.chosen.clone(), self.began) {
            record.attempts.push(AttemptRecord { target, outcome, took: now.saturating_duration_since(began) });
        }
    }
}
