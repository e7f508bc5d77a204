//! Actions of a listener rule (R12 to R16): what is done with a request.

use std::sync::Arc;
use std::time::Duration;

use crate::primitive::Name;
pub use crate::template::{Template, TemplateError, TemplatePart};

/// Exactly one routing action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send it to a target.
    Forward(Forward),
    /// Answer with another place.
    Redirect(Redirect),
    /// Answer with a fixed response.
    FixedResponse(FixedResponse),
}

/// Forward to one of several target groups, by weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// At least one; `forward: web` is one with weight 1.
    pub groups: Vec<WeightedGroup>,
    /// Target group stickiness: how long a client keeps the group it got first.
    pub stickiness: Option<GroupStickiness>,
}

/// A target group and its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedGroup {
    /// The target group.
    pub name: Name,
    /// 0 to 999; the share is weight over the sum. 0 takes no new client.
    pub weight: u16,
}

/// Target group stickiness (R14): `stickiness: 1h` or `stickiness: { duration: 1h, cookie_name: AWSALBTG }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStickiness {
    /// 1 s to 7 days.
    pub duration: Duration,
    /// `AWSALBTG` unless said otherwise.
    pub cookie_name: Arc<str>,
}

/// Redirect (R15). Absent parts keep the request's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `HTTP`, `HTTPS`, or absent for `#{protocol}`.
    pub protocol: Option<Scheme>,
    /// Template, default `#{host}`.
    pub host: Template,
    /// Template, default `#{port}`.
    pub port: Template,
    /// Template, default `/#{path}`.
    pub path: Template,
    /// Template, default `#{query}`.
    pub query: Template,
    /// 301, 302; as our extension also 303, 307, 308.
    pub status: u16,
}

/// The two schemes of the web.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

/// Fixed response (R16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedResponse {
    /// 200 to 299, 400 to 599.
    pub status: u16,
    /// Absent: no Content-Type; default `text/plain` when there is a body.
    pub content_type: Option<Arc<str>>,
    /// At most 64 KiB.
    pub body: Arc<str>,
}
