//! `headworks edit`: a resource as YAML in the caller's editor, put back if nobody has changed it meanwhile. Whatever goes
//! wrong, what was typed is not lost.

use headworks_iam::percent::encoded;
use std::path::{Path, PathBuf};
use std::process::Command;

use headworks_model::json_of_yaml;
use hyper::{Method, StatusCode};
use tempfile::TempDir;

use super::command::Edit;
use super::connect::{json_of, refused};
use super::output::yaml;
use super::resources::{kind_of, path_of};
use super::{Connection, Failed};
use crate::check::say;
use crate::file::{self, Surroundings};
use crate::private;

/// What begins the lines that are told to the reader, and are no part of the resource.
const TOLD: &str = "#: ";

pub(super) fn edit(args: &Edit) -> Result<(), Failed> {
    let (kind, connection) = (kind_of(&args.kind)?, Connection::of(&args.asking)?);
    let path = path_of(kind, &args.name);
    let found = connection.ask(Method::GET, &path, &[], None)?;
    let field = |name: &str| found.fields.get(name).and_then(|value| value.to_str().ok());
    if field("headworks-origin") == Some("file") {
        let what = format!(
            "{} {:?} is declared in the configuration file: change it there and reload",
            kind.called(),
            args.name
        );
        return Err(Failed::wrong(what));
    }
    let tag = field("etag").unwrap_or("*").to_owned();
    let before = json_of(&found)?;
    let text = yaml(&before);
    let mut sheet = Sheet::new(&format!("{}.yaml", args.name))?;
    let put = format!("{path}?reason={}", encoded(&args.reason));
    let intro = format!("{} {}: saved, it is put in place; left as it is, nothing is done", kind.called(), args.name);
    let mut told = vec![intro];
    let mut written = text.clone();
    loop {
        let typed = sheet.edited(&told, &written)?;
        if typed == text {
            say("nothing was changed, nothing was done");
            return Ok(());
        }
        if typed == written {
            // the same mistakes again: whoever edits has given up
            return Err(sheet.kept("it is still wrong, and was not put in place"));
        }
        written = typed;
        let read = json_of_yaml("", &written, &Surroundings(&file::folder(Path::new("."))));
        let after = match read {
            Ok(after) => after,
            Err(faults) => {
                told = faults.to_string().lines().map(|line| line.trim_start_matches(':').to_owned()).collect();
                continue;
            }
        };
        if after == before {
            say("nothing was changed, nothing was done");
            return Ok(());
        }
        let answer = match connection.send(Method::PUT, &put, &[("if-match", tag.clone())], Some(&after)) {
            Ok(answer) => answer,
            Err(failed) => return Err(sheet.kept(&failed.lines.join("; "))),
        };
        match answer.status {
            status if status.is_success() => {
                let revision = answer.fields.get("headworks-revision").and_then(|value| value.to_str().ok());
                let revision = revision.map_or(String::new(), |revision| format!(", revision {revision}"));
                say(format_args!("{} {} is changed{revision}", kind.called(), args.name));
                return Ok(());
            }
            StatusCode::PRECONDITION_FAILED => {
                return Err(sheet.kept("somebody has changed it meanwhile: edit it again"));
            }
            StatusCode::BAD_REQUEST => told = refused(&answer).lines,
            _ => return Err(sheet.kept(&refused(&answer).lines.join("; "))),
        }
    }
}

/// The file that the editor is given, in a folder of its own. It goes when it is not needed, and stays when it is.
struct Sheet {
    folder: TempDir,
    path: PathBuf,
}

impl Sheet {
    fn new(name: &str) -> Result<Self, Failed> {
        let folder = TempDir::with_prefix("headworks-edit-")
            .map_err(|error| Failed::with(format!("no folder for the editor: {error}")))?;
        Ok(Self { path: folder.path().join(name), folder })
    }

    /// What the editor leaves of the text, without what was told above it.
    fn edited(&mut self, told: &[String], text: &str) -> Result<String, Failed> {
        let label = self.path.display();
        let io = |error: std::io::Error| Failed::with(format!("{label}: {error}"));
        let told: String = told.iter().map(|line| format!("{TOLD}{line}\n")).collect();
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        private::write(self.folder.path(), &name, format!("{told}{text}").as_bytes()).map_err(io)?;
        let editor =
            ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok().filter(|e| !e.is_empty()));
        let editor = editor.unwrap_or_else(|| "vi".to_owned());
        // by the shell, because it may have arguments
        let ran = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg(&editor).arg(&self.path).status();
        let status = ran.map_err(|error| Failed::with(format!("{editor}: {error}")))?;
        if !status.success() {
            return Err(self.kept(&format!("the editor {editor:?} ended with {status}")));
        }
        let typed = std::fs::read_to_string(&self.path).map_err(io)?;
        Ok(typed.split_inclusive('\n').filter(|line| !line.starts_with(TOLD.trim_end())).collect())
    }

    /// A failure that says where what was typed is.
    fn kept(&mut self, what: &str) -> Failed {
        self.folder.disable_cleanup(true);
        Failed::wrong(format!("{what}. What you typed is in {}", self.path.display()))
    }
}
