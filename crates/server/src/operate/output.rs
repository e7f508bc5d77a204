//! How an answer is shown: as a table for people, as JSON or YAML for programs and files.

use clap::ValueEnum;
use serde_json::Value;

use crate::check::say;

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// In the shape of the configuration file
    Yaml,
}

/// Shows a value, or the table of it.
pub(super) fn show(format: Format, value: &Value, table: impl FnOnce() -> Vec<Vec<String>>) {
    match format {
        Format::Json => say(format_args!("{value:#}")),
        Format::Yaml => say(yaml(value).trim_end()),
        Format::Table => lines(&table()).iter().for_each(say),
    }
}

/// Columns as wide as what is in them.
pub(super) fn lines(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A row of a table.
pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Block style; what could be read as something else is quoted.
pub(super) fn yaml(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    out
}

fn write(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                out.push_str(&format!("{indent}{}:", scalar(&key.as_str().into())));
                nested(value, depth, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                match item {
                    Value::Object(entries) if !entries.is_empty() => {
                        let mut inner = String::new();
                        write(item, depth + 1, &mut inner);
                        let first = inner.get(indent.len() + 2..).unwrap_or_default();
                        out.push_str(&format!("{indent}- {first}"));
                    }
                    _ => {
                        out.push_str(&format!("{indent}-"));
                        nested(item, depth, out);
                    }
                }
            }
        }
        other => out.push_str(&format!("{indent}{}\n", scalar(other))),
    }
}

fn nested(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            out.push('\n');
            write(value, depth + 1, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            write(value, depth + 1, out);
        }
        other => out.push_str(&format!(" {}\n", scalar(other))),
    }
}

fn scalar(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let first = text.chars().next();
    let plain = first.is_some_and(|c| c.is_ascii_alphabetic() || c == '/' || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    // JSON's text in quotes is YAML's too
    if plain { text.clone() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use headworks_model::json_of_yaml;
    use headworks_model::resolve::Nothing;
    use serde_json::json;

    use super::yaml;

    #[test]
    fn what_is_written_as_yaml_is_read_as_the_same() {
        for value in [
            json!({ "a": 1, "b": [1, { "c": "x", "d": [] }, [2, 3]], "e": {}, "f": null, "g": true }),
            json!({ "text": ["yes", "1", "1.5", "", " x", "a: b", "# no", "ä\n", "null", "127.0.0.1:80", "0x1f", "-"] }),
            json!({ "1": { "y": "~" }, "a.b": [{ "a": [{ "b": 1 }], "c": 2 }] }),
            json!([]),
            json!("text"),
        ] {
            let text = yaml(&value);
            let read = json_of_yaml("test", &text, &Nothing);
            assert_eq!(read.as_ref().ok(), Some(&value), "{text}\n{read:?}");
        }
    }
}
