//! Health checks of Redis and what speaks like it: whether it answers, and has the role that is wanted.
//!
//! Source: "Redis serialization protocol specification", version 2, and the pages of AUTH, PING and ROLE.

use std::io;

use headworks_balance::{Outcome, Unfit};
use headworks_model::target_group::{HealthCheck, Role};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::broken;

/// The longest word of an answer that is looked at.
const WORD_LIMIT: usize = 256;

/// Asks on a connection of its own: everything at once, answers come in order.
///
/// # Errors
/// When no answer can be had.
pub(super) async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, check: &HealthCheck) -> io::Result<Outcome> {
    let mut replies = Replies(BufReader::new(stream));
    replies.0.write_all(&question(check)).await?;
    replies.0.flush().await?;
    if check.password.is_some()
        && let Some(error) = replies.expect("OK").await?
    {
        return Ok(match complaint(&error) {
            Outcome::Failed => Outcome::Unfit(Unfit::LoginRefused),
            other => other,
        });
    }
    if let Some(error) = replies.expect("PONG").await? {
        return Ok(complaint(&error));
    }
    let Some(role) = check.role else { return Ok(Outcome::Success) };
    let first = replies.line().await?;
    if let Some(error) = first.strip_prefix('-') {
        return Ok(complaint(error));
    }
    if !first.starts_with('*') {
        return Err(broken());
    }
    Ok(match (replies.word().await?.as_slice(), role) {
        (b"master", Role::Primary) => Outcome::Success,
        (b"master", Role::Replica) => Outcome::Unfit(Unfit::NotReplica),
        (b"slave", Role::Primary) => Outcome::Unfit(Unfit::NotPrimary),
        (b"slave", Role::Replica) => replies.link().await?,
        // a sentinel holds no data
        _ => Outcome::Failed,
    })
}

/// The commands of a check.
fn question(check: &HealthCheck) -> Vec<u8> {
    let mut commands: Vec<Vec<&str>> = Vec::new();
    if let Some(password) = &check.password {
        commands.push(["AUTH"].into_iter().chain(check.user.as_deref()).chain([password.as_str()]).collect());
    }
    commands.push(vec!["PING"]);
    if check.role.is_some() {
        commands.push(vec!["ROLE"]);
    }
    let mut bytes = Vec::new();
    for words in commands {
        bytes.extend(format!("*{}\r\n", words.len()).into_bytes());
        for word in words {
            bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
        }
    }
    bytes
}

/// What an error that is no answer says of a server; its first word is a code.
fn complaint(error: &str) -> Outcome {
    let code = error.split(' ').next().unwrap_or_default();
    Outcome::Unfit(match code {
        "LOADING" => Unfit::NotReady,
        "MASTERDOWN" => Unfit::Unlinked,
        "NOAUTH" => Unfit::LoginNeeded,
        "WRONGPASS" => Unfit::LoginRefused,
        "NOPERM" => Unfit::NotAllowed,
        "DENIED" => Unfit::HostRefused,
        "ERR" if error.contains("max number of clients") => Unfit::Full,
        _ => return Outcome::Failed,
    })
}

struct Replies<S>(BufReader<S>);

impl<S: AsyncRead + Unpin> Replies<S> {
    /// A line without its end.
    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).await?;
        let text = line.strip_suffix(b"\r\n").ok_or_else(broken)?;
        String::from_utf8(text.to_vec()).map_err(|_| broken())
    }

    /// A simple string of this text; the error, if it is one.
    async fn expect(&mut self, text: &str) -> io::Result<Option<String>> {
        let line = self.line().await?;
        match line.split_at_checked(1) {
            Some(("+", said)) if said == text => Ok(None),
            Some(("-", error)) => Ok(Some(error.to_owned())),
            _ => Err(broken()),
        }
    }

    /// A bulk string.
    async fn word(&mut self) -> io::Result<Vec<u8>> {
        let line = self.line().await?;
        let length = line.strip_prefix('$').and_then(|length| length.parse::<usize>().ok());
        let length = length.filter(|length| *length <= WORD_LIMIT).ok_or_else(broken)?;
        let mut word = vec![0; length + 2];
        self.0.read_exact(&mut word).await?;
        let kept = word.strip_suffix(b"\r\n").ok_or_else(broken)?.len();
        word.truncate(kept);
        Ok(word)
    }

    /// How a replica's link to its primary is: the fourth element of its role, behind the primary's host and port.
    async fn link(&mut self) -> io::Result<Outcome> {
        let _host = self.word().await?;
        let port = self.line().await?;
        if !port.starts_with(':') {
            return Err(broken());
        }
        let is_linked = self.word().await? == b"connected";
        Ok(if is_linked { Outcome::Success } else { Outcome::Unfit(Unfit::Unlinked) })
    }
}
