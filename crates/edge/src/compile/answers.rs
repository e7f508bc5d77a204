//! Files that are answers, read when a configuration is applied: what is sent must not wait for a disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use headworks_model::action::{Action, FixedResponse, Forward};
use headworks_model::config::Config;
use headworks_model::target_group::{Fallback, FileResponse};

use super::build::CannotRun;
use super::plan::Answer;

/// The largest file that is sent.
const LARGEST: u64 = 1024 * 1024;

/// What stands in the way of the files that fallbacks name.
pub(crate) fn unreadable(config: &Config) -> Vec<CannotRun> {
    let mut found = Vec::new();
    let mut look = |path: String, fallback: &Fallback| {
        if let Fallback::File(file) = fallback
            && let Err(error) = read(&file.path)
        {
            let what = format!("{} cannot be sent ({error})", file.path.display());
            found.push(CannotRun { path: format!("{path}.file"), what });
        }
    };
    for (name, group) in &config.target_groups {
        look(format!("target_groups.{name}.fallback"), &group.fallback);
    }
    for (balancer, name, listener) in config.listeners() {
        let at = format!("load_balancers.{balancer}.listeners.{name}");
        let rules = listener.rules.iter().enumerate().map(|(i, rule)| (Some(i), &rule.action));
        for (i, action) in rules.chain([(None, &listener.default.action)]) {
            if let Action::Forward(Forward { fallback: Some(fallback), .. }) = action {
                let at = i.map_or_else(|| format!("{at}.default"), |i| format!("{at}.rules[{i}].then"));
                look(format!("{at}.forward.fallback"), fallback);
            }
        }
    }
    found
}

/// Whether some of what an action answers is a file's.
pub(crate) fn is_file(action: &Action) -> bool {
    matches!(action, Action::Forward(Forward { fallback: Some(Fallback::File(_)), .. }))
}

impl Answer {
    pub(crate) fn fixed(fixed: &FixedResponse) -> Arc<Answer> {
        let FixedResponse { status, body, content_type } = fixed;
        Arc::new(Answer { status: *status, content_type: content_type.clone(), body: body.as_bytes().into() })
    }

    /// A file as it is now; an empty one where it has just gone, for it was there when the configuration was looked at.
    pub(crate) fn file(file: &FileResponse) -> Arc<Answer> {
        let body = read(&file.path).unwrap_or_default();
        Arc::new(Answer { status: file.status, content_type: file.content_type.clone(), body: body.into() })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut body)?;
    if body.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
    }
    Ok(body)
}
