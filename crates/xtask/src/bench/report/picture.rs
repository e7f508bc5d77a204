//! The picture: a panel for each case, a bar for each contender, whiskers from the smallest to the largest run.
//!
//! Colours are of middling lightness and the ground is left out, so that it reads on white and on black.

use std::fmt::Write;

use super::table::number;
use crate::bench::outcome::{Measure, Outcome};

const PER_ROW: usize = 3;
const PANEL: (f64, f64) = (330.0, 250.0);
const MARGIN: f64 = 16.0;
const HEADER: f64 = 56.0;
/// Of a panel: room for the numbers on the axis, the title above, the names below.
const LEFT: f64 = 52.0;
const ABOVE: f64 = 52.0;
const BELOW: f64 = 40.0;

const TEXT: &str = "#7d8590";
const OURS: &str = "#2f81c7";
const THEIRS: [&str; 3] = ["#c77d2f", "#5d9a4c", "#9a6bb5"];

/// The whole picture as SVG.
pub(crate) fn of(outcomes: &[Outcome], caption: &str) -> String {
    let columns = outcomes.len().clamp(1, PER_ROW);
    let rows = outcomes.len().div_ceil(PER_ROW).max(1);
    let width = (columns as f64 * PANEL.0 + 2.0 * MARGIN).max(640.0);
    let height = HEADER + rows as f64 * PANEL.1 + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"system-ui, sans-serif\" fill=\"{TEXT}\">\n"
    );
    text(&mut svg, (MARGIN, 24.0), 16.0, "start", "Headworks beside HAProxy and nginx: shorter is better");
    text(&mut svg, (MARGIN, 42.0), 11.0, "start", caption);
    for (n, outcome) in outcomes.iter().enumerate() {
        let corner = (MARGIN + (n % PER_ROW) as f64 * PANEL.0, HEADER + (n / PER_ROW) as f64 * PANEL.1);
        panel(&mut svg, corner, outcome);
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, (x, y): (f64, f64), outcome: &Outcome) {
    let bars: Vec<(&str, &Measure)> = outcome
        .rows
        .iter()
        .filter_map(|row| Some((row.name.as_str(), row.measures.iter().find(|m| m.label == outcome.pictured)?)))
        .collect();
    let largest = bars.iter().map(|(_, measure)| measure.spread().max).fold(0.0, f64::max);
    let step = step(largest);
    let top = (largest / step).ceil().max(1.0) * step;
    let (left, right) = (x + LEFT, x + PANEL.0 - 12.0);
    let (high, low) = (y + ABOVE, y + PANEL.1 - BELOW);
    let at = |value: f64| low - value / top * (low - high);

    let (first, rest) = outcome.title.split_once("; ").unwrap_or((&outcome.title, ""));
    text(svg, (x + 8.0, y + 14.0), 12.0, "start", first);
    let unit = bars.first().map_or("", |(_, measure)| measure.unit);
    let axis = format!("{}, {unit}", outcome.pictured);
    let below = if rest.is_empty() { axis } else { format!("{axis} · {rest}") };
    text(svg, (x + 8.0, y + 30.0), 10.0, "start", &below);

    for tick in 0..=(top / step).round() as u32 {
        let value = f64::from(tick) * step;
        line(svg, (left, at(value)), (right, at(value)), (TEXT, if tick == 0 { 1.0 } else { 0.3 }));
        text(svg, (left - 6.0, at(value) + 3.5), 10.0, "end", &number(value));
    }
    let slot = (right - left) / bars.len().max(1) as f64;
    for (n, (name, measure)) in bars.iter().enumerate() {
        bar(svg, name, measure, colour(name, n), (left + slot * (n as f64 + 0.5), slot), (&at, low));
    }
}

fn bar(
    svg: &mut String,
    name: &str,
    measure: &Measure,
    colour: &str,
    (middle, slot): (f64, f64),
    (at, low): (&impl Fn(f64) -> f64, f64),
) {
    let spread = measure.spread();
    let (width, top) = ((slot * 0.5).min(56.0), at(spread.median));
    let _ = writeln!(
        svg,
        "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\" fill-opacity=\"0.55\"/>",
        middle - width / 2.0,
        (low - top).max(0.0)
    );
    line(svg, (middle, at(spread.min)), (middle, at(spread.max)), (colour, 2.0));
    for end in [spread.min, spread.max] {
        line(svg, (middle - 7.0, at(end)), (middle + 7.0, at(end)), (colour, 2.0));
    }
    text(svg, (middle, at(spread.max) - 5.0), 11.0, "middle", &number(spread.median));
    // a name and its setting, `haproxy (splice-auto)` or `headworks, 10,000 rules`, take two lines
    let (name, setting) = name.split_once(" (").or_else(|| name.split_once(", ")).unwrap_or((name, ""));
    text(svg, (middle, low + 14.0), 11.0, "middle", name);
    text(svg, (middle, low + 27.0), 9.0, "middle", setting.trim_end_matches(')'));
}

fn colour(name: &str, n: usize) -> &'static str {
    match name {
        "headworks" | "no reload" => OURS,
        "haproxy" => THEIRS[0],
        "nginx" => THEIRS[1],
        _ if name.starts_with("haproxy") => THEIRS[0],
        _ if name.starts_with("nginx") => THEIRS[1],
        _ => {
            if n == 0 {
                OURS
            } else {
                THEIRS[2]
            }
        }
    }
}

/// The distance of lines on an axis: 1, 2 or 5 times a power of ten, three to six of them.
fn step(largest: f64) -> f64 {
    if largest <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf((largest / 5.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| largest / step <= 5.0).unwrap_or(power * 10.0)
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), (colour, width): (&str, f64)) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), size: f64, anchor: &str, words: &str) {
    if words.is_empty() {
        return;
    }
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ =
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\">{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::outcome::Row;

    #[test]
    fn an_axis_has_a_few_round_lines() {
        for (largest, expected) in [(25.0, 5.0), (26.0, 10.0), (0.9, 0.2), (4.0, 1.0), (1000.0, 200.0), (0.0, 1.0)] {
            assert!((step(largest) - expected).abs() < 1e-9, "{largest}: {}", step(largest));
        }
    }

    #[test]
    fn names_cannot_break_the_picture() {
        let measure = Measure { label: "CPU", unit: "µs", values: vec![1.0] };
        let rows = vec![Row { name: "a<b&c".to_owned(), measures: vec![measure] }];
        let outcome = Outcome { name: "n", title: "t".to_owned(), pictured: "CPU", rows, findings: Vec::new() };
        let svg = of(&[outcome], "");
        assert!(svg.contains("a&lt;b&amp;c") && svg.ends_with("</svg>\n"));
    }
}
