//! Prometheus text, parsed: enough to ask for one number.

use std::collections::BTreeMap;

/// All samples, by name and labels.
#[derive(Clone, Debug, Default)]
pub struct Metrics(pub Vec<Sample>);

/// One line.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Without labels.
    pub name: String,
    /// In any order.
    pub labels: BTreeMap<String, String>,
    /// What it says.
    pub value: f64,
}

impl Metrics {
    /// Reads the text exposition format.
    ///
    /// # Panics
    /// At a line that is not of it.
    #[must_use]
    pub fn parse(text: &str) -> Metrics {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Metrics(lines.map(|line| sample(line).unwrap_or_else(|| panic!("no sample: {line:?}"))).collect())
    }

    /// The sum of all samples of this name that have all these labels; 0 when there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(key, value)| sample.labels.get(*key).is_some_and(|v| v == value))
        };
        self.0.iter().filter(fits).fold(0.0, |sum, sample| sum + sample.value)
    }

    /// Whether there is any sample of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|sample| sample.name == name)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (head, labels, tail) = match line.split_once('{') {
        None => {
            let (name, value) = line.split_once(' ')?;
            (name, BTreeMap::new(), value)
        }
        Some((name, rest)) => {
            let (labels, tail) = labels(rest)?;
            (name, labels, tail)
        }
    };
    let value = tail.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: head.to_owned(), labels, value })
}

/// Reads `key="value",...}` and what follows.
fn labels(text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(tail) = rest.strip_prefix('}') {
            return Some((labels, tail));
        }
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.insert(key.to_owned(), value);
        rest = &after[end + 1..];
    }
}
