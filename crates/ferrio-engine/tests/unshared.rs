//! Promise: an engine that has given up what it shares with its parent process goes on as before.

mod host;

use std::io::Write as _;

use ferrio_engine::{Engine, Interest, Key, Readiness, Trigger};
use host::{events_until, on_every_driver, register, tcp_pair};

type Events = Engine<(Key, Readiness, u8), u8>;

#[test]
fn registrations_and_wake_ups_are_kept() {
    on_every_driver(|driver| {
        let mut engine: Events = Engine::new(driver).unwrap();
        let (ours, mut peer) = tcp_pair();
        let (other, _other_peer) = tcp_pair();
        let watched = register(&mut engine, &ours, Interest::READ, Trigger::Level, 1);
        let quiet = register(&mut engine, &other, Interest::NONE, Trigger::Level, 2);
        engine.unshare().unwrap();

        peer.write_all(b"x").unwrap();
        let seen = events_until(&mut engine, |seen| !seen.is_empty());
        assert!(seen.iter().all(|(key, _, source)| *key == watched && *source == 1));

        let inbox = engine.inbox();
        let sender = std::thread::spawn(move || {
            assert!(inbox.push((quiet, Readiness::NONE, 9)).is_ok());
        });
        events_until(&mut engine, |seen| seen.iter().any(|(_, _, sent)| *sent == 9));
        sender.join().unwrap();

        assert_eq!(engine.deregister(watched), Some(1));
        engine.set_interest(quiet, Interest::WRITE).unwrap();
        events_until(&mut engine, |seen| seen.iter().any(|(key, ..)| *key == quiet));
    });
}

#[test]
fn a_file_that_was_closed_behind_our_back_is_no_obstacle() {
    on_every_driver(|driver| {
        let mut engine: Events = Engine::new(driver).unwrap();
        let (closed, _peer) = tcp_pair();
        register(&mut engine, &closed, Interest::READ, Trigger::Edge, 1);
        drop(closed);
        engine.unshare().unwrap();
        assert_eq!(engine.source_len(), 1);
        engine.poll_now().unwrap();
    });
}
