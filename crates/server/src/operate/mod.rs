//! Commands that ask a running instance: see, change, undo. Each is a call or two of the API, and nothing that the API cannot do.

mod command;
mod connect;
mod contexts;
mod create;
mod edit;
mod iam;
mod keep;
mod output;
mod resources;
mod revisions;
mod top;
mod traffic;

use std::process::ExitCode;

use self::command::Asking;
pub(crate) use self::command::Operate;
use self::connect::{Connection, Failed};
use crate::check::complain;

pub(crate) fn main(command: &Operate) -> ExitCode {
    let done = match command {
        Operate::Get(args) => resources::get(args),
        Operate::Describe(args) => resources::describe(args),
        Operate::Create(args) => create::create(args),
        Operate::Edit(args) => edit::edit(args),
        Operate::Apply(args) => resources::apply(args, resources::Doing::Change),
        Operate::Diff(args) => resources::apply(args, resources::Doing::Look),
        Operate::Delete(args) => resources::delete(args),
        Operate::Export(args) => resources::export(args),
        Operate::History(args) => revisions::history(args),
        Operate::Rollback(args) => revisions::rollback(args),
        Operate::Targets(args) => traffic::targets(args),
        Operate::Weights(args) => traffic::weights(args),
        Operate::Context(command) => contexts::main(command),
        Operate::Iam(command) => iam::main(command),
        Operate::Top(args) => top::top(args),
        Operate::Audit(args) => keep::audit(args),
        Operate::Backup(args) => keep::backup(args),
        Operate::Restore(args) => keep::restore(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed { lines, status }) => {
            lines.iter().for_each(complain);
            ExitCode::from(status)
        }
    }
}
