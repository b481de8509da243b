//! The [`Engine`] in virtual time: registry, slots, timers, ready queue and inbox together, against
//! maps and lists.

use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::time::Duration;

use ferrio_engine::{
    Engine, Instant, Interest, Key, Readiness, Ready, Rearmed, Simulation, Timeout, TimerKey,
    Trigger,
};

use crate::input::Input;

/// What the engine carries: who it is, by the number of its making.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Item {
    Pushed(u32),
    Sent(u32),
    Timer(u32),
    Event(u32),
}

struct Timer {
    key: TimerKey,
    deadline: Instant,
    number: u32,
}

struct Source {
    key: Key,
    fd: RawFd,
    interest: Interest,
    trigger: Trigger,
    number: u32,
}

/// What the simulated kernel was told of a number.
#[derive(Default)]
struct File {
    readiness: Readiness,
    /// Something was said of it since it was last reported.
    is_new: bool,
}

struct World {
    engine: Engine<Item, u32>,
    simulation: Simulation,
    timers: Vec<Timer>,
    stale_timers: Vec<TimerKey>,
    sources: Vec<Source>,
    stale_sources: Vec<Key>,
    files: BTreeMap<RawFd, File>,
    /// Ready already, in order.
    ready: Vec<Item>,
    letters: Vec<Item>,
    next: u32,
}

