//! Requests on their way through two workers to targets that die, stall, flap and lie: chosen for, queued, tried again,
//! hedged, given up. What holds after every step: no target is asked that drains or is out, no limit and no queue is over its
//! bound, no budget is overdrawn, who came first is served first, and every request ends, once.

mod again;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use headworks_balance::hash::mix;
use headworks_balance::queue::{Line, Ticket};
use headworks_balance::{
    AttemptEnd, Attempts, Changes, Choice, Gradient, Group, Latency, Moment, Picker, Queue, RetryBudget, Roster,
    Sample, Settings, Tally, TargetKey, Tried,
};

use super::rules::{Happened, Rules, rules, settings};
use super::targets::{Answer, Behaviour};
use super::{Dice, worlds};

const SEEDS: u64 = 300;
/// How long targets misbehave.
const TROUBLE: Duration = Duration::from_secs(40);
/// How long they are well, before it is looked whether all has come right.
const PEACE: Duration = Duration::from_secs(400);
const WORKERS: usize = 2;
/// How soon it is looked at what fails.
const SOON: Duration = Duration::from_millis(5);

type Id = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives,
    Ends { request: Id, attempt: u32 },
    HedgeDue { request: Id },
    RetryDue { request: Id },
    PendingOver { request: Id, ticket: Ticket },
    Look,
    LookSoon,
    Tick,
    Trial,
    Mischief,
}

struct Attempt {
    number: u32,
    key: TargetKey,
    began: Moment,
    /// How it will end, if not with an answer.
    end: Option<AttemptEnd>,
}

struct Request {
    worker: usize,
    running: Vec<Attempt>,
    tried: Tried,
    is_idempotent: bool,
    is_kept: bool,
    attempts: Attempts,
    /// Attempts that followed a failure, those of them that were paid for, and those made beside another.
    retries: u32,
    paid: u8,
    hedges: u32,
    /// It waits, until then.
    waits: Option<(Ticket, Moment)>,
}

/// What a worker keeps for itself.
struct Worker {
    picker: Picker,
    budget: RetryBudget,
    /// By target: the trial it is in, and requests sent in it.
    trials: HashMap<TargetKey, (u32, u32)>,
    /// What was granted and earned, told by an independent book: seconds.
    requests: VecDeque<u64>,
    granted: VecDeque<u64>,
}

