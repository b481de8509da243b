//! Promise: a listener that runs out of descriptors says so once, leaves the processor alone while
//! it backs off, and accepts again when there are some.
//!
//! The only test of its process, whose limit it changes.

mod host;

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant as RealInstant};

use ferrio_engine::{Accept, DriverKind, Engine, Instant, Interest, Key, Listener, Trigger};
use host::{HANG, register, turn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// asyncio waits a second; the test is not that patient.
const BACK_OFF: Duration = Duration::from_millis(40);

enum Item {
    Accept,
    Retry,
}

#[test]
fn one_report_then_a_pause_then_connections_again() {
    let mut engine: Engine<Item, ()> = Engine::new(DriverKind::default()).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    let key = register(&mut engine, &socket, Interest::READ, Trigger::Level, ());
    let mut listener = Listener::new(socket);

    let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    // No descriptor above those in use.
    let before = getrlimit(Resource::Nofile);
    let used = rustix::io::dup(&clients[0]).unwrap();
    let limit = std::os::fd::AsRawFd::as_raw_fd(&used) as u64;
    drop(used);
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: before.maximum }).unwrap();

    let mut reports = 0;
    let mut connections = Vec::new();
    let start = RealInstant::now();
    let mut turns = 0;
    while start.elapsed() < 5 * BACK_OFF {
        turns += 1;
        step(&mut engine, key, &mut listener, &mut reports, &mut connections);
    }
    assert_eq!((reports, connections.len()), (1, 0));
    assert!(turns < 40, "{turns} turns: a busy loop");

    setrlimit(Resource::Nofile, before).unwrap();
    while connections.len() < 3 {
        assert!(start.elapsed() < HANG);
        step(&mut engine, key, &mut listener, &mut reports, &mut connections);
    }
    assert_eq!(reports, 1);
}

fn step(
    engine: &mut Engine<Item, ()>,
    key: Key,
    listener: &mut Listener<TcpListener>,
    reports: &mut usize,
    connections: &mut Vec<std::os::fd::OwnedFd>,
) {
    let items = turn(engine, BACK_OFF, |_, _, (), ready| ready.push(Item::Accept));
    for item in items {
        if let Item::Retry = item {
            engine.set_interest(key, Interest::READ).unwrap();
        }
        loop {
            match listener.accept() {
                Accept::Connection(connection, _peer) => connections.push(connection),
                Accept::Blocked => break,
                Accept::Exhausted { error, is_news } => {
                    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
                    *reports += usize::from(is_news);
                    engine.set_interest(key, Interest::NONE).unwrap();
                    engine.add_timer(Instant::now().saturating_add(BACK_OFF), Item::Retry);
                    break;
                }
                Accept::Failed(error) => panic!("{error}"),
            }
        }
    }
}
