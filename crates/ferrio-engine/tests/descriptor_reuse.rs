//! Promise: a descriptor that is closed while registered does no harm, and whoever gets its number
//! next gets its own events and no others.

mod host;

use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use ferrio_engine::{DriverKind, Engine, Interest, Key, Readiness, Trigger};
use host::{events_during, events_until, on_every_driver, poke, register, tcp_pair};
use rustix::io::{Errno, dup, dup2};

type Events = Engine<(Key, Readiness, &'static str), &'static str>;

const A_WHILE: Duration = Duration::from_millis(30);

/// A registered descriptor whose file was then exchanged behind the engine's back, in one step, so
/// that no other test can get the number in between.
struct Exchanged {
    engine: Events,
    /// The number, which has the new file now.
    number: OwnedFd,
    old: Key,
    old_peer: TcpStream,
    new_peer: TcpStream,
}

fn exchanged(driver: DriverKind, trigger: Trigger, keep: impl FnOnce(&OwnedFd)) -> Exchanged {
    let mut engine = Engine::new(driver).unwrap();
    let (old_file, old_peer) = tcp_pair();
    let (new_file, new_peer) = tcp_pair();
    let mut number = OwnedFd::from(old_file);
    let old = register(&mut engine, &number, Interest::READ, trigger, "old");
    keep(&number);
    dup2(&new_file, &mut number).unwrap();
    Exchanged { engine, number, old, old_peer, new_peer }
}

fn on_every_driver_and_trigger(test: impl Fn(DriverKind, Trigger)) {
    on_every_driver(|driver| {
        test(driver, Trigger::Level);
        test(driver, Trigger::Edge);
    });
}

#[test]
fn a_reused_number_reports_to_its_new_source_only() {
    on_every_driver_and_trigger(|driver, trigger| {
        let Exchanged { mut engine, number, old, old_peer: _old_peer, new_peer } =
            exchanged(driver, trigger, |_| {});
        let new = register(&mut engine, &number, Interest::READ, trigger, "new");
        poke(&new_peer);
        let seen = events_until(&mut engine, |seen| !seen.is_empty());
        assert!(seen.iter().all(|(key, _, name)| (*key, *name) == (new, "new")), "{seen:?}");

        // Letting go of the old one does not touch the new one.
        assert_eq!(engine.deregister(old), Some("old"));
        poke(&new_peer);
        let seen = events_until(&mut engine, |seen| !seen.is_empty());
        assert!(seen.iter().all(|(key, _, _)| *key == new));
        assert_eq!(engine.deregister(new), Some("new"));
        poke(&new_peer);
        assert_eq!(events_during(&mut engine, A_WHILE).0, []);
    });
}

#[test]
fn deregistering_after_the_exchange_leaves_the_number_free() {
    on_every_driver_and_trigger(|driver, trigger| {
        let Exchanged { mut engine, number, old, old_peer: _old_peer, new_peer } =
            exchanged(driver, trigger, |_| {});
        assert_eq!(engine.deregister(old), Some("old"));
        assert_eq!(engine.deregister(old), None);
        let new = register(&mut engine, &number, Interest::READ, trigger, "new");
        poke(&new_peer);
        let seen = events_until(&mut engine, |seen| !seen.is_empty());
        assert!(seen.iter().all(|(key, _, name)| (*key, *name) == (new, "new")));
    });
}

/// asyncio's `add_writer` after `add_reader` on a number whose socket was replaced: one source,
/// told to ask for more.
#[test]
fn a_changed_interest_follows_the_number_to_its_new_file() {
    on_every_driver_and_trigger(|driver, trigger| {
        let Exchanged { mut engine, number: _number, old, old_peer: _old_peer, new_peer } =
            exchanged(driver, trigger, |_| {});
        engine.set_interest(old, Interest::BOTH).unwrap();
        poke(&new_peer);
        let is_readable = |seen: &[(Key, Readiness, &str)]| {
            seen.iter().any(|(_, readiness, _)| readiness.contains(Readiness::READABLE))
        };
        events_until(&mut engine, is_readable);
    });
}

/// The worst case: the old file lives on (`dup`, a child), so the kernel goes on reporting it under
/// a number that is not its any more, and nothing can take the registration back.
#[test]
fn a_file_that_outlives_its_number_is_neither_heard_nor_spun_on() {
    on_every_driver_and_trigger(|driver, trigger| {
        // Registered anew before the old source is let go of, or after it, in its very slot, or
        // never.
        for (is_new_before, is_new_after) in [(true, false), (false, true), (false, false)] {
            let mut kept = None;
            let Exchanged { mut engine, number, old, old_peer, new_peer } =
                exchanged(driver, trigger, |number| {
                    kept = Some(dup(number).unwrap());
                });
            let anew =
                |engine: &mut Events| register(engine, &number, Interest::READ, trigger, "new");
            let before = is_new_before.then(|| anew(&mut engine));
            assert_eq!(engine.deregister(old), Some("old"));
            let after = is_new_after.then(|| anew(&mut engine));

            poke(&old_peer);
            let (seen, turns) = events_during(&mut engine, A_WHILE);
            assert_eq!(seen, []);
            assert!(turns < 10, "{turns} turns: a busy loop");
            if let Some(new) = before.or(after) {
                poke(&new_peer);
                let seen = events_until(&mut engine, |seen| !seen.is_empty());
                assert!(seen.iter().all(|(key, _, _)| *key == new), "{seen:?}");
            }
        }
    });
}

/// Nor while its source is held still.
#[test]
fn a_file_that_outlives_its_number_leaves_its_source_alone() {
    on_every_driver_and_trigger(|driver, trigger| {
        let mut kept = None;
        let Exchanged { mut engine, number, old, old_peer, new_peer: _new_peer } =
            exchanged(driver, trigger, |number| {
                kept = Some(dup(number).unwrap());
            });
        register(&mut engine, &number, Interest::READ, trigger, "new");
        poke(&old_peer);
        assert_eq!(events_during(&mut engine, A_WHILE).0, []);
        assert_eq!(engine.source(old), Some(&"old"));
    });
}

#[test]
fn a_closed_number_is_refused_and_tolerated() {
    on_every_driver_and_trigger(|driver, trigger| {
        let mut engine: Events = Engine::new(driver).unwrap();
        let (file, _peer) = tcp_pair();
        let fd = file.as_raw_fd();
        let key = register(&mut engine, &file, Interest::READ, trigger, "closed");
        // Out of reach of other tests' new descriptors, so that the number stays closed.
        let high = rustix::io::fcntl_dupfd_cloexec(&file, 900).unwrap();
        let high_key = register(&mut engine, &high, Interest::READ, trigger, "high");
        let number = high.as_raw_fd();
        drop(high);
        let error = engine.set_interest(high_key, Interest::BOTH).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
        assert_eq!(engine.deregister(high_key), Some("high"));
        let failed = engine.register(number, Interest::READ, trigger, "again").unwrap_err();
        assert_eq!(failed.error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
        assert_eq!(failed.source, "again");
        assert_eq!(engine.source_len(), 1);
        drop(file);
        assert_eq!(engine.deregister(key), Some("closed"), "descriptor {fd}");
    });
}

/// kqueue takes any file.
#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn a_regular_file_is_refused_with_its_source() {
    let mut engine: Events = Engine::new(DriverKind::default()).unwrap();
    let file = std::fs::File::open("Cargo.toml").unwrap();
    let failed =
        engine.register(file.as_raw_fd(), Interest::READ, Trigger::Level, "file").unwrap_err();
    assert_eq!(failed.error.raw_os_error(), Some(Errno::PERM.raw_os_error()));
    assert_eq!(engine.source_len(), 0);
}
