//! By what the program knows itself at its own admin address, where a listener of its own stands before that: what a header of
//! the PROXY protocol with it says of a client is so.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use headworks_iam::seal::Sealer;

/// The pass.
#[derive(Clone)]
pub struct Pass(Arc<[u8]>);

impl Pass {
    /// Of bytes that nobody else has.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// That of an installation: the same for a process that takes over.
    pub(crate) fn of(sealer: &Sealer) -> Self {
        Self::new(sealer.derive("admin-pass").into_bytes())
    }

    /// As it is shown.
    pub fn bytes(&self) -> Arc<[u8]> {
        self.0.clone()
    }

    /// Whether it is what was shown.
    pub fn is(&self, shown: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, shown).is_ok()
    }
}

/// How a request came to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// As it is.
    Plain,
    /// Over TLS, which a listener has ended.
    Secured,
}
