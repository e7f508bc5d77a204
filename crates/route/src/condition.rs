//! The conditions of one rule, compiled: every one of its tests must hold (R2).
//!
//! `all` is spliced into the rule's own tests; `not` is a test that none of its conditions holds. `sni` and `alpn`
//! never hold for an HTTP request. Query text is compared as received: nothing is percent-decoded, `+` is a plus sign;
//! a parameter without `=` has an empty value; empty parameters (`a=1&&b=2`) do not count.

use std::net::IpAddr;

use headworks_message::RequestView;
use headworks_model::condition::{Conditions, QueryMatch};

use crate::cidr::Cidrs;
use crate::error::Fault;
use crate::matcher::{Matcher, Matchers, Values};
use crate::wildcard::{Case, Wildcard};

/// One thing that must hold.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Method(Box<[Box<[u8]>]>),
    Text(Subject, Values),
    SourceIp(Cidrs),
    Header(Box<HeaderTest>),
    Query(Box<[QueryTest]>),
    /// Each must hold: an `all` that stands under a `not`.
    All(Box<[Test]>),
    /// None may hold.
    Not(Box<[Test]>),
    /// What HTTP requests do not have.
    Never,
}

/// What a text condition reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Host,
    Path,
}

/// A field of that name with a value that matches.
#[derive(Clone, Debug)]
pub(crate) struct HeaderTest {
    /// Lower case.
    pub(crate) name: Box<[u8]>,
    pub(crate) values: Values,
}

/// A parameter whose key and value match.
#[derive(Clone, Debug)]
pub(crate) struct QueryTest {
    pub(crate) key: Wildcard,
    pub(crate) value: Wildcard,
}

impl Subject {
    /// R5: hosts are compared without case, paths with.
    pub(crate) fn case(self) -> Case {
        match self {
            Subject::Host => Case::Insensitive,
            Subject::Path => Case::Sensitive,
        }
    }

    #[inline]
    pub(crate) fn of<'a>(self, request: &RequestView<'a>) -> &'a [u8] {
        match self {
            Subject::Host => request.host(),
            Subject::Path => request.path(),
        }
    }
}

/// The tests of a rule, cheapest first.
pub(crate) fn compile(conditions: &Conditions, matchers: &mut Matchers) -> Result<Box<[Test]>, Fault> {
    let mut tests = Vec::new();
    splice(conditions, matchers, &mut tests)?;
    tests.sort_by_key(Test::cost);
    Ok(tests.into())
}

/// Appends the tests of `set`, those of `all` as if they were its own.
fn splice(set: &Conditions, matchers: &mut Matchers, tests: &mut Vec<Test>) -> Result<(), Fault> {
    own(set, matchers, tests)?;
    set.all.iter().try_for_each(|inner| splice(inner, matchers, tests))
}

/// Appends the tests of `set` but for those of `all`.
fn own(set: &Conditions, matchers: &mut Matchers, tests: &mut Vec<Test>) -> Result<(), Fault> {
    if !set.method.is_empty() {
        tests.push(Test::Method(set.method.iter().map(|m| m.as_bytes().into()).collect()));
    }
    for (subject, values) in [(Subject::Path, &set.path), (Subject::Host, &set.host)] {
        if !values.is_empty() {
            tests.push(Test::Text(subject, matchers.all(values, subject.case())?));
        }
    }
    if !set.source_ip.is_empty() {
        tests.push(Test::SourceIp(Cidrs::new(&set.source_ip)));
    }
    for header in &set.header {
        let values = matchers.all(&header.values, Case::Insensitive)?;
        tests.push(Test::Header(Box::new(HeaderTest {
            name: header.name.to_ascii_lowercase().into_bytes().into(),
            values,
        })));
    }
    if !set.query.is_empty() {
        tests.push(Test::Query(set.query.iter().map(QueryTest::new).collect()));
    }
    if !set.sni.is_empty() || !set.alpn.is_empty() {
        tests.push(Test::Never);
    }
    if let Some(not) = &set.not {
        let mut inner = Vec::new();
        own(not, matchers, &mut inner)?;
        if !not.all.is_empty() {
            let mut sets = Vec::new();
            not.all.iter().try_for_each(|set| splice(set, matchers, &mut sets))?;
            inner.push(Test::All(sets.into()));
        }
        inner.sort_by_key(Test::cost);
        tests.push(Test::Not(inner.into()));
    }
    Ok(())
}

impl QueryTest {
    fn new(declared: &QueryMatch) -> QueryTest {
        let compile = |pattern: &Option<_>| {
            pattern.as_ref().map_or(Wildcard::Any, |pattern| Wildcard::new(pattern, Case::Insensitive))
        };
        QueryTest { key: compile(&declared.key), value: compile(&declared.value) }
    }
}

impl Test {
    /// A rank, for doing the cheap and telling tests first.
    fn cost(&self) -> u8 {
        let of = |values: &Values, plain| if values.as_slice().iter().any(Matcher::is_regex) { 8 } else { plain };
        match self {
            Test::Never => 0,
            Test::Text(_, values) => of(values, 1),
            Test::Method(_) => 2,
            Test::SourceIp(_) => 3,
            Test::Header(header) => of(&header.values, 4),
            Test::Query(_) => 5,
            Test::All(_) | Test::Not(_) => 6,
        }
    }

    #[inline]
    pub(crate) fn holds(&self, request: &RequestView<'_>, peer: IpAddr) -> bool {
        match self {
            Test::Text(subject, values) => values.match_any(subject.of(request), subject.case()),
            Test::Method(methods) => {
                let method = request.method();
                methods.iter().any(|m| **m == *method)
            }
            Test::SourceIp(cidrs) => cidrs.contain(peer),
            Test::Header(header) => header.holds(request),
            Test::Query(wanted) => parameters(request).any(|(key, value)| {
                wanted
                    .iter()
                    .any(|w| w.key.matches(key, Case::Insensitive) && w.value.matches(value, Case::Insensitive))
            }),
            Test::All(tests) => tests.iter().all(|test| test.holds(request, peer)),
            Test::Not(tests) => !tests.iter().any(|test| test.holds(request, peer)),
            Test::Never => false,
        }
    }
}

impl HeaderTest {
    fn holds(&self, request: &RequestView<'_>) -> bool {
        request.fields().any(|(name, value)| {
            name.eq_ignore_ascii_case(&self.name) && self.values.match_any(value, Case::Insensitive)
        })
    }
}

/// The query's parameters as (key, value), as received.
#[inline]
pub(crate) fn parameters<'a>(request: &RequestView<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
    let query = request.query().unwrap_or_default();
    query.split(|b| *b == b'&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        match memchr::memchr(b'=', parameter).and_then(|at| parameter.split_at_checked(at)) {
            Some((key, value)) => (key, value.get(1..).unwrap_or_default()),
            None => (parameter, &[][..]),
        }
    })
}
