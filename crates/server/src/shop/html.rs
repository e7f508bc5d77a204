//! HTML as text that cannot be forgotten to escape.
//!
//! `html!` takes a literal template and named values; every value is escaped unless it is `Markup` already. The
//! template goes through `concat!`, which forbids captured variables, so there is no way to write an unescaped one.

use std::fmt::{self, Display, Formatter};

use crate::shop::money::Money;

/// Finished HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Markup(String);

/// A value that can stand in a template.
pub(crate) trait Render {
    /// Writes it as HTML, escaped where it is text.
    fn render(&self, out: &mut Formatter<'_>) -> fmt::Result;
}

/// Adapts a value to the formatting machinery.
pub(crate) struct Shown<'a, T: ?Sized>(pub(crate) &'a T);

macro_rules! html {
    ($template:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::shop::html::Markup::trusted(
            format!(concat!($template) $(, $name = $crate::shop::html::Shown(&$value))*),
        )
    };
}

impl Markup {
    /// Takes text as HTML. Only for literals of this program.
    pub(crate) fn trusted(html: impl Into<String>) -> Self {
        Self(html.into())
    }

    /// The HTML.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl FromIterator<Markup> for Markup {
    fn from_iter<I: IntoIterator<Item = Markup>>(pieces: I) -> Self {
        Self(pieces.into_iter().map(Markup::into_string).collect())
    }
}

impl<T: Render + ?Sized> Display for Shown<'_, T> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.0.render(out)
    }
}

impl Render for Markup {
    fn render(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Absent is nothing.
impl Render for Option<Markup> {
    fn render(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.as_ref().map_or(Ok(()), |markup| markup.render(out))
    }
}

impl Render for str {
    fn render(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (plain, from) = rest.split_at(at);
            out.write_str(plain)?;
            let mut characters = from.chars();
            out.write_str(match characters.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                _ => "&#39;",
            })?;
            rest = characters.as_str();
        }
        out.write_str(rest)
    }
}

impl Render for String {
    fn render(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.as_str().render(out)
    }
}

impl<T: Render + ?Sized> Render for &T {
    fn render(&self, out: &mut Formatter<'_>) -> fmt::Result {
        (**self).render(out)
    }
}

macro_rules! render_as_displayed {
    ($($type:ty),*) => { $(
        impl Render for $type {
            fn render(&self, out: &mut Formatter<'_>) -> fmt::Result {
                Display::fmt(self, out)
            }
        }
    )* };
}
render_as_displayed!(u8, u16, u32, i64, usize, Money);
