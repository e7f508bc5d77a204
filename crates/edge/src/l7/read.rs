//! Reading a request's head (stage 4).

use std::time::Instant;

use headworks_message::request::{self, Parsed, Refusal};
use headworks_message::{Reason, RequestView, Tier, Version};

use super::codec::link::{Client, Stopped};
use super::connection::Connection;
use crate::error::{Kind, ProxyError};
use crate::runtime::clock::ticks;
use crate::runtime::pace::Pace;
use crate::runtime::pool::Scratch;

/// Reads until the head is whole. The time from its first byte is bounded as a whole, not by read: a head that drips in
/// is no reason to wait.
///
/// # Errors
/// When it cannot be forwarded, or does not come in time.
pub(crate) async fn head<C: Client>(connection: &mut Connection<C>, scratch: &mut Scratch) -> Result<(), ProxyError> {
    let mut scanned = 0;
    let mut drip = None;
    loop {
        let data = connection.client.buffer.data();
        if scanned == 0 || request::may_be_whole(data, scanned) {
            match request::parse(data, &mut scratch.request) {
                Ok(Parsed::Complete) => break,
                Ok(Parsed::Incomplete) => {}
                Err(refusal) => return Err(refused(connection, scratch, refusal)),
            }
        }
        let before = std::mem::replace(&mut scanned, data.len());
        if before == 0 {
            drip = Drip::begin(connection);
        }
        if let Some(drip) = &mut drip {
            let at = drip.pace.waits(scanned as u64, connection.worker.clock.tick());
            connection.timer.arm_until(at.min(drip.end));
        }
        match connection.client.fill(&connection.worker.pool, &mut connection.timer).await {
            Ok(()) => {}
            Err(Stopped::TimedOut) => return Err(Kind::ClientTimeout.into()),
            // the client went away inside a head: nobody is left to answer, but it is worth a line
            Err(Stopped::Ended | Stopped::Failed) => return Err(Kind::ClientClosed.into()),
        }
    }
    remember(connection, scratch);
    Ok(())
}

/// A head that does not come at once, where there is a rate that it must come at.
struct Drip {
    pace: Pace,
    /// The tick by which all of it must be there.
    end: u32,
}

impl Drip {
    /// Arms the timer for the head as a whole.
    fn begin<C: Client>(connection: &mut Connection<C>) -> Option<Drip> {
        let table = connection.slot.table();
        let (timeout, demand) = (table.plan.header_timeout, table.plan.demand);
        connection.timer.arm(timeout);
        // in a time shorter than the grace no rate can be missed
        let pace = Pace::new(demand).filter(|_| timeout > demand.grace)?;
        Some(Drip { pace, end: connection.worker.clock.tick().saturating_add(ticks(timeout)) })
    }
}

/// Writes down what counters and log will want of the head that is parsed.
pub(super) fn remember<C: Client>(connection: &Connection<C>, scratch: &mut Scratch) {
    let view = RequestView { bytes: connection.client.buffer.data(), head: &scratch.request };
    let record = &mut scratch.record;
    record.started = Some(Instant::now());
    record.tier = view.head.tier;
    record.reason = view.head.reason;
    record.received_bytes = view.head.len as u64;
    record.is_head_request = view.method() == b"HEAD";
    record.version_text = match view.head.version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2.0",
        Version::Http3 => "HTTP/3.0",
    };
    if connection.slot.table().plan.log.is_some() {
        record.remember(view);
    }
}

fn refused<C: Client>(connection: &Connection<C>, scratch: &mut Scratch, refusal: Refusal) -> ProxyError {
    let data = connection.client.buffer.data();
    let record = &mut scratch.record;
    record.started = Some(Instant::now());
    record.tier = Tier::Severe;
    record.reason = if refusal.reason == Reason::Compliant { Reason::BadHeader } else { refusal.reason };
    record.received_bytes = data.len() as u64;
    scratch.request.connection.keep_alive = false;
    Kind::Refused(refusal).into()
}
