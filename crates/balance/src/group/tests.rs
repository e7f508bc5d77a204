//! What a group does, row by row, in a small language.
//!
//! A script's lines are `moment: commands => what is seen`. Before a line's commands the group ticks once for every second
//! since the line before. Commands name targets by a letter:
//!
//! * `+a`, `+a*3` register, with a weight; `-a` deregister; `use`, `unuse` the group
//! * `a.` a health check succeeded, `a5` it answered 500, `at` it timed out, `ar` it has another role, `ax` it failed
//! * `a~` a request to it succeeded, `a!3` three in a row failed
//!
//! What is seen: `open` if the group fails open, `closed` if it does not although nothing is healthy; `a:1000` for each eligible target with its effective weight, `a:1000?` for one
//! on trial; `b=state` for each other than healthy; then events since the line before: `cut:a`, `ejected:a`, `restored:a`.

use std::collections::BTreeMap;

use super::*;
use crate::health::Thresholds;
use crate::pick::Algorithm;
use crate::settings::CircuitBreaker;
use crate::unfit::Unfit;

fn key(name: char) -> TargetKey {
    TargetKey(name as u64)
}

fn name(key: TargetKey) -> char {
    char::from(key.0 as u8)
}

struct World {
    group: Group,
    now: u64,
    events: Vec<String>,
    told: BTreeMap<TargetKey, Status>,
}

impl World {
    fn new(settings: Settings) -> Self {
        let mut group = Group::new(settings);
        assert_eq!(group.set_in_use(true).transitions, []);
        Self { group, now: 0, events: Vec::new(), told: BTreeMap::new() }
    }

    fn take(&mut self, changes: Changes) {
        for transition in changes.transitions {
            let unused = Status::new(State::Unused, Reason::NotRegistered);
            let before = self.told.insert(transition.key, transition.to).unwrap_or(unused);
            assert_eq!(transition.from, before, "transitions link up");
            assert_ne!(transition.from, transition.to);
        }
        let ejected = changes.ejected.into_iter().map(|(key, _)| key).collect();
        let lists = [("cut", changes.expired), ("ejected", ejected), ("restored", changes.restored)];
        for (event, keys) in lists {
            self.events.extend(keys.into_iter().map(|key| format!("{event}:{}", name(key))));
        }
    }

    fn run(&mut self, command: &str) {
        let now = Moment::from_secs(self.now);
        let mut letters = command.chars();
        let changes = match (command, letters.next().unwrap(), letters.next()) {
            ("use", ..) => self.group.set_in_use(true),
            ("unuse", ..) => self.group.set_in_use(false),
            (_, '+', Some(target)) => {
                let weight = command.split_once('*').map_or(1, |(_, weight)| weight.parse().unwrap());
                self.group.register(key(target), weight, now)
            }
            (_, '-', Some(target)) => self.group.deregister(key(target), now),
            (_, target, Some('.')) => self.group.probe_result(key(target), Outcome::Success, now),
            (_, target, Some('5')) => self.group.probe_result(key(target), Outcome::CodeMismatch(500), now),
            (_, target, Some('t')) => self.group.probe_result(key(target), Outcome::Timeout, now),
            (_, target, Some('r')) => self.group.probe_result(key(target), Outcome::Unfit(Unfit::NotPrimary), now),
            (_, target, Some('x')) => self.group.probe_result(key(target), Outcome::Failed, now),
            (_, target, Some('~')) => self.group.observe(key(target), Tally { successes: 1, ..Tally::default() }, now),
            (_, target, Some('!')) => {
                let failures = letters.as_str().parse().unwrap();
                let tally = Tally { successes: 0, failures, consecutive_failures: failures };
                self.group.observe(key(target), tally, now)
            }
            _ => panic!("unknown command {command}"),
        };
        self.take(changes);
    }

    fn pass_until(&mut self, moment: u64) {
        while self.now < moment {
            self.now += 1;
            let changes = self.group.tick(Moment::from_secs(self.now));
            self.take(changes);
        }
    }

