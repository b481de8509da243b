//! What the tests share: a host that makes turns, on every driver, and pairs of sockets.
#![allow(dead_code)] // Each test file is a crate and uses its part.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant as RealInstant};

use ferrio_engine::{
    DriverKind, Engine, Instant, Interest, Key, Readiness, Ready, ReadyQueue, Timeout, Trigger,
};

/// Nothing here takes that long; what does has hung.
pub(crate) const HANG: Duration = Duration::from_secs(20);

/// The very same test on each driver that this platform has.
pub(crate) fn on_every_driver(test: impl Fn(DriverKind)) {
    DriverKind::ALL.iter().copied().for_each(test);
}

/// One turn, waiting at most `limit`; returns the items that it ran. Futures' steps are run.
pub(crate) fn turn<T, S>(
    engine: &mut Engine<T, S>,
    limit: Duration,
    on_event: impl FnMut(Key, Readiness, &mut S, &mut ReadyQueue<T>),
) -> Vec<T> {
    let now = Instant::now();
    let last = now.saturating_add(limit);
    let timeout = match engine.timeout(now) {
        Timeout::Zero => Timeout::Zero,
        Timeout::Until(deadline) => Timeout::Until(deadline.min(last)),
        Timeout::Forever => Timeout::Until(last),
    };
    if engine.poll_now().unwrap() == 0 && timeout != Timeout::Zero {
        let mut wait = engine.begin_wait(timeout, now);
        wait.block().unwrap();
        engine.end_wait(wait);
    }
    engine.collect(Instant::now(), on_event);
    let mut items = Vec::new();
    for _ in 0..engine.ready_len() {
        match engine.pop().unwrap() {
            Ready::Item(item) => items.push(item),
            Ready::Task(step) => drop(step.run()),
        }
    }
    items
}

/// Makes turns, with events as items, until `done` says so of all that came.
pub(crate) fn events_until<S: Clone>(
    engine: &mut Engine<(Key, Readiness, S), S>,
    mut done: impl FnMut(&[(Key, Readiness, S)]) -> bool,
) -> Vec<(Key, Readiness, S)> {
    let start = RealInstant::now();
    let mut seen = Vec::new();
    while !done(&seen) {
        assert!(start.elapsed() < HANG, "the expected events did not come");
        seen.extend(turn(engine, Duration::from_millis(100), report));
    }
    seen
}

/// Makes turns for `time`; returns what came and how many turns it took.
pub(crate) fn events_during<S: Clone>(
    engine: &mut Engine<(Key, Readiness, S), S>,
    time: Duration,
) -> (Vec<(Key, Readiness, S)>, usize) {
    let start = RealInstant::now();
    let mut seen = Vec::new();
    let mut turns = 0;
    while let Some(left) = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        seen.extend(turn(engine, left, report));
        turns += 1;
    }
    (seen, turns)
}

/// An `on_event` that makes every event an item.
pub(crate) fn report<S: Clone>(
    key: Key,
    readiness: Readiness,
    source: &mut S,
    ready: &mut ReadyQueue<(Key, Readiness, S)>,
) {
    ready.push((key, readiness, source.clone()));
}

/// Both ends of a TCP connection over loopback, the first one non-blocking.
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    ours.set_nodelay(true).unwrap();
    theirs.set_nodelay(true).unwrap();
    (ours, theirs)
}

pub(crate) fn register<T, S>(
    engine: &mut Engine<T, S>,
    file: &impl AsRawFd,
    interest: Interest,
    trigger: Trigger,
    source: S,
) -> Key {
    engine.register(file.as_raw_fd(), interest, trigger, source).unwrap()
}

/// Sends one byte.
pub(crate) fn poke(stream: &TcpStream) {
    let mut stream = stream;
    stream.write_all(b"!").unwrap();
}
