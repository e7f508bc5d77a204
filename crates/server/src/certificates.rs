//! `headworks certificates`: which certificates the running instance has, until when, and what became of orders.

use std::process::ExitCode;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Map, Value};

use crate::admin::unix_now;
use crate::check::{complain, say};
use crate::cli::Certificates;
use crate::client::ask_instance_of;

pub(crate) fn main(args: &Certificates) -> ExitCode {
    match ask_instance_of(&args.file.config, Method::GET, "/v1/status", Duration::from_secs(10)) {
        Ok((admin, StatusCode::OK, mut status)) => {
            let certificates = status.get_mut("certificates").map(Value::take);
            let Some(Value::Object(certificates)) = certificates else {
                complain(format_args!("{admin}: the running instance is of another version"));
                return ExitCode::FAILURE;
            };
            if args.json {
                say(format_args!("{:#}", Value::Object(certificates)));
            } else {
                table(&certificates, unix_now()).iter().for_each(say);
            }
            ExitCode::SUCCESS
        }
        Ok((admin, status, _)) => {
            complain(format_args!("{admin}: the running instance answers {status}"));
            ExitCode::FAILURE
        }
        Err(exit) => exit,
    }
}

const TITLES: [&str; 7] = ["CERTIFICATE", "NAMES", "ISSUER", "SERIAL", "EXPIRES", "NEXT ORDER", "LAST ERROR"];

/// The lines of a table as wide as what is in it.
fn table(certificates: &Map<String, Value>, now: u64) -> Vec<String> {
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(certificates.iter().map(|(name, certificate)| row(name, certificate, now)));
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..TITLES.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn row(name: &str, certificate: &Value, now: u64) -> [String; 7] {
    let text = |pointer: &str| certificate.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
    let names = certificate.get("names").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    let is_stand_in = certificate.get("state").and_then(Value::as_str) == Some("stand_in");
    let next = certificate.pointer("/order/next").and_then(Value::as_u64);
    let next = match certificate.pointer("/order/state").and_then(Value::as_str) {
        Some("under_way") => "under way".to_owned(),
        _ => next.map_or_else(|| "-".to_owned(), |next| from_now(next.saturating_sub(now))),
    };
    let (issuer, serial, expires) = if is_stand_in {
        ("none, a stand-in".to_owned(), "-".to_owned(), "-".to_owned())
    } else {
        (text("/issuer"), text("/serial"), text("/not_after"))
    };
    [name.to_owned(), names.join(","), issuer, serial, expires, next, text("/order/last_error/what")]
}

/// `now`, or the two largest units.
fn from_now(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, 0) => "now".to_owned(),
        (0, 0, 0, seconds) => format!("in {seconds}s"),
        (0, 0, minutes, seconds) => format!("in {minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("in {hours}h {minutes}m"),
        (days, hours, ..) => format!("in {days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_of_all() {
        let certificates = json!({
            "shop-cert": {
                "source": "files", "state": "issued", "names": ["shop.example.com", "*.shop.example.com"],
                "issuer": "CN=Test Authority", "serial": "0A01", "not_before": "2026-01-01T00:00:00Z",
                "not_after": "2027-01-01T00:00:00Z",
            },
            "acme:a.example.com": {
                "source": "acme", "state": "issued", "names": ["a.example.com"], "issuer": "CN=Pebble", "serial": "0B",
                "not_after": "2026-04-01T00:00:00Z",
                "order": { "state": "scheduled", "next": 1000 + 86_400 * 59 + 3600, "failures": 0, "last_error": null },
            },
            "acme:b.example.com": {
                "source": "acme", "state": "stand_in", "names": ["b.example.com"], "issuer": "CN=x", "serial": "0C",
                "not_after": "4096-01-01T00:00:00Z",
                "order": { "state": "failed", "next": 1090, "failures": 1, "last_error": { "at": 1, "what": "no route" } },
            },
        });
        let Value::Object(certificates) = certificates else { panic!("no mapping") };
        let expected = [
            "CERTIFICATE         NAMES                                ISSUER             SERIAL  EXPIRES               NEXT ORDER  LAST ERROR",
            "shop-cert           shop.example.com,*.shop.example.com  CN=Test Authority  0A01    2027-01-01T00:00:00Z  -           -",
            "acme:a.example.com  a.example.com                        CN=Pebble          0B      2026-04-01T00:00:00Z  in 59d 1h   -",
            "acme:b.example.com  b.example.com                        none, a stand-in   -       -                     in 1m 30s   no route",
        ];
        assert_eq!(table(&certificates, 1000), expected);
    }
}
