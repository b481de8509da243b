//! `Engine::rearm` tells a file that is still registered from another one under its number.
//!
//! The only test of this file: it counts on getting a descriptor number back.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use ferrio_engine::{DriverKind, Engine, Instant, Interest, Rearmed, Trigger};

#[test]
fn a_reopened_number_is_noticed_and_watched_again() {
    let mut engine: Engine<(), ()> = Engine::new(DriverKind::default()).unwrap();
    let (watched, peer) = UnixStream::pair().unwrap();
    let fd = watched.as_raw_fd();
    assert_eq!(engine.key_of(fd), None);
    let key = engine.register(fd, Interest::READ, Trigger::Edge, ()).unwrap();
    assert_eq!(engine.key_of(fd), Some(key));
    assert_eq!(engine.rearm(key, Interest::READ, Trigger::Edge).unwrap(), Rearmed::Kept);

    // Closed behind the engine's back; the next file gets the number.
    drop((watched, peer));
    let (mut watched, mut peer) = UnixStream::pair().unwrap();
    if watched.as_raw_fd() != fd {
        std::mem::swap(&mut watched, &mut peer);
    }
    assert_eq!(watched.as_raw_fd(), fd, "the lowest free numbers are given out");
    peer.write_all(b"x").unwrap();
    assert_eq!(engine.poll_now().unwrap(), 0);
    assert_eq!(engine.rearm(key, Interest::READ, Trigger::Edge).unwrap(), Rearmed::Anew);
    assert_eq!(engine.poll_now().unwrap(), 1);

    // An edge is reported once, and again after rearming while the data is still there.
    let mut events = 0;
    engine.collect(Instant::now(), |_, _, (), _| events += 1);
    assert_eq!(engine.poll_now().unwrap(), 0);
    assert_eq!(engine.rearm(key, Interest::BOTH, Trigger::Edge).unwrap(), Rearmed::Kept);
    assert_eq!(engine.poll_now().unwrap(), 1);
    engine.collect(Instant::now(), |_, readiness, (), _| {
        assert!(readiness.is_readable() && readiness.is_writable());
        events += 1;
    });
    assert_eq!(events, 2);

    assert_eq!(engine.find(|()| true), Some(key));
    engine.deregister(key).unwrap();
    assert_eq!((engine.key_of(fd), engine.find(|()| true)), (None, None));
    assert!(engine.rearm(key, Interest::READ, Trigger::Edge).is_err());
}
