//! What a bench says: a table as it goes, JSON and a picture at its end.

mod picture;
mod table;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::fleet::Fleet;
use super::machine;
use super::options::Options;
use super::outcome::{Finding, Measure, Outcome, WAITED};
use super::trouble::{Trouble, io};

/// Percent of a run that proxies may wait for their core on a quiet machine; the threads of ours wait for each other for five.
const QUIET: f64 = 10.0;

/// A bench as it is told.
pub(crate) struct Report {
    date: String,
    machine: Value,
    load_before: String,
    versions: Vec<(&'static str, String)>,
    settings: Map<String, Value>,
    outcomes: Vec<Outcome>,
}

impl Report {
    /// Says when, where and with what.
    pub(crate) fn begin(options: &Options, versions: Vec<(&'static str, String)>) -> Result<Report, Trouble> {
        let (date, machine, load_before) = (machine::now()?, machine::describe(), machine::load_average());
        let text = |key: &str| machine.get(key).map(|v| v.to_string().replace('"', "")).unwrap_or_default();
        println!(
            "{date}  {}, {} cores, Linux {}, TCP {}",
            text("cpu"),
            text("cores"),
            text("kernel"),
            text("congestion_control")
        );
        versions.iter().for_each(|(_, version)| println!("  {version}"));
        println!(
            "  proxy on core 0, origin and wrk on core 1; ours with rules, JSON access log and metrics, theirs without"
        );
        println!("  {} runs of {} s in turns; load average {load_before}", options.runs(), options.length().as_secs());
        println!("  median (smallest - largest); ratios: of medians (smallest - largest of one round)");
        Ok(Report { date, machine, load_before, versions, settings: Map::new(), outcomes: Vec::new() })
    }

    /// Keeps the configurations of all processes.
    pub(crate) fn settings(&mut self, fleet: &Fleet) {
        let mut keep = |name: &str, text: &str| self.settings.insert(name.to_owned(), text.lines().collect());
        fleet.headworks.iter().chain(&fleet.scaled).for_each(|h| {
            keep(&h.proxy.name, &h.proxy.settings);
        });
        keep(&fleet.haproxy.name, &fleet.haproxy.settings);
        keep(&fleet.nginx.name, &fleet.nginx.settings);
        keep(&fleet.caddy.name, &fleet.caddy.settings);
        keep("origin", &fleet.origin.settings);
    }

    /// Tells one case.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        print!("{}", table::of(&outcome));
        self.outcomes.push(outcome);
    }

    /// Writes the files and says where they are.
    pub(crate) fn finish(&self, options: &Options, took: Duration, folder: &Path) -> Result<(), Trouble> {
        let load_after = machine::load_average();
        println!("\n{} s; load average before {}, after {load_after}", took.as_secs(), self.load_before);
        if !self.is_quiet() {
            println!(
                "NOT QUIET: other programs kept the proxies waiting for their core, which does not harm all alike; try --urgent"
            );
        }
        fs::create_dir_all(folder).map_err(io(folder.display()))?;
        let day = self.date.split('T').next().unwrap_or_default();
        let name = if options.is_official() { day } else { "latest" };
        let caption = self.caption();
        let text = serde_json::to_string_pretty(&self.json(options, took, &load_after)).unwrap_or_default() + "\n";
        for (ending, content) in [("json", text), ("svg", picture::of(&self.outcomes, &caption))] {
            let path = folder.join(format!("{name}.{ending}"));
            fs::write(&path, content).map_err(io(path.display()))?;
            println!("{}", path.canonicalize().unwrap_or(path).display());
        }
        Ok(())
    }

    /// Whether the proxies had their core to themselves. A reload makes its own process wait, so each case is judged by
    /// the contender that waited least.
    fn is_quiet(&self) -> bool {
        let least = |outcome: &Outcome| {
            let measures = outcome.rows.iter().flat_map(|row| &row.measures).filter(|m| m.label == WAITED);
            measures.map(|measure| measure.spread().median).fold(f64::INFINITY, f64::min)
        };
        self.outcomes.iter().map(least).all(|waited| !waited.is_finite() || waited < QUIET)
    }

    fn caption(&self) -> String {
        let day = self.date.split('T').next().unwrap_or_default();
        let text = |key: &str| self.machine.get(key).map(|v| v.to_string().replace('"', "")).unwrap_or_default();
        format!("{day} · {} · {} cores · Linux {}", text("cpu"), text("cores"), text("kernel"))
    }

    fn json(&self, options: &Options, took: Duration, load_after: &str) -> Value {
        json!({
            "date": self.date,
            "seconds": took.as_secs(),
            "quiet": self.is_quiet(),
            "machine": self.machine,
            "load_average": { "before": self.load_before, "after": load_after },
            "method": {
                "runs": options.runs(),
                "seconds_each": options.length().as_secs(),
                "quick": options.quick,
                "urgent": options.urgent,
                "cores": "proxy on core 0; origin and wrk on core 1",
                "cpu": "sum over /proc/PID/task/*/schedstat, first field, divided by the answers that wrk counted",
            },
            "versions": self.versions.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect::<Map<_, _>>(),
            "cases": self.outcomes.iter().map(case).collect::<Vec<_>>(),
            "settings": self.settings,
        })
    }
}

fn case(outcome: &Outcome) -> Value {
    let rows = outcome.rows.iter().map(|row| {
        let measures: Map<String, Value> = row.measures.iter().map(|m| (m.label.to_owned(), measure(m))).collect();
        json!({ "name": row.name, "measures": measures })
    });
    json!({
        "name": outcome.name,
        "title": outcome.title,
        "rows": rows.collect::<Vec<_>>(),
        "findings": outcome.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn measure(measure: &Measure) -> Value {
    let spread = measure.spread();
    json!({ "unit": measure.unit, "min": spread.min, "median": spread.median, "max": spread.max, "values": measure.values })
}

fn finding(finding: &Finding) -> Value {
    let value = finding.value;
    json!({
        "what": finding.what,
        "unit": finding.unit,
        "value": value.median,
        "min": value.min,
        "max": value.max,
        "bar": finding.bar,
        "passes": finding.passes(),
    })
}
