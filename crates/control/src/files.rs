//! Who may name which file. What a resource of the API names is read, written and connected to with the rights of the program, so
//! that naming it is an action by itself, on the file: or else whoever may put a rule could have any secret of the machine
//! served.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use headworks_model::{Config, FileUse, Kind};

use crate::asker::Asker;
use crate::names::{action, hrn};
use crate::plane::{Access, Plane};
use crate::problem::Problem;

/// What it takes to have the program use a file.
const USE: &str = "UseFile";

/// The key of conditions that says what for.
const USE_OF: &str = "headworks:FileUse";

impl Asker {
    /// Asks for each file that a resource names and did not name before.
    ///
    /// # Errors
    /// When one may not be named.
    pub(crate) fn may_name(
        &self,
        plane: &Plane,
        (kind, name): (Kind, &str),
        before: &Config,
        after: &Config,
    ) -> Result<(), Problem> {
        if plane.access == Access::Open {
            return Ok(());
        }
        let of = |config: &Config| -> BTreeSet<(FileUse, PathBuf)> {
            config.files(kind, name).into_iter().map(|(to, path)| (to, plane.around.folder.join(path))).collect()
        };
        of(after).difference(&of(before)).try_for_each(|(to, path)| {
            let resource = hrn(&format!("file{}", real(path).display()));
            let circumstances = self.circumstances.clone().set(USE_OF, to.as_str());
            Asker { circumstances, ..self.clone() }.may(plane, &action(USE), &resource)
        })
    }
}

/// Where a path leads, as far as there is anything: a policy for a folder is none for what is reached through it by `..` or by a
/// link.
fn real(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut there = path;
    loop {
        if let Ok(real) = there.canonicalize() {
            return rest.iter().rev().fold(real, |whole, step| stepped(whole, *step));
        }
        let (Some(parent), Some(last)) = (there.parent(), there.components().next_back()) else {
            return rest.iter().rev().fold(there.to_owned(), |whole, step| stepped(whole, *step));
        };
        rest.push(last);
        there = parent;
    }
}

fn stepped(mut whole: PathBuf, step: Component<'_>) -> PathBuf {
    match step {
        Component::ParentDir => drop(whole.pop()),
        Component::CurDir => {}
        step => whole.push(step),
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_paths_lead() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/file"), "").unwrap();
        std::os::unix::fs::symlink(root.join("a/file"), root.join("a/b/link")).unwrap();
        std::os::unix::fs::symlink(&root, root.join("a/b/up")).unwrap();
        for (path, leads) in [
            ("a/file", "a/file"),
            ("a/b/../file", "a/file"),
            ("a/b/link", "a/file"),
            ("a/b/up/a/new", "a/new"),
            ("a/b/up/../x", "../x"),
            ("none/../../x", "../x"),
            ("none/./x/", "none/x"),
            ("a/b/none/../../file", "a/file"),
        ] {
            let leads = leads.strip_prefix("../").map_or(root.join(leads), |rest| root.parent().unwrap().join(rest));
            assert_eq!(real(&root.join(path)), leads, "{path}");
        }
    }
}
