//! Stickiness cookies: read from the request, written to the response (R14, T10, T11).

use std::sync::Arc;

use headworks_balance::{GroupKey, Keyring, Kind, Sticky, TargetKey, cookie, hash64};
use headworks_message::{Known, RequestView};
use headworks_model::action::GroupStickiness;
use headworks_model::target_group::Stickiness;

use super::prepare::Prepared;
use crate::compile::plan::{ForwardPlan, GroupPlan};
use crate::l7::codec::link::Client;
use crate::l7::connection::Connection;
use crate::listen::slot::ListenerTable;
use crate::runtime::pool::Scratch;
use crate::runtime::random::Random;
use crate::upstream::group::GroupLocal;
use crate::upstream::target::TargetLocal;

/// Hash seed of application cookies' values.
const APPLICATION_SEED: u64 = 0x6170_702d_636b_6965;

/// What the response will say.
#[derive(Default)]
pub(super) struct Cookies {
    pub(super) group: Option<GroupCookie>,
    target: TargetCookie,
    keyring: Option<Arc<Keyring>>,
}

/// A group cookie, sealed.
pub(super) struct GroupCookie {
    name: Arc<str>,
    value: String,
}

#[derive(Default)]
enum TargetCookie {
    #[default]
    None,
    LoadBalancer,
    /// The application's cookie came with the request, and this is the hash of its value.
    Application(Option<u64>),
}

fn nonce(random: &Random) -> [u8; 12] {
    let mut nonce = [0; 12];
    let bytes = random.next().to_ne_bytes().into_iter().chain(random.next().to_ne_bytes());
    nonce.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    nonce
}

fn open(keyring: &Keyring, kind: Kind, text: &[u8], now: u64, group: GroupKey) -> Option<TargetKey> {
    let sticky = keyring.open(kind, std::str::from_utf8(text).ok()?, now).ok()?;
    (sticky.group == group).then_some(sticky.target)
}

/// The target of a group that the request's cookies name.
pub(crate) fn named_target(
    keyring: &Keyring,
    stickiness: &Stickiness,
    group: GroupKey,
    view: RequestView<'_>,
    now: u64,
) -> Option<TargetKey> {
    match stickiness {
        Stickiness::SourceIp => None,
        Stickiness::LbCookie { cookie_name, .. } => {
            open(keyring, Kind::Target, view.cookie(cookie_name.as_bytes())?, now, group)
        }
        Stickiness::AppCookie { name, .. } => {
            let cookie = application_cookie(name, view)?;
            let shards = cookie::APPLICATION
                .map(|name| view.cookie(name.as_bytes()).and_then(|text| std::str::from_utf8(text).ok()));
            let text = cookie::join_application_cookies(shards)?;
            open(keyring, Kind::Application { cookie }, text.as_bytes(), now, group)
        }
    }
}

/// The hash of an application's own cookie, if it came.
fn application_cookie(name: &str, view: RequestView<'_>) -> Option<u64> {
    view.cookie(name.as_bytes()).map(|value| hash64(APPLICATION_SEED, value))
}

/// The target that the request's cookies name, and what is to be written.
pub(super) fn read<C: Client>(
    connection: &Connection<C>,
    keyring: &Arc<Keyring>,
    plan: &GroupPlan,
    group: &GroupLocal,
    forward: &ForwardPlan,
    view: RequestView<'_>,
) -> (Option<TargetKey>, Cookies) {
    // a weighted rule without stickiness of its own does not honour that of its groups (R14)
    let honoured = forward.groups.len() == 1 || forward.stickiness.is_some();
    let Some(stickiness) = plan.settings.stickiness.as_ref().filter(|_| honoured) else {
        return (None, Cookies::default());
    };
    let target = match stickiness {
        Stickiness::SourceIp => return (None, Cookies::default()),
        Stickiness::LbCookie { .. } => TargetCookie::LoadBalancer,
        Stickiness::AppCookie { name, .. } => TargetCookie::Application(application_cookie(name, view)),
    };
    let found = named_target(keyring, stickiness, group.shared.key, view, connection.worker.clock.unix());
    (found, Cookies { target, keyring: Some(keyring.clone()), group: None })
}

