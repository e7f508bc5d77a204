//! `headworks context`: several installations by name, and which of them is meant when none is named. A mapping of YAML that
//! people may write too: what it says by `${file:...}` stays so, and what else is in it stays where it is.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use headworks_model::{Resolve, json_of_yaml, place};
use serde_json::{Map, Value, json};

use super::Failed;
use super::command::{AddContext, Contexts};
use super::output::{row, show, yaml};
use crate::check::say;
use crate::client::{Credentials, Instance};
use crate::file::Surroundings;
use crate::private;

const FILE: &str = "contexts.yaml";
/// Has the name of the context that is meant when none is named.
const CURRENT: &str = "current-context";

/// `${env:NAME}` and `${file:PATH}` as they are written: a file that is written again must not have secrets in their place.
struct AsWritten;

impl Resolve for AsWritten {
    fn env(&self, name: &str) -> Option<String> {
        Some(format!("${{env:{name}}}"))
    }

    fn file(&self, path: &str) -> io::Result<String> {
        Ok(format!("${{file:{path}}}"))
    }
}

/// The folder of contexts, which need not be there.
struct Place(PathBuf);

impl Place {
    fn find() -> Result<Self, Failed> {
        let home = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
        let home = home.ok_or_else(|| Failed::with("neither HOME nor XDG_CONFIG_HOME is set"))?;
        Ok(Self(home.join("headworks")))
    }

    fn label(&self) -> String {
        self.0.join(FILE).display().to_string()
    }

    fn text(&self) -> Result<String, Failed> {
        match std::fs::read_to_string(self.0.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|error| Failed::with(format!("{}: {error}", self.label()))),
        }
    }

    fn read(&self, text: &str) -> Result<Map<String, Value>, Failed> {
        let read = json_of_yaml(&self.label(), text, &AsWritten).map_err(|faults| Failed::wrong(faults.to_string()))?;
        match read {
            Value::Object(contexts) => Ok(contexts),
            Value::Null => Ok(Map::new()),
            _ => {
                Err(Failed::wrong(format!("{}: is no mapping, expected {{ name: {{ endpoint: ... }} }}", self.label())))
            }
        }
    }

    fn current(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.0.join(CURRENT)).ok()?;
        Some(text.trim().to_owned()).filter(|name| !name.is_empty())
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failed> {
        let written = private::folder(&self.0).and_then(|()| private::write(&self.0, name, text.as_bytes()));
        written.map_err(|error| Failed::with(format!("{}: {error}", self.0.join(name).display())))
    }

    /// Writes the text if it says what it should, else all of it anew.
    fn rewrite(&self, text: String, contexts: Map<String, Value>) -> Result<(), Failed> {
        let contexts = Value::Object(contexts);
        let says = json_of_yaml("", &text, &AsWritten).ok().map(|read| if read.is_null() { json!({}) } else { read });
        let text = if says.as_ref() == Some(&contexts) { text } else { yaml(&contexts) };
        self.write(FILE, &text)
    }
}

/// The instance of a context. What others refer to need not be there.
pub(super) fn instance(name: &str) -> Result<Instance, Failed> {
    let place = Place::find()?;
    let label = place.label();
    let contexts = place.read(&place.text()?)?;
    let context = contexts.get(name).ok_or_else(|| unknown(&label, &contexts, name))?;
    let resolved = json_of_yaml(&format!("{label}: {name}"), &yaml(context), &Surroundings(&place.0));
    let context = resolved.map_err(|faults| Failed::wrong(faults.to_string()))?;
    let get = |key: &str| context.get(key).and_then(Value::as_str).map(str::to_owned);
    let endpoint = get("endpoint").ok_or_else(|| Failed::wrong(format!("{label}: {name}.endpoint: is missing")))?;
    let credentials = get("access_key_id").zip(get("secret_access_key"));
    let credentials = credentials.map(|(key, secret)| Credentials { key, secret, token: get("session_token") });
    Ok(Instance {
        address: address_of(&endpoint).to_owned(),
        credentials: credentials.or_else(Credentials::of_environment),
    })
}

/// The context that is meant when none is named.
pub(super) fn current() -> Option<String> {
    Place::find().ok()?.current()
}

/// `host:port`, whether or not it was written as a URL.
pub(super) fn address_of(endpoint: &str) -> &str {
    endpoint.strip_prefix("http://").unwrap_or(endpoint).trim_end_matches('/')
}

fn unknown(label: &str, contexts: &Map<String, Value>, name: &str) -> Failed {
    let known: Vec<&str> = contexts.keys().map(String::as_str).collect();
    let expected = match known.as_slice() {
        [] => "nor any other: `headworks context add` makes one".to_owned(),
        known => format!("expected one of {}", known.join(", ")),
    };
    Failed::wrong(format!("{label}: there is no context {name:?}, {expected}"))
}

