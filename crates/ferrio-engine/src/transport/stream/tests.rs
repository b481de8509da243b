//! Every short history of a stream, over a socket made of cells.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use super::*;

/// A socket with a send buffer of a given size, and a peer that sends what the test says, reporting
/// as an edge-triggered kernel does: each arrival makes one event, which tells the conditions at
/// the time it is taken.
#[derive(Default)]
struct Kernel {
    room: Cell<usize>,
    sent: RefCell<Vec<u8>>,
    is_shut: Cell<bool>,
    input: RefCell<VecDeque<u8>>,
    is_finished: Cell<bool>,
    is_reset: Cell<bool>,
    has_event: Cell<bool>,
    calls: Cell<usize>,
    /// Each arrival is a message with descriptors, at whose edge the kernel stops.
    has_edges: Cell<bool>,
    /// How much input lies before each edge, counted from the one before it.
    edges: RefCell<VecDeque<usize>>,
}

impl Kernel {
    fn with_room(room: usize) -> Self {
        let kernel = Self::default();
        kernel.room.set(room);
        kernel
    }

    fn make_room(&self, room: usize) {
        self.room.set(room);
        self.has_event.set(true);
    }

    fn arrive(&self, count: usize) {
        self.input.borrow_mut().extend(std::iter::repeat_n(7, count));
        if self.has_edges.get() {
            self.edges.borrow_mut().push_back(count);
        }
        self.has_event.set(true);
    }

    fn finish(&self) {
        self.is_finished.set(true);
        self.has_event.set(true);
    }

    fn reset(&self) {
        self.is_reset.set(true);
        self.has_event.set(true);
    }

    fn take_event(&self) -> Readiness {
        if !self.has_event.replace(false) {
            return Readiness::NONE;
        }
        let mut readiness = Readiness::NONE;
        if !self.input.borrow().is_empty() || self.is_finished.get() {
            readiness |= Readiness::READABLE;
        }
        if self.is_finished.get() {
            readiness |= Readiness::READ_CLOSED;
        }
        if self.room.get() > 0 {
            readiness |= Readiness::WRITABLE;
        }
        if self.is_reset.get() {
            readiness |= Readiness::ERROR | Readiness::HANGUP;
        }
        readiness
    }
}

impl Io for &Kernel {
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.calls.set(self.calls.get() + 1);
        assert!(!buf.is_empty());
        if self.is_reset.get() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let mut input = self.input.borrow_mut();
        if input.is_empty() {
            return if self.is_finished.get() {
                Ok(0)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        let mut edges = self.edges.borrow_mut();
        let count = buf.len().min(input.len()).min(*edges.front().unwrap_or(&usize::MAX));
        if let Some(edge) = edges.front_mut() {
            *edge -= count;
            if *edge == 0 {
                edges.pop_front();
            }
        }
        for (target, byte) in buf.iter_mut().zip(input.drain(..count)) {
            *target = byte;
        }
        Ok(count)
    }

    fn recv_marked(&self, buf: &mut [u8]) -> io::Result<(usize, bool)> {
        self.recv(buf).map(|count| (count, self.has_edges.get()))
    }

    fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.send_vectored(&[IoSlice::new(buf)])
    }

    fn send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.calls.set(self.calls.get() + 1);
        assert!(!self.is_shut.get(), "sent after shutdown");
        if self.is_reset.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let offered: Vec<u8> = bufs.iter().flat_map(|slice| slice.to_vec()).collect();
        assert!(!offered.is_empty());
        let count = offered.len().min(self.room.get());
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room.set(self.room.get() - count);
        self.sent.borrow_mut().extend_from_slice(&offered[..count]);
        Ok(count)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        assert!(!self.is_shut.replace(true), "shut down twice");
        if self.is_reset.get() { Err(io::ErrorKind::NotConnected.into()) } else { Ok(()) }
    }
}

fn stream(kernel: &Kernel, kind: StreamKind) -> Stream<Vec<u8>, &Kernel> {
    Stream::new(kernel, kind, Limits::new(1, 4).unwrap())
}

/// Calls `run` with every sequence of `len` numbers below `choices`.
fn every_history(choices: usize, len: u32, mut run: impl FnMut(&[usize])) {
    for code in 0..choices.pow(len) {
        let history: Vec<usize> = (0..len).map(|step| code / choices.pow(step) % choices).collect();
        run(&history);
    }
}

