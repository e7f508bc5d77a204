//! What is asked: who wants to do what with what, and under which circumstances.

use std::collections::BTreeMap;

/// One question.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `headworks:PutTargetGroup`.
    pub action: String,
    /// `hrn:headworks:target-group/web`.
    pub resource: String,
    /// Keys such as `aws:SourceIp`, in lower case, and their values.
    context: BTreeMap<String, Vec<String>>,
}

impl Request {
    /// A question without circumstances.
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), context: BTreeMap::new() }
    }

    /// Another question under the same circumstances.
    #[must_use]
    pub fn about(&self, action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), context: self.context.clone() }
    }

    /// With one more circumstance.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.context.entry(key.to_ascii_lowercase()).or_default().push(value.into());
        self
    }

    /// With this circumstance in place of what was known of it.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.context.insert(key.to_ascii_lowercase(), vec![value.into()]);
        self
    }

    /// The values of a key; none when it is absent.
    pub fn values(&self, key: &str) -> Option<&[String]> {
        self.context.get(&key.to_ascii_lowercase()).map(Vec::as_slice)
    }

    /// The value of a key that has one.
    pub fn value(&self, key: &str) -> Option<String> {
        match self.values(key) {
            Some([one]) => Some(one.clone()),
            _ => None,
        }
    }
}
