//! Promise: whatever the kernel takes of each call, the peer gets every byte once and in order, and
//! the watermarks' edges alternate.

mod host;

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ferrio_engine::{
    DriverKind, Engine, Flow, Interest, Key, Limits, Readiness, Settled, Stream, StreamKind,
    Trigger,
};
use host::{events_until, on_every_driver, register, tcp_pair};

fn byte(position: usize) -> u8 {
    (position * 31 % 251) as u8
}

/// Sends `total` bytes in chunks of `size`, 100 of them at a time, to a reader that takes breaks.
fn send_to_slow_reader(driver: DriverKind, size: usize, total: usize) {
    let mut engine: Engine<(Key, Readiness, ()), ()> = Engine::new(driver).unwrap();
    let (ours, peer) = tcp_pair();
    register(&mut engine, &ours, Interest::BOTH, Trigger::Edge, ());
    let limits = Limits::new(1_000, 10_000).unwrap();
    let mut stream: Stream<Vec<u8>, TcpStream> = Stream::new(ours, StreamKind::Tcp, limits);
    // The reader begins once the kernel is full, which with a window that does not grow is soon.
    rustix::net::sockopt::set_socket_recv_buffer_size(&peer, 64 * 1024).unwrap();
    let (start, started) = mpsc::channel();
    let reader = thread::spawn(move || {
        started.recv().unwrap();
        read_slowly(peer)
    });

    let (mut queued, mut paused, mut was_blocked) = (0, false, false);
    let note = |flow: Option<Flow>, paused: &mut bool| {
        if let Some(flow) = flow {
            assert_eq!(*paused, flow == Flow::Resume);
            *paused = flow == Flow::Pause;
        }
    };
    while queued < total || stream.buffered_bytes() > 0 {
        for _ in 0..100 {
            if queued < total && !paused {
                let chunk: Vec<u8> = (queued..total.min(queued + size)).map(byte).collect();
                queued += chunk.len();
                note(stream.push(chunk).unwrap(), &mut paused);
            }
        }
        let flushed = stream.flush().unwrap();
        note(flushed.flow, &mut paused);
        if flushed.blocked {
            if !was_blocked {
                start.send(()).unwrap();
            }
            was_blocked = true;
            for (_, readiness, ()) in events_until(&mut engine, |seen| !seen.is_empty()) {
                stream.on_event(readiness);
            }
        }
    }
    assert!(was_blocked, "the kernel has room for everything");
    assert_eq!(stream.shutdown_write().unwrap(), Settled::WriteShut);
    assert_eq!(reader.join().unwrap(), total);
}

/// Checks every byte; returns how many there were.
fn read_slowly(mut peer: TcpStream) -> usize {
    let mut position = 0;
    let mut buf = vec![0; 60_000];
    loop {
        let count = peer.read(&mut buf).unwrap();
        if count == 0 {
            return position;
        }
        for &received in &buf[..count] {
            assert_eq!(received, byte(position), "at {position}");
            position += 1;
        }
        if position < 2_000_000 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn one_large_chunk_after_the_other() {
    on_every_driver(|driver| send_to_slow_reader(driver, 3_000_000, 12_000_000));
}

#[test]
fn many_small_chunks_together() {
    on_every_driver(|driver| send_to_slow_reader(driver, 997, 8_000_000));
}
