//! What can go wrong with a request, whose fault it is, whether it may be sent again, and, in one place, which status the
//! client gets (`docs/behaviour.md`).

use std::fmt;
use std::io;

use headworks_message::request::Refusal;

/// Why a request was not answered by a target.
#[derive(Debug)]
pub(crate) struct ProxyError {
    pub(crate) kind: Kind,
    pub(crate) source: Option<io::Error>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request head cannot be forwarded.
    Refused(Refusal),
    /// The desync mode does not let its tier through.
    Desync,
    /// Plain HTTP where TLS is spoken.
    PlainHttp,
    /// TRACE or CONNECT.
    MethodNotAllowed,
    /// More than 30 addresses in X-Forwarded-For.
    TooManyForwardedFor,
    /// What the client speaks cannot be said to the target group.
    VersionMismatch,
    /// The head or the body did not come in time.
    ClientTimeout,
    /// The client went away before it was answered.
    ClientClosed,
    /// The client went away before its body was whole.
    BodyTruncated,
    /// The body's framing is broken.
    BodyMalformed,
    /// The group has no registered target, or the rule's groups all have weight 0.
    NoTarget,
    /// Every target is at its limit, or the group is, and no more may wait.
    Overloaded,
    /// None of them had a place in the time that a request may wait for one.
    PendingTimeout,
    /// The program itself has too much to do.
    Shed,
    /// A fault that the rule injects: this status.
    Injected(u16),
    /// A redirect's Location would be over 8 KiB.
    RedirectTooLong,
    /// A transform's result is no host or URL.
    TransformFailed,
    /// No connection to the target.
    ConnectFailed,
    /// No connection to the target: all of this machine's ports towards it are taken.
    NoPortLeft,
    /// No connection to the target in time.
    ConnectTimeout,
    /// No TLS with the target: no agreement, or its certificate is not taken.
    HandshakeFailed,
    /// No TLS with the target in time.
    HandshakeTimeout,
    /// The connection ended before the first byte of a response.
    ResetBeforeResponse,
    /// The target says that it has not even looked at the request (RFC 9113 section 8.7), or it never got there.
    Unprocessed,
    /// It ended inside the response head.
    ResetInHead,
    /// The target did not answer in time.
    TargetTimeout,
    /// One attempt took longer than it may.
    AttemptTimeout,
    /// The request as a whole took longer than it may.
    DeadlinePassed,
    /// It did not answer in the time that its gRPC client gave it, which may be too short for any target.
    DeadlineExceeded,
    /// What the target answered is no HTTP response.
    BadResponse,
    /// The target switched protocols without being asked.
    UnaskedUpgrade,
    /// The body ended before its length; the client has the head already.
    ResponseTruncated,
    /// The target answered with a status that is tried again elsewhere; its client never sees it.
    RetriedStatus(u16),
    /// The target's deregistration delay ran out, or it was cut off.
    Deregistered,
    /// The program stops and its deadline is over.
    Stopping,
}

/// What the access log says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorReason(Kind);

impl Kind {
    /// The status the client gets: the one match from error to status.
    pub(crate) fn status(self) -> u16 {
        match self {
            Kind::Refused(refusal) => refusal.status,
            Kind::RetriedStatus(status) | Kind::Injected(status) => status,
            Kind::Desync | Kind::BodyTruncated | Kind::BodyMalformed | Kind::PlainHttp => 400,
            Kind::MethodNotAllowed => 405,
            Kind::ClientTimeout => 408,
            Kind::ClientClosed => 460,
            Kind::TooManyForwardedFor => 463,
            Kind::VersionMismatch => 464,
            Kind::RedirectTooLong | Kind::TransformFailed => 500,
            Kind::ConnectFailed
            | Kind::HandshakeFailed
            | Kind::HandshakeTimeout
            | Kind::ResetBeforeResponse
            | Kind::Unprocessed
            | Kind::ResetInHead
            | Kind::BadResponse
            | Kind::UnaskedUpgrade
            | Kind::ResponseTruncated
            | Kind::Deregistered => 502,
            Kind::NoTarget
            | Kind::Overloaded
            | Kind::PendingTimeout
            | Kind::Shed
            | Kind::NoPortLeft
            | Kind::Stopping => 503,
            Kind::ConnectTimeout
            | Kind::TargetTimeout
            | Kind::AttemptTimeout
            | Kind::DeadlinePassed
            | Kind::DeadlineExceeded => 504,
        }
    }

    /// What a gRPC client is told instead of the status: the code that it would make of that, were it told (gRPC's
    /// `http-grpc-status-mapping.md`), but for its own deadline.
    pub(crate) fn grpc_status(self) -> u16 {
        const UNKNOWN: u16 = 2;
        const DEADLINE_EXCEEDED: u16 = 4;
        const PERMISSION_DENIED: u16 = 7;
        const UNIMPLEMENTED: u16 = 12;
        const INTERNAL: u16 = 13;
        const UNAVAILABLE: u16 = 14;
        const UNAUTHENTICATED: u16 = 16;
        match (self, self.status()) {
            (Kind::DeadlineExceeded | Kind::DeadlinePassed, _) => DEADLINE_EXCEEDED,
            (_, 400) => INTERNAL,
            (_, 401) => UNAUTHENTICATED,
            (_, 403) => PERMISSION_DENIED,
            (_, 404) => UNIMPLEMENTED,
            (_, 429 | 502 | 503 | 504) => UNAVAILABLE,
            _ => UNKNOWN,
        }
    }

