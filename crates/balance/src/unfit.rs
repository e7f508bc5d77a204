//! Why a server that answers its health checks gets nothing for now: what databases say of themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an answer tells that speaks against its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum Unfit {
    /// The group is for the primary, and it is a replica.
    NotPrimary,
    /// The group is for replicas, and it is the primary.
    NotReplica,
    /// A replica without a connection to its primary.
    Unlinked,
    /// A replica that has not yet made up what its primary did this many seconds ago.
    Lags(u64),
    /// A replica of which nobody knows how far it is behind.
    LagUnknown,
    /// It is starting, stopping or reading its data.
    NotReady,
    /// It has no room for one more connection.
    Full,
    /// It does not talk to this machine.
    HostRefused,
    /// It asks for a login, and none is declared.
    LoginNeeded,
    /// It does not take the declared login.
    LoginRefused,
    /// It asks for a way of logging in that health checks do not have.
    LoginUnknown,
    /// It has no database of the declared name.
    NoDatabase,
    /// The declared login may not ask what the health check asks.
    NotAllowed,
}

impl Unfit {
    /// Whether it is a fact rather than a symptom: one answer is enough to believe it, and one to believe its opposite.
    /// What is written to a server after it has stopped being the primary is lost.
    #[must_use]
    pub fn is_decisive(self) -> bool {
        matches!(self, Self::NotPrimary | Self::NotReplica)
    }

    /// Whether both say the same, be it with other numbers.
    pub(crate) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPrimary => "the server is not the primary",
            Self::NotReplica => "the server is not a replica",
            Self::Unlinked => "the replica is not connected to its primary",
            Self::Lags(seconds) => return write!(f, "the replica lags by {seconds} s"),
            Self::LagUnknown => "nobody knows how far the replica is behind",
            Self::NotReady => "the server is starting, stopping or reading its data",
            Self::Full => "the server has too many connections",
            Self::HostRefused => "the server does not talk to this machine",
            Self::LoginNeeded => "the server asks for a login, and health_check has no user or password",
            Self::LoginRefused => "the server refuses the login of health_check",
            Self::LoginUnknown => {
                "the server asks for a way of logging in that health checks do not have; they have passwords, \
                 of MySQL mysql_native_password and caching_sha2_password"
            }
            Self::NoDatabase => "the server has no database of that name",
            Self::NotAllowed => "the user of health_check may not ask for this",
        })
    }
}
