//! One case as text in columns.

use std::fmt::Write;

use crate::bench::outcome::{Finding, Outcome, Row};
use crate::bench::sample::Spread;

/// The case with its findings.
pub(crate) fn of(outcome: &Outcome) -> String {
    let mut columns: Vec<(&str, &str)> = Vec::new();
    for measure in outcome.rows.iter().flat_map(|row| &row.measures) {
        if !columns.contains(&(measure.label, measure.unit)) {
            columns.push((measure.label, measure.unit));
        }
    }
    let mut lines =
        vec![std::iter::once(String::new()).chain(columns.iter().map(|(l, u)| format!("{l}, {u}"))).collect()];
    lines.extend(outcome.rows.iter().map(|row| cells(row, &columns)));
    let mut text = format!("\n{}: {}\n", outcome.name, outcome.title);
    aligned(&mut text, &lines);
    for finding in &outcome.findings {
        let _ = writeln!(text, "  {}", sentence(finding));
    }
    text
}

fn cells(row: &Row, columns: &[(&str, &str)]) -> Vec<String> {
    let cell = |label: &str| {
        let measure = row.measures.iter().find(|m| m.label == label);
        measure.map_or_else(String::new, |m| spread(m.spread()))
    };
    std::iter::once(row.name.clone()).chain(columns.iter().map(|(label, _)| cell(label))).collect()
}

fn aligned(text: &mut String, lines: &[Vec<String>]) {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |at: usize| lines.iter().filter_map(|l| l.get(at)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for line in lines {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "  {}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn sentence(finding: &Finding) -> String {
    let Finding { what, unit, value, .. } = finding;
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let verdict = match (finding.passes(), finding.bar) {
        (Some(passes), Some(bar)) => format!("  bar {}: {}", number(bar), if passes { "PASS" } else { "FAIL" }),
        _ => String::new(),
    };
    format!("{what}: {}{unit}{verdict}", spread(*value))
}

fn spread(spread: Spread) -> String {
    let [min, median, max] = [spread.min, spread.median, spread.max].map(number);
    if min == max { median } else { format!("{median} ({min} - {max})") }
}

/// Three digits that matter; more only before the point.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::outcome::Measure;

    #[test]
    fn a_case_is_a_table_and_its_findings() {
        let row = |name: &str, values: &[f64]| Row {
            name: name.to_owned(),
            measures: vec![Measure { label: "CPU", unit: "µs", values: values.to_vec() }],
        };
        let rows = vec![row("ours", &[1.0, 2.0, 3.0]), row("theirs", &[40.0, 40.0, 40.0])];
        let mut outcome =
            Outcome { name: "case", title: "a title".to_owned(), pictured: "CPU", rows, findings: Vec::new() };
        outcome.compare("CPU", 0, 1, Some(0.5));
        outcome.compare("CPU", 1, 0, Some(0.5));
        let expected = "
case: a title
          CPU, µs
  ours    2.00 (1.00 - 3.00)
  theirs  40.0
  CPU, ours / theirs: 0.050 (0.025 - 0.075)  bar 0.50: PASS
  CPU, theirs / ours: 20.0 (13.3 - 40.0)  bar 0.50: FAIL
";
        assert_eq!(of(&outcome), expected);
    }
}