/// Does to an engine what `bytes` say, then closes it.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (engine, simulation) = Engine::simulated();
    let mut world = World {
        engine,
        simulation,
        timers: Vec::new(),
        stale_timers: Vec::new(),
        sources: Vec::new(),
        stale_sources: Vec::new(),
        files: BTreeMap::new(),
        ready: Vec::new(),
        letters: Vec::new(),
        next: 0,
    };
    while !input.is_empty() {
        world.step(&mut input);
        world.check();
    }
    world.close();
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0 => {
                let item = Item::Pushed(self.number());
                self.engine.push(item);
                self.ready.push(item);
            }
            1 => {
                let item = Item::Sent(self.number());
                assert!(self.engine.inbox().push(item).is_ok());
                self.letters.push(item);
            }
            2..=4 => self.add_timer(input),
            5 => self.cancel_timer(input),
            6 | 7 => self.register(input),
            8 => self.deregister(input),
            9 => self.change(input),
            10 | 11 => self.set_ready(input),
            12 => self.simulation.advance(Duration::from_nanos(input.size() as u64)),
            _ => self.turn(),
        }
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn add_timer(&mut self, input: &mut Input<'_>) {
        let delay = Duration::from_nanos(input.size() as u64);
        let now = self.simulation.now();
        // In the past at times.
        let deadline =
            if input.flag() { now.saturating_add(delay) } else { now.saturating_sub(delay) };
        let number = self.number();
        let key = self.engine.add_timer(deadline, Item::Timer(number));
        self.timers.push(Timer { key, deadline, number });
    }

    fn cancel_timer(&mut self, input: &mut Input<'_>) {
        let pick = usize::from(input.byte());
        if input.flag() && !self.stale_timers.is_empty() {
            let key = self.stale_timers[pick % self.stale_timers.len()];
            assert_eq!(self.engine.cancel_timer(key), None);
        } else if !self.timers.is_empty() {
            let timer = self.timers.remove(pick % self.timers.len());
            assert_eq!(self.engine.cancel_timer(timer.key), Some(Item::Timer(timer.number)));
            self.stale_timers.push(timer.key);
        }
    }

    fn register(&mut self, input: &mut Input<'_>) {
        let fd = input.below(8) as RawFd - 1;
        let (interest, trigger) = wish(input);
        let number = self.number();
        match self.engine.register(fd, interest, trigger, number) {
            Ok(key) => {
                assert!(fd >= 0);
                self.sources.push(Source { key, fd, interest, trigger, number });
                self.attach(fd, interest);
                assert_eq!(self.engine.key_of(fd), Some(key));
            }
            Err(failed) => {
                assert!(fd < 0);
                assert_eq!(failed.source, number);
            }
        }
    }

    fn deregister(&mut self, input: &mut Input<'_>) {
        let pick = usize::from(input.byte());
        if input.flag() && !self.stale_sources.is_empty() {
            let key = self.stale_sources[pick % self.stale_sources.len()];
            assert_eq!(self.engine.deregister(key), None);
            assert!(self.engine.set_interest(key, Interest::BOTH).is_err());
            assert!(self.engine.source(key).is_none() && self.engine.interest(key).is_none());
        } else if !self.sources.is_empty() {
            let index = pick % self.sources.len();
            let is_owner = self.is_owner(index);
            let source = self.sources.remove(index);
            assert_eq!(self.engine.deregister(source.key), Some(source.number));
            self.stale_sources.push(source.key);
            if is_owner {
                self.files.remove(&source.fd);
                assert_eq!(self.engine.key_of(source.fd), None);
                assert_eq!(self.simulation.interest(source.fd), None);
            }
        }
    }

    /// Of the sources under one number only the last one is told of anything.
    fn is_owner(&self, index: usize) -> bool {
        let fd = self.sources[index].fd;
        self.sources[index + 1..].iter().all(|later| later.fd != fd)
            && self.engine.key_of(fd) == Some(self.sources[index].key)
    }

    fn change(&mut self, input: &mut Input<'_>) {
        if self.sources.is_empty() {
            return;
        }
        let index = usize::from(input.byte()) % self.sources.len();
        let is_owner = self.is_owner(index);
        let (interest, trigger) = wish(input);
        let keeps_trigger = input.flag();
        let source = &mut self.sources[index];
        let is_change = source.interest != interest;
        if keeps_trigger {
            let changed = self.engine.set_interest(source.key, interest);
            assert_eq!(changed.is_ok(), is_owner || !is_change);
        } else {
            let changed = self.engine.rearm(source.key, interest, trigger);
            match changed {
                Ok(found) => assert!(is_owner && found == Rearmed::Kept),
                Err(_) => assert!(!is_owner),
            }
        }
        if is_owner {
            source.interest = interest;
            if !keeps_trigger {
                source.trigger = trigger;
            }
            let fd = source.fd;
            if is_change || !keeps_trigger {
                self.attach(fd, interest);
            }
        }
    }

    /// Mirrors what the simulated kernel does when a number is added, modified or deleted.
    fn attach(&mut self, fd: RawFd, interest: Interest) {
        if interest.is_none() {
            self.files.remove(&fd);
        } else {
            let is_known = self.files.contains_key(&fd);
            let file = self.files.entry(fd).or_default();
            // As in the kernel: what was added has no news, what was modified has.
            file.is_new = is_known;
        }
    }

    fn set_ready(&mut self, input: &mut Input<'_>) {
        let fd = input.below(7) as RawFd;
        let all = [
            Readiness::READABLE,
            Readiness::WRITABLE,
            Readiness::READ_CLOSED,
            Readiness::HANGUP,
            Readiness::ERROR,
            Readiness::PRIORITY,
        ];
        let bits = input.byte();
        let chosen = all.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        let readiness = chosen.fold(Readiness::NONE, |sum, (_, one)| sum | *one);
        assert_eq!(self.simulation.set_ready(fd, readiness), self.files.contains_key(&fd));
        if let Some(file) = self.files.get_mut(&fd) {
            *file = File { readiness, is_new: true };
        }
    }

    /// One turn: what comes out, in which order, and when.
    fn turn(&mut self) {
        let before = self.simulation.now();
        let timeout = self.engine.timeout(before);
        let nearest = self.timers.iter().map(|timer| timer.deadline).min();
        let is_busy = !self.ready.is_empty() || !self.letters.is_empty();
        match timeout {
            Timeout::Zero => assert!(is_busy || nearest.is_some_and(|at| at <= before)),
            Timeout::Until(deadline) => {
                assert!(!is_busy && nearest == Some(deadline) && deadline > before);
            }
            Timeout::Forever => assert!(!is_busy && nearest.is_none()),
        }
        let polled = self.engine.poll_now().expect("an open engine can be polled");
        if polled == 0 && timeout != Timeout::Zero {
            let mut wait = self.engine.begin_wait(timeout, before);
            // Nothing can end a wait for ever here, which the simulation says.
            let blocked = wait.block();
            assert!(blocked.is_ok() || timeout == Timeout::Forever);
            self.engine.end_wait(wait);
        }
        let now = self.simulation.now();
        if let Timeout::Until(deadline) = timeout
            && polled == 0
        {
            assert_eq!(now, deadline);
        }

        let mut events = Vec::new();
        self.engine.collect(now, |key, readiness, source, ready| {
            events.push((key, readiness));
            ready.push(Item::Event(*source));
        });
        let mut expected = std::mem::take(&mut self.ready);
        expected.append(&mut self.letters);
        expected.extend(self.expect_events(&events));
        expected.extend(self.expect_timers(now));
        let count = self.engine.ready_len();
        let ran: Vec<Item> = (0..count).map(|_| self.pop()).collect();
        assert_eq!(ran, expected);
        assert!(self.engine.pop().is_none());
    }

    fn pop(&mut self) -> Item {
        match self.engine.pop() {
            Some(Ready::Item(item)) => item,
            Some(Ready::Task(_)) => panic!("there are no futures here"),
            None => panic!("there were as many"),
        }
    }

    /// Every source that has something it asked for, once each, in the order of the kernel.
    fn expect_events(&mut self, events: &[(Key, Readiness)]) -> Vec<Item> {
        let mut expected = Vec::new();
        for (fd, file) in &mut self.files {
            let Some(source) = self.sources.iter().rev().find(|source| source.fd == *fd) else {
                continue;
            };
            let is_told = match source.trigger {
                Trigger::Level => true,
                Trigger::Edge => std::mem::replace(&mut file.is_new, false),
            };
            if is_told && !file.readiness.directions(source.interest).is_none() {
                assert!(events.contains(&(source.key, file.readiness)));
                expected.push(Item::Event(source.number));
            }
        }
        assert_eq!(events.len(), expected.len());
        expected
    }

    /// What is due, by deadline and then by age.
    fn expect_timers(&mut self, now: Instant) -> Vec<Item> {
        let (mut due, pending): (Vec<Timer>, Vec<Timer>) =
            self.timers.drain(..).partition(|timer| timer.deadline <= now);
        self.timers = pending;
        due.sort_by_key(|timer| timer.deadline);
        self.stale_timers.extend(due.iter().map(|timer| timer.key));
        due.iter().map(|timer| Item::Timer(timer.number)).collect()
    }

    fn check(&self) {
        let engine = &self.engine;
        assert_eq!(engine.timer_len(), self.timers.len());
        assert_eq!(engine.source_len(), self.sources.len());
        assert_eq!(engine.ready_len(), self.ready.len());
        for source in &self.sources {
            assert_eq!(engine.source(source.key), Some(&source.number));
            assert_eq!(engine.interest(source.key), Some(source.interest));
        }
        let mut items = 0;
        engine.for_each_item(|_| items += 1);
        assert_eq!(items, self.timers.len() + self.ready.len());
    }

    /// All that is inside comes out, once.
    fn close(mut self) {
        let drained = self.engine.close();
        let ready: Vec<Item> = drained
            .ready
            .iter()
            .filter_map(|entry| match entry {
                Ready::Item(item) => Some(*item),
                Ready::Task(_) => None,
            })
            .collect();
        self.ready.append(&mut self.letters);
        assert_eq!(ready, self.ready);
        let mut timers = drained.timers;
        timers.sort();
        let mut expected: Vec<Item> =
            self.timers.iter().map(|timer| Item::Timer(timer.number)).collect();
        expected.sort();
        assert_eq!(timers, expected);
        let mut sources = drained.sources;
        sources.sort_unstable();
        let mut expected: Vec<u32> = self.sources.iter().map(|source| source.number).collect();
        expected.sort_unstable();
        assert_eq!(sources, expected);
        assert!(
            self.engine.poll_now().is_ok_and(|count| count == 0) || self.engine.source_len() == 0
        );
        assert!(self.engine.inbox().push(Item::Sent(0)).is_err());
    }
}

fn wish(input: &mut Input<'_>) -> (Interest, Trigger) {
    let interest = [Interest::NONE, Interest::READ, Interest::WRITE, Interest::BOTH];
    let trigger = [Trigger::Level, Trigger::Edge];
    (interest[input.below(4)], trigger[input.below(2)])
}