    fn seen(&mut self) -> String {
        let roster = self.group.roster();
        let rest = self.group.tick(Moment::from_secs(self.now));
        self.take(rest);
        let supply = match roster.supply {
            Supply::Enough => None,
            Supply::FailOpen => Some("open".to_owned()),
            Supply::FailClosed => Some("closed".to_owned()),
            Supply::Ejected => Some("out".to_owned()),
        };
        let eligible = roster.entries.iter().filter(|entry| entry.eligible);
        let trial = |entry: &Entry| if entry.trial > 0 { "?" } else { "" };
        let eligible = eligible.map(|entry| format!("{}:{}{}", name(entry.key), entry.weight, trial(entry)));
        let reports: Vec<_> = self.group.targets().collect();
        for report in &reports {
            assert_eq!(self.told.get(&report.key), Some(&report.status), "every status was told");
        }
        let others = reports.iter().filter(|report| report.status.state != State::Healthy);
        let others = others.map(|report| format!("{}={}", name(report.key), report.status.state));
        let words: Vec<_> = supply.into_iter().chain(eligible).chain(others).chain(self.events.drain(..)).collect();
        words.join(" ")
    }
}

#[track_caller]
fn check(settings: Settings, script: &str) -> World {
    let mut world = World::new(settings);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (moment, rest) = line.split_once(':').unwrap();
        let (commands, expected) = rest.split_once("=>").unwrap();
        world.pass_until(moment.parse().unwrap());
        for command in commands.split_whitespace() {
            world.run(command);
        }
        assert_eq!(world.seen(), expected.trim(), "after `{line}`");
    }
    world
}

fn settings() -> Settings {
    Settings { health_check: HealthCheck::Enabled(Thresholds { healthy: 3, unhealthy: 2 }), ..Settings::default() }
}

fn slow() -> Settings {
    Settings { slow_start: Duration::from_secs(100), ..settings() }
}

fn breaking(max_ejected: f64) -> Settings {
    let open_for = Duration::from_secs(10);
    let breaker =
        CircuitBreaker { consecutive_failures: 3, open_for, max_ejected, probes: 2, ..CircuitBreaker::default() };
    Settings { circuit_breaker: Some(breaker), ..settings() }
}

/// Where a wrong target does harm, none is chosen rather than that one; a role is believed at once.
#[test]
fn closed_rather_than_open() {
    let settings = Settings { fails_open: false, unhealthy_draining: Some(Duration::ZERO), ..settings() };
    check(
        settings.clone(),
        "0: +a +b => closed a=initial b=initial
         1: a. br => a:1000 b=unhealthy cut:b
         2: ar => closed a=unhealthy b=unhealthy cut:a
         3: b. => b:1000 a=unhealthy
         4: bx => b:1000 a=unhealthy
         5: bx => closed a=unhealthy b=unhealthy cut:b
         6: b. => closed a=unhealthy b=unhealthy
         7: a. => a:1000 b=unhealthy",
    );
    // an empty group is short of nothing: it has nobody to close to
    check(settings, "0: => ");
}

#[test]
fn t3_a_new_target_needs_one_success_a_recovering_one_its_threshold() {
    check(
        settings(),
        "0: +a +b*2 => open a:1000 b:2000 a=initial b=initial
         1: a. => a:1000 b=initial
         2: bx => a:1000 b=initial
         3: b. => a:1000 b:2000
         4: b5 => a:1000 b:2000
         5: b5 => a:1000 b=unhealthy
         6: b. b. => a:1000 b=unhealthy
         7: b. => a:1000 b:2000",
    );
}

#[test]
fn t4_reasons() {
    let mut world = check(settings(), "0: +a +b +c => open a:1000 b:1000 c:1000 a=initial b=initial c=initial");
    let description = |world: &World, target| world.group.status(key(target)).description().unwrap().into_owned();
    for command in ["a5", "a5", "bt", "bt", "-c"] {
        world.run(command);
    }
    assert_eq!(description(&world, 'a'), "Health checks failed with these codes: [500]");
    assert_eq!(description(&world, 'b'), "Request timed out");
    assert_eq!(description(&world, 'c'), "Target deregistration is in progress");
    assert_eq!(description(&world, 'z'), "Target is not registered to the target group");
    world.run("unuse");
    let expected = "Target group is not configured to receive traffic from the load balancer";
    assert_eq!(description(&world, 'a'), expected);
}

#[test]
fn t5_not_used_is_not_probed_and_starts_over() {
    let world = check(
        settings(),
        "0: +a +b a. => a:1000 b=initial
         1: unuse => open a:1000 b:1000 a=unused b=unused
         2: a. b. => open a:1000 b:1000 a=unused b=unused",
    );
    assert_eq!(world.group.probed().count(), 0);
    let world = check(
        settings(),
        "0: +a +b a. unuse use => open a:1000 b:1000 a=initial b=initial
         1: b. => b:1000 a=initial
         2: -b => open a:1000 a=initial b=draining",
    );
    assert_eq!(world.group.probed().collect::<Vec<_>>(), [key('a')]);
}

