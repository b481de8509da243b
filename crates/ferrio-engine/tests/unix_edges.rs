//! A Unix socket that carries descriptors: what comes behind them is not left lying.

#![cfg(target_os = "linux")]

use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

use ferrio_engine::{LentFd, Limits, Read, Readiness, Stream, StreamKind};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

fn pair() -> (Stream<Vec<u8>, UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Stream::new(ours, StreamKind::Unix, Limits::default()), theirs)
}

fn send_with_descriptor(socket: &UnixStream, bytes: &[u8]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [socket.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
}

fn read_all(stream: &mut Stream<Vec<u8>, UnixStream>) -> (Vec<u8>, usize) {
    let (mut found, mut reads) = (Vec::new(), 0);
    stream.on_event(Readiness::READABLE);
    while stream.is_readable() {
        let mut buf = [0; 64];
        reads += 1;
        if let Read::Data(count) = stream.read(&mut buf).unwrap() {
            found.extend_from_slice(&buf[..count]);
        }
    }
    (found, reads)
}

#[test]
fn one_event_brings_all_that_came_with_and_behind_descriptors() {
    let (mut stream, mut peer) = pair();
    peer.write_all(b"before ").unwrap();
    send_with_descriptor(&peer, b"with ");
    send_with_descriptor(&peer, b"more ");
    peer.write_all(b"behind").unwrap();
    let (found, _) = read_all(&mut stream);
    assert_eq!(found, b"before with more behind");
}

#[test]
fn credentials_do_not_end_the_reading_either() {
    let (mut stream, mut peer) = pair();
    rustix::net::sockopt::set_socket_passcred(stream.io(), true).unwrap();
    peer.write_all(b"one ").unwrap();
    send_with_descriptor(&peer, b"two ");
    peer.write_all(b"three").unwrap();
    let (found, _) = read_all(&mut stream);
    assert_eq!(found, b"one two three");
}

#[test]
fn plain_bytes_are_read_with_one_call() {
    let (mut stream, mut peer) = pair();
    peer.write_all(b"plain ").unwrap();
    peer.write_all(b"bytes").unwrap();
    assert_eq!(read_all(&mut stream), (b"plain bytes".to_vec(), 1));
}

#[test]
fn only_stream_sockets_are_known_as_such() {
    let (stream, _peer) = UnixStream::pair().unwrap();
    let (datagram, _other) = UnixDatagram::pair().unwrap();
    let kind = |fd| LentFd::new(fd).unwrap().stream_kind();
    assert_eq!(kind(stream.as_raw_fd()), StreamKind::Unix);
    assert_eq!(kind(datagram.as_raw_fd()), StreamKind::Other);
}
