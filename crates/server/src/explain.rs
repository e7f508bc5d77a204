//! `headworks explain`: why a request goes where it goes, asked of the running instance, or told from the file alone.

mod handling;

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use headworks_edge::status::View;
use headworks_edge::{Asked, CannotExplain, Considered, Decided, Decision};
use hyper::{Method, StatusCode};
use serde_json::Value;

use crate::check::{REFUSED, accepted, complain, say};
use crate::cli::Explain;
use crate::client::{self, Instance, NoAnswer, Question, Sent};
use crate::keys;

/// How long the running instance may think.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn main(args: &Explain) -> ExitCode {
    match (&args.request, args.sign) {
        (Some(request), _) => explain(args, request),
        (None, minutes) => sign(args, minutes.unwrap_or(1)),
    }
}

/// Prints the field that has an instance tell of a decision in its answer. Who may read the instance's keys may ask.
fn sign(args: &Explain, minutes: u16) -> ExitCode {
    let loaded = match accepted(&args.file.config) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    match keys::token(&loaded.config.admin.data, Duration::from_secs(60 * u64::from(minutes))) {
        Ok(token) => {
            say(format_args!("X-Headworks-Explain: {token}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let data = loaded.config.admin.data.display();
            complain(format_args!(
                "{data}: no keys to sign with ({error}); an instance that has run with this file leaves them there, for its user"
            ));
            ExitCode::FAILURE
        }
    }
}

fn explain(args: &Explain, request: &str) -> ExitCode {
    let asked = match asked(args, request) {
        Ok(asked) => asked,
        Err(error) => {
            complain(error);
            return ExitCode::from(REFUSED);
        }
    };
    let loaded = match accepted(&args.file.config) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    match of_instance(&Instance::of_file(&loaded.config), &asked) {
        Ok(Ok(decision)) => show(args, &decision),
        Ok(Err(what)) => {
            complain(what);
            ExitCode::from(REFUSED)
        }
        Err(NoAnswer::NotRunning) => {
            let decided = headworks_edge::explain(&loaded.config, &View::default(), &asked);
            match decided.map(|decision| serde_json::to_value(decision).unwrap_or_default()) {
                Ok(decision) => show(args, &decision),
                Err(error) => {
                    complain(error);
                    ExitCode::from(REFUSED)
                }
            }
        }
        Err(error) => {
            complain(format_args!("{}: {error}", loaded.config.admin.address));
            ExitCode::FAILURE
        }
    }
}

/// The decision of the instance that runs there, or why there is none.
fn of_instance(instance: &Instance, asked: &Asked) -> Result<Result<Value, String>, NoAnswer> {
    let strange = |error: &dyn std::fmt::Display| NoAnswer::Strange(error.to_string());
    let body = serde_json::to_value(asked).map_err(|e| strange(&e))?;
    let question = Question { method: Method::POST, path: "/v1/explain", fields: &[], body: Some(Sent::json(&body)) };
    let answer = client::wait_for(client::ask(instance, &question, PATIENCE))?;
    let value: Value = serde_json::from_slice(&answer.body).map_err(|e| strange(&e))?;
    match answer.status {
        StatusCode::OK => Ok(Ok(value)),
        StatusCode::BAD_REQUEST => {
            let what = value.get("detail").and_then(Value::as_str).unwrap_or("the request was refused");
            Ok(Err(what.to_owned()))
        }
        status => Err(NoAnswer::Strange(format!("it answers {status}"))),
    }
}

/// What the arguments ask for.
fn asked(args: &Explain, request: &str) -> Result<Asked, CannotExplain> {
    let (method, url) = request.trim().split_once(' ').unwrap_or(("GET", request.trim()));
    let header = |text: &String| {
        let pair = text.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        pair.ok_or_else(|| CannotExplain::Request(format!("header {text}: Name: value is expected")))
    };
    Ok(Asked {
        method: method.to_owned(),
        url: url.trim().to_owned(),
        headers: args.header.iter().map(header).collect::<Result<_, _>>()?,
        from: args.from,
        listener: args.listener.clone(),
    })
}

fn show(args: &Explain, decision: &Value) -> ExitCode {
    if args.json {
        say(format_args!("{decision:#}"));
        return ExitCode::SUCCESS;
    }
    match serde_json::from_value::<Decision>(decision.clone()) {
        Ok(decision) => {
            lines(&decision).iter().for_each(say);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(format_args!("the running instance is of another version ({error}); --json shows what it says"));
            ExitCode::FAILURE
        }
    }
}

/// The decision for a person, a line for each thing that was decided.
fn lines(decision: &Decision) -> Vec<String> {
    let mut out = Vec::new();
    let mut put = |what: &str, text: String| out.push(format!("{what:<9} {text}").trim_end().to_owned());
    let from = decision.from.map_or_else(String::new, |from: IpAddr| format!(" from {from}"));
    put("request", format!("{}{from}", decision.request));
    let listener = &decision.listener;
    let address = listener.address.as_deref().map_or_else(String::new, |address| format!(", {address}"));
    put("listener", format!("{}/{} ({}{address})", listener.load_balancer, listener.name, listener.protocol));
    if let Some((tier, reason)) = decision.desync.as_ref().filter(|(tier, _)| tier != "Compliant") {
        put("desync", format!("{tier}: {reason}"));
    }
    if let Some(refused) = &decision.refused {
        put("refused", refused.clone());
        return out;
    }
    let width = decision.rules.iter().map(|rule| rule.rule.chars().count()).max().unwrap_or(0).max("default".len());
    for (n, rule) in decision.rules.iter().enumerate() {
        let verdict = rule.failed.as_ref().map_or_else(|| "meets it".to_owned(), |failed| format!("no: {failed}"));
        put(if n == 0 { "rules" } else { "" }, format!("{:<width$}  {verdict}", rule.rule));
    }
    if decision.rule == "default" {
        put(if decision.rules.is_empty() { "rules" } else { "" }, format!("{:<width$}  meets it", "default"));
    }
    put("action", decision.action.clone());
    handling::of_rule(decision).into_iter().for_each(|(what, text)| put(what, text));
    if decision.groups.len() > 1 {
        let shares: Vec<String> = decision.groups.iter().map(|g| format!("{} {}", g.group, percent(g.share))).collect();
        put("weights", shares.join(", "));
    }
    if let Some(Decided { name, why }) = &decision.group {
        put("group", format!("{name}: {why}"));
    }
    for (n, line) in targets(&decision.targets).into_iter().enumerate() {
        put(if n == 0 { "targets" } else { "" }, line);
    }
    for handling in &decision.handling {
        handling::of_group(handling).into_iter().for_each(|(what, text)| put(what, text));
    }
    match (&decision.target, &decision.answer) {
        (_, Some(answer)) => put("answer", answer.clone()),
        (Some(Decided { name, why }), _) => put("target", format!("{name}: {why}")),
        (None, None) if decision.targets.iter().any(|target| target.chance > 0.0) => {
            put("target", "any of those with a chance; whose turn it is, each worker knows for itself".to_owned());
        }
        (None, None) => {}
    }
    if !decision.live {
        put("note", "no instance runs: nothing is known of targets but what the file says".to_owned());
    }
    out
}

fn targets(targets: &[Considered]) -> Vec<String> {
    let cells = |target: &Considered| {
        let weight = match target.effective_weight {
            Some(now) if (now - f64::from(target.weight)).abs() > 0.005 => {
                format!("weight {} now {now:.2}", target.weight)
            }
            _ => format!("weight {}", target.weight),
        };
        let load = target.in_flight.map_or_else(String::new, |n| format!("{n} in flight"));
        let state = target
            .reason
            .as_ref()
            .map_or_else(|| target.state.clone(), |reason| format!("{} ({reason})", target.state));
        let chance = target.out.clone().unwrap_or_else(|| percent(target.chance));
        [target.group.clone(), target.address.clone(), state, weight, load, chance]
    };
    let rows: Vec<[String; 6]> = targets.iter().map(cells).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
        cells.map(|(cell, width)| format!("{cell:<width$}")).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