/// Whatever is written goes out in order and whole unless aborted; the peer is told of the end once,
/// after the last byte; nothing happens once closed; edges alternate.
#[test]
fn every_history_of_writing_keeps_order_and_ends_once() {
    type Write = fn(&mut Stream<Vec<u8>, &Kernel>, Vec<u8>) -> Result<Option<Flow>, WriteError>;
    let ways: [Write; 3] = [
        |stream, chunk| Ok(stream.push(chunk)?),
        |stream, chunk| stream.write(&chunk, |sent| chunk[sent..].to_vec()),
        |stream, chunk| stream.write_all(chunk.chunks(2).map(<[u8]>::to_vec)),
    ];
    for write in ways {
        every_history_of_writing(write);
    }
}

fn every_history_of_writing(
    write: impl Fn(&mut Stream<Vec<u8>, &Kernel>, Vec<u8>) -> Result<Option<Flow>, WriteError>,
) {
    every_history(7, 6, |history| {
        let kernel = Kernel::with_room(3);
        let mut stream = stream(&kernel, StreamKind::Tcp);
        let mut accepted = Vec::new();
        let mut paused = false;
        let mut is_aborted = false;
        let mut closed_reports = 0;
        let edges = |paused: &mut bool, flow: Option<Flow>| match flow {
            Some(Flow::Pause) => assert!(!std::mem::replace(paused, true)),
            Some(Flow::Resume) => assert!(std::mem::replace(paused, false)),
            None => {}
        };
        let mut asked = false;
        let mut next = 0_u8;
        let mut step = |stream: &mut Stream<Vec<u8>, &Kernel>, choice: usize| match choice {
            0 | 1 => {
                let chunk: Vec<u8> = (0..[1, 5][choice]).map(|byte| next + byte).collect();
                next += 5;
                match write(stream, chunk.clone()) {
                    Ok(flow) => {
                        assert!(!asked && !stream.is_closed());
                        accepted.extend(chunk);
                        edges(&mut paused, flow);
                    }
                    Err(WriteError::Refused(PushError::AfterShutdown)) => assert!(asked),
                    Err(WriteError::Refused(PushError::Closed)) => assert!(stream.is_closed()),
                    Err(WriteError::Failed(error)) => panic!("{error}"),
                }
            }
            2 => {
                let flushed = stream.flush().unwrap();
                edges(&mut paused, flushed.flow);
                assert_eq!(flushed.blocked, stream.buffered_bytes() > 0);
                if stream.settle().unwrap() == Settled::Closed {
                    closed_reports += 1;
                }
            }
            3 => {
                let was_closed = stream.is_closed();
                closed_reports += usize::from(stream.close() && !was_closed);
            }
            4 => {
                asked |= !stream.is_closing();
                stream.shutdown_write().unwrap();
            }
            5 => {
                let is_news = stream.abort();
                closed_reports += usize::from(is_news);
                is_aborted |= is_news;
            }
            _ => {
                kernel.make_room(4);
                stream.on_event(kernel.take_event());
            }
        };
        for &choice in history {
            step(&mut stream, choice);
        }
        // Afterwards the peer reads everything, and the stream is closed politely.
        for choice in [6, 2, 6, 2, 6, 2, 6, 2, 6, 2, 6, 2, 6, 2, 6, 2, 3] {
            step(&mut stream, choice);
        }
        assert!(stream.is_closed());
        assert_eq!(closed_reports, 1);
        let sent = kernel.sent.borrow();
        if is_aborted {
            assert!(accepted.starts_with(&sent));
        } else {
            assert_eq!(*sent, accepted);
            // Closing before the last byte was sent overtakes the shutdown, as in asyncio.
            assert!(!kernel.is_shut.get() || asked);
        }
    });
}

/// An edge is never lost: whatever happened, reading until the stream says that it has nothing more
/// finds all that came, the end too.
#[test]
#[cfg_attr(miri, ignore = "takes Miri longer than all the others")]
fn every_history_of_reading_finds_all_input_and_the_end() {
    let kinds = [
        (StreamKind::Tcp, false),
        (StreamKind::Unix, false),
        (StreamKind::Unix, true),
        (StreamKind::Other, true),
    ];
    for (kind, has_edges) in kinds {
        every_history(7, 6, |history| {
            let kernel = Kernel::default();
            kernel.has_edges.set(has_edges);
            let mut stream = stream(&kernel, kind);
            let (mut arrived, mut found, mut ends) = (0, 0, 0);
            let mut read = |stream: &mut Stream<Vec<u8>, &Kernel>, size| {
                let mut buf = vec![0; size];
                match stream.read(&mut buf).unwrap() {
                    Read::Data(count) => found += count,
                    Read::Blocked => {}
                    Read::Eof => ends += 1,
                }
            };
            for choice in history {
                match choice {
                    0 if !kernel.is_finished.get() => {
                        kernel.arrive(3);
                        arrived += 3;
                    }
                    1 => kernel.finish(),
                    2 => {
                        stream.on_event(kernel.take_event());
                    }
                    3 => read(&mut stream, 2),
                    4 => read(&mut stream, 8),
                    5 => drop(stream.pause_reading()),
                    6 => drop(stream.resume_reading()),
                    _ => {}
                }
            }
            stream.resume_reading();
            stream.on_event(kernel.take_event());
            for _ in 0..20 {
                read(&mut stream, 2);
            }
            assert!(!stream.is_readable());
            assert_eq!(found, arrived);
            assert_eq!(ends, usize::from(kernel.is_finished.get()));
            assert_eq!(stream.is_eof(), kernel.is_finished.get());
        });
    }
}

