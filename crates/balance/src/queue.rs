//! Who waits for a place, in the order they came: the oldest is served first, and is the first whose patience is over.
//!
//! Bounded: a queue that may grow without end only turns an overload into a longer one.

use std::collections::VecDeque;

use crate::Moment;

/// A queue of those who wait, whatever stands for them.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    next: u64,
    /// Those who have been served, and may come back.
    out: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    ticket: Ticket,
    until: Moment,
    who: T,
}

/// A place in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// The queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), next: 0, out: 0 }
    }
}

impl<T> Queue<T> {
    /// Takes in `who`, who waits until `until`, behind all others.
    ///
    /// # Errors
    /// [`Full`] when `bound` wait already.
    pub fn join(&mut self, who: T, until: Moment, bound: usize) -> Result<Ticket, Full> {
        if self.waiting.len() + self.out >= bound {
            return Err(Full);
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.push_back(Waiting { ticket, until, who });
        Ok(ticket)
    }

    /// The oldest, whose turn it is: out of the queue, until it is told to have [settled](Queue::settled) or comes back. Those
    /// whose time was over before `now` go unserved.
    pub fn serve(&mut self, now: Moment) -> Option<T> {
        loop {
            let oldest = self.waiting.pop_front()?;
            if oldest.until > now {
                self.out += 1;
                return Some(oldest.who);
            }
        }
    }

    /// Comes back to its place, having been served in vain.
    pub fn rejoin(&mut self, ticket: Ticket, who: T, until: Moment) {
        self.settled();
        let place = self.waiting.partition_point(|waiting| waiting.ticket < ticket);
        self.waiting.insert(place, Waiting { ticket, until, who });
    }

    /// One who was served will not come back.
    pub fn settled(&mut self) {
        self.out = self.out.saturating_sub(1);
    }

    /// Whether nobody came before who still waits.
    #[must_use]
    pub fn is_oldest(&self, ticket: Ticket) -> bool {
        self.waiting.front().is_some_and(|oldest| oldest.ticket == ticket)
    }

    /// Leaves without having been served. False for one who is out already.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        let place = self.waiting.binary_search_by_key(&ticket, |waiting| waiting.ticket);
        place.is_ok_and(|place| self.waiting.remove(place).is_some())
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
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
        let tickets: Vec<_> = (0..4).map(|who| queue.join(who, at(10), 4)).collect();
        assert!(tickets.iter().all(Result::is_ok));
        assert_eq!(queue.join(4, at(10), 4), Err(Full));
        assert!(tickets[1].is_ok_and(|ticket| queue.leave(ticket) && !queue.leave(ticket)));
        assert_eq!((queue.serve(at(1)), queue.serve(at(1))), (Some(0), Some(2)));
        assert_eq!(queue.join(9, at(10), 3), Err(Full), "those who may come back have their places");
        queue.settled();
        queue.settled();
        assert!(queue.join(5, at(10), 4).is_ok());
        assert_eq!((queue.serve(at(1)), queue.serve(at(1)), queue.serve(at(1))), (Some(3), Some(5), None));
        assert!(queue.is_empty());
    }

    #[test]
    fn who_was_served_in_vain_comes_back_to_its_place() {
        let mut queue = Queue::default();
        let tickets: Vec<Ticket> = (0..3).flat_map(|who| queue.join(who, at(9), 9)).collect();
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
            assert!(queue.join(who, at(until), 9).is_ok());
        }
        assert_eq!(queue.serve(at(6)), Some(2));
        assert_eq!(queue.len(), 0);
    }
}
