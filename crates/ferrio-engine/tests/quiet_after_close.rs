//! Promise: a peer that is gone costs nothing. Once its end was noticed, the engine sleeps.

mod host;

use std::time::Duration;

use ferrio_engine::{
    Engine, Flow, Interest, Key, LentFd, Limits, Read, Readiness, Stream, StreamKind, Trigger,
};
use host::{events_during, events_until, on_every_driver, register, tcp_pair};
use std::os::fd::AsRawFd;

type Events = Engine<(Key, Readiness, ()), ()>;

const A_WHILE: Duration = Duration::from_millis(50);

#[test]
fn an_edge_triggered_stream_at_its_end_is_not_reported_again() {
    on_every_driver(|driver| {
        let mut engine: Events = Engine::new(driver).unwrap();
        let (ours, theirs) = tcp_pair();
        let fd = LentFd::new(ours.as_raw_fd()).unwrap();
        let mut stream: Stream<Vec<u8>, _> = Stream::new(fd, StreamKind::Tcp, Limits::default());
        register(&mut engine, &ours, Interest::BOTH, Trigger::Edge, ());
        drop(theirs);
        while !stream.is_eof() {
            for (_, readiness, ()) in events_until(&mut engine, |seen| !seen.is_empty()) {
                stream.on_event(readiness);
            }
            let _ = stream.read(&mut [0; 16]).unwrap();
        }
        let (_, turns) = events_during(&mut engine, A_WHILE);
        assert!(turns < 5, "{turns} turns");
    });
}

#[test]
fn no_interest_means_not_even_hang_ups() {
    on_every_driver(|driver| {
        let mut engine: Events = Engine::new(driver).unwrap();
        let (ours, theirs) = tcp_pair();
        let key = register(&mut engine, &ours, Interest::READ, Trigger::Level, ());
        // Both directions over: the kernel reports a hang-up to whoever is registered at all.
        rustix::net::shutdown(&ours, rustix::net::Shutdown::Write).unwrap();
        drop(theirs);
        events_until(&mut engine, |seen| !seen.is_empty());
        engine.set_interest(key, Interest::NONE).unwrap();
        let (seen, turns) = events_during(&mut engine, A_WHILE);
        assert_eq!(seen, []);
        assert!(turns < 5, "{turns} turns");
        engine.set_interest(key, Interest::READ).unwrap();
        events_until(&mut engine, |seen| !seen.is_empty());
    });
}

/// A paused reader whose peer has gone stays asleep, and finds the end when it resumes.
#[test]
fn a_paused_stream_sleeps_through_its_peers_end() {
    on_every_driver(|driver| {
        let mut engine: Events = Engine::new(driver).unwrap();
        let (ours, theirs) = tcp_pair();
        let fd = LentFd::new(ours.as_raw_fd()).unwrap();
        let mut stream: Stream<Vec<u8>, _> = Stream::new(fd, StreamKind::Tcp, Limits::default());
        register(&mut engine, &ours, Interest::BOTH, Trigger::Edge, ());
        assert!(stream.pause_reading());
        drop(theirs);
        let (seen, turns) = events_during(&mut engine, A_WHILE);
        for (_, readiness, ()) in seen {
            assert!(!stream.on_event(readiness).contains(Interest::READ));
        }
        assert!(turns < 5, "{turns} turns");
        assert!(stream.resume_reading());
        assert!(stream.is_readable());
        assert_eq!(stream.read(&mut [0; 16]).unwrap(), Read::Eof);
        assert_eq!(stream.set_limits(Limits::new(0, 0).unwrap()), None::<Flow>);
    });
}
