//! How long a request, and each attempt to have it answered, may take as a whole. Where nothing is declared, no clock is
//! read for it.

use std::time::{Duration, Instant};

use headworks_message::RequestView;
use headworks_message::number::put_decimal;
use headworks_model::target_group::{TargetGroup, TargetProtocol};
use ipnet::IpNet;

use crate::error::Kind;
use crate::runtime::deadline::Timer;

/// The most that a field of the milliseconds that are left says: eleven days.
const LONGEST: u64 = 1_000_000_000;
/// What a gRPC call says of its own.
const GRPC_TIMEOUT: &[u8] = b"grpc-timeout";

/// When a request must have been answered, and what it is when it has not.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    pub(super) passed: Kind,
}

/// The deadlines of one request.
#[derive(Clone, Copy, Default)]
pub(super) struct Deadlines {
    request: Option<Deadline>,
    attempt: Option<Instant>,
    /// Since when the attempt's time stands still.
    rests: Option<Instant>,
}

impl Deadlines {
    pub(super) fn of(request: Option<Deadline>) -> Deadlines {
        Deadlines { request, attempt: None, rests: None }
    }

    /// An attempt begins that may take so long.
    pub(super) fn begin_attempt(&mut self, patience: Option<Duration>) {
        self.attempt = patience.map(|patience| Instant::now() + patience);
        self.rests = None;
    }

    /// It is the client that is waited for: the attempt's time stands still.
    #[inline]
    pub(super) fn rest(&mut self) {
        if self.attempt.is_some() && self.rests.is_none() {
            self.rests = Some(Instant::now());
        }
    }

    /// It is the target again.
    #[inline]
    pub(super) fn go_on(&mut self) {
        if let Some(since) = self.rests.take() {
            self.attempt = self.attempt.map(|at| at + since.elapsed());
        }
    }

    /// When the attempt is over, while its time goes on.
    #[inline]
    fn attempt(&self) -> Option<Instant> {
        self.attempt.filter(|_| self.rests.is_none())
    }

    /// The attempt has been answered: what is left of it has the request's deadline only.
    pub(super) fn end_attempt(&mut self) {
        self.attempt = None;
    }

    /// What is left for the request.
    pub(super) fn left(&self) -> Option<Duration> {
        self.request.map(|request| request.at.saturating_duration_since(Instant::now()))
    }

    /// Starts `timer` anew: it expires `wait` from now, or at a deadline before that.
    #[inline]
    pub(super) fn arm(&self, timer: &mut Timer, wait: Duration) {
        let at = match (self.request, self.attempt()) {
            (None, None) => return timer.arm(wait),
            (Some(request), None) => request.at,
            (None, Some(attempt)) => attempt,
            (Some(request), Some(attempt)) => request.at.min(attempt),
        };
        timer.arm(wait.min(at.saturating_duration_since(Instant::now())));
    }

    /// What it is that has passed, when the timer has expired: `late` is what it is without a deadline.
    pub(super) fn passed(&self, late: Kind) -> Kind {
        let is_over = |at: Instant| at <= Instant::now();
        match (self.request, self.attempt()) {
            (Some(request), _) if is_over(request.at) => request.passed,
            (_, Some(attempt)) if is_over(attempt) => Kind::AttemptTimeout,
            _ => late,
        }
    }
}

/// When a request that began then must have been answered: by what is declared, by what its gRPC client says, or by what a client
/// that is believed does, whichever is first.
pub(super) fn of(
    view: RequestView<'_>,
    group: &TargetGroup,
    client: std::net::IpAddr,
    started: impl FnOnce() -> Instant,
) -> Option<Deadline> {
    let field = |name: &[u8]| view.fields().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let declared = group.request_timeout.map(|wait| (wait, Kind::DeadlinePassed));
    let called = match group.protocol {
        TargetProtocol::Grpc => field(GRPC_TIMEOUT).and_then(grpc_timeout).map(|wait| (wait, Kind::DeadlineExceeded)),
        _ => None,
    };
    let header = group.deadline_header.as_ref().filter(|header| is_believed(client, &header.from));
    let told = header.and_then(|header| field(header.name.as_bytes())).and_then(milliseconds);
    let told = told.map(|wait| (wait, Kind::DeadlinePassed));
    let (wait, passed) = [declared, called, told].into_iter().flatten().min_by_key(|(wait, _)| *wait)?;
    Some(Deadline { at: started() + wait, passed })
}

fn is_believed(client: std::net::IpAddr, from: &[IpNet]) -> bool {
    let client = client.to_canonical();
    from.iter().any(|network| network.contains(&client))
}

/// Digits alone.
fn milliseconds(value: &[u8]) -> Option<Duration> {
    let is_number = (1..=10).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let n: u64 = std::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok()?;
    Some(Duration::from_millis(n.min(LONGEST)))
}

/// At most eight digits and a unit, as gRPC over HTTP/2 has it.
fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let is_number = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let n: u64 = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(n * 3600)),
        b'M' => Some(Duration::from_secs(n * 60)),
        b'S' => Some(Duration::from_secs(n)),
        b'm' => Some(Duration::from_millis(n)),
        b'u' => Some(Duration::from_micros(n)),
        b'n' => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

/// What targets are told of the time that is left: names of fields, and what they say now.
pub(super) fn told(group: &TargetGroup, left: Option<Duration>) -> Vec<(&[u8], Option<Vec<u8>>)> {
    let mut told: Vec<(&[u8], Option<Vec<u8>>)> = Vec::new();
    let millis = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(LONGEST).min(LONGEST));
    if let Some(header) = &group.deadline_header {
        told.push((header.name.as_bytes(), millis.map(|millis| decimal(millis, b""))));
    }
    if let (TargetProtocol::Grpc, Some(millis)) = (group.protocol, millis) {
        // at most eight digits
        let value = if millis < 100_000_000 { decimal(millis, b"m") } else { decimal(millis / 1000, b"S") };
        told.push((GRPC_TIMEOUT, Some(value)));
    }
    told
}

fn decimal(n: u64, unit: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(12);
    put_decimal(&mut text, n);
    text.extend_from_slice(unit);
    text
}

/// Says in a head that has been written what is left now.
pub(super) fn renew(head: &mut Vec<u8>, group: &TargetGroup, left: Duration) {
    for (name, value) in told(group, Some(left)) {
        let line = [b"\r\n", name, b": "].concat();
        let Some(start) = head.windows(line.len()).position(|at| at == line).map(|at| at + line.len()) else {
            continue;
        };
        let length = head.get(start..).and_then(|rest| rest.iter().position(|b| *b == b'\r')).unwrap_or(0);
        head.splice(start..start + length, value.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_digits_and_a_unit() {
        let cases: [(&str, Option<Duration>); 12] = [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("100m", Some(Duration::from_millis(100))),
            ("5u", Some(Duration::from_micros(5))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("100000000S", None),
            ("+1S", None),
            ("1s", None),
            ("1 S", None),
        ];
        for (value, expected) in cases {
            assert_eq!(grpc_timeout(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn milliseconds_are_digits_alone() {
        let cases = [("250", Some(250)), ("0", Some(0)), ("9999999999", Some(LONGEST)), ("", None), ("1s", None)];
        for (value, expected) in cases.into_iter().chain([("-1", None), (" 1", None), ("99999999999", None)]) {
            assert_eq!(milliseconds(value.as_bytes()), expected.map(Duration::from_millis), "{value}");
        }
    }
}
