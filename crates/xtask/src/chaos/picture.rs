//! The picture of a run: requests and failures, and latencies, over time, with what was done behind them.

use std::fmt::Write;
use std::time::Duration;

use super::Done;
use super::record::{Record, Second};
use super::script::Deed;
use super::traffic::{ALL, Traffic};

const WIDTH: f64 = 1100.0;
const LEFT: f64 = 70.0;
const PANEL: f64 = 220.0;
const TOP: f64 = 50.0;
const GAP: f64 = 50.0;
const ROW: f64 = 30.0;
const TEXT: &str = "#7d8590";
const LINES: [(&str, &str); 3] = [("p50", "#5d9a4c"), ("p99", "#2f81c7"), ("p999", "#c77d2f")];
const BAD: &str = "#c7402f";

/// As SVG.
pub(super) fn of(record: &Record, done: &[Done], length: Duration) -> String {
    let (seconds, span) = (record.seconds(length), length.as_secs_f64().max(1.0));
    let bottom = TOP + 2.0 * PANEL + GAP;
    let height = bottom + 60.0 + ROW * ALL.len() as f64;
    let x = |at: f64| LEFT + at / span * (WIDTH - LEFT - 20.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"{TEXT}\">\n"
    );
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"20\" font-size=\"15\">Chaos: {} requests, {} failed</text>",
        record.count(),
        record.failed()
    );
    for done in done {
        let (from, to) = (x(done.from.as_secs_f64()), x(done.to.as_secs_f64()));
        match done.deed {
            Deed::Reload | Deed::Rotate => {}
            Deed::Upgrade => {
                let _ = writeln!(
                    svg,
                    "<line x1=\"{from:.1}\" x2=\"{from:.1}\" y1=\"{TOP}\" y2=\"{:.1}\" stroke=\"#9a6bb5\" stroke-dasharray=\"4 3\"/>",
                    bottom
                );
            }
            _ => {
                let _ = writeln!(
                    svg,
                    "<rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#888\" fill-opacity=\"0.15\"><title>{}</title></rect>",
                    (to - from).max(1.0),
                    bottom - TOP,
                    done.deed.title()
                );
                let short = done.deed.title();
                let short = short.rsplit(' ').next().unwrap_or_default();
                let _ = writeln!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"9\">{short}</text>",
                    f64::midpoint(from, to),
                    TOP + PANEL + 14.0
                );
            }
        }
    }
    let most = seconds.iter().map(|second| second.requests).max().unwrap_or(1).max(1) as f64;
    let low = TOP + PANEL;
    axis(&mut svg, "requests/s, failed in red", low, &[(0.0, "0".to_owned()), (1.0, format!("{most:.0}"))]);
    for (n, second) in seconds.iter().enumerate() {
        let (from, to) = (x(n as f64), x(n as f64 + 1.0));
        for (count, colour) in [(second.requests, "#2f81c7"), (second.failed, BAD)] {
            let tall = if count == 0 { 0.0 } else { (count as f64 / most * PANEL).max(2.0) };
            let _ = writeln!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" fill=\"{colour}\" fill-opacity=\"0.6\"/>",
                low - tall,
                (to - from - 0.5).max(0.5)
            );
        }
    }
    // from 0.1 ms to 10 s, by tens
    let low = TOP + 2.0 * PANEL + GAP;
    let share = |time: Duration| ((time.as_secs_f64() * 1e3).max(0.1).log10() + 1.0) / 5.0;
    let ticks: Vec<(f64, String)> =
        (0..=5).map(|n| (f64::from(n) / 5.0, format!("{} ms", 10_f64.powi(n - 1)))).collect();
    axis(&mut svg, "latency", low, &ticks);
    for (n, (name, colour)) in LINES.into_iter().enumerate() {
        let points: Vec<String> = seconds
            .iter()
            .enumerate()
            .filter_map(|(at, second)| {
                let time = second.latency.get(n)?;
                Some(format!("{:.1},{:.1}", x(at as f64 + 0.5), low - share(*time).clamp(0.0, 1.0) * PANEL))
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            points.join(" ")
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            LEFT + 60.0 + 45.0 * n as f64,
            low - PANEL - 6.0
        );
    }
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{:.1}\">0 s</text>", low + 18.0);
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{span:.0} s; grey: a target disturbed; dashed: the process replaced; a reload each second</text>",
        WIDTH - 20.0,
        low + 18.0
    );
    for (n, (traffic, told)) in ALL.iter().zip(&record.told).enumerate() {
        let low = bottom + 40.0 + ROW * (n + 1) as f64;
        strip(&mut svg, traffic, &super::record::seconds(told.iter(), length), low, x);
    }
    svg + "</svg>\n"
}

/// One kind of traffic in a row of its own: the p99 of each second between 1 ms and 10 s, in red where requests failed.
fn strip(svg: &mut String, traffic: &Traffic, seconds: &[Second], low: f64, x: impl Fn(f64) -> f64) {
    for (n, second) in seconds.iter().enumerate() {
        let (from, to) = (x(n as f64), x(n as f64 + 1.0));
        let share = ((second.latency[1].as_secs_f64() * 1e3).max(1.0).log10() / 4.0).clamp(0.05, 1.0);
        let tall = share * (ROW - 6.0);
        let colour = if second.failed > 0 { BAD } else { LINES[1].1 };
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" fill=\"{colour}\" fill-opacity=\"0.6\"/>",
            low - tall,
            (to - from - 0.5).max(0.5)
        );
    }
    let (failed, title) = (seconds.iter().map(|second| second.failed).sum::<u64>(), traffic.title.trim());
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\" font-size=\"10\">{title}: p99 of each second, {failed} failed</text>",
        low - ROW + 8.0
    );
}

fn axis(svg: &mut String, title: &str, low: f64, ticks: &[(f64, String)]) {
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{:.1}\">{title}</text>", low - PANEL - 6.0);
    for (share, label) in ticks {
        let y = low - share * PANEL;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{TEXT}\" stroke-opacity=\"0.3\"/>",
            WIDTH - 20.0
        );
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0, y + 4.0);
    }
}
