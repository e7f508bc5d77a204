//! What the commands that operate an instance are called, and what they take.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::output::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum Operate {
    /// Show resources: `get target-groups`, `get target-group web`
    Get(Get),
    /// Show all there is to know of one resource: what it says, how it is, what was done to it
    Describe(Get),
    /// Create a resource: `create target-group web --set targets=[127.0.0.1:9001]`
    Create(Create),
    /// Change a resource in your editor
    Edit(Edit),
    /// Put what a file says in place by the API; shows what changes
    Apply(Apply),
    /// Show what `apply` would change, and change nothing
    Diff(Apply),
    /// Delete a resource that came by the API
    Delete(Delete),
    /// Print all that came by the API as YAML, for `apply`, or to be kept in a file
    Export(Asking),
    /// Who changed what, when, and why
    History(History),
    /// Make all that comes by the API what it was at a revision
    Rollback(Rollback),
    /// Register, deregister and drain targets
    #[command(subcommand)]
    Targets(Targets),
    /// Shift the weights of a rule's target groups: `weights shop/http/1 blue=90 green=10`
    Weights(Weights),
    /// The installations in `~/.config/headworks/contexts.yaml`, and which is meant when none is named
    #[command(subcommand)]
    Context(Contexts),
    /// Identities: which credentials there are, and what they were used for
    #[command(subcommand)]
    Iam(Iam),
    /// What goes on, live: listeners, rules, target groups and targets, with rates, errors and latencies
    Top(Top),
    /// The trail of attempts: searched, exported, verified
    #[command(subcommand)]
    Audit(Audit),
    /// Save the whole state of the running instance to a file
    Backup(Backup),
    /// Make all that came by the API, and identities, what they were when they were saved
    Restore(Restore),
}

/// Whom to ask, and how to show what is answered.
#[derive(Clone, Debug, Args)]
pub(crate) struct Asking {
    /// The configuration file of the instance; `headworks.yaml` when nothing says otherwise
    #[arg(short, long, global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Where the instance is, instead: `host:port` (or `HEADWORKS_ENDPOINT`); signed with the environment's
    /// `HEADWORKS_ACCESS_KEY_ID` and `HEADWORKS_SECRET_ACCESS_KEY`
    #[arg(long, global = true)]
    pub(crate) endpoint: Option<String>,
    /// One of the installations in `~/.config/headworks/contexts.yaml`, instead (or `HEADWORKS_CONTEXT`; else the one that
    /// `context use` made current)
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
    /// How it is shown
    #[arg(short, long, value_enum, default_value_t = Format::Table, global = true)]
    pub(crate) output: Format,
}

impl Asking {
    /// The configuration file of an instance of this machine.
    pub(super) fn file(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| PathBuf::from("headworks.yaml"))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// `load-balancers`, `target-groups`, `certificates`, `security-groups` or `network-acls`
    pub(crate) kind: String,
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// A file with what it is, in the shape of the configuration file; `-`: standard input
    #[arg(short, long)]
    pub(crate) file: Option<PathBuf>,
    /// A setting, `key=value` or `key.key=value`, the value in YAML; give several
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Only judge it
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the revision
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Why, for the revision
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// A file in the shape of the configuration file, with what comes by the API; `-`: standard input
    #[arg(short, long)]
    pub(crate) file: PathBuf,
    /// Also delete what came by the API and is not in the file
    #[arg(long)]
    pub(crate) prune: bool,
    /// Why, for the revision
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Only show what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the revision
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    /// Of one kind and name only
    pub(crate) kind: Option<String>,
    pub(crate) name: Option<String>,
    /// Show what this revision changed
    #[arg(long)]
    pub(crate) revision: Option<u64>,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    pub(crate) revision: u64,
    /// Only show what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the revision
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Targets {
    /// Add targets to a group: `ip:port`, or `ip:port=weight`
    Register(TargetList),
    /// Take targets out of a group; they finish what they have
    Deregister(TargetList),
    /// Give targets no new clients (weight 0) without taking them out
    Drain(TargetList),
}

#[derive(Debug, Args)]
pub(crate) struct TargetList {
    /// The target group
    pub(crate) group: String,
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
    /// Only show what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the revision
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct Weights {
    /// `load-balancer/listener/rule`, the rule by its name or number, or `default`
    pub(crate) rule: String,
    /// `group=weight`, all of them
    #[arg(required = true)]
    pub(crate) weights: Vec<String>,
    /// Only show what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Why, for the revision
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Iam {
    /// Every user with its password, second factor and keys, and when they were used: CSV
    CredentialReport(Asking),
    /// Temporary credentials, as lines for a shell: `eval "$(headworks iam session --code 123456)"`
    Session {
        /// Those of this role; else of the user that asks
        #[arg(long, value_name = "NAME")]
        role: Option<String>,
        /// What the session of a role is called
        #[arg(long, value_name = "NAME", default_value = "headworks")]
        session_name: String,
        /// A one-time code of the second factor
        #[arg(long)]
        code: Option<String>,
        /// How long they are good
        #[arg(long, value_name = "SECONDS")]
        duration: Option<u64>,
        #[command(flatten)]
        asking: Asking,
    },
    /// When an identity was last permitted each action: `user/alice`, `role/deploy`
    LastAccessed {
        identity: String,
        #[command(flatten)]
        asking: Asking,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Begin with the targets of this group
    #[arg(long, value_name = "NAME")]
    pub(crate) target_group: Option<String>,
    /// Print one second of it, and end
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Contexts {
    /// All of them, without their secrets
    List {
        /// How it is shown
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Mean this one when none is named
    Use {
        #[arg(required_unless_present = "none")]
        name: Option<String>,
        /// Mean none
        #[arg(long, conflicts_with = "name")]
        none: bool,
    },
    /// Add an installation
    Add(AddContext),
    /// Take an installation out
    Remove { name: String },
}

#[derive(Debug, Args)]
pub(crate) struct AddContext {
    pub(crate) name: String,
    /// Where its admin address is: `host:port`
    #[arg(long)]
    pub(crate) endpoint: String,
    /// The access key to sign with; the secret is asked for, or read from standard input. Without one, the environment's key
    #[arg(long)]
    pub(crate) access_key_id: Option<String>,
    /// A file that has the secret, and goes on having it
    #[arg(long, requires = "access_key_id")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Write over a context of this name
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// The last attempts
    List(AuditList),
    /// All of it as lines of JSON, printed as they come; exit 1 when it breaks off
    Export(Asking),
    /// Whether the chain holds; exit 0 or 2
    Verify(Asking),
}

#[derive(Debug, Args)]
pub(crate) struct AuditList {
    /// Of this principal
    #[arg(long)]
    pub(crate) principal: Option<String>,
    /// Of this action
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// About this resource, as `hrn:headworks:target-group/web`
    #[arg(long)]
    pub(crate) resource: Option<String>,
    /// `allowed` or `denied`
    #[arg(long)]
    pub(crate) outcome: Option<String>,
    /// Of this time or later: `2026-01-31T12:00:00Z`, or a date
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Of before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u64,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Where it goes; not there yet
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// What `backup` has written
    pub(crate) from: PathBuf,
    /// Only say what would change; of an instance that runs
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Restore without asking, and whatever has changed meanwhile
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) force: bool,
    /// Why, for the revision
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}
