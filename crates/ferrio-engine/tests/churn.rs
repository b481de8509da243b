//! Promise: however connections come, go and change numbers, no event reaches a source that it is not
//! for, and none that is due is missing.
//!
//! A long random history, the same in every run. Each connection has a letter of its own to say, so a
//! source that is told of readiness must find its own letter, or the event was another's.

mod host;

use std::io::Read as _;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use ferrio_engine::{Engine, Interest, Key, Readiness, Trigger};
use host::{events_until, on_every_driver, poke, report, tcp_pair, turn};
use rustix::io::dup2;

type Events = Engine<(Key, Readiness, usize), usize>;

struct Connection {
    id: usize,
    ours: OwnedFd,
    peer: TcpStream,
    key: Key,
    is_poked: bool,
}

struct Churn {
    engine: Events,
    connections: Vec<Connection>,
    /// Of sources whose descriptors were closed behind the engine's back.
    orphans: Vec<(Key, usize)>,
    next_id: usize,
    random: u64,
}

impl Churn {
    /// Knuth's generator; good enough to be unpredictable, and the same everywhere.
    fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) as usize % bound
    }

    fn any(&mut self) -> Option<usize> {
        let count = self.connections.len();
        if count == 0 { None } else { Some(self.below(count)) }
    }

    fn register(&mut self, ours: OwnedFd, peer: TcpStream) {
        let id = self.next_id;
        self.next_id += 1;
        let trigger = if self.below(2) == 0 { Trigger::Level } else { Trigger::Edge };
        let key = self.engine.register(ours.as_raw_fd(), Interest::READ, trigger, id).unwrap();
        self.connections.push(Connection { id, ours, peer, key, is_poked: false });
    }

    fn step(&mut self) {
        match (self.below(8), self.any()) {
            (0 | 1, _) if self.connections.len() < 40 => {
                let (ours, peer) = tcp_pair();
                self.register(ours.into(), peer);
            }
            (2, Some(index)) => {
                // In order: deregister, then close.
                let gone = self.connections.swap_remove(index);
                assert_eq!(self.engine.deregister(gone.key), Some(gone.id));
            }
            (3, Some(index)) => {
                // Closed behind the engine's back; the next socket may get the number.
                let gone = self.connections.swap_remove(index);
                self.orphans.push((gone.key, gone.id));
            }
            (4, Some(index)) => {
                // Closed and reopened as something else in one step, and registered at once.
                let gone = self.connections.swap_remove(index);
                self.orphans.push((gone.key, gone.id));
                let (ours, peer) = tcp_pair();
                let mut number = gone.ours;
                dup2(&ours, &mut number).unwrap();
                self.register(number, peer);
            }
            (5, _) if !self.orphans.is_empty() => {
                let index = self.below(self.orphans.len());
                let (key, id) = self.orphans.swap_remove(index);
                assert_eq!(self.engine.deregister(key), Some(id));
                assert_eq!(self.engine.deregister(key), None);
            }
            (6, Some(index)) => {
                let connection = &mut self.connections[index];
                poke(&connection.peer);
                connection.is_poked = true;
            }
            _ => {
                let events = turn(&mut self.engine, Duration::ZERO, report);
                self.check(events);
            }
        }
    }

    /// Every event is for a connection that was spoken to; what was said is read.
    fn check(&mut self, events: Vec<(Key, Readiness, usize)>) {
        for (key, readiness, id) in events {
            let mut connections = self.connections.iter_mut();
            let connection = connections
                .find(|connection| connection.id == id)
                .unwrap_or_else(|| panic!("{id} is gone and was told of {readiness:?}"));
            assert_eq!(connection.key, key);
            assert!(connection.is_poked, "{id} was told of what another was sent");
            let file = std::fs::File::from(connection.ours.try_clone().unwrap());
            let read = (&file).read(&mut [0; 4096]);
            assert!(read.is_ok_and(|count| count > 0), "{id} had nothing to read");
            connection.is_poked = false;
        }
    }

    /// All that were spoken to are told.
    fn settle(&mut self) {
        while self.connections.iter().any(|connection| connection.is_poked) {
            let events = events_until(&mut self.engine, |seen| !seen.is_empty());
            let mut firsts = Vec::new();
            for event in events {
                // A level-triggered source may have been told twice before it was read from.
                if firsts.iter().all(|(_, _, id)| *id != event.2) {
                    firsts.push(event);
                }
            }
            self.check(firsts);
        }
    }
}

#[test]
fn no_event_is_misdelivered_or_missing_over_a_long_history() {
    on_every_driver(|driver| {
        let mut churn = Churn {
            engine: Engine::new(driver).unwrap(),
            connections: Vec::new(),
            orphans: Vec::new(),
            next_id: 0,
            random: 42,
        };
        for round in 0..6_000 {
            churn.step();
            if round % 500 == 0 {
                churn.settle();
            }
        }
        churn.settle();
        let held = churn.connections.len() + churn.orphans.len();
        assert_eq!(churn.engine.source_len(), held);
        assert_eq!(churn.engine.close().sources.len(), held);
    });
}
