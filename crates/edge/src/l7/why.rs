//! A request that asks why it goes where it goes, in the field `X-Headworks-Explain`, and may, by a token sealed with the
//! instance's keys: what `headworks explain` would tell of it now is told in its answer, with what came of it.
//!
//! Far from cheap, and met only by requests that bring a token that is ours.

use headworks_balance::Kind;
use headworks_message::{Known, RequestView};

use super::codec::link::Client;
use super::connection::Connection;
use crate::explain::of_request;
use crate::listen::slot::ListenerTable;
use crate::observe::record::Record;
use crate::observe::status::View;
use crate::runtime::pool::Scratch;

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
    let pressure = connection.worker.pressure();
    let running = View { plan: Some(plan.clone()), groups: groups.collect(), addresses, pressure, ..View::default() };
    scratch.record.why = of_request(&connection.slot.key, &running, view, connection.peer.address.ip()).map(Box::new);
}

/// The line that tells of it: `X-Headworks-Decision`, with JSON in visible ASCII.
pub(in crate::l7) fn put_line(record: &Record, lines: &mut Vec<u8>) {
    let Some(text) = record.decision() else { return };
    lines.extend_from_slice(b"X-Headworks-Decision: ");
    lines.extend(text.bytes().map(|b| if (0x20..0x7f).contains(&b) { b } else { b'?' }));
    lines.extend_from_slice(b"\r\n");
}
