//! Promise: a stream over a pipe or a terminal behaves as one over a socket, and the writer hears
//! that its readers have gone.

mod host;

use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsRawFd, OwnedFd};

use ferrio_engine::{
    DriverKind, Engine, FileKind, Interest, Key, LentFd, Limits, PipeFd, Read, Readiness, Stream,
    StreamKind, Trigger,
};
use host::{events_until, on_every_driver, register};

type Events = Engine<(Key, Readiness, ()), ()>;

fn end(fd: &OwnedFd) -> PipeFd {
    let end = PipeFd::new(LentFd::new(fd.as_raw_fd()).unwrap());
    end.set_nonblocking().unwrap();
    end
}

fn stream(fd: &OwnedFd) -> Stream<Vec<u8>, PipeFd> {
    Stream::new(end(fd), StreamKind::Other, Limits::default())
}

#[test]
fn kinds_are_told_apart() {
    let (reader, _writer) = rustix::pipe::pipe().unwrap();
    let file = OwnedFd::from(std::fs::File::open("/proc/self/exe").unwrap());
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    for (fd, kind) in [
        (&reader, FileKind::Fifo),
        (&file, FileKind::Other),
        (&null, FileKind::CharacterDevice),
        (&OwnedFd::from(socket), FileKind::Socket),
    ] {
        assert_eq!(end(fd).kind().unwrap(), kind);
    }
}

#[test]
fn all_that_was_written_is_read_then_the_end() {
    on_every_driver(|driver| {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut engine: Events = Engine::new(driver).unwrap();
        register(&mut engine, &reader, Interest::READ, Trigger::Edge, ());
        let mut stream = stream(&reader);
        let sender = std::thread::spawn(move || {
            for _ in 0..100 {
                rustix::io::write(&writer, &[7; 10_000]).unwrap();
            }
        });
        let mut buf = [0; 4096];
        let mut total = 0;
        loop {
            match stream.read(&mut buf).unwrap() {
                Read::Data(count) => total += count,
                Read::Eof => break,
                Read::Blocked => {
                    while !stream.is_readable() {
                        for (_, readiness, ()) in events_until(&mut engine, |seen| !seen.is_empty())
                        {
                            stream.on_event(readiness);
                        }
                    }
                }
            }
        }
        assert_eq!(total, 1_000_000);
        sender.join().unwrap();
    });
}

#[test]
fn what_the_pipe_has_no_room_for_goes_out_when_it_has() {
    on_every_driver(|driver| {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut engine: Events = Engine::new(driver).unwrap();
        register(&mut engine, &writer, Interest::BOTH, Trigger::Edge, ());
        let mut stream = stream(&writer);
        stream.push(vec![1; 500_000]).unwrap();
        stream.push(vec![2; 500_000]).unwrap();
        let receiver = std::thread::spawn(move || {
            let mut data = Vec::new();
            std::fs::File::from(reader).read_to_end(&mut data).unwrap();
            data
        });
        while stream.buffered_bytes() > 0 {
            if !stream.wants_flush() {
                for (_, readiness, ()) in events_until(&mut engine, |seen| !seen.is_empty()) {
                    stream.on_event(readiness);
                }
            }
            stream.flush().unwrap();
        }
        drop(writer);
        let data = receiver.join().unwrap();
        assert!(data[..500_000].iter().all(|&byte| byte == 1));
        assert!(data[500_000..].iter().all(|&byte| byte == 2));
        assert_eq!(data.len(), 1_000_000);
    });
}

#[test]
fn the_writer_hears_that_its_readers_have_gone() {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let mut engine: Events = Engine::new(DriverKind::default()).unwrap();
    register(&mut engine, &writer, Interest::BOTH, Trigger::Edge, ());
    drop(reader);
    let seen = events_until(&mut engine, |seen| {
        seen.iter().any(|(_, readiness, ())| readiness.contains(Readiness::ERROR))
    });
    assert!(!seen.is_empty());
    let mut stream = stream(&writer);
    stream.push(b"x".to_vec()).unwrap();
    assert_eq!(stream.flush().unwrap_err().kind(), ErrorKind::BrokenPipe);
}
