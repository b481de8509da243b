//! [`Stream`] over a simulated kernel: bytes arrive whole and in order, edges of flow control
//! alternate, an end is an end, and nothing waits for an event that the kernel will not send.

use std::io;

use ferrio_engine::{Flow, Interest, Limits, PushError, Read, Settled, Stream, WriteError};

use crate::input::Input;
use crate::kernel::Kernel;

/// The stream and what is known of it without looking at it.
struct World<'k> {
    kernel: &'k Kernel,
    stream: Stream<Vec<u8>, &'k Kernel>,
    limits: Limits,
    /// All that was accepted for sending.
    pushed: Vec<u8>,
    /// All that the peer has sent, and how much of it was read.
    peer: Vec<u8>,
    read: usize,
    is_paused: bool,
    is_write_ended: bool,
    has_failed: bool,
}

/// Does to a stream, its peer and its kernel what `bytes` say.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kernel = Kernel::new(&mut input);
    let limits = input.limits();
    let mut world = World {
        kernel: &kernel,
        stream: Stream::new(&kernel, kernel.kind(), limits),
        limits,
        pushed: Vec::new(),
        peer: Vec::new(),
        read: 0,
        is_paused: false,
        is_write_ended: false,
        has_failed: false,
    };
    while !input.is_empty() {
        world.step(&mut input);
        world.check();
    }
}