#[test]
fn t6_fails_open_below_the_minimum() {
    check(
        settings(),
        "0: +a +b +c a. b. c. => a:1000 b:1000 c:1000
         1: ax ax bx bx => c:1000 a=unhealthy b=unhealthy
         2: cx cx => open a:1000 b:1000 c:1000 a=unhealthy b=unhealthy c=unhealthy
         3: -b => open a:1000 c:1000 a=unhealthy b=draining c=unhealthy
         4: a. a. a. => a:1000 b=draining c=unhealthy",
    );
    check(
        Settings { minimum_healthy_percent: Some(60), ..settings() },
        "0: +a +b +c a. b. => a:1000 b:1000 c=initial
         1: ax ax => open a:1000 b:1000 c:1000 a=unhealthy c=initial",
    );
}

#[test]
fn t8_slow_start_is_a_straight_line_for_those_who_come_later() {
    check(
        slow(),
        "0: +a +b => open a:1000 b:1000 a=initial b=initial
         1: a. => a:1000 b=initial
         2: b. => a:1000 b:1000
         10: +c => a:1000 b:1000 c=initial
         20: c. => a:1000 b:1000 c:20
         45: => a:1000 b:1000 c:240
         70: => a:1000 b:1000 c:500
         119: => a:1000 b:1000 c:980
         120: => a:1000 b:1000 c:1000
         200: bx bx => a:1000 c:1000 b=unhealthy
         210: b. b. b. => a:1000 b:20 c:1000
         260: -b => a:1000 c:1000 b=draining
         261: +b b. => a:1000 b:20 c:1000",
    );
}

#[test]
fn t8_slow_start_spares_nobody_when_nobody_else_could_carry() {
    check(
        slow(),
        "0: +a a. => a:1000
         10: +b b. => a:1000 b:20
         20: ax ax => b:1000 a=unhealthy
         30: a. a. a. => a:20 b:1000",
    );
    check(
        slow(),
        "0: +a a. => a:1000
         10: ax ax => open a:1000 a=unhealthy
         20: a. a. a. => a:1000",
    );
}

#[test]
fn t8_healthy_targets_do_not_enter_a_slow_start_that_is_new() {
    let mut world = check(settings(), "0: +a +b a. b. => a:1000 b:1000");
    let changes = world.group.configure(slow());
    world.take(changes);
    assert_eq!(world.seen(), "a:1000 b:1000");
    for command in ["+c", "c."] {
        world.run(command);
    }
    assert_eq!(world.seen(), "a:1000 b:1000 c:1000", "no time has passed: still the first batch");
    world.pass_until(5);
    for command in ["+d", "d."] {
        world.run(command);
    }
    assert_eq!(world.seen(), "a:1000 b:1000 c:1000 d:20");
}

#[test]
fn t9_draining_lasts_for_the_whole_delay() {
    let world = check(
        settings(),
        "0: +a +b a. b. => a:1000 b:1000
         10: -a => b:1000 a=draining
         11: a. => b:1000 a=draining
         309: => b:1000 a=draining
         310: => b:1000 cut:a",
    );
    assert_eq!(world.group.status(key('a')).state, State::Unused);
    check(
        settings(),
        "0: +a +b a. b. => a:1000 b:1000
         10: -a => b:1000 a=draining
         200: +a => b:1000 a=initial
         201: a. => a:1000 b:1000
         400: => a:1000 b:1000
         401: -a -a => b:1000 a=draining
         500: -a => b:1000 a=draining
         701: => b:1000 cut:a
         702: +a => b:1000 a=initial",
    );
    check(
        Settings { deregistration_delay: Duration::ZERO, ..settings() },
        "0: +a +b +c a. b. c. => a:1000 b:1000 c:1000
         1: -a -b => c:1000 cut:a cut:b",
    );
}

#[test]
fn a_group_without_health_checks_takes_every_target_for_healthy() {
    let off = Settings { health_check: HealthCheck::Disabled, ..slow() };
    let world = check(
        off,
        "0: +a +b => a:1000 b:1000 a=unavailable b=unavailable
         1: ax ax => a:1000 b:1000 a=unavailable b=unavailable
         5: +c => a:1000 b:1000 c:20 a=unavailable b=unavailable c=unavailable",
    );
    assert_eq!(world.group.probed().count(), 0);
}

