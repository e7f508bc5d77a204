//! The simple part of YAML, in which nearly all of a large file is written: mappings and lists by indentation, flow collections,
//! scalars on one line. Read in one pass over the text, none of which is copied, at a fraction of what the whole language costs.
//!
//! Whatever else a text has - an anchor, a tag, a block scalar, an escape, a character that is not ASCII, a mistake - it is not
//! read here at all: [`events`] says so, and the parser of the whole language has the only word. What is read here comes out as
//! that parser has it, event by event and place by place; a property test holds both together.

use std::borrow::Cow;

use saphyr_parser::{Event, ScalarStyle};

use super::node::Mark;

/// The longest key (YAML 1.2.2 section 7.4.2 allows 1024 characters).
const LONGEST_KEY: usize = 1000;

/// Tells `sink` the events of a text, each with its place. `None` when the text is not that simple, or `sink` wants no more:
/// what was told until then is void.
pub(super) fn events<'t>(text: &'t str, sink: &mut dyn FnMut(Event<'t>, Mark) -> Option<()>) -> Option<()> {
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')) {
        return None;
    }
    let mut reader = Reader { text, at: 0, line: 1, start: 0, sink };
    reader.next_line()?;
    match reader.peek()? {
        b'{' | b'[' => reader.flow_and_line(None)?,
        _ => {
            let column = reader.column();
            let key = reader.token(Context::Block)?;
            reader.is_key(&key).then(|| reader.mapping(column))??;
        }
    }
    reader.peek().is_none().then_some(())
}

/// What is around a scalar.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Block,
    Flow,
}

/// Where a list stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Indent {
    /// Further right than what it belongs to.
    Deeper,
    /// As far left as the key that it is the value of.
    Same,
}

/// A scalar, as bytes of the text.
#[derive(Clone, Copy)]
struct Token<'t> {
    text: &'t str,
    style: ScalarStyle,
    /// Behind it, and behind its closing quote.
    end: usize,
}

struct Reader<'t, 's> {
    text: &'t str,
    at: usize,
    line: u32,
    /// Where the line starts.
    start: usize,
    sink: &'s mut dyn FnMut(Event<'t>, Mark) -> Option<()>,
}

