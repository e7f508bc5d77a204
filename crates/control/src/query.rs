//! The part of a path behind `?`: what is known of it, and nothing else.

use headworks_iam::percent;
use headworks_iam::time::parse_rfc3339;

use crate::problem::Problem;

/// Those that may be given more than once.
const LISTS: [&str; 2] = ["target", "history"];

/// The parameters of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads it; only these names are known.
    ///
    /// # Errors
    /// When there is another, or one that says one thing is there twice.
    pub(crate) fn read(text: &str, known: &[&str]) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = text
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decoded(name), decoded(value))
            })
            .collect();
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) if known.is_empty() => {
                Err(Problem::invalid(&format!("?{name}"), "unknown parameter, expected none"))
            }
            Some((name, _)) => {
                let what = format!("unknown parameter, expected one of {}", known.join(", "));
                Err(Problem::invalid(&format!("?{name}"), what))
            }
            None => {
                let mut once = pairs.iter().enumerate().filter(|(_, (name, _))| !LISTS.contains(&name.as_str()));
                let is_again =
                    |(at, (name, _)): &(usize, &(String, String))| pairs.iter().take(*at).any(|(one, _)| one == name);
                match once.find(is_again) {
                    Some((_, (name, _))) => Err(Problem::invalid(&format!("?{name}"), "is there more than once")),
                    None => Ok(Self(pairs)),
                }
            }
        }
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.clone()).collect()
    }

    /// A number from `low` to `high`.
    ///
    /// # Errors
    /// When it is there and is none.
    pub(crate) fn number(&self, name: &str, low: u64, high: u64) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse::<u64>().ok().filter(|number| (low..=high).contains(number));
        let wrong = || {
            let what = format!("{text:?} is not what fits here, expected a whole number from {low} to {high}");
            Problem::invalid(&format!("?{name}"), what)
        };
        number.map(Some).ok_or_else(wrong)
    }

    /// A time, in milliseconds since 1970.
    ///
    /// # Errors
    /// When it is there and is none.
    pub(crate) fn time(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = || {
            let what = format!(
                "{text:?} is no time, expected one such as 2026-01-31T12:00:00Z or 2026-01-31T14:00:00%2B02:00, or a date"
            );
            Problem::invalid(&format!("?{name}"), what)
        };
        parse_rfc3339(text).map(Some).ok_or_else(wrong)
    }

    /// `true`, or `false`, which it is when it is absent.
    ///
    /// # Errors
    /// When it is neither.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(text) => Err(Problem::invalid(&format!("?{name}"), format!("{text:?} is neither true nor false"))),
        }
    }
}

/// A name or a value, as forms have it: `+` is a space.
fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&percent::decoded(&text.replace('+', " "))).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Query, decoded};

    #[test]
    fn what_is_said_is_said_once() {
        for (text, said) in [
            ("", None),
            ("dry_run=true&target=a&target=b", None),
            ("dry_run=true&dry_run=false", Some("?dry_run: is there more than once")),
            ("dry_run=true&target=a&dry%5Frun=true", Some("?dry_run: is there more than once")),
            ("other", Some("?other: unknown parameter, expected one of dry_run, target")),
        ] {
            let read = Query::read(text, &["dry_run", "target"]);
            assert_eq!(read.err().map(|problem| problem.detail().to_owned()).as_deref(), said, "{text}");
        }
    }

    #[test]
    fn what_is_encoded_is_two_digits() {
        for (text, plain) in
            [("a%2Fb%2f", "a/b/"), ("a+b", "a b"), ("%+1%-1", "% 1%-1"), ("%1%", "%1%"), ("%c3%a4", "ä")]
        {
            assert_eq!(decoded(text), plain, "{text}");
        }
    }
}