#[test]
fn a_short_read_saves_the_second_call_only_where_it_can_be_trusted() {
    for (kind, has_edges, finishes, expected_calls) in [
        (StreamKind::Tcp, false, false, 1),
        (StreamKind::Tcp, false, true, 2),
        (StreamKind::Unix, false, false, 1),
        (StreamKind::Unix, false, true, 2),
        (StreamKind::Unix, true, false, 2),
        (StreamKind::Other, false, false, 2),
    ] {
        let kernel = Kernel::default();
        kernel.has_edges.set(has_edges);
        let mut stream = stream(&kernel, kind);
        kernel.arrive(3);
        if finishes {
            kernel.finish();
        }
        assert_eq!(stream.on_event(kernel.take_event()), Interest::READ);
        while stream.is_readable() {
            stream.read(&mut [0; 8]).unwrap();
        }
        assert_eq!(kernel.calls.get(), expected_calls);
    }
}

#[test]
fn a_full_kernel_is_not_asked_again_before_it_reports_room() {
    let kernel = Kernel::with_room(2);
    let mut stream = stream(&kernel, StreamKind::Tcp);
    assert_eq!(stream.push(b"hello".to_vec()), Ok(Some(Flow::Pause)));
    assert_eq!(stream.flush().unwrap(), Flushed { flow: None, blocked: true });
    assert_eq!(stream.flush().unwrap(), Flushed { flow: None, blocked: true });
    assert_eq!(kernel.calls.get(), 1);
    kernel.make_room(9);
    assert_eq!(stream.on_event(kernel.take_event()), Interest::WRITE);
    assert_eq!(stream.flush().unwrap(), Flushed { flow: Some(Flow::Resume), blocked: false });
    assert_eq!(*kernel.sent.borrow(), b"hello");
}

/// `write` of CPython's `selector_events.py`.
#[test]
fn the_kernel_has_what_was_written_when_write_returns() {
    let kernel = Kernel::with_room(7);
    let mut stream = stream(&kernel, StreamKind::Tcp);
    let write = |stream: &mut Stream<Vec<u8>, &Kernel>, data: &[u8]| {
        stream.write(data, |sent| data[sent..].to_vec()).unwrap()
    };
    // Above the high watermark, but not for long.
    assert_eq!(write(&mut stream, b"hello"), None);
    assert_eq!((kernel.calls.get(), stream.buffered_bytes()), (1, 0));
    assert_eq!(write(&mut stream, b"world"), None);
    assert_eq!((kernel.calls.get(), stream.buffered_bytes()), (2, 3));
    // What is queued is not overtaken, and the kernel not asked again.
    kernel.make_room(9);
    assert_eq!(write(&mut stream, b"!!"), Some(Flow::Pause));
    assert_eq!((kernel.calls.get(), stream.buffered_bytes()), (2, 5));
    stream.on_event(kernel.take_event());
    assert_eq!(stream.flush().unwrap().flow, Some(Flow::Resume));
    assert_eq!(*kernel.sent.borrow(), b"helloworld!!");
    kernel.reset();
    assert!(matches!(stream.write(b"x", |_| vec![]), Err(WriteError::Failed(_))));
    assert!(stream.is_closed());
}

#[test]
fn a_write_of_nothing_makes_no_call() {
    let kernel = Kernel::with_room(7);
    let mut stream = stream(&kernel, StreamKind::Other);
    assert_eq!(stream.write(b"", |_| panic!("nothing is left")).unwrap(), None);
    assert_eq!(stream.write_all([]).unwrap(), None);
    assert_eq!(stream.write_all([vec![], vec![]]).unwrap(), None);
    assert_eq!((kernel.calls.get(), stream.buffered_bytes()), (0, 0));
    // What is refused with bytes is refused without.
    let _ = stream.shutdown_write().unwrap();
    assert!(matches!(
        stream.write(b"", |_| vec![]),
        Err(WriteError::Refused(PushError::AfterShutdown))
    ));
}

