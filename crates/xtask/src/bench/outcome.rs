//! What a case found out, in one shape for the table, the JSON and the picture.

use super::sample::{Sample, Spread, ratio};

/// The result of one case.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The case's name, as `--only` takes it.
    pub(crate) name: &'static str,
    /// What was done, in a line.
    pub(crate) title: String,
    /// Label of the measure that the picture shows.
    pub(crate) pictured: &'static str,
    /// One row for each contender.
    pub(crate) rows: Vec<Row>,
    /// What follows from the rows.
    pub(crate) findings: Vec<Finding>,
}

/// The measures of one contender.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The contender, and in brackets the setting that it was given.
    pub(crate) name: String,
    pub(crate) measures: Vec<Measure>,
}

/// One number, measured several times.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    pub(crate) label: &'static str,
    pub(crate) unit: &'static str,
    /// One for each run, in the order of the runs.
    pub(crate) values: Vec<f64>,
}

impl Measure {
    /// Smallest, median, largest.
    pub(crate) fn spread(&self) -> Spread {
        Spread::of(self.values.iter().copied())
    }
}

/// A number to be judged, or only to be known.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) value: Spread,
    /// The largest that is good; absent: nothing was promised.
    pub(crate) bar: Option<f64>,
}

impl Finding {
    /// Whether what was promised is kept.
    pub(crate) fn passes(&self) -> Option<bool> {
        self.bar.map(|bar| self.value.median <= bar)
    }
}

/// Label of the measure that is compared most.
pub(crate) const CPU: &str = "CPU";
/// Label of the share of time that a proxy waited for its core; the sign of other programs at work.
pub(crate) const WAITED: &str = "waited";
/// Label of the 99th percentile.
pub(crate) const P99: &str = "p99";

impl Row {
    /// The usual measures of runs under load.
    pub(crate) fn of(name: String, samples: &[Sample]) -> Row {
        let measure = |label, unit, number: fn(&Sample) -> f64| Measure {
            label,
            unit,
            values: samples.iter().map(number).collect(),
        };
        let measures = vec![
            measure(CPU, "µs/request", |s| s.cpu_micros),
            measure("rate", "requests/s", |s| s.rate),
            measure("busy", "% of a core", |s| s.cpu_micros * s.rate / 1e4),
            measure(WAITED, "% of time", |s| s.waited * 1e2),
            measure("p50", "ms", |s| s.p50.as_secs_f64() * 1e3),
            measure(P99, "ms", |s| s.p99.as_secs_f64() * 1e3),
            measure("RSS", "MiB", |s| s.resident as f64 / f64::from(1 << 20)),
            measure("failed", "requests", |s| s.failed as f64),
        ];
        Row { name, measures }
    }

    /// The values of the measure called `label`.
    pub(crate) fn values(&self, label: &str) -> &[f64] {
        self.measures.iter().find(|m| m.label == label).map_or(&[], |m| &m.values)
    }
}

impl Outcome {
    /// Compares two rows by number.
    pub(crate) fn compare(&mut self, label: &'static str, ours: usize, theirs: usize, bar: Option<f64>) {
        let (Some(a), Some(b)) = (self.rows.get(ours), self.rows.get(theirs)) else { return };
        let value = ratio(a.values(label), b.values(label));
        let what = format!("{label}, {} / {}", a.name, b.name);
        self.findings.push(Finding { what, unit: "", value, bar });
    }

    /// No request may fail in any row.
    pub(crate) fn demand_no_failures(&mut self) {
        let failed = self.rows.iter().flat_map(|row| row.values("failed")).sum();
        let value = Spread { min: failed, median: failed, max: failed };
        self.findings.push(Finding { what: "failed requests".to_owned(), unit: "", value, bar: Some(0.0) });
    }
}
