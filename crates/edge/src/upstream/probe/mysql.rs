//! Health checks of MySQL and MariaDB: whether a server answers, and takes a login.
//!
//! Every handshake is finished: a server counts those that are not, and after `max_connect_errors` of them it talks to the
//! whole machine no more.
//!
//! Source: "Client/Server Protocol" of the MySQL internals, connection phase; the same chapter of MariaDB's documentation.

mod login;
mod packet;

use std::io;

use headworks_balance::{Outcome, Unfit};
use headworks_model::target_group::HealthCheck;
use tokio::io::{AsyncRead, AsyncWrite};

use self::login::{Greeting, Method, Scramble};
use self::packet::{Packets, Refusal};
use super::{USER, broken};

/// More packets than any login takes.
const PACKETS: usize = 8;
const COM_QUIT: &[u8] = &[1];

const OK: u8 = 0;
const ERROR: u8 = 0xff;
const SWITCH: u8 = 0xfe;
const MORE: u8 = 1;

/// Asks on a connection of its own.
///
/// # Errors
/// When no answer can be had.
pub(super) async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin, check: &HealthCheck) -> io::Result<Outcome> {
    let mut packets = Packets::new(stream);
    let first = packets.receive().await?;
    if first.first() == Some(&ERROR) {
        return Ok(complaint(&Refusal::parse(&first)?));
    }
    let Greeting { scramble, method } = Greeting::parse(&first)?;
    let password = check.password.as_ref().map_or("", |password| password.as_str());
    let mut login = Login { password, method, scramble, is_known: true };
    let user = check.user.as_deref().unwrap_or(USER);
    packets.send(&login::response(user, method, &login.proof())).await?;
    for _ in 0..PACKETS {
        let packet = packets.receive().await?;
        match packet.split_first() {
            Some((&OK, _)) => {
                packets.begin();
                packets.send(COM_QUIT).await?;
                return Ok(Outcome::Success);
            }
            Some((&ERROR, _)) => {
                let refusal = Refusal::parse(&packet)?;
                return Ok(match (&check.user, login.is_known) {
                    // nobody was to be let in, it is enough to be told so
                    (None, _) if refusal.is_of_login() => Outcome::Success,
                    (Some(_), false) => Outcome::Unfit(Unfit::LoginUnknown),
                    _ => complaint(&refusal),
                });
            }
            Some((&SWITCH, rest)) => {
                login.switch(rest)?;
                packets.send(&login.proof()).await?;
            }
            Some((&MORE, rest)) => {
                if let Some(answer) = login.more(rest)? {
                    packets.send(&answer).await?;
                }
            }
            _ => return Err(broken()),
        }
    }
    Err(broken())
}

/// What an error says of a server.
fn complaint(refusal: &Refusal) -> Outcome {
    Outcome::Unfit(match refusal.code {
        // ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED
        1040 | 1203 | 1226 => Unfit::Full,
        // ER_HOST_IS_BLOCKED, ER_HOST_NOT_PRIVILEGED
        1129 | 1130 => Unfit::HostRefused,
        // ER_SERVER_SHUTDOWN
        1053 => Unfit::NotReady,
        _ if refusal.is_of_login() => Unfit::LoginRefused,
        _ => return Outcome::Failed,
    })
}

/// A login on its way.
struct Login<'a> {
    password: &'a str,
    method: Method,
    scramble: Scramble,
    /// Whether the server has asked for nothing else than what is known.
    is_known: bool,
}

impl Login<'_> {
    /// What shows that the password is known; of none, and for a method that is not known, nothing.
    fn proof(&self) -> Vec<u8> {
        if self.password.is_empty() || !self.is_known {
            return Vec::new();
        }
        self.method.proof(self.password, &self.scramble)
    }

    /// Another method is asked for, with another scramble.
    fn switch(&mut self, request: &[u8]) -> io::Result<()> {
        let name = request.split(|byte| *byte == 0).next().unwrap_or_default();
        match Method::named(name) {
            Some(method) => {
                let scramble = request.get(name.len() + 1..).ok_or_else(broken)?;
                (self.method, self.scramble) = (method, Scramble::parse(scramble)?);
            }
            None => self.is_known = false,
        }
        Ok(())
    }

    /// The method goes on; what to answer, if anything.
    fn more(&self, data: &[u8]) -> io::Result<Option<Vec<u8>>> {
        match (self.method, data) {
            (Method::CachingSha2, login::FAST_ENOUGH) => Ok(None),
            (Method::CachingSha2, login::IN_FULL) => Ok(Some(login::KEY_REQUEST.to_vec())),
            (Method::CachingSha2, key) => login::encrypted(self.password, &self.scramble, key).map(Some),
            (Method::Native, _) => Err(broken()),
        }
    }
}

#[cfg(test)]
mod tests;
