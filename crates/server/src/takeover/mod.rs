//! Another process takes over: the same sockets, keys and knowledge, without a request that notices.
//!
//! The process that runs attends at a [`door`], a socket in its data folder that only its own user gets to. Who comes there
//! asks for one of two things. `headworks upgrade` asks it to start a program in its own place ([`spawn`]): user, limits,
//! environment and control group stay what they are. That program, or `headworks run --replace`, asks to take over:
//!
//! | the new one ([`predecessor`])                  | the old one ([`successor`])                               |
//! |------------------------------------------------|-----------------------------------------------------------|
//! | has validated its file, asks to take over      |                                                           |
//! |                                                | the estate: what is known, and sockets                    |
//! | prepares all that can fail, says `Ready`       |                                                           |
//! |                                                | `Go`, with the [`claim`]; from here on it only waits      |
//! | takes the claim                                |                                                           |
//! | accepts by the same sockets, says `Serving`    |                                                           |
//! |                                                | accepts no more; `Released`, with flows of datagrams      |
//! | reads datagrams, too                           | finishes what is open, and ends                           |
//!
//! Until `Serving`, a new one that is refused, crashes or hangs changes nothing; the old one goes on as if nobody had come. The
//! old one is in one of four states:
//!
//! | state    | until                  | it ends by                                                                         |
//! |----------|------------------------|------------------------------------------------------------------------------------|
//! | offered  | `Ready`                | `ready_within`: it says `GivenUp` and goes on                                      |
//! | leaving  | the claim is taken     | ten seconds: it takes the claim itself and goes on; the new one finds it gone, and ends |
//! | claimed  | `Serving`              | a minute: the new one is put an end to, and it goes on                             |
//! | replaced | its last connection    |                                                                                    |
//!
//! In each of them the end of the other process is seen at once. Both accept while one is claimed and has not said `Serving`; a
//! process that accepts is never one that gives up. A new one that loses its link before `Go` serves only when the old one is gone.
//!
//! One message is one frame ([`wire`]); what is in it is JSON ([`message`]), so that versions which differ can still tell
//! each other that they do.

mod claim;
pub(crate) mod door;
#[cfg(test)]
mod fuzz;
pub(crate) mod message;
pub(crate) mod predecessor;
pub(crate) mod spawn;
pub(crate) mod succession;
pub(crate) mod successor;
pub(crate) mod wire;