/// The group that the client's cookie names, if the rule still forwards to it.
pub(super) fn group<C: Client>(
    connection: &Connection<C>,
    table: &ListenerTable,
    forward: &ForwardPlan,
    view: RequestView<'_>,
) -> Option<usize> {
    let stickiness = forward.stickiness.as_ref()?;
    let text = std::str::from_utf8(view.cookie(stickiness.cookie_name.as_bytes())?).ok()?;
    let tables = &table.tables;
    let sticky = tables.plan.keyring.open(Kind::Group, text, connection.worker.clock.unix()).ok()?;
    let named = |place: usize| tables.group(place).is_some_and(|(_, g)| g.shared.key == sticky.group);
    forward.groups.iter().map(|g| g.group).find(|place| named(*place))
}

/// The cookie that keeps a client with the group at this place.
pub(super) fn group_cookie<C: Client>(
    connection: &Connection<C>,
    table: &ListenerTable,
    stickiness: &GroupStickiness,
    place: usize,
) -> Option<GroupCookie> {
    let now = connection.worker.clock.unix();
    let group = table.tables.group(place)?.1.shared.key;
    let sticky =
        Sticky { target: TargetKey(0), group, issued: now, expires: now + stickiness.duration.as_secs().max(1) };
    let value = table.tables.plan.keyring.seal(Kind::Group, &sticky, nonce(&connection.worker.random))?;
    Some(GroupCookie { name: stickiness.cookie_name.clone(), value })
}

fn put(lines: &mut Vec<u8>, cookie: &str) {
    lines.extend_from_slice(b"Set-Cookie: ");
    lines.extend_from_slice(cookie.as_bytes());
    lines.extend_from_slice(b"\r\n");
}

fn put_pair(lines: &mut Vec<u8>, name: &str, value: &str, now: u64) {
    put(lines, &cookie::set_cookie(name, value, now));
    put(lines, &cookie::set_cookie_cors(&format!("{name}CORS"), value, now));
}

/// Writes the Set-Cookie lines of the response that is parsed in `scratch` into `scratch.lines`.
pub(super) fn write<C: Client>(
    connection: &Connection<C>,
    prepared: &Prepared<'_>,
    target: &TargetLocal,
    response: &[u8],
    scratch: &mut Scratch,
) {
    let lines = &mut scratch.lines;
    lines.clear();
    let now = connection.worker.clock.unix();
    if let Some(cookie) = &prepared.cookies.group {
        put_pair(lines, &cookie.name, &cookie.value, now);
    }
    let (Some(keyring), Some(stickiness)) = (&prepared.cookies.keyring, &prepared.plan.settings.stickiness) else {
        return;
    };
    let seal = |kind, seconds: u64| {
        let group = prepared.group.shared.key;
        let sticky = Sticky { target: target.shared.key, group, issued: now, expires: now + seconds.max(1) };
        keyring.seal(kind, &sticky, nonce(&connection.worker.random))
    };
    match (&prepared.cookies.target, stickiness) {
        (TargetCookie::LoadBalancer, Stickiness::LbCookie { duration, cookie_name }) => {
            if let Some(value) = seal(Kind::Target, duration.as_secs()) {
                put_pair(lines, cookie_name, &value, now);
            }
        }
        (TargetCookie::Application(came), Stickiness::AppCookie { name, duration }) => {
            let set = scratch.response.fields.iter().filter(|f| f.known == Known::SetCookie);
            let fresh = set
                .filter_map(|f| headworks_message::head::cookies(f.value.of(response)).next())
                .find(|(n, _)| *n == name.as_bytes())
                .map(|(_, value)| hash64(APPLICATION_SEED, value));
            // set when the application sets its cookie, and when a session has moved to another target
            let moved = came.filter(|_| prepared.wish.sticky != Some(target.shared.key));
            if let Some(value) =
                fresh.or(moved).and_then(|cookie| seal(Kind::Application { cookie }, duration.as_secs()))
            {
                cookie::set_application_cookies(&value, now).iter().for_each(|cookie| put(lines, cookie));
            }
        }
        _ => {}
    }
}