impl World<'_> {
    fn step(&mut self, input: &mut Input<'_>) {
        let kernel = self.kernel;
        match input.below(16) {
            // The kernel's side.
            0 => {
                let count = input.size();
                if !kernel.is_finished.get() && count > 0 {
                    let bytes: Vec<u8> =
                        (0..count).map(|at| (self.peer.len() + at) as u8).collect();
                    kernel.arrived.borrow_mut().extend(&bytes);
                    self.peer.extend(bytes);
                    kernel.has_event.set(true);
                }
            }
            1 => {
                kernel.room.set(kernel.room.get() + 1 + input.size());
                kernel.has_event.set(true);
            }
            2 => {
                kernel.is_finished.set(true);
                kernel.has_event.set(true);
            }
            3 if input.below(8) == 0 => {
                kernel.is_reset.set(true);
                kernel.has_event.set(true);
            }
            3 => kernel.step.set(1 + input.below(8)),
            // The host's.
            4..=6 => self.take_event(),
            7 => self.read(input.size()),
            8 | 9 => self.push(input),
            10 => self.flush(),
            11 => {
                let (was_reading, changed) =
                    (self.stream.is_reading(), self.stream.pause_reading());
                assert_eq!(changed, was_reading);
                assert!(!self.stream.is_reading());
            }
            12 => {
                self.stream.resume_reading();
                assert_eq!(self.stream.is_reading(), !self.stream.is_closing());
            }
            13 => match input.below(4) {
                0 => self.shutdown_write(),
                1 => {
                    // One that is closing may have sent its last bytes in a write, and not settled.
                    let was_closing = self.stream.is_closing();
                    let is_closed = self.stream.close();
                    assert_eq!(is_closed, self.stream.is_closed());
                    assert!(self.stream.is_closing());
                    assert!(is_closed || was_closing || self.stream.buffered_bytes() > 0);
                }
                2 => {
                    let was_closed = self.stream.is_closed();
                    assert_eq!(self.stream.abort(), !was_closed);
                    self.has_failed = true;
                }
                _ => {
                    self.limits = input.limits();
                    let edge = self.stream.set_limits(self.limits);
                    self.expect_pause(edge);
                }
            },
            14 => self.write(input),
            _ => {
                // A host that does all there is to do, turn by turn.
                for _ in 0..4 {
                    self.take_event();
                    while self.stream.is_readable() {
                        self.read(1 + input.size());
                    }
                    self.flush();
                }
            }
        }
    }

    fn take_event(&mut self) {
        if !self.kernel.has_event.replace(false) {
            return;
        }
        let acting = self.stream.on_event(self.kernel.readiness());
        assert_eq!(acting.contains(Interest::READ), self.stream.is_readable());
        assert_eq!(acting.contains(Interest::WRITE), self.stream.wants_flush());
    }

    fn read(&mut self, size: usize) {
        let mut buf = vec![0; size];
        let was_readable = self.stream.is_readable();
        match self.stream.read(&mut buf) {
            Ok(Read::Data(count)) => {
                assert!(was_readable && count <= size && (count > 0) == (size > 0));
                assert_eq!(buf[..count], self.peer[self.read..self.read + count]);
                self.read += count;
            }
            Ok(Read::Blocked) => {
                assert!(!self.stream.is_readable());
                assert!(!was_readable || self.kernel.arrived.borrow().is_empty());
            }
            Ok(Read::Eof) => {
                assert!(was_readable && self.kernel.is_finished.get() && self.stream.is_eof());
                assert_eq!(self.read, self.peer.len());
            }
            Err(error) => self.failed(&error),
        }
    }

    fn push(&mut self, input: &mut Input<'_>) {
        let size = input.size();
        let chunk: Vec<u8> = (0..size).map(|at| (self.pushed.len() + at) as u8).collect();
        let before = self.stream.buffered_bytes();
        match self.stream.push(chunk.clone()) {
            Ok(edge) => {
                assert!(!self.is_write_ended && !self.stream.is_closed());
                self.pushed.extend(chunk);
                assert_eq!(self.stream.buffered_bytes(), before + size);
                self.expect_pause(edge);
            }
            Err(PushError::AfterShutdown) => assert!(self.is_write_ended),
            Err(PushError::Closed) => assert!(self.stream.is_closed() && !self.is_write_ended),
        }
    }

    /// One chunk, or several together.
    fn write(&mut self, input: &mut Input<'_>) {
        let (size, pieces) = (input.size(), input.below(4));
        let data: Vec<u8> = (0..size).map(|at| (self.pushed.len() + at) as u8).collect();
        let before = self.stream.buffered_bytes();
        let written = match pieces {
            0 => self.stream.write(&data, |sent| data[sent..].to_vec()),
            pieces => self.stream.write_all(data.chunks(1 + size / pieces).map(<[u8]>::to_vec)),
        };
        match written {
            Ok(edge) => {
                assert!(!self.is_write_ended && !self.stream.is_closed());
                self.pushed.extend(data);
                let left = self.stream.buffered_bytes();
                assert!(left <= before + size);
                let resumes = self.is_paused && left < before + size && left <= self.limits.low();
                self.is_paused &= !resumes;
                if resumes {
                    assert_eq!(edge, Some(Flow::Resume));
                } else {
                    self.expect_pause(edge);
                }
            }
            Err(WriteError::Refused(PushError::AfterShutdown)) => assert!(self.is_write_ended),
            Err(WriteError::Refused(PushError::Closed)) => {
                assert!(self.stream.is_closed() && !self.is_write_ended);
            }
            Err(WriteError::Failed(error)) => self.failed(&error),
        }
    }

    fn flush(&mut self) {
        let was_reset = self.kernel.is_reset.get();
        let before = self.stream.buffered_bytes();
        match self.stream.flush() {
            Ok(flushed) => {
                let left = self.stream.buffered_bytes();
                assert_eq!(flushed.blocked, left > 0);
                assert!(!self.stream.wants_flush());
                // Only sending resumes: what new limits have put below the mark is left alone.
                let resumes = self.is_paused && left < before && left <= self.limits.low();
                self.is_paused &= !resumes;
                assert_eq!(flushed.flow, resumes.then_some(Flow::Resume));
            }
            Err(error) => {
                assert!(was_reset);
                self.failed(&error);
            }
        }
        let was_closed = self.stream.is_closed();
        match self.stream.settle() {
            Ok(Settled::Closed) => {
                assert!(!was_closed && self.stream.is_closed());
                assert_eq!(*self.kernel.sent.borrow(), self.pushed);
            }
            Ok(Settled::WriteShut) => self.is_shut(),
            Ok(Settled::Unchanged) => {}
            Err(error) => self.failed(&error),
        }
    }

    fn shutdown_write(&mut self) {
        let was_open = !self.stream.is_closing();
        match self.stream.shutdown_write() {
            Ok(Settled::WriteShut) => self.is_shut(),
            Ok(Settled::Unchanged) => {}
            Ok(Settled::Closed) => panic!("nobody asked for that"),
            Err(error) => self.failed(&error),
        }
        self.is_write_ended |= was_open;
        assert_eq!(self.stream.is_write_ended(), self.is_write_ended);
    }

    fn is_shut(&self) {
        assert!(self.kernel.is_shut.get());
        assert_eq!(*self.kernel.sent.borrow(), self.pushed);
    }

    fn failed(&mut self, error: &io::Error) {
        assert!(self.kernel.is_reset.get(), "{error}");
        assert!(self.stream.is_closed());
        self.has_failed = true;
    }

    fn expect_pause(&mut self, edge: Option<Flow>) {
        let pauses = !self.is_paused && self.stream.buffered_bytes() > self.limits.high();
        self.is_paused |= pauses;
        assert_eq!(edge, pauses.then_some(Flow::Pause));
    }

    fn check(&self) {
        let (kernel, stream) = (self.kernel, &self.stream);
        let sent = kernel.sent.borrow();
        assert!(self.pushed.starts_with(&sent));
        if self.has_failed {
            assert!(stream.is_closed() && stream.buffered_bytes() == 0);
        } else {
            assert_eq!(stream.buffered_bytes(), self.pushed.len() - sent.len());
        }
        assert!(!stream.is_readable() || stream.is_reading());
        // Whatever the kernel has and will not tell again, the stream knows of.
        if !kernel.has_event.get() && !stream.is_closed() && !kernel.is_reset.get() {
            let has_input = !kernel.arrived.borrow().is_empty() || kernel.is_finished.get();
            if has_input && stream.is_reading() && !stream.is_eof() {
                assert!(stream.is_readable(), "an event was lost: input");
            }
            if kernel.room.get() > 0 && stream.buffered_bytes() > 0 {
                assert!(stream.wants_flush(), "an event was lost: room");
            }
        }
    }
}
