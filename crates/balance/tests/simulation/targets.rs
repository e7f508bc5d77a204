//! What targets really do, by a script that nobody else knows.

use std::time::Duration;

use headworks_balance::{AttemptEnd, Moment, Outcome};

use super::Dice;

/// How a target behaves for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    /// It answers in about so many milliseconds.
    Well(u64),
    /// Connections to it fail.
    Dead,
    /// It takes requests and says nothing.
    Stalls,
    /// It is dead every other so many milliseconds.
    Flaps(u64),
    /// It answers health checks, and fails requests.
    Lies,
    /// It fails this share of requests, in hundredths.
    Fails(u64),
}

/// What comes of a request that is sent to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// After so long.
    Success(Duration),
    /// It ends like this, after so long.
    Failure(Duration, AttemptEnd),
    /// Nothing, ever.
    Nothing,
}

impl Behaviour {
    pub(crate) fn any(dice: &mut Dice) -> Behaviour {
        match dice.below(10) {
            0 => Behaviour::Dead,
            1 => Behaviour::Stalls,
            2 => Behaviour::Flaps(200 + dice.below(5000)),
            3 => Behaviour::Lies,
            4 => Behaviour::Fails(1 + dice.below(99)),
            5 => Behaviour::Well(200 + dice.below(800)),
            _ => Behaviour::Well(1 + dice.below(40)),
        }
    }

    pub(crate) fn answer(self, now: Moment, dice: &mut Dice) -> Answer {
        let soon = Duration::from_millis(1 + dice.below(3));
        // whoever is alive fails requests in every way there is
        let ends = [
            AttemptEnd::Reset { is_stale: false },
            AttemptEnd::Reset { is_stale: true },
            AttemptEnd::TurnedAway,
            AttemptEnd::NoAnswer,
            AttemptEnd::Status,
            AttemptEnd::Final,
        ];
        match self {
            Behaviour::Well(usual) => Answer::Success(Duration::from_millis(1 + usual / 2 + dice.below(usual + 1))),
            Behaviour::Stalls => Answer::Nothing,
            Behaviour::Dead => Answer::Failure(soon, AttemptEnd::NotConnected),
            Behaviour::Flaps(_) if self.is_down(now) => Answer::Failure(soon, AttemptEnd::NotConnected),
            Behaviour::Lies => Answer::Failure(soon, dice.of(&ends)),
            Behaviour::Fails(share) if dice.below(100) < share => Answer::Failure(soon, dice.of(&ends)),
            Behaviour::Flaps(_) | Behaviour::Fails(_) => Answer::Success(soon),
        }
    }

    pub(crate) fn probe(self, now: Moment) -> Outcome {
        match self {
            Behaviour::Stalls => Outcome::Timeout,
            _ if self.is_down(now) => Outcome::Failed,
            _ => Outcome::Success,
        }
    }

    fn is_down(self, now: Moment) -> bool {
        match self {
            Behaviour::Dead => true,
            Behaviour::Flaps(period) => (now.as_millis() as u64 / period).is_multiple_of(2),
            _ => false,
        }
    }
}
