//! How targets are told what time is left, and from whom that is taken.

use std::sync::Arc;

use ipnet::IpNet;

use crate::declared::{Cidr, OneOrMore, Token, declared};

declared! {
    /// A request field with the milliseconds that are left for an answer; or its name.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[short = "name"]
    pub struct DeadlineHeader {
        /// What the field is called.
        #[via = Token]
        pub name: Arc<str>,
        /// Clients of these networks are believed what they say in it; it can only shorten the time. From others it is left out.
        #[via = OneOrMore<Cidr>]
        pub from: Vec<IpNet> = Vec::new(),
    }
}
