//! The instance, listened to: a thread that follows its stream, comes back when it ends, and is told whose targets are wanted.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use headworks_iam::percent::encoded;
use hyper::Method;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::super::connect::{json_of, refused};
use super::super::{Connection, Failed};
use crate::client::{self, Followed, Instance, Question};

/// Longer than the stream is ever silent.
const SILENCE: Duration = Duration::from_secs(40);
/// Between attempts to reach an instance that has gone.
const PAUSE: Duration = Duration::from_secs(1);
/// Between looks at what is there, when it changes all the time.
const LOOK: Duration = Duration::from_secs(5);

/// What is heard.
#[derive(Debug)]
pub(super) enum News {
    /// What there is.
    Status(Value),
    /// An event of the stream.
    Event(String, Value),
    /// The stream has ended; it is tried again.
    Lost(String),
    /// It is not to be had.
    Failed(Failed),
    /// This process is to end.
    Stop,
}

/// The listening thread. It ends when this is dropped, with what comes next.
pub(super) struct Feed {
    pub(super) news: mpsc::Receiver<News>,
    group: watch::Sender<Option<String>>,
}

impl Feed {
    pub(super) fn start(connection: &Connection, group: Option<String>) -> Result<Self, Failed> {
        let (tell, news) = mpsc::channel();
        let (sender, wanted) = watch::channel(group);
        let instance = connection.instance().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failed::with(error.to_string()))?;
        let listen = move || runtime.block_on(Listener { instance, tell, wanted, looked: None }.listen());
        let started = std::thread::Builder::new().name("feed".to_owned()).spawn(listen);
        started.map_err(|error| Failed::with(error.to_string()))?;
        Ok(Self { news, group: sender })
    }

    /// Has the targets of a group told.
    pub(super) fn want(&self, group: Option<String>) {
        // whoever does not listen any more has said so
        let _ = self.group.send(group);
    }
}

struct Listener {
    instance: Instance,
    tell: mpsc::Sender<News>,
    wanted: watch::Receiver<Option<String>>,
    looked: Option<Instant>,
}

impl Listener {
    async fn listen(mut self) {
        let mut ends = [SignalKind::terminate(), SignalKind::hangup()].map(|kind| signal(kind).ok());
        let [terminate, hangup] = &mut ends;
        let asked = async {
            tokio::select! {
                Some(_) = async { terminate.as_mut()?.recv().await } => {}
                Some(_) = async { hangup.as_mut()?.recv().await } => {}
                else => std::future::pending().await,
            }
        };
        let tell = self.tell.clone();
        tokio::select! {
            () = asked => {}
            () = self.follow() => return,
        }
        let _ = tell.send(News::Stop);
        tokio::time::sleep(PAUSE).await;
        // a terminal that has gone holds whoever waits for its keys
        ratatui::restore();
        std::process::exit(1);
    }

    /// Until nobody hears it, or it is not to be had.
    async fn follow(&mut self) {
        let mut wanted = self.wanted.clone();
        loop {
            let heard = tokio::select! {
                heard = self.stream() => heard,
                // another group is another stream
                Ok(()) = wanted.changed() => continue,
            };
            let is_heard = match heard {
                Ok(()) => self.tell.send(News::Lost("the stream has ended".to_owned())).is_ok(),
                Err(Ended::Lost(what)) => self.tell.send(News::Lost(what)).is_ok(),
                Err(Ended::Refused(failed)) => {
                    let _ = self.tell.send(News::Failed(failed));
                    return;
                }
                Err(Ended::Unheard) => return,
            };
            if !is_heard {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What is there, when it was not looked at of late.
    async fn look(&mut self) -> Result<(), Ended> {
        let question = Question { method: Method::GET, path: "/v1/status", fields: &[], body: None };
        let answer = client::ask(&self.instance, &question, SILENCE).await;
        let answer = answer.map_err(|error| Ended::Lost(error.to_string()))?;
        if !answer.status.is_success() {
            return Err(Ended::Refused(refused(&answer)));
        }
        self.looked = Some(Instant::now());
        let status = json_of(&answer).map_err(Ended::Refused)?;
        self.tell.send(News::Status(status)).map_err(|_| Ended::Unheard)
    }

    async fn stream(&mut self) -> Result<(), Ended> {
        self.look().await?;
        let wanted = self.wanted.borrow().clone();
        let group = wanted.map_or(String::new(), |group| format!("&target_group={}", encoded(&group)));
        // only the past of listeners is drawn
        let path = format!("/v1/live?history=listener/{group}");
        let question = Question { method: Method::GET, path: &path, fields: &[], body: None };
        let lost = |error: client::NoAnswer| Ended::Lost(error.to_string());
        let mut events = match client::follow(&self.instance, &question, SILENCE).await.map_err(lost)? {
            Followed::Events(events) => events,
            Followed::Refused(answer) => return Err(Ended::Refused(refused(&answer))),
        };
        let mut is_stale = false;
        while let Some((event, data)) = events.next(SILENCE).await.map_err(lost)? {
            is_stale |= ["revision", "reload", "missed"].contains(&event.as_str());
            self.tell.send(News::Event(event, data)).map_err(|_| Ended::Unheard)?;
            if is_stale && self.looked.is_none_or(|looked| looked.elapsed() > LOOK) {
                is_stale = false;
                self.look().await?;
            }
        }
        Ok(())
    }
}

/// Why the stream has ended.
enum Ended {
    Lost(String),
    Refused(Failed),
    Unheard,
}
