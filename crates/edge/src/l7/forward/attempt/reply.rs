//! The second half of an attempt: the response on its way to the client, and what is left of the request.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use headworks_message::send::{self, Answer, Reframe};
use headworks_message::{Framing, Version};
use headworks_model::target_group::TargetProtocol;

use super::Attempt;
use crate::error::Kind;
use crate::l7::codec::encode::Encoder;
use crate::l7::codec::flow::{Broken, Flow};
use crate::l7::codec::link::Client;
use crate::l7::codec::translate;
use crate::l7::connection::{After, Connection, Ending};
use crate::l7::forward::course::Course;
use crate::l7::forward::deadline::Deadlines;
use crate::l7::forward::prepare::Prepared;
use crate::l7::forward::{sticky, tunnel};
use crate::l7::respond::{Shape, shape};
use crate::l7::watch::Watch;
use crate::l7::why;
use crate::runtime::clock::ticks;
use crate::runtime::pace::Demand;
use crate::runtime::pool::Scratch;

impl Attempt {
    /// Passes 100, 103 and their like on, to clients that know them (RFC 9110 section 15.2).
    pub(super) async fn pass_interim<C: Client>(
        &mut self,
        connection: &mut Connection<C>,
        scratch: &mut Scratch,
    ) -> Result<(), Kind> {
        let data = self.upstream.buffer.data();
        let head = &scratch.response;
        scratch.to_client.clear();
        if scratch.request.version != Version::Http10 {
            let answer = Answer {
                version: Version::Http11,
                keep_alive: true,
                reframe: Reframe::Keep,
                removed: [&[], &[]],
                lines: &[],
            };
            send::response(data, head, &answer, &mut scratch.to_client);
        }
        self.upstream.buffer.consume(head.len, &connection.worker.pool);
        connection.client.stream.begin(&mut scratch.to_client, false).map_err(|_| Kind::ClientClosed)?;
        let patience = connection.slot.table().plan.idle_timeout;
        let sent = connection.client.send(&scratch.to_client, &mut connection.timer, patience).await;
        sent.map_err(|_| Kind::ClientClosed)
    }

    /// Sends the response whose head is parsed to the client. Also whether the target's connection can be used again.
    pub(super) async fn answer<C: Client>(
        &mut self,
        connection: &mut Connection<C>,
        prepared: &Prepared<'_>,
        course: &mut Course,
        watch: Watch,
        scratch: &mut Scratch,
    ) -> Result<(After, bool), Kind> {
        let head = &scratch.response;
        let answered = Instant::now();
        scratch.record.answered = Some(answered);
        let sent = *scratch.record.sent.get_or_insert(answered);
        self.target.counters().latency.record(answered.saturating_duration_since(sent).as_micros() as u64);
        scratch.record.target_status = Some(head.status);
        self.target.counters().statuses.add(head.status);
        if head.status == 101 && !prepared.upgrade {
            return Err(Kind::UnaskedUpgrade);
        }
        let framing = head.framing(scratch.record.is_head_request);
        let is_http10 = scratch.request.version == Version::Http10;
        let reframe = match framing {
            Framing::Chunked if is_http10 || C::IS_STREAM => Reframe::Unchunk,
            Framing::UntilClose if !is_http10 && !C::IS_STREAM => Reframe::Chunk,
            _ => Reframe::Keep,
        };
        // the end of the body is visible to the client without the end of the connection
        let delimited = !is_http10 || matches!(framing, Framing::None | Framing::Length(_));
        let keep_open =
            course.request.is_done() && delimited && watch != Watch::HalfClosed && connection.may_stay_open(scratch);
        sticky::write(connection, prepared, &self.target, self.upstream.buffer.data(), scratch);
        why::put_line(&scratch.record, &mut scratch.lines);
        let (head, data) = (&scratch.response, self.upstream.buffer.data());
        // a call that ends before it begins says so in its head
        let grpc_status = match prepared.plan.settings.protocol {
            TargetProtocol::Grpc => translate::grpc_status_of(head, data),
            _ => None,
        };
        let Shape { removed, encoder } =
            shape(prepared.listener, data, head, framing, prepared.asked, &connection.worker.pool, &mut scratch.lines);
        let encoder = encoder.map(|encoder| if C::IS_STREAM { encoder.unframed() } else { encoder });
        let reframe = if encoder.is_some() { Reframe::Encode } else { reframe };
        let version = scratch.request.version;
        let answer = Answer { version, keep_alive: keep_open, reframe, removed, lines: &scratch.lines };
        scratch.to_client.clear();
        send::response(data, head, &answer, &mut scratch.to_client);
        self.upstream.buffer.consume(head.len, &connection.worker.pool);
        scratch.record.status = head.status;
        let bodiless = matches!(framing, Framing::None | Framing::Length(0)) && head.status != 101;
        connection.client.stream.begin(&mut scratch.to_client, bodiless).map_err(|_| Kind::ClientClosed)?;
        if head.status == 101 {
            scratch.record.upgraded = true;
            tunnel::run(connection, &mut self.upstream, &self.target, scratch).await;
            return Ok((After::Close, false));
        }
        let reusable = head.connection.keep_alive
            && !self.upstream.stream.is_stream()
            && framing != Framing::UntilClose
            && course.request.is_done()
            && !connection.closes_target_after(scratch);
        let mut reply = match encoder {
            Some(encoder) => Flow::encoded(framing, encoder),
            None => Flow::new(framing, reframe),
        };
        let moved = self.move_reply(connection, prepared, course, &mut reply, scratch).await;
        scratch.record.sent_bytes += reply.sent;
        scratch.record.compressed = reply.encoder().map(Encoder::tally);
        moved?;
        let trailers = self.upstream.stream.take_trailers();
        if prepared.plan.settings.protocol == TargetProtocol::Grpc {
            let status = trailers.as_ref().and_then(translate::grpc_status).or(grpc_status);
            scratch.record.grpc_status = status;
            status.inspect(|status| prepared.group.counters().grpc(*status));
        }
        connection.client.stream.finish(trailers).map_err(|_| Kind::ClientClosed)?;
        if keep_open && course.request.is_done() {
            return Ok((After::KeepOpen, reusable && self.upstream.buffer.is_empty()));
        }
        connection.ending = if watch == Watch::HalfClosed { Ending::Plain } else { Ending::Lingering };
        Ok((After::Close, reusable && course.request.is_done() && self.upstream.buffer.is_empty()))
    }

