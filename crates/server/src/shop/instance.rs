//! A running instance: from a data folder and an address to a listener that serves, and to its orderly end.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::shop::app::App;
use crate::shop::error::ShopError;
use crate::shop::key::Key;
use crate::shop::store::Store;
use crate::shop::version::Version;

/// From the wish to stop to the end of what is then still open; a little more than the slowest answer takes.
const DRAIN: Duration = Duration::from_secs(12);

/// For the last words on WebSockets.
const FAREWELL: Duration = Duration::from_secs(1);

/// One process of the shop.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    /// Where it listens; port 0 takes a free one.
    pub(crate) address: SocketAddr,
    /// What it calls itself on its pages.
    pub(crate) name: String,
    /// Which release it is.
    pub(crate) version: Version,
    /// The folder with the order book and the key, shared by all instances; made when it is not there.
    pub(crate) data: PathBuf,
    /// Whether it ends with the process that started it.
    pub(crate) parent: Parent,
}

/// What an instance does when the process that started it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parent {
    /// Stops. Standard input must be a pipe that the parent holds open and never writes to.
    Watched,
    /// Goes on.
    Ignored,
}

/// Runs an instance until SIGTERM, SIGINT or its parent's end, then finishes the requests it has. Prints one line, the
/// address, once it listens.
///
/// # Errors
///
/// When the instance cannot start, or its listener fails.
pub(crate) async fn run(instance: Instance) -> Result<(), ShopError> {
    let stop = stop_signal(instance.parent).map_err(ShopError::Serve)?;
    let listener = TcpListener::bind(instance.address)
        .await
        .map_err(|source| ShopError::Listen { address: instance.address, source })?;
    let app = open(instance).await?;
    announce(&listener).map_err(ShopError::Serve)?;
    serve(listener, app, stop).await
}

/// Everything but the socket.
pub(crate) async fn open(instance: Instance) -> Result<Arc<App>, ShopError> {
    let Instance { name, version, data, .. } = instance;
    let unusable = |source| ShopError::Data { path: data.clone(), source };
    std::fs::create_dir_all(&data).map_err(unusable)?;
    let key = Key::load(&data).map_err(unusable)?;
    let store = Store::open(data).await.map_err(ShopError::Store)?;
    Ok(Arc::new(App::new(name, version, key, store)))
}

/// Serves until `stop`, then drains: no new connection, every request finished, WebSockets told to go away.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Arc<App>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ShopError> {
    // A failed TCP_NODELAY costs latency, not correctness.
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    let mut stopping = app.stopping.subscribe();
    let announce = Arc::clone(&app);
    let server = axum::serve(listener, Arc::clone(&app).router()).with_graceful_shutdown(async move {
        stop.await;
        announce.stopping.send_replace(true);
    });
    let out_of_time = async move {
        // An error means that the sender is gone, and with it the server: the same.
        _ = stopping.wait_for(|stopping| *stopping).await;
        drop(stopping);
        sleep(DRAIN).await;
    };
    let mut server = pin!(server.into_future());
    tokio::select! {
        result = &mut server => result.map_err(ShopError::Serve)?,
        () = out_of_time => {}
    }
    // Out of time here means that a client did not take our leave.
    _ = timeout(FAREWELL, app.stopping.closed()).await;
    Ok(())
}

fn announce(listener: &TcpListener) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", listener.local_addr()?)?;
    out.flush()
}

/// Listens for signals from now on; the future ends with the first one, or with the parent.
fn stop_signal(parent: Parent) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (parent_is_alive, mut parent_is_gone) = oneshot::channel::<()>();
    let kept = match parent {
        // A thread of its own, never joined: nothing but the parent can end its read.
        Parent::Watched => {
            std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
                let _parent_is_alive = parent_is_alive;
                let mut input = io::stdin().lock();
                while input.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
            })?;
            None
        }
        Parent::Ignored => Some(parent_is_alive),
    };
    Ok(async move {
        let _kept = kept;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = &mut parent_is_gone => {}
        }
    })
}