struct World {
    dice: Dice,
    now: Moment,
    began: Moment,
    settings: Settings,
    group: Group,
    roster: Arc<Roster>,
    targets: BTreeMap<TargetKey, Behaviour>,
    seen: BTreeMap<TargetKey, (Tally, Vec<Duration>)>,
    workers: Vec<Worker>,
    events: BinaryHeap<Reverse<(Moment, u64, Event)>>,
    sequence: u64,
    requests: HashMap<Id, Request>,
    arrived: u64,
    ended: u64,
    failed_of_late: u64,
    places: HashMap<TargetKey, u32>,
    taken: u32,
    queue: Queue<Id>,
    last_served: Option<Ticket>,
    gradient: Option<Gradient>,
    rules: Rules,
    seen_of: Happened,
    looks_soon: bool,
    /// The last time that an ejection's end was waited for.
    trial_due: Option<Moment>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice::new(!seed);
        let settings = settings(&mut dice);
        let rules = rules(&mut dice);
        let mut group = Group::new(settings.clone());
        let _ = group.set_in_use(true);
        let worker = || Worker {
            picker: Picker::new(settings.algorithm),
            budget: RetryBudget::new(rules.budget),
            trials: HashMap::new(),
            requests: VecDeque::new(),
            granted: VecDeque::new(),
        };
        let began = Duration::from_secs(dice.below(100_000));
        let mut world = World {
            now: began,
            began,
            roster: group.roster(),
            group,
            targets: BTreeMap::new(),
            seen: BTreeMap::new(),
            workers: (0..WORKERS).map(|_| worker()).collect(),
            events: BinaryHeap::new(),
            sequence: 0,
            requests: HashMap::new(),
            arrived: 0,
            ended: 0,
            failed_of_late: 0,
            places: HashMap::new(),
            taken: 0,
            queue: Queue::default(),
            last_served: None,
            gradient: rules.adaptive.as_ref().map(Gradient::new),
            settings,
            rules,
            seen_of: Happened::default(),
            looks_soon: false,
            trial_due: None,
            dice,
        };
        for number in 0..3 + world.dice.below(4) {
            let key = TargetKey(mix(number));
            let weight = 1 + world.dice.below(3) as u32;
            let changes = world.group.register(key, weight, world.now);
            world.follow(&changes);
            let behaviour = Behaviour::any(&mut world.dice);
            world.targets.insert(key, behaviour);
        }
        for event in [Event::Arrives, Event::Look, Event::Tick, Event::Mischief] {
            world.at(Duration::from_millis(1), event);
        }
        world
    }

    fn at(&mut self, wait: Duration, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((self.now + wait, self.sequence, event)));
    }

    fn is_peace(&self) -> bool {
        self.now >= self.began + TROUBLE
    }

    fn run(&mut self) {
        while let Some(Reverse((moment, _, event))) = self.events.pop() {
            assert!(moment >= self.now, "time goes forwards");
            self.now = moment;
            self.happen(event);
            self.check();
        }
        assert_eq!((self.arrived, self.requests.len()), (self.ended, 0), "every request ends, once");
        assert!(self.taken == 0 && self.queue.is_empty(), "nothing is left behind");
        assert!(self.places.values().all(|taken| *taken == 0), "every place came free");
        assert_eq!(self.failed_of_late, 0, "once all is well, nothing fails");
    }

    fn happen(&mut self, event: Event) {
        let is_over = self.now >= self.began + TROUBLE + PEACE;
        match event {
            Event::Arrives => {
                if !is_over {
                    let gap = if self.is_peace() { self.rules.gap.max(20) } else { self.rules.gap };
                    let wait = Duration::from_micros(1 + self.dice.below(gap * 2000));
                    self.at(wait, Event::Arrives);
                    self.arrive();
                }
            }
            Event::Ends { request, attempt } => self.end_attempt(request, attempt),
            Event::HedgeDue { request } => self.hedge(request),
            Event::RetryDue { request } => self.retry(request),
            Event::PendingOver { request, ticket } => {
                if self.requests.get(&request).is_some_and(|request| request.waits == Some((ticket, self.now))) {
                    self.queue.leave(ticket);
                    self.seen_of.waited_in_vain += 1;
                    self.end(request, false);
                }
            }
            Event::Look if !is_over => {
                self.at(Duration::from_millis(250), Event::Look);
                self.look();
                self.adapt();
            }
            Event::LookSoon => {
                self.looks_soon = false;
                self.look();
            }
            Event::Trial => {
                let changes = self.group.try_ejected(self.now);
                assert!(self.group.next_trial().is_none_or(|at| at > self.now), "what is due is done");
                self.follow(&changes);
                self.serve();
            }
            Event::Tick if !is_over => {
                self.at(Duration::from_secs(1), Event::Tick);
                self.tick();
            }
            Event::Mischief if !self.is_peace() => {
                let wait = Duration::from_millis(100 + self.dice.below(3000));
                self.at(wait, Event::Mischief);
                self.mischief();
            }
            Event::Mischief => {
                for (key, behaviour) in &mut self.targets {
                    *behaviour = Behaviour::Well(5);
                    let changes = self.group.register(*key, 1, self.now);
                    assert!(changes.expired.is_empty());
                }
                self.adopt();
                self.serve();
            }
            Event::Look | Event::Tick => {}
        }
    }

    /// A target changes, or leaves, or comes back.
    fn mischief(&mut self) {
        let keys: Vec<_> = self.targets.keys().copied().collect();
        let key = self.dice.of(&keys);
        let changes = match self.dice.below(6) {
            0 => self.group.deregister(key, self.now),
            1 => self.group.register(key, 1 + self.dice.below(3) as u32, self.now),
            _ => {
                let behaviour = Behaviour::any(&mut self.dice);
                self.targets.insert(key, behaviour);
                return;
            }
        };
        self.follow(&changes);
        self.serve();
    }

    fn arrive(&mut self) {
        let worker = self.dice.below(WORKERS as u64) as usize;
        let id = self.arrived;
        self.arrived += 1;
        self.workers[worker].budget.on_request(self.now);
        let second = self.now.as_secs();
        self.workers[worker].requests.push_back(second);
        let request = Request {
            worker,
            running: Vec::new(),
            tried: Tried::default(),
            is_idempotent: !self.dice.one_in(4),
            is_kept: !self.dice.one_in(4),
            attempts: Attempts::default(),
            retries: 0,
            paid: 0,
            hedges: 0,
            waits: None,
        };
        self.requests.insert(id, request);
        let is_turn = self.queue.len(Line::First) == 0;
        if is_turn && self.begin_attempt(id) {
            return;
        }
        if !self.wait(id, Line::First) {
            self.seen_of.turned_away += 1;
            self.end(id, false);
            // a few that come at once may be more than the limits let wait, though all is well
            let is_taken = |place: usize| !self.roster.entries[place].eligible || !self.has_room(place);
            let is_full = self.taken >= self.limit() || (0..self.roster.entries.len()).all(is_taken);
            self.failed_of_late -= u64::from(self.is_late() && is_full);
        }
    }

    /// Has a request wait for a place, if it may.
    fn wait(&mut self, id: Id, line: Line) -> bool {
        let bound = self.rules.pending * self.roster.eligible().max(1);
        let is_limited = self.rules.per_target > 0 || self.limit() < u32::MAX;
        let patience = self.rules.patience;
        let until = self.now + patience;
        let Ok(ticket) = self.queue.join(id, until, line, if is_limited { bound } else { 0 }) else {
            return false;
        };
        assert!(self.queue.len(line) <= bound, "the queue is over its bound");
        self.seen_of.queued += 1;
        self.seen_of.queued_again += u64::from(line == Line::Again);
        self.requests.get_mut(&id).unwrap().waits = Some((ticket, until));
        self.at(patience, Event::PendingOver { request: id, ticket });
        true
    }

    fn limit(&self) -> u32 {
        let declared = if self.rules.per_group == 0 { u32::MAX } else { self.rules.per_group };
        self.gradient.as_ref().map_or(declared, |gradient| declared.min(gradient.limit()))
    }

    fn has_room(&self, place: usize) -> bool {
        let taken = self.places.get(&self.roster.entries[place].key).copied().unwrap_or(0);
        self.rules.per_target == 0 || taken < self.rules.per_target
    }

    fn is_spent(&self, worker: usize, place: usize) -> bool {
        let entry = self.roster.entries[place];
        let probes = self.settings.circuit_breaker.map_or(u32::MAX, |breaker| breaker.probes);
        let sent = self.workers[worker].trials.get(&entry.key).filter(|(trial, _)| *trial == entry.trial);
        entry.trial > 0 && sent.is_some_and(|(_, sent)| *sent >= probes)
    }

    /// Sends a request to one more target. False when there is none with a place.
    fn begin_attempt(&mut self, id: Id) -> bool {
        if self.taken >= self.limit() {
            return false;
        }
        let request = &self.requests[&id];
        let worker = request.worker;
        let running: Vec<TargetKey> = request.running.iter().map(|attempt| attempt.key).collect();
        let tried = request.tried.out(&self.roster, &running);
        let mut exclude = tried.clone();
        let places = 0..self.roster.entries.len();
        exclude.extend(places.clone().filter(|place| !self.has_room(*place)));
        let is_free =
            |exclude: &[usize], place: usize| self.roster.entries[place].eligible && !exclude.contains(&place);
        // who turned it away is asked when no other can be
        let last = request.tried.last(&self.roster);
        if places.clone().any(|place| is_free(&exclude, place) && !last.contains(&place)) {
            exclude.extend(last);
        }
        // a trial's bound holds while there is another that could take the request
        let left: Vec<usize> = places.filter(|place| is_free(&exclude, *place)).collect();
        let unspent = left.iter().filter(|place| !self.is_spent(worker, **place)).count();
        if unspent > 0 {
            exclude.extend(left.iter().filter(|place| self.is_spent(worker, **place)));
        }
        let load = |place: usize| self.places.get(&self.roster.entries[place].key).copied().unwrap_or(0);
        let choice = Choice { random: self.dice.roll(), hash: self.dice.roll(), load: &load, exclude: &exclude };
        let Some(place) = self.workers[worker].picker.pick(choice) else {
            assert!(left.is_empty(), "a request was refused while a target could take it");
            return false;
        };
        let entry = self.roster.entries[place];
        assert!(entry.eligible && !entry.draining, "a target was chosen that is out");
        assert!(!tried.contains(&place), "a target was asked again");
        assert!(self.has_room(place), "a target over its limit was chosen");
        assert!(unspent == 0 || !self.is_spent(worker, place), "a target over its trial was chosen");
        if entry.trial > 0 {
            let (trial, sent) = self.workers[worker].trials.entry(entry.key).or_default();
            *sent = if *trial == entry.trial { *sent + 1 } else { 1 };
            *trial = entry.trial;
            self.seen_of.tried_out += 1;
        }
        self.taken += 1;
        *self.places.entry(entry.key).or_default() += 1;
        let answer = self.targets[&entry.key].answer(self.now, &mut self.dice);
        let (after, end) = match answer {
            Answer::Success(after) if after <= self.rules.per_try => (after, None),
            Answer::Failure(after, end) => (after, Some(end)),
            Answer::Success(_) | Answer::Nothing => (self.rules.per_try, Some(AttemptEnd::Late)),
        };
        let request = self.requests.get_mut(&id).unwrap();
        let number = request.retries + request.hedges;
        request.running.push(Attempt { number, key: entry.key, began: self.now, end });
        self.at(after, Event::Ends { request: id, attempt: number });
        if let Some(wait) = self.rules.hedge.and_then(|hedge| hedge.wait(self.requests[&id].hedges, None)) {
            self.at(wait, Event::HedgeDue { request: id });
        }
        true
    }

    fn end_attempt(&mut self, id: Id, number: u32) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let Some(at) = request.running.iter().position(|attempt| attempt.number == number) else { return };
        let attempt = request.running.swap_remove(at);
        let success = attempt.end.is_none();
        let is_last = request.running.is_empty();
        let (tally, latencies) = self.seen.entry(attempt.key).or_default();
        let (successes, failures) = if success { (1, 0) } else { (0, 1) };
        tally.merge(Tally { successes, failures, consecutive_failures: failures });
        if success {
            latencies.push(self.now - attempt.began);
        }
        if !success && !mem::replace(&mut self.looks_soon, true) {
            self.at(SOON, Event::LookSoon);
        }
        self.release(attempt.key);
        match attempt.end {
            None => self.end(id, true),
            Some(end) if is_last => self.fail(id, attempt.key, end),
            Some(AttemptEnd::TurnedAway) => self.requests.get_mut(&id).unwrap().tried.turned_away(attempt.key),
            Some(_) => self.requests.get_mut(&id).unwrap().tried.failed(attempt.key),
        }
        self.serve();
    }

    fn release(&mut self, key: TargetKey) {
        self.taken -= 1;
        *self.places.get_mut(&key).unwrap() -= 1;
    }

    fn end(&mut self, id: Id, success: bool) {
        let request = self.requests.remove(&id).unwrap();
        self.ended += 1;
        for attempt in request.running {
            // called off: no failure of the target's
            self.seen_of.called_off += 1;
            self.release(attempt.key);
        }
        *if success { &mut self.seen_of.answered } else { &mut self.seen_of.failed } += 1;
        self.failed_of_late += u64::from(self.is_late() && !success);
    }

    /// Whether all has been well for long.
    fn is_late(&self) -> bool {
        self.now >= self.began + TROUBLE + PEACE / 2
    }

    /// Places have come free: whoever came first is served first, of those that come again each that can use one.
    fn serve(&mut self) {
        let mut called = self.queue.serve(self.now);
        while let Some(id) = called {
            let (ticket, until) = self.requests.get(&id).and_then(|request| request.waits).unwrap();
            called = if self.begin_attempt(id) {
                self.queue.settled(ticket);
                self.seen_of.served += 1;
                self.requests.get_mut(&id).unwrap().waits = None;
                if ticket.line() == Line::First {
                    assert!(self.last_served.is_none_or(|last| last < ticket), "one that came later was served before");
                    self.last_served = Some(ticket);
                }
                self.queue.serve(self.now)
            } else {
                self.queue.rejoin(ticket, id, until);
                let is_particular = ticket.line() == Line::Again;
                is_particular.then(|| self.queue.serve_behind(ticket, self.now)).flatten()
            };
        }
    }

    /// Nobody waits for what is there.
    fn check_waiting(&self) {
        if self.taken >= self.limit() {
            return;
        }
        let waits = |request: &&Request| request.waits.is_some_and(|(_, until)| until > self.now);
        for request in self.requests.values().filter(waits) {
            let out = request.tried.out(&self.roster, &[]);
            let is_free =
                |place: usize| self.roster.entries[place].eligible && !out.contains(&place) && self.has_room(place);
            assert!(!(0..self.roster.entries.len()).any(is_free), "a request waits for a place that is there");
        }
    }

    fn look(&mut self) {
        let tallies: Vec<_> = self.seen.iter_mut().map(|(key, (tally, _))| (*key, mem::take(tally))).collect();
        for (key, tally) in tallies {
            let changes = self.group.observe(key, tally, self.now);
            self.follow(&changes);
        }
        let trial = self.group.next_trial().filter(|at| self.trial_due.is_none_or(|due| due <= self.now || *at < due));
        if let Some(at) = trial {
            self.trial_due = Some(at);
            self.at(at.saturating_sub(self.now), Event::Trial);
        }
        self.serve();
    }

    fn adapt(&mut self) {
        let mut latencies = Vec::new();
        let mut answers = Vec::new();
        for (key, (_, times)) in mem::take(&mut self.seen) {
            answers.extend(times.iter().copied());
            latencies.push((key, latency(times)));
        }
        latencies.sort_unstable_by_key(|(key, _)| *key);
        let changes = self.group.compare(&latencies, self.now);
        self.follow(&changes);
        if let (Some(gradient), Some(bounds)) = (&mut self.gradient, &self.rules.adaptive) {
            let Latency { answers, median } = latency(answers);
            let held_back = !self.queue.is_empty();
            gradient.update(Sample { answers, median, in_flight: self.taken, held_back }, bounds);
            assert!((bounds.minimum..=bounds.maximum).contains(&gradient.limit()));
        }
        self.serve();
    }

    fn tick(&mut self) {
        for key in self.group.probed().collect::<Vec<_>>() {
            let outcome = self.targets[&key].probe(self.now);
            let changes = self.group.probe_result(key, outcome, self.now);
            self.follow(&changes);
        }
        let changes = self.group.tick(self.now);
        self.follow(&changes);
        self.serve();
    }

    fn follow(&mut self, changes: &Changes) {
        self.seen_of.ejected += changes.ejected.len() as u64;
        if changes.roster_changed {
            self.adopt();
        }
    }

    /// Workers take in a roster, in which a target's place may be another than before.
    fn adopt(&mut self) {
        self.roster = self.group.roster();
        for (number, worker) in self.workers.iter_mut().enumerate() {
            worker.picker.update(&self.roster, number);
        }
    }

    fn check(&self) {
        self.check_waiting();
        let running: usize = self.requests.values().map(|request| request.running.len()).sum();
        assert_eq!(running, self.taken as usize, "places and attempts are the same");
        assert_eq!(self.arrived, self.ended + self.requests.len() as u64, "no request is lost, or ends twice");
        if self.rules.per_target > 0 {
            assert!(self.places.values().all(|taken| *taken <= self.rules.per_target), "a target is over its limit");
        }
        if self.rules.per_group > 0 {
            assert!(self.taken <= self.rules.per_group, "the group is over its limit");
        }
        let ejected = self.group.targets().filter(|report| report.ejected).count();
        let registered = self.roster.entries.iter().filter(|entry| !entry.draining).count();
        if let Some(breaker) = self.settings.circuit_breaker {
            let on_trial = self.roster.entries.iter().filter(|entry| !entry.draining && entry.trial > 0).count();
            let out = ejected + on_trial;
            assert!(out as f64 <= breaker.max_ejected * registered as f64, "{out} of {registered} out, or on trial");
        }
    }

    /// Once all is well, each target has its weight's share.
    fn check_shares(&mut self) {
        let total: f64 = self.roster.entries.iter().filter(|e| e.eligible).map(|e| f64::from(e.weight)).sum();
        let picks = 10_000;
        let mut counts = vec![0u32; self.roster.entries.len()];
        for _ in 0..picks {
            let choice = Choice { random: self.dice.roll(), hash: self.dice.roll(), load: &|_| 0, exclude: &[] };
            counts[self.workers[0].picker.pick(choice).unwrap()] += 1;
        }
        for (entry, count) in self.roster.entries.iter().zip(counts) {
            assert!(entry.eligible && entry.trial == 0, "all targets are back");
            let (share, seen) = (f64::from(entry.weight) / total, f64::from(count) / f64::from(picks));
            assert!((seen - share).abs() < 0.02, "{seen} for {share} with {:?}", self.settings.algorithm);
        }
    }
}

fn latency(mut times: Vec<Duration>) -> Latency {
    times.sort_unstable();
    Latency { answers: times.len() as u64, median: times.get(times.len() / 2).copied().unwrap_or_default() }
}

#[test]
fn requests_in_trouble() {
    let mut sums = [0; 15];
    let mut count = 0;
    worlds(SEEDS, |seed| {
        let mut world = World::new(seed);
        world.run();
        world.check_shares();
        sums.iter_mut().zip(world.seen_of.all()).for_each(|(sum, seen)| *sum += seen);
        count += 1;
    });
    println!("{count} worlds: {sums:?}");
    assert!(count < SEEDS || sums.iter().all(|sum| *sum > 100), "something hardly ever happens: {sums:?}");
}
