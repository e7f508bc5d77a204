//! A request that asks why it goes where it goes, in the field `X-Headworks-Explain`, and may, by a token sealed with the
//! instance's keys: what `headworks explain` would tell of it now is told in its answer, with what came of it.
//!
//! Far from cheap, and met only by requests that bring a token that is ours.

use headworks_balance::Kind;
use headworks_message::{Known, RequestView};
use serde_json::{Value, json};

use super::codec::link::Client;
use super::connection::Connection;
use crate::explain::{Decision, of_request};
use crate::listen::slot::ListenerTable;
use crate::observe::record::Record;
use crate::observe::status::View;
use crate::runtime::pool::Scratch;

/// Rules and targets that are told of, the last and the first; a head has only so much room.
const RULES: usize = 30;
const TARGETS: usize = 30;

/// Writes down the decision, where it is asked for by who may ask.
pub(super) fn note<C: Client>(connection: &Connection<C>, table: &ListenerTable, scratch: &mut Scratch) {
    let view = RequestView { bytes: connection.client.buffer.data(), head: &scratch.request };
    let plan = &table.tables.plan;
    let token = view.known(Known::XHeadworksExplain).and_then(|token| std::str::from_utf8(token).ok());
    let now = connection.worker.clock.unix();
    if token.is_none_or(|token| plan.keyring.open(Kind::Explain, token, now).is_err()) {
        return;
    }
    let groups = plan.config.target_groups.keys().filter_map(|name| {
        let group = table.tables.groups.iter().find(|group| *group.name == *name.as_str())?;
        Some((name.clone(), group.shared.clone()))
    });
    let addresses = [(connection.slot.key.clone(), connection.slot.address)].into();
    let running = View { plan: Some(plan.clone()), groups: groups.collect(), addresses, certificates: Vec::new() };
    scratch.record.why = of_request(&connection.slot.key, &running, view, connection.peer.address.ip()).map(Box::new);
}

/// The line that tells of it: `X-Headworks-Decision`, with JSON in visible ASCII.
pub(in crate::l7) fn put_line(record: &Record, lines: &mut Vec<u8>) {
    let Some(decision) = &record.why else { return };
    let text = told(decision, record).to_string();
    lines.extend_from_slice(b"X-Headworks-Decision: ");
    lines.extend(text.bytes().map(|b| if (0x20..0x7f).contains(&b) { b } else { b'?' }));
    lines.extend_from_slice(b"\r\n");
}

/// The decision in what a head has room for, and what came of it.
fn told(decision: &Decision, record: &Record) -> Value {
    let mut short = decision.clone();
    let rules = short.rules.len().saturating_sub(RULES);
    short.rules.drain(..rules);
    let targets = short.targets.len().saturating_sub(TARGETS);
    short.targets.truncate(TARGETS);
    let mut told = serde_json::to_value(short).unwrap_or_default();
    let came = json!({
        "group": record.group.as_deref(),
        "target": record.chosen.as_ref().map(|target| target.display()),
        "retries": record.retries,
        "error": record.error.as_ref().map(|error| error.as_str()),
        "rules_left_out": rules,
        "targets_left_out": targets,
    });
    if let Some(told) = told.as_object_mut() {
        told.insert("came".to_owned(), came);
        // the client knows what it has asked
        told.remove("request");
    }
    told
}
