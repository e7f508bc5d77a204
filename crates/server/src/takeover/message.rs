//! What processes say to each other when one takes over. Fields are added freely; [`PROTOCOL`] moves when what is said means
//! something else, or something must be understood that an older one would pass over.

use std::net::SocketAddr;
use std::path::PathBuf;

use headworks_edge::legacy::{Known, KnownFlow};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of all this.
pub(crate) const PROTOCOL: u32 = 1;

/// What somebody at the door wants.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// That the instance starts this program with this file in its own place. With a descriptor: where the program complains
    /// until it is ready.
    Upgrade { program: PathBuf, file: PathBuf },
    /// To take over.
    TakeOver { protocol: u32, version: String, pid: u32 },
}

/// What becomes of [`Ask::Upgrade`].
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Upgraded {
    /// The new process serves.
    Serving { pid: u32, replaced: u32 },
    /// It does not, and the old one goes on. With the exit status of the new one, if it came to that.
    Failed { status: Option<i32>, reason: String },
}

/// The first answer to [`Ask::TakeOver`].
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Offer {
    /// Everything. Its descriptors follow in the order of [`Estate`].
    Estate { estate: Value },
    /// Nothing, and why.
    Refused { reason: String },
}

/// Everything.
#[derive(Deserialize, Serialize)]
pub(crate) struct Estate {
    pub(crate) version: String,
    pub(crate) pid: u32,
    /// The admin address as it was declared. One descriptor.
    pub(crate) admin: SocketAddr,
    // then the door: one descriptor; standard output and error: two
    /// Descriptors that are only held, such as the ends of pipes by which others notice that the instance is there.
    #[serde(default)]
    pub(crate) held: usize,
    /// The data plane: all other descriptors.
    pub(crate) edge: Known,
}

/// What is said next, by whose turn it is.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(crate) enum Step {
    /// The new one: nothing can fail any more.
    Ready,
    /// The old one: then take over, if the claim that comes with it can be taken (a descriptor; older versions send none).
    Go,
    /// The old one: it is too late, or it stops.
    GivenUp { reason: String },
    /// The new one: it is done.
    Serving,
    /// The old one: it accepts no more, and has let go of these flows of datagrams. A descriptor for each.
    Released { flows: Vec<KnownFlow> },
}