#[test]
fn n6_unhealthy_draining_leaves_flows_alone_for_a_while() {
    check(
        Settings { unhealthy_draining: Some(Duration::from_secs(30)), ..settings() },
        "0: +a +b a. b. => a:1000 b:1000
         10: ax ax => b:1000 a=unhealthy.draining
         39: => b:1000 a=unhealthy.draining
         40: => b:1000 a=unhealthy cut:a
         50: a. a. a. ax ax => b:1000 a=unhealthy.draining
         60: a. a. a. => a:1000 b:1000
         90: => a:1000 b:1000",
    );
}

#[test]
fn n6_without_an_interval_flows_are_cut_at_once() {
    check(
        Settings { unhealthy_draining: Some(Duration::ZERO), ..settings() },
        "0: +a +b a. b. => a:1000 b:1000
         10: ax ax => b:1000 a=unhealthy cut:a
         40: => b:1000 a=unhealthy
         50: a. a. a. => a:1000 b:1000",
    );
}

#[test]
fn the_breaker_opens_probes_and_closes() {
    check(
        breaking(0.5),
        "0: +a +b a. b. => a:1000 b:1000
         1: a!2 a~ a!2 => a:1000 b:1000
         2: a!1 => b:1000 ejected:a
         3: a~ => b:1000
         11: => b:1000
         12: => a:1000? b:1000 restored:a
         13: a!1 => b:1000 ejected:a
         32: => b:1000
         33: => a:1000? b:1000 restored:a
         34: a~ => a:1000? b:1000
         35: a~ => a:1000 b:1000",
    );
}

#[test]
fn a_target_that_has_passed_its_trial_comes_back_with_slow_start() {
    check(
        Settings { slow_start: Duration::from_secs(100), ..breaking(0.5) },
        "0: +a +b a. b. => a:1000 b:1000
         1: a!3 => b:1000 ejected:a
         11: => a:1000? b:1000 restored:a
         12: a~ a~ => a:20 b:1000
         62: => a:500 b:1000
         63: a!3 => b:1000 ejected:a",
    );
}

#[test]
fn targets_are_ejected_without_health_checks() {
    check(
        Settings { health_check: HealthCheck::Disabled, ..breaking(0.5) },
        "0: +a +b => a:1000 b:1000 a=unavailable b=unavailable
         1: a!3 => b:1000 a=unavailable b=unavailable ejected:a",
    );
}

#[test]
fn slow_targets_are_ejected_within_the_bound() {
    let mut settings = breaking(0.4);
    if let Some(breaker) = &mut settings.circuit_breaker {
        breaker.latency_factor = Some(3.0);
    }
    let mut world = check(settings, "0: +a +b +c +d +e a. b. c. d. e. => a:1000 b:1000 c:1000 d:1000 e:1000");
    let latency = |target, median| (key(target), Latency { answers: 50, median: Duration::from_millis(median) });
    let all = [latency('a', 10), latency('b', 90), latency('c', 12), latency('d', 80), latency('e', 95)];
    let changes = world.group.compare(&all, Moment::from_secs(1));
    world.take(changes);
    assert_eq!(world.seen(), "a:1000 b:1000 c:1000 d:1000 e:1000", "most are as slow: that is what is usual");
    let all = [latency('a', 10), latency('b', 90), latency('c', 12), latency('d', 80), latency('e', 11)];
    let changes = world.group.compare(&all, Moment::from_secs(1));
    world.take(changes);
    assert_eq!(world.seen(), "a:1000 c:1000 e:1000 ejected:b ejected:d");
}

#[test]
fn ejection_is_bounded() {
    check(
        breaking(0.34),
        "0: +a +b +c a. b. c. => a:1000 b:1000 c:1000
         1: a!3 b!3 => b:1000 c:1000 ejected:a
         2: -c => a:1000 b:1000 c=draining restored:a",
    );
    // Never the last one, whatever share is allowed.
    check(breaking(1.0), "0: +a +b a. b. a!9 b!9 => b:1000 ejected:a");
    check(breaking(0.1), "0: +a +b a. b. a!9 b!9 => a:1000 b:1000");
    // One on trial is not one that the others could be left to, and counts in the share until it has passed.
    check(
        breaking(1.0),
        "0: +a +b a. b. => a:1000 b:1000
         1: a!3 b!3 => b:1000 ejected:a
         11: b!3 => a:1000? b:1000 restored:a
         12: a!1 b!3 => b:1000 ejected:a
         32: a~ a~ b!3 => a:1000 restored:a ejected:b",
    );
    check(
        breaking(0.5),
        "0: +a +b +c +d a. b. c. d. => a:1000 b:1000 c:1000 d:1000
         1: a!3 b!3 => c:1000 d:1000 ejected:a ejected:b
         11: c!3 => a:1000? b:1000? c:1000 d:1000 restored:a restored:b
         12: -d => a:1000 b:1000? c:1000 d=draining",
    );
    // An ejected target still beats an unhealthy one.
    check(breaking(1.0), "0: +a +b a. b. a!9 bx bx => out a:1000 b=unhealthy ejected:a");
}