/// `writelines` of CPython's `selector_events.py`: tries to send whatever was queued before.
#[test]
fn many_chunks_go_out_in_one_call_with_what_waited_before_them() {
    let kernel = Kernel::with_room(1);
    let mut stream = stream(&kernel, StreamKind::Tcp);
    let chunks = |text: &[u8]| text.iter().map(|byte| vec![*byte]).collect::<Vec<_>>();
    assert_eq!(stream.write_all(chunks(b"hello")).unwrap(), None);
    assert_eq!((kernel.calls.get(), stream.buffered_bytes()), (1, 4));
    kernel.make_room(2);
    assert_eq!(stream.write_all(chunks(b"abc")).unwrap(), Some(Flow::Pause));
    assert_eq!((kernel.calls.get(), stream.buffered_bytes()), (2, 5));
    kernel.make_room(9);
    assert_eq!(stream.write_all(chunks(b"!")).unwrap(), Some(Flow::Resume));
    assert_eq!(*kernel.sent.borrow(), b"helloabc!");
}

#[test]
fn what_was_pushed_goes_out_in_one_call() {
    let kernel = Kernel::with_room(1_000);
    let mut stream = stream(&kernel, StreamKind::Tcp);
    for byte in 0..SLICES_PER_SEND as u8 {
        let _ = stream.push(vec![byte]).unwrap();
    }
    stream.flush().unwrap();
    assert_eq!(kernel.calls.get(), 1);
    assert_eq!(kernel.sent.borrow().len(), SLICES_PER_SEND);
}

/// `_write_ready` in CPython's `selector_events.py`: "May append to buffer".
#[test]
fn a_writer_resumed_while_closing_may_write_once_more() {
    let kernel = Kernel::with_room(9);
    let mut stream = stream(&kernel, StreamKind::Tcp);
    assert_eq!(stream.push(b"hello".to_vec()), Ok(Some(Flow::Pause)));
    assert!(!stream.close());
    assert_eq!(stream.flush().unwrap().flow, Some(Flow::Resume));
    assert_eq!(stream.push(b"!".to_vec()), Ok(None));
    assert_eq!(stream.settle().unwrap(), Settled::Unchanged);
    stream.flush().unwrap();
    assert_eq!(stream.settle().unwrap(), Settled::Closed);
    assert_eq!(*kernel.sent.borrow(), b"hello!");
}

#[test]
fn errors_close_the_stream_and_drop_what_was_not_sent() {
    for reads in [true, false] {
        let kernel = Kernel::with_room(9);
        let mut stream = stream(&kernel, StreamKind::Tcp);
        let _ = stream.push(b"hello".to_vec()).unwrap();
        kernel.reset();
        assert_eq!(stream.on_event(kernel.take_event()), Interest::BOTH);
        let error =
            if reads { stream.read(&mut [0; 8]).unwrap_err() } else { stream.flush().unwrap_err() };
        let expected =
            if reads { io::ErrorKind::ConnectionReset } else { io::ErrorKind::BrokenPipe };
        assert_eq!(error.kind(), expected);
        assert!(stream.is_closed());
        assert_eq!(stream.buffered_bytes(), 0);
        assert_eq!(stream.push(b"more".to_vec()), Err(PushError::Closed));
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), Read::Blocked);
        assert!(!stream.abort());
    }
}

#[test]
fn an_empty_buffer_is_not_taken_for_the_end() {
    let kernel = Kernel::default();
    let mut stream = stream(&kernel, StreamKind::Tcp);
    kernel.arrive(1);
    stream.on_event(kernel.take_event());
    assert_eq!(stream.read(&mut []).unwrap(), Read::Data(0));
    assert!(stream.is_readable() && !stream.is_eof());
}

#[test]
fn the_end_is_said_again_to_who_asks_for_it() {
    let kernel = Kernel::default();
    let mut stream = stream(&kernel, StreamKind::Tcp);
    stream.repeat_eof();
    assert!(!stream.is_readable());
    kernel.finish();
    stream.on_event(kernel.take_event());
    for _ in 0..3 {
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), Read::Eof);
        assert!(stream.is_eof() && !stream.is_readable());
        stream.repeat_eof();
        assert!(!stream.is_eof() && stream.is_readable());
    }
    stream.close();
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), Read::Blocked);
}
