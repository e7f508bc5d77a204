//! The rules of one listener, compiled: from a request to the first rule that it meets (R1, R2).

use std::net::IpAddr;

use headworks_message::RequestView;
use headworks_model::rule::Rule;

use crate::condition::{self, Test};
use crate::error::{CompileError, Fault};
use crate::index::{self, Index};
use crate::matcher::Matchers;

/// The compiled rules of one listener. Never changes; built anew for each configuration.
#[derive(Debug)]
pub struct Table {
    rules: Box<[Box<[Test]>]>,
    index: Index,
}

impl Table {
    /// Compiles `rules`, whose order is their priority. The default action is the caller's.
    ///
    /// # Errors
    /// The first rule that cannot be compiled.
    pub fn compile(rules: &[Rule]) -> Result<Table, CompileError> {
        if u32::try_from(rules.len()).is_err() {
            return Err(CompileError { rule: u32::MAX as usize, fault: Fault::TooManyRules });
        }
        let mut matchers = Matchers::default();
        let compile = |(rule, declared): (usize, &Rule)| {
            condition::compile(&declared.conditions, &mut matchers).map_err(|fault| CompileError { rule, fault })
        };
        let rules = rules.iter().enumerate().map(compile).collect::<Result<Box<[_]>, _>>()?;
        let index = index::build(&rules);
        Ok(Table { rules, index })
    }

    /// The index of the first rule that matches, `None` for the default action.
    ///
    /// `peer` is the address of the TCP peer (R9); an IPv4-mapped IPv6 address counts as the IPv4 address. Allocates only
    /// where several regular expressions are searched at once and one of them matches.
    #[inline]
    pub fn find(&self, request: RequestView<'_>, peer: IpAddr) -> Option<usize> {
        self.index.find(&self.rules, &request, peer).map(|rule| rule as usize)
    }

    /// Number of rules.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule, so that the default action always applies.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