/// Where something stands in, all may be ejected that the share allows, and each comes back by a trial.
#[test]
fn the_last_one_is_ejected_where_something_stands_in() {
    let with = |max_ejected| Settings { has_stand_in: true, ..breaking(max_ejected) };
    check(
        with(1.0),
        "0: +a +b a. b. => a:1000 b:1000
         1: a!3 b!3 => out a:1000 b:1000 ejected:a ejected:b
         11: => out a:1000? b:1000? restored:a restored:b
         12: a~ a~ b!1 => a:1000 ejected:b",
    );
    check(with(1.0), "0: +a a. a!3 => out a:1000 ejected:a");
    check(with(0.5), "0: +a +b a. b. a!9 b!9 => b:1000 ejected:a");
    check(with(0.9), "0: +a a. a!9 => a:1000");
}

#[test]
fn mitigation_takes_weight_from_an_anomalous_target() {
    let settings = Settings { anomaly_mitigation: true, algorithm: Algorithm::WeightedRandom, ..settings() };
    let mut world = check(settings, "0: +a +b +c a. b. c. => a:1000 b:1000 c:1000");
    for _ in 0..20 {
        for command in ["a!1", "a~", "b~", "b~", "c~", "c~"] {
            world.run(command);
        }
    }
    world.pass_until(11);
    assert_eq!(world.seen(), "a:500 b:1000 c:1000");
    assert!(world.group.targets().next().is_some_and(|report| report.anomalous && report.mitigated));
    world.pass_until(70);
    assert_eq!(world.seen(), "a:1000 b:1000 c:1000");
}

#[test]
fn adopted_targets_are_as_they_were() {
    let mut world = World::new(slow());
    let now = Moment::from_secs(1);
    for (target, verdict) in [('a', Verdict::Healthy), ('b', Verdict::Unhealthy), ('c', Verdict::Initial)] {
        let changes = world.group.adopt(key(target), 1, verdict, now);
        world.take(changes);
    }
    assert_eq!(world.seen(), "a:1000 b=unhealthy c=initial");
    let changes = world.group.adopt(key('d'), 1, Verdict::Healthy, now * 9);
    world.take(changes);
    assert_eq!(world.seen(), "a:1000 d:1000 b=unhealthy c=initial");
}

#[test]
fn the_generation_grows_with_changes_only() {
    let mut world = check(settings(), "0: +a +b a. b. => a:1000 b:1000");
    let before = world.group.roster().generation;
    for command in ["a.", "b.", "+a", "ax", "a."] {
        world.run(command);
    }
    world.pass_until(5);
    assert_eq!(world.group.roster().generation, before);
    world.run("+a*2");
    assert_eq!(world.group.roster().generation, before + 1);
    assert_eq!(world.group.roster().generation, before + 1);
}

/// Between two ticks: an ejection is over when it is, to the millisecond.
#[test]
fn trials_begin_when_they_are_due() {
    let mut group = Group::new(Settings { health_check: HealthCheck::Disabled, ..breaking(0.5) });
    let at = |millis: u64| Moment::from_millis(millis);
    for name in ['a', 'b'] {
        let _ = group.register(key(name), 1, at(0));
    }
    assert_eq!(group.next_trial(), None);
    let _ = group.observe(key('a'), Tally { successes: 0, failures: 3, consecutive_failures: 3 }, at(1_234));
    let trial = |group: &mut Group| group.roster().entries.iter().map(|entry| entry.trial).max();
    for (due, number) in [(11_234, 1), (21_234, 2), (31_234, 3)] {
        assert_eq!(group.next_trial(), Some(at(due)));
        assert_eq!((group.try_ejected(at(due - 1)).roster_changed, trial(&mut group)), (false, Some(number - 1)));
        assert_eq!(group.try_ejected(at(due)).restored.len(), usize::from(number == 1));
        assert_eq!(trial(&mut group), Some(number));
    }
    let _ = group.observe(key('a'), Tally { successes: 2, ..Tally::default() }, at(32_000));
    assert_eq!((trial(&mut group), group.try_ejected(at(50_000)).roster_changed), (Some(0), false));
    assert_eq!(group.next_trial(), None);
}
