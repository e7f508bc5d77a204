//! Templates of redirects (R15): text with placeholders for parts of the request. Filling one in is the edge's.

use std::fmt;

/// Text with `#{protocol}`, `#{host}`, `#{port}`, `#{path}`, `#{query}` in it, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<TemplatePart>);

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text as it stands.
    Literal(String),
    /// `#{protocol}`: the request's scheme, upper case when written into a Location is lower-cased.
    Protocol,
    /// `#{host}`: Host without port.
    Host,
    /// `#{port}`: the listener's port.
    Port,
    /// `#{path}`: the path without its leading `/`.
    Path,
    /// `#{query}`: the query without its `?`; empty when there is none.
    Query,
}

/// A placeholder that does not exist, or has no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError(String);

impl Template {
    /// Reads the placeholders of `text`.
    ///
    /// # Errors
    /// Names the first placeholder that does not exist.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("#{") {
            let (word, tail) = after.split_once('}').unwrap_or((after, ""));
            let part = match word {
                "protocol" => TemplatePart::Protocol,
                "host" => TemplatePart::Host,
                "port" => TemplatePart::Port,
                "path" => TemplatePart::Path,
                "query" => TemplatePart::Query,
                unknown => return Err(TemplateError(unknown.chars().take(40).collect())),
            };
            if after.len() == word.len() {
                return Err(TemplateError(word.to_owned()));
            }
            if !before.is_empty() {
                parts.push(TemplatePart::Literal(before.to_owned()));
            }
            parts.push(part);
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(TemplatePart::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| {
            f.write_str(match part {
                TemplatePart::Literal(text) => text,
                TemplatePart::Protocol => "#{protocol}",
                TemplatePart::Host => "#{host}",
                TemplatePart::Port => "#{port}",
                TemplatePart::Path => "#{path}",
                TemplatePart::Query => "#{query}",
            })
        })
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "has the placeholder #{{{}}}, which does not exist", self.0)
    }
}

impl std::error::Error for TemplateError {}
