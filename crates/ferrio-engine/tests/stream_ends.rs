//! Promise: however a connection ends, both sides find out what they should and in order.

mod host;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use ferrio_engine::{
    DriverKind, Engine, Interest, Key, Limits, PushError, Read, Readiness, Settled, Stream,
    StreamKind, Trigger,
};
use host::{events_until, on_every_driver, register, tcp_pair};

type Events = Engine<(Key, Readiness, ()), ()>;

type Connected = Stream<Vec<u8>, TcpStream>;

fn connection(driver: DriverKind) -> (Events, Connected, TcpStream) {
    let mut engine = Engine::new(driver).unwrap();
    let (ours, peer) = tcp_pair();
    register(&mut engine, &ours, Interest::BOTH, Trigger::Edge, ());
    (engine, Stream::new(ours, StreamKind::Tcp, Limits::default()), peer)
}

/// Takes in events until the stream can read.
fn wait_readable(engine: &mut Events, stream: &mut Connected) {
    while !stream.is_readable() {
        for (_, readiness, ()) in events_until(engine, |seen| !seen.is_empty()) {
            stream.on_event(readiness);
        }
    }
}

/// Everything up to the peer's end.
fn read_to_end(engine: &mut Events, stream: &mut Connected) -> Vec<u8> {
    let mut data = Vec::new();
    let mut buf = [0; 1024];
    loop {
        match stream.read(&mut buf).unwrap() {
            Read::Data(count) => data.extend_from_slice(&buf[..count]),
            Read::Blocked => wait_readable(engine, stream),
            Read::Eof => return data,
        }
    }
}

/// Closes with a reset instead of an end.
fn reset(peer: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
    drop(peer);
}

#[test]
fn the_peers_end_leaves_us_to_send_on() {
    on_every_driver(|driver| {
        let (mut engine, mut stream, mut peer) = connection(driver);
        peer.write_all(b"question").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&mut engine, &mut stream), b"question");
        assert_eq!(stream.push(b"answer".to_vec()), Ok(None));
        assert!(!stream.close());
        assert!(!stream.flush().unwrap().blocked);
        assert_eq!(stream.settle().unwrap(), Settled::Closed);
        drop(stream);
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"answer");
    });
}

#[test]
fn our_end_is_told_after_the_last_byte_and_leaves_us_to_read_on() {
    on_every_driver(|driver| {
        let (mut engine, mut stream, mut peer) = connection(driver);
        assert_eq!(stream.push(b"question".to_vec()), Ok(None));
        assert_eq!(stream.shutdown_write().unwrap(), Settled::Unchanged);
        assert_eq!(stream.push(b"more".to_vec()), Err(PushError::AfterShutdown));
        stream.flush().unwrap();
        assert_eq!(stream.settle().unwrap(), Settled::WriteShut);
        let mut question = Vec::new();
        peer.read_to_end(&mut question).unwrap();
        assert_eq!(question, b"question");
        peer.write_all(b"answer").unwrap();
        drop(peer);
        assert_eq!(read_to_end(&mut engine, &mut stream), b"answer");
        assert!(!stream.is_closing());
        assert!(stream.close());
    });
}

/// An end with nothing before it, and one that arrives together with data.
#[test]
fn the_end_is_found_with_and_without_data_before_it() {
    on_every_driver(|driver| {
        for data in [&b""[..], b"x", &[7; 1024], &[7; 5000]] {
            let (mut engine, mut stream, mut peer) = connection(driver);
            peer.write_all(data).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            // Over loopback both have arrived when the calls return, before any event is taken.
            assert_eq!(read_to_end(&mut engine, &mut stream), data);
        }
    });
}

#[test]
fn a_reset_is_an_error_of_the_read_and_closes_the_stream() {
    on_every_driver(|driver| {
        let (mut engine, mut stream, peer) = connection(driver);
        reset(peer);
        wait_readable(&mut engine, &mut stream);
        let error = stream.read(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(stream.is_closed());
        assert_eq!(stream.push(b"late".to_vec()), Err(PushError::Closed));
    });
}

/// Urgent data stops `recv` at its mark, so a short read is no proof that nothing follows.
#[test]
fn bytes_behind_urgent_data_are_found() {
    on_every_driver(|driver| {
        let (mut engine, mut stream, mut peer) = connection(driver);
        peer.write_all(b"before").unwrap();
        rustix::net::send(&peer, b"!", rustix::net::SendFlags::OOB).unwrap();
        peer.write_all(b"after").unwrap();
        let mut data = Vec::new();
        let mut buf = [0; 1024];
        while data.len() < 11 {
            wait_readable(&mut engine, &mut stream);
            if let Read::Data(count) = stream.read(&mut buf).unwrap() {
                data.extend_from_slice(&buf[..count]);
            }
        }
        assert_eq!(data, b"beforeafter");
    });
}

/// Without a signal: the process would not survive SIGPIPE's default action.
#[test]
fn sending_to_a_reset_peer_is_an_error_and_no_signal() {
    on_every_driver(|driver| {
        let (mut engine, mut stream, peer) = connection(driver);
        reset(peer);
        wait_readable(&mut engine, &mut stream);
        let _ = stream.push(b"into the void".to_vec()).unwrap();
        let error = stream.flush().unwrap_err();
        let expected = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(expected.contains(&error.kind()), "{error}");
        assert!(stream.is_closed());
        assert_eq!(stream.buffered_bytes(), 0);
    });
}

#[test]
fn doubts_about_a_short_read_are_settled_without_another_one() {
    on_every_driver(|driver| {
        let (mut engine, mut stream, mut peer) = connection(driver);
        let mut buf = [0; 1024];
        peer.write_all(b"question").unwrap();
        wait_readable(&mut engine, &mut stream);
        // Whatever this driver says of the end: it may have come.
        stream.on_event(Readiness::READ_CLOSED);
        assert_eq!(stream.read(&mut buf).unwrap(), Read::Data(8));
        assert!(stream.is_readable());
        stream.resolve_doubt();
        assert!(!stream.is_readable());

        // What comes after that is an event of its own, and the end is something to read.
        peer.write_all(b"more").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        wait_readable(&mut engine, &mut stream);
        stream.on_event(Readiness::READ_CLOSED);
        assert_eq!(stream.read(&mut buf).unwrap(), Read::Data(4));
        while !stream.is_eof() {
            stream.resolve_doubt();
            wait_readable(&mut engine, &mut stream);
            stream.read(&mut buf).unwrap();
        }
    });
}