    /// Moves the response to the client, and what is left of the request to the target.
    async fn move_reply<C: Client>(
        &mut self,
        connection: &mut Connection<C>,
        prepared: &Prepared<'_>,
        course: &mut Course,
        reply: &mut Flow,
        scratch: &mut Scratch,
    ) -> Result<(), Kind> {
        let worker = connection.worker.clone();
        let pool = &worker.pool;
        let (idle_timeout, demand) = {
            let plan = &connection.slot.table().plan;
            (plan.idle_timeout, plan.demand)
        };
        let Prepared { read_timeout, late, .. } = *prepared;
        let Course { request, deadlines, .. } = course;
        deadlines.arm(&mut connection.timer, read_timeout);
        let mut waited = false;
        // a rate that nobody has asked for does not stand in for the idle timeout
        let mut idle_until = u32::MAX;
        let result = poll_fn(|cx| {
            let mut moved = false;
            if !request.is_done() {
                match request.poll(&mut scratch.to_target, &mut connection.client, &mut self.upstream.stream, pool, cx)
                {
                    // the answer is on its way: a broken request no longer changes it
                    Poll::Ready(Err(_)) => request.abandon(),
                    Poll::Ready(Ok(())) => {
                        let trailers = connection.client.stream.take_trailers();
                        if self.upstream.stream.finish(trailers).is_err() {
                            request.abandon();
                        }
                        moved |= request.moved;
                    }
                    Poll::Pending => moved |= request.moved,
                }
            }
            let polled =
                reply.poll(&mut scratch.to_client, &mut self.upstream, &mut connection.client.stream, pool, cx);
            match polled {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(Broken::Destination)) => return Poll::Ready(Err(Kind::ClientClosed)),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Kind::ResponseTruncated)),
                Poll::Pending => moved |= reply.moved,
            }
            // a stream that is given up says so at once, a connection only when it is written to
            if C::IS_STREAM && connection.client.stream.poll_peek(cx).is_ready() {
                return Poll::Ready(Err(Kind::ClientClosed));
            }
            if self.target.is_cut() {
                return Poll::Ready(Err(Kind::Deregistered));
            }
            if worker.is_stopping() {
                return Poll::Ready(Err(Kind::Stopping));
            }
            if moved {
                match (reply.waits_for_source, demand.rate) {
                    (true, _) => {
                        if reply.is_paced() {
                            let (now, taken) = (worker.clock.tick(), connection.client.stream.taken(reply.sent));
                            reply.rest(taken, now);
                        }
                        deadlines.arm(&mut connection.timer, read_timeout);
                    }
                    (false, 0) => deadlines.arm(&mut connection.timer, idle_timeout),
                    (false, _) => {
                        if demand.is_usual {
                            idle_until = worker.clock.tick().saturating_add(ticks(idle_timeout));
                        }
                        if !keeps_pace(connection, deadlines, reply, demand, idle_timeout) {
                            return Poll::Ready(Err(Kind::ClientTimeout));
                        }
                    }
                }
            }
            while connection.timer.poll_expired(cx) {
                let passed = deadlines.passed(late);
                if reply.waits_for_source || matches!(passed, Kind::DeadlinePassed | Kind::DeadlineExceeded) {
                    return Poll::Ready(Err(passed));
                }
                // it may have read on from what the kernel holds
                let is_idle = demand.rate == 0 || worker.clock.tick() >= idle_until;
                if is_idle || !keeps_pace(connection, deadlines, reply, demand, idle_timeout) {
                    return Poll::Ready(Err(Kind::ClientTimeout));
                }
            }
            waited = true;
            Poll::Pending
        })
        .await;
        scratch.record.sent_at_once = !waited;
        result
    }
}

/// Has the timer wait for a client that must be so fast. False when it has been too slow.
#[cold]
fn keeps_pace<C: Client>(
    connection: &mut Connection<C>,
    deadlines: &Deadlines,
    reply: &mut Flow,
    demand: Demand,
    wait: Duration,
) -> bool {
    let (now, taken) = (connection.worker.clock.tick(), connection.client.stream.taken(reply.sent));
    let patience = reply.patience(wait, demand, taken, now);
    patience.inspect(|wait| deadlines.arm(&mut connection.timer, *wait)).is_some()
}