impl<'t> Reader<'t, '_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn peek(&self) -> Option<u8> {
        self.byte(self.at)
    }

    /// From 0.
    fn column(&self) -> usize {
        self.at - self.start
    }

    fn tell(&mut self, event: Event<'t>) -> Option<()> {
        let column = u32::try_from(self.column() + 1).ok()?;
        (self.sink)(event, Mark { line: self.line, column })
    }

    fn spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// Skips what is left of a line if that is nothing but a comment, and all lines that hold no more.
    fn next_line(&mut self) -> Option<()> {
        loop {
            let before = self.at;
            self.spaces();
            match self.peek() {
                None => return Some(()),
                Some(b'#') if self.at > before || self.at == self.start => {
                    let rest = self.text.as_bytes().get(self.at..)?;
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                Some(b'\n') => {}
                // the first thing of a line
                Some(_) if before == self.start => return self.is_no_marker().then_some(()),
                Some(_) => return None,
            }
            if self.peek().is_some() {
                self.at += 1;
                self.line += 1;
                self.start = self.at;
            }
        }
    }

    /// The same where a space is known to be before what is left.
    fn rest_of_line(&mut self) -> Option<()> {
        self.at -= usize::from(self.peek() == Some(b'#'));
        self.next_line()
    }

    /// Whether the line begins no other document, and is no directive.
    fn is_no_marker(&self) -> bool {
        let rest = self.text.get(self.start..).unwrap_or_default();
        !(rest.starts_with("---") || rest.starts_with("...") || rest.starts_with('%'))
    }

    fn ends_word(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b' ' | b'\n'))
    }

    fn is_dash(&self) -> bool {
        self.peek() == Some(b'-') && self.ends_word(self.at + 1)
    }

    /// Whether a value comes behind it.
    fn is_key(&self, token: &Token<'_>) -> bool {
        self.byte(token.end) == Some(b':') && self.ends_word(token.end + 1) && token.text.len() < LONGEST_KEY
    }

    /// The scalar that begins here.
    fn token(&self, context: Context) -> Option<Token<'t>> {
        match self.peek()? {
            b'"' => self.quoted(b'"', ScalarStyle::DoubleQuoted),
            b'\'' => self.quoted(b'\'', ScalarStyle::SingleQuoted),
            b'-' if !self.byte(self.at + 1)?.is_ascii_alphanumeric() => None,
            b'?' | b':' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'%' | b'@'
            | b'`' | b' ' | b'\n' => None,
            _ => self.plain(context),
        }
    }

    fn plain(&self, context: Context) -> Option<Token<'t>> {
        let mut at = self.at;
        // behind the last character that is no space
        let mut end = self.at;
        while let Some(byte) = self.byte(at) {
            let ends = match byte {
                b'\n' => true,
                b'#' => end < at,
                b':' => {
                    let indicates = matches!(self.byte(at + 1), Some(b',' | b'[' | b']' | b'{' | b'}'));
                    self.ends_word(at + 1) || context == Context::Flow && indicates
                }
                b',' | b'[' | b']' | b'{' | b'}' => context == Context::Flow,
                // which the parser of the whole language takes for a mistake
                b'-' if end < at && context == Context::Flow && !self.byte(at + 1)?.is_ascii_alphanumeric() => {
                    return None;
                }
                _ => false,
            };
            if ends {
                break;
            }
            at += 1;
            if byte != b' ' {
                end = at;
            }
        }
        // spaces before a colon are no part of the key
        let behind = if self.byte(at) == Some(b':') { at } else { end };
        Some(Token { text: self.text.get(self.at..end)?, style: ScalarStyle::Plain, end: behind })
    }

    fn quoted(&self, quote: u8, style: ScalarStyle) -> Option<Token<'t>> {
        let start = self.at + 1;
        let rest = self.text.as_bytes().get(start..)?;
        let length = rest.iter().position(|byte| matches!(byte, b'\n' | b'\\') || *byte == quote)?;
        let end = start + length + 1;
        // an escape, two quotes that stand for one, or another line
        if rest.get(length) != Some(&quote) || self.byte(end) == Some(quote) {
            return None;
        }
        Some(Token { text: self.text.get(start..start + length)?, style, end })
    }

    fn scalar(&mut self, token: Token<'t>) -> Option<()> {
        self.tell(Event::Scalar(Cow::Borrowed(token.text), token.style, 0, None))?;
        self.at = token.end;
        Some(())
    }

    /// A key and its colon.
    fn key(&mut self, context: Context) -> Option<()> {
        let token = self.token(context)?;
        if !self.is_key(&token) {
            return None;
        }
        self.scalar(token)?;
        self.at += 1;
        Some(())
    }

    /// The mapping whose first key is here, at this column.
    fn mapping(&mut self, column: usize) -> Option<()> {
        self.tell(Event::MappingStart(0, None))?;
        loop {
            self.key(Context::Block)?;
            self.value(column)?;
            if self.peek().is_none() || self.column() < column {
                return self.tell(Event::MappingEnd);
            }
            if self.column() > column {
                return None;
            }
        }
    }

    /// What is behind a key of the mapping at this column.
    fn value(&mut self, column: usize) -> Option<()> {
        self.spaces();
        match self.peek()? {
            b'\n' | b'#' => {
                self.rest_of_line()?;
                match self.column() {
                    // the last one, without a value
                    _ if self.peek().is_none() => None,
                    own if own > column => self.below(column),
                    own if own == column && self.is_dash() => self.list(column, Indent::Same),
                    _ => None,
                }
            }
            b'{' | b'[' => self.flow_and_line(Some(column)),
            _ => {
                let token = self.token(Context::Block)?;
                self.last(token, column)
            }
        }
    }

    /// A scalar behind a key or a dash at this column, if nothing more belongs to it.
    fn last(&mut self, token: Token<'t>, column: usize) -> Option<()> {
        self.scalar(token)?;
        self.next_line()?;
        (self.peek().is_none() || self.column() <= column).then_some(())
    }

    /// What begins on a line of its own, further right than what it belongs to.
    fn below(&mut self, column: usize) -> Option<()> {
        match self.peek()? {
            b'{' | b'[' => self.flow_and_line(Some(column)),
            _ if self.is_dash() => self.list(self.column(), Indent::Deeper),
            _ => {
                let token = self.token(Context::Block)?;
                self.is_key(&token).then(|| self.mapping(self.column()))?
            }
        }
    }

    /// The list whose first dash is here, at this column. One as far left as the key before it begins, by the parser of the whole
    /// language, with what is behind that dash.
    fn list(&mut self, column: usize, indent: Indent) -> Option<()> {
        let mut begins = true;
        while self.peek().is_some() && self.column() == column && self.is_dash() {
            if begins && indent == Indent::Deeper {
                self.tell(Event::SequenceStart(0, None))?;
            }
            self.at += 1;
            self.spaces();
            let is_below = matches!(self.peek()?, b'\n' | b'#');
            if is_below {
                self.rest_of_line()?;
                // an entry without a value
                (self.peek().is_some() && self.column() > column).then_some(())?;
            }
            if begins && indent == Indent::Same {
                (!is_below).then_some(())?;
                self.tell(Event::SequenceStart(0, None))?;
            }
            begins = false;
            if is_below {
                self.below(column)?;
                continue;
            }
            match self.peek()? {
                b'{' | b'[' => self.flow_and_line(Some(column))?,
                _ if self.is_dash() => self.list(self.column(), Indent::Deeper)?,
                _ => {
                    let token = self.token(Context::Block)?;
                    if self.is_key(&token) { self.mapping(self.column())? } else { self.last(token, column)? }
                }
            }
        }
        if self.peek().is_some() && self.column() > column {
            return None;
        }
        self.tell(Event::SequenceEnd)
    }

    /// A flow collection that has nothing behind it, below what stands at a column.
    fn flow_and_line(&mut self, column: Option<usize>) -> Option<()> {
        self.flow(column)?;
        self.next_line()?;
        (self.peek().is_none() || column.is_some_and(|column| self.column() <= column)).then_some(())
    }

    fn flow(&mut self, column: Option<usize>) -> Option<()> {
        let is_map = self.peek() == Some(b'{');
        let (begin, end, close) = match is_map {
            true => (Event::MappingStart(0, None), Event::MappingEnd, b'}'),
            false => (Event::SequenceStart(0, None), Event::SequenceEnd, b']'),
        };
        self.tell(begin)?;
        self.at += 1;
        loop {
            self.flow_space(column)?;
            if self.peek()? == close {
                self.tell(end)?;
                self.at += 1;
                return Some(());
            }
            if is_map {
                self.key(Context::Flow)?;
                self.flow_space(column)?;
            }
            match self.peek()? {
                b'{' | b'[' => self.flow(column)?,
                _ => {
                    let token = self.token(Context::Flow)?;
                    self.scalar(token)?;
                }
            }
            self.flow_space(column)?;
            match self.peek()? {
                b',' => self.at += 1,
                other if other == close => {}
                _ => return None,
            }
        }
    }

    /// Spaces, comments and ends of lines inside a flow collection, whose lines are all further right than what it belongs to.
    fn flow_space(&mut self, column: Option<usize>) -> Option<()> {
        loop {
            let before = self.at;
            self.spaces();
            match self.peek()? {
                b'#' if self.at > before => {
                    let rest = self.text.as_bytes().get(self.at..)?;
                    self.at += memchr::memchr(b'\n', rest)?;
                }
                b'\n' => {}
                _ => {
                    let is_first = before == self.start;
                    return (!is_first || column.is_none_or(|column| self.column() > column)).then_some(());
                }
            }
            self.at += 1;
            self.line += 1;
            self.start = self.at;
        }
    }
}
