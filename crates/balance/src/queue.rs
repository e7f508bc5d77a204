//! Who waits for a place, in the order they came: the oldest is served first, and is the first whose patience is over.
//!
//! Bounded: a queue that may grow without end only turns an overload into a longer one. Those who have had a place already go
//! before those who come for the first time: they came before, and a budget bounds how many they are. As they are particular
//! about places, one that cannot use the one that is free lets those behind it have it.

use std::collections::VecDeque;

use crate::Moment;

/// Which of the two lines of a queue somebody stands in; all of the one go before all of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// Of those who have had a place, in vain, and come for another.
    Again,
    /// Of those who come for the first time.
    #[default]
    First,
}

/// A queue of those who wait, whatever stands for them.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    next: u64,
    /// Those who have been served, and may come back, by line.
    out: [usize; 2],
}

#[derive(Debug)]
struct Waiting<T> {
    ticket: Ticket,
    until: Moment,
    who: T,
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(Line, u64);

impl Ticket {
    /// The line that it is of.
    #[must_use]
    pub fn line(self) -> Line {
        self.0
    }
}

/// The line has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), next: 0, out: [0; 2] }
    }
}

impl<T> Queue<T> {
    /// Takes in `who`, who waits until `until`, behind all others of the line.
    ///
    /// # Errors
    /// [`Full`] when `bound` of the line wait already.
    pub fn join(&mut self, who: T, until: Moment, line: Line, bound: usize) -> Result<Ticket, Full> {
        if self.len(line) + *self.out(line) >= bound {
            return Err(Full);
        }
        let ticket = Ticket(line, self.next);
        self.next += 1;
        self.insert(Waiting { ticket, until, who });
        Ok(ticket)
    }

    /// The oldest, whose turn it is: out of the queue, until it is told to have [settled](Queue::settled) or comes back. Those
    /// whose time was over before `now` go unserved.
    pub fn serve(&mut self, now: Moment) -> Option<T> {
        self.serve_at(0, now)
    }

    /// The same for the oldest of those behind one who has been served in vain, whether or not that one has come back.
    pub fn serve_behind(&mut self, ticket: Ticket, now: Moment) -> Option<T> {
        self.serve_at(self.waiting.partition_point(|waiting| waiting.ticket <= ticket), now)
    }

    fn serve_at(&mut self, place: usize, now: Moment) -> Option<T> {
        loop {
            let oldest = self.waiting.remove(place)?;
            if oldest.until > now {
                *self.out(oldest.ticket.line()) += 1;
                return Some(oldest.who);
            }
        }
    }

    /// Comes back to its place, having been served in vain.
    pub fn rejoin(&mut self, ticket: Ticket, who: T, until: Moment) {
        self.settled(ticket);
        self.insert(Waiting { ticket, until, who });
    }

    fn insert(&mut self, waiting: Waiting<T>) {
        let place = self.waiting.partition_point(|other| other.ticket < waiting.ticket);
        self.waiting.insert(place, waiting);
    }

    /// One who was served will not come back.
    pub fn settled(&mut self, ticket: Ticket) {
        let out = self.out(ticket.line());
        *out = out.saturating_sub(1);
    }

    fn out(&mut self, line: Line) -> &mut usize {
        let [again, first] = &mut self.out;
        match line {
            Line::Again => again,
            Line::First => first,
        }
    }

    /// Whether nobody of its line came before who still waits.
    #[must_use]
    pub fn is_oldest(&self, ticket: Ticket) -> bool {
        let place = match ticket.line() {
            Line::Again => 0,
            Line::First => self.len(Line::Again),
        };
        self.waiting.get(place).is_some_and(|oldest| oldest.ticket == ticket)
    }

    /// Leaves without having been served. False for one who is out already.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        let place = self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket);
        place.is_ok_and(|place| self.waiting.remove(place).is_some())
    }

    /// How many wait in this line.
    #[must_use]
    pub fn len(&self, line: Line) -> usize {
        let again = self.waiting.partition_point(|waiting| waiting.ticket.line() == Line::Again);
        match line {
            Line::Again => again,
            Line::First => self.waiting.len() - again,
        }
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(second: u64) -> Moment {
        Duration::from_secs(second)
    }

    #[test]
    fn the_oldest_is_served_first() {
        let mut queue = Queue::default();
        let tickets: Vec<Ticket> = (0..4).flat_map(|who| queue.join(who, at(10), Line::First, 4)).collect();
        assert_eq!(queue.join(4, at(10), Line::First, 4), Err(Full));
        assert!(queue.leave(tickets[1]) && !queue.leave(tickets[1]));
        assert_eq!((queue.serve(at(1)), queue.serve(at(1))), (Some(0), Some(2)));
        assert_eq!(queue.join(9, at(10), Line::First, 3), Err(Full), "those who may come back have their places");
        queue.settled(tickets[0]);
        queue.settled(tickets[2]);
        assert!(queue.join(5, at(10), Line::First, 4).is_ok());
        assert_eq!((queue.serve(at(1)), queue.serve(at(1)), queue.serve(at(1))), (Some(3), Some(5), None));
        assert!(queue.is_empty());
    }

    #[test]
    fn who_was_served_in_vain_comes_back_to_its_place() {
        let mut queue = Queue::default();
        let tickets: Vec<Ticket> = (0..3).flat_map(|who| queue.join(who, at(9), Line::First, 9)).collect();
        assert_eq!(queue.serve(at(1)), Some(0));
        assert!(queue.is_oldest(tickets[1]));
        queue.rejoin(tickets[0], 0, at(9));
        assert!(queue.is_oldest(tickets[0]) && !queue.is_oldest(tickets[1]));
        assert_eq!((queue.serve(at(1)), queue.serve(at(1)), queue.serve(at(1))), (Some(0), Some(1), Some(2)));
    }

    #[test]
    fn who_has_waited_too_long_is_not_served() {
        let mut queue = Queue::default();
        for (who, until) in [(0, 5), (1, 6), (2, 9)] {
            assert!(queue.join(who, at(until), Line::First, 9).is_ok());
        }
        assert_eq!(queue.serve(at(6)), Some(2));
        assert!(queue.is_empty());
    }

    #[test]
    fn who_comes_again_goes_first_and_holds_up_nobody() {
        let mut queue = Queue::default();
        let lines = [Line::First, Line::Again, Line::First, Line::Again];
        let tickets: Vec<Ticket> = (0..4).flat_map(|who| queue.join(who, at(9), lines[who], 2)).collect();
        assert_eq!((queue.len(Line::Again), queue.len(Line::First)), (2, 2));
        for (who, line) in [(4, Line::First), (5, Line::Again)] {
            assert_eq!(queue.join(who, at(9), line, 2), Err(Full), "{line:?}: each line has its bound");
        }
        assert!(queue.is_oldest(tickets[1]) && queue.is_oldest(tickets[0]), "each is the first of its line");
        // none of those that come again can use it
        assert_eq!(queue.serve(at(1)), Some(1));
        queue.rejoin(tickets[1], 1, at(9));
        assert_eq!(queue.serve_behind(tickets[1], at(1)), Some(3));
        queue.rejoin(tickets[3], 3, at(9));
        assert_eq!(queue.serve_behind(tickets[3], at(1)), Some(0));
        queue.settled(tickets[0]);
        let rest: Vec<usize> = std::iter::from_fn(|| queue.serve(at(1))).collect();
        assert_eq!((rest, queue.serve_behind(tickets[1], at(1))), (vec![1, 3, 2], None));
    }
}
