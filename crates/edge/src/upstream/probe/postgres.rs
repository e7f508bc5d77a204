//! Health checks of PostgreSQL: whether it answers, logs in, and has the role that is wanted.
//!
//! Source: the chapter "Frontend/Backend Protocol" of PostgreSQL's documentation, and its appendix of error codes.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use headworks_balance::{Outcome, Unfit};
use headworks_model::target_group::{HealthCheck, Role};
use postgres_protocol::message::backend::{ErrorResponseBody, Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_postgres::fallible_iterator::FallibleIterator;
use tokio_postgres::{Config, Error, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::{USER, broken};

/// The database that every server has.
const DATABASE: &str = "postgres";
/// The longest message that begins an answer; libpq believes no longer one either.
const ANSWER_LIMIT: i32 = 30_000;
const ALIVE: &str = "SELECT 1";
/// Whether it is a replica, and how many seconds it is behind: none once it has replayed what it has received, as long as
/// somebody sends; otherwise the age of the last transaction that it has replayed. A row of pg_stat_wal_receiver is there
/// for everybody, its columns are not.
const STANDING: &str = "SELECT pg_is_in_recovery(), CASE \
    WHEN EXISTS (SELECT FROM pg_stat_wal_receiver) AND pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() THEN 0 \
    ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END";

/// Asks on a connection of its own.
///
/// # Errors
/// When no answer can be had.
pub(super) async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, check: &HealthCheck) -> io::Result<Outcome> {
    match &check.user {
        None => greet(stream).await,
        Some(user) => log_in(stream, user, check).await,
    }
}

/// Begins a login and leaves it at that, which servers take without a line in their log: who asks for a password, or
/// refuses somebody, is there.
async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<Outcome> {
    let mut bytes = BytesMut::new();
    frontend::startup_message([("user", USER), ("database", DATABASE)], &mut bytes)?;
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    bytes.clear();
    loop {
        // what is no message is not waited for
        if let Some(header) = Header::parse(&bytes)?
            && (!b"RE".contains(&header.tag()) || header.len() > ANSWER_LIMIT)
        {
            return Err(broken());
        }
        match Message::parse(&mut bytes)? {
            Some(Message::ErrorResponse(error)) => {
                let code = code(&error)?;
                return Ok(if code.starts_with("28") { Outcome::Success } else { refusal(&code) });
            }
            Some(message) if is_of_login(&message) => return Ok(Outcome::Success),
            Some(_) => return Err(broken()),
            None if stream.read_buf(&mut bytes).await? == 0 => return Ok(Outcome::Failed),
            None => {}
        }
    }
}

fn is_of_login(message: &Message) -> bool {
    matches!(
        message,
        Message::AuthenticationOk
            | Message::AuthenticationCleartextPassword
            | Message::AuthenticationMd5Password(_)
            | Message::AuthenticationSasl(_)
            | Message::AuthenticationGss
            | Message::AuthenticationSspi
            | Message::AuthenticationKerberosV5
            | Message::AuthenticationScmCredential
    )
}

/// The SQLSTATE of an error.
fn code(error: &ErrorResponseBody) -> io::Result<String> {
    let field = error.fields().find(|field| Ok(field.type_() == b'C'))?.ok_or_else(broken)?;
    Ok(String::from_utf8_lossy(field.value_bytes()).into_owned())
}

async fn log_in(stream: impl AsyncRead + AsyncWrite + Unpin, user: &str, check: &HealthCheck) -> io::Result<Outcome> {
    let mut config = Config::new();
    config.user(user).dbname(check.database.as_deref().unwrap_or(DATABASE)).application_name(USER);
    if let Some(password) = &check.password {
        config.password(password.as_str());
    }
    let (client, connection) = match config.connect_raw(stream, NoTls).await {
        Ok(connected) => connected,
        Err(error) => return Ok(failure(&error, check)),
    };
    let question = if check.role.is_some() { STANDING } else { ALIVE };
    // the connection says goodbye once the client is gone
    let asked = async move { client.simple_query(question).await };
    let (answer, _) = tokio::join!(asked, connection);
    let messages = match answer {
        Ok(messages) => messages,
        Err(error) => return Ok(failure(&error, check)),
    };
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.ok_or_else(broken)?;
    check.role.map_or(Ok(Outcome::Success), |role| judge(row, role, check.max_lag))
}

/// What the answer to [`STANDING`] says.
fn judge(row: &SimpleQueryRow, role: Role, max_lag: Option<Duration>) -> io::Result<Outcome> {
    let is_replica = match row.try_get(0) {
        Ok(Some("t")) => true,
        Ok(Some("f")) => false,
        _ => return Err(broken()),
    };
    let lag = row.try_get(1).map_err(|_| broken())?;
    let lag = lag.map(|text| text.parse::<f64>().map_err(|_| broken())).transpose()?;
    Ok(match (role, is_replica, max_lag) {
        (Role::Primary, true, _) => Outcome::Unfit(Unfit::NotPrimary),
        (Role::Replica, false, _) => Outcome::Unfit(Unfit::NotReplica),
        (Role::Replica, true, Some(most)) => match lag {
            None => Outcome::Unfit(Unfit::LagUnknown),
            Some(lag) if lag > most.as_secs_f64() => Outcome::Unfit(Unfit::Lags(lag as u64)),
            Some(_) => Outcome::Success,
        },
        (Role::Primary, false, _) | (Role::Replica, true, None) => Outcome::Success,
    })
}

/// What went wrong with a login or a query.
fn failure(error: &Error, check: &HealthCheck) -> Outcome {
    let Some(code) = error.code() else {
        // what the client finds wrong by itself is how the login is to be made; all else has an error of reading
        let is_of_login = error.source().is_some_and(|source| !source.is::<io::Error>());
        return match (is_of_login, &check.password) {
            (false, _) => Outcome::Failed,
            (true, None) => Outcome::Unfit(Unfit::LoginNeeded),
            (true, Some(_)) => Outcome::Unfit(Unfit::LoginUnknown),
        };
    };
    refusal(code.code())
}

/// What an error's SQLSTATE says of a server.
fn refusal(code: &str) -> Outcome {
    Outcome::Unfit(match code {
        "57P01" | "57P02" | "57P03" => Unfit::NotReady,
        "53300" => Unfit::Full,
        "3D000" => Unfit::NoDatabase,
        "42501" => Unfit::NotAllowed,
        code if code.starts_with("28") => Unfit::LoginRefused,
        _ => return Outcome::Failed,
    })
}