pub(super) fn main(command: &Contexts) -> Result<(), Failed> {
    let place = Place::find()?;
    let text = place.text()?;
    let mut contexts = place.read(&text)?;
    match command {
        Contexts::List { output } => {
            let current = place.current();
            let listed = json!({ "current": current, "contexts": contexts.iter().map(shown).collect::<Map<_, _>>() });
            show(*output, &listed, || table(&contexts, current.as_deref()));
            Ok(())
        }
        Contexts::Use { name: None, .. } => {
            place.write(CURRENT, "")?;
            say("no context is current: the file that -c names is meant");
            Ok(())
        }
        Contexts::Use { name: Some(name), .. } => {
            contexts.get(name).ok_or_else(|| unknown(&place.label(), &contexts, name))?;
            place.write(CURRENT, &format!("{name}\n"))?;
            say(format_args!("{name} is current"));
            Ok(())
        }
        Contexts::Add(add) => {
            if contexts.contains_key(&add.name) && !add.replace {
                let what =
                    format!("{}: there is a context {:?} already; --replace writes over it", place.label(), add.name);
                return Err(Failed::wrong(what));
            }
            let context = context_of(add)?;
            let text = cut(&text, &contexts, &add.name);
            contexts.insert(add.name.clone(), context.clone());
            let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            place.rewrite(format!("{text}{gap}{}", yaml(&json!({ add.name.as_str(): context }))), contexts)?;
            say(format_args!("{} is added", add.name));
            Ok(())
        }
        Contexts::Remove { name } => {
            contexts.shift_remove(name).ok_or_else(|| unknown(&place.label(), &contexts, name))?;
            let text = cut(&text, &place.read(&text)?, name);
            place.rewrite(text, contexts)?;
            if place.current().as_deref() == Some(name) {
                place.write(CURRENT, "")?;
            }
            say(format_args!("{name} is removed"));
            Ok(())
        }
    }
}

/// The text without the lines of a context, where each context has lines of its own.
fn cut(text: &str, contexts: &Map<String, Value>, name: &str) -> String {
    let line_of = |name: &String| place(text, name).and_then(|(line, _)| usize::try_from(line).ok());
    let Some(from) = contexts.keys().find(|found| *found == name).and_then(line_of) else { return text.to_owned() };
    let to = contexts.keys().filter_map(line_of).filter(|line| *line > from).min().unwrap_or(usize::MAX);
    let kept = text.split_inclusive('\n').enumerate().filter(|(index, _)| index + 1 < from || index + 1 >= to);
    kept.map(|(_, line)| line).collect()
}

fn context_of(add: &AddContext) -> Result<Value, Failed> {
    let mut context = Map::new();
    let mut put = |key: &str, value: String| drop(context.insert(key.to_owned(), value.into()));
    put("endpoint", address_of(&add.endpoint).to_owned());
    if let Some(key) = &add.access_key_id {
        put("access_key_id", key.clone());
        let secret = match &add.secret_file {
            // a path that is not whole would start at the folder of contexts
            Some(path) => {
                let whole = std::path::absolute(path).map_err(|error| Failed::wrong(error.to_string()))?;
                format!("${{file:{}}}", whole.display())
            }
            None => secret()?,
        };
        put("secret_access_key", secret);
    }
    Ok(context.into())
}

/// A line of standard input, which a terminal does not show: what stands in a command is seen by all of a machine.
fn secret() -> Result<String, Failed> {
    let io = |error: io::Error| Failed::with(format!("the secret cannot be read: {error}"));
    let input = io::stdin();
    let hidden = input.is_terminal().then(|| Hidden::begin("secret access key: ")).transpose().map_err(io)?;
    let mut line = String::new();
    input.lock().read_line(&mut line).map_err(io)?;
    drop(hidden);
    match line.trim() {
        "" => Err(Failed::wrong("there is no secret: expected it as a line of standard input, or --secret-file")),
        secret => Ok(secret.to_owned()),
    }
}

/// While it lives, the terminal does not show what is typed.
struct Hidden(rustix::termios::Termios);

impl Hidden {
    fn begin(prompt: &str) -> io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO;
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        let hidden = Self(before);
        io::Write::write_all(&mut io::stderr(), prompt.as_bytes())?;
        Ok(hidden)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Flush, &self.0);
        crate::check::complain("");
    }
}

/// A context without its secrets.
fn shown((name, context): (&String, &Value)) -> (String, Value) {
    let about = json!({ "endpoint": context.get("endpoint"), "access_key_id": context.get("access_key_id") });
    (name.clone(), about)
}

fn table(contexts: &Map<String, Value>, current: Option<&str>) -> Vec<Vec<String>> {
    let mut rows = vec![row(["CURRENT", "NAME", "ENDPOINT", "ACCESS KEY"])];
    rows.extend(contexts.iter().map(|(name, context)| {
        let text = |key: &str| context.get(key).and_then(Value::as_str).unwrap_or("-");
        let mark = if current == Some(name) { "*" } else { "" };
        row([mark, name, text("endpoint"), text("access_key_id")])
    }));
    rows
}