    /// Whether the target is to blame, which counts against its health.
    pub(crate) fn is_targets(self) -> bool {
        matches!(
            self,
            Kind::ConnectFailed
                | Kind::ConnectTimeout
                | Kind::HandshakeFailed
                | Kind::HandshakeTimeout
                | Kind::ResetBeforeResponse
                | Kind::ResetInHead
                | Kind::TargetTimeout
                | Kind::AttemptTimeout
                | Kind::BadResponse
                | Kind::UnaskedUpgrade
                | Kind::ResponseTruncated
                | Kind::RetriedStatus(_)
        )
    }
}

impl Kind {
    /// Whether there was no connection on which a request could have been sent.
    pub(crate) fn is_of_connecting(self) -> bool {
        matches!(
            self,
            Kind::ConnectFailed
                | Kind::NoPortLeft
                | Kind::ConnectTimeout
                | Kind::HandshakeFailed
                | Kind::HandshakeTimeout
        )
    }

    /// Whether a target's answer did not come in time.
    pub(crate) fn is_late(self) -> bool {
        matches!(self, Kind::TargetTimeout | Kind::AttemptTimeout | Kind::DeadlinePassed | Kind::DeadlineExceeded)
    }

    /// Whether nobody could be asked.
    pub(crate) fn is_want(self) -> bool {
        matches!(self, Kind::NoTarget | Kind::Overloaded | Kind::PendingTimeout)
    }

    /// Whether it may be better in a moment, which a client is told (RFC 9110 section 10.2.3).
    pub(crate) fn is_passing(self) -> bool {
        matches!(self, Kind::Overloaded | Kind::PendingTimeout | Kind::Shed | Kind::NoPortLeft)
    }
}

impl ErrorReason {
    pub(crate) fn as_str(self) -> &'static str {
        match self.0 {
            Kind::Refused(refusal) => match refusal.status {
                414 => "UriTooLong",
                501 => "UnsupportedTransferEncoding",
                505 => "UnsupportedVersion",
                _ => "MalformedRequest",
            },
            Kind::Desync => "DesyncMitigation",
            Kind::PlainHttp => "PlainHttpOnTlsPort",
            Kind::MethodNotAllowed => "MethodNotAllowed",
            Kind::TooManyForwardedFor => "TooManyForwardedFor",
            Kind::ClientTimeout => "ClientTimeout",
            Kind::ClientClosed => "ClientClosed",
            Kind::BodyTruncated => "BodyTruncated",
            Kind::BodyMalformed => "BodyMalformed",
            Kind::VersionMismatch => "VersionMismatch",
            Kind::NoTarget => "NoTarget",
            Kind::Overloaded => "TargetLimit",
            Kind::PendingTimeout => "PendingTimeout",
            Kind::Shed => "Overload",
            Kind::Injected(_) => "FaultInjected",
            Kind::RedirectTooLong => "RedirectUrlLimitExceeded",
            Kind::TransformFailed => "TransformFailed",
            Kind::ConnectFailed => "TargetConnectionError",
            Kind::NoPortLeft => "NoPortLeft",
            Kind::ConnectTimeout => "TargetConnectionTimeout",
            Kind::HandshakeFailed => "TargetTlsError",
            Kind::HandshakeTimeout => "TargetTlsTimeout",
            Kind::ResetBeforeResponse => "TargetReset",
            Kind::Unprocessed => "TargetRefusedStream",
            Kind::ResetInHead => "TargetResetInHead",
            Kind::TargetTimeout => "TargetTimeout",
            Kind::AttemptTimeout => "AttemptTimeout",
            Kind::DeadlinePassed => "DeadlinePassed",
            Kind::DeadlineExceeded => "GrpcDeadlineExceeded",
            Kind::BadResponse => "MalformedResponse",
            Kind::UnaskedUpgrade => "UnaskedUpgrade",
            Kind::ResponseTruncated => "ResponseTruncated",
            Kind::RetriedStatus(_) => "RetriedStatus",
            Kind::Deregistered => "TargetDeregistered",
            Kind::Stopping => "Stopping",
        }
    }
}

impl From<Kind> for ErrorReason {
    fn from(kind: Kind) -> Self {
        ErrorReason(kind)
    }
}

impl From<Kind> for ProxyError {
    fn from(kind: Kind) -> Self {
        ProxyError { kind, source: None }
    }
}

impl ProxyError {
    pub(crate) fn new(kind: Kind, source: io::Error) -> ProxyError {
        ProxyError { kind, source: Some(source) }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ErrorReason(self.kind).as_str())
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}
