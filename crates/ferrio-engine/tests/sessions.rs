//! Promise: a session is told what happens, in order and once, and what it sends arrives; on sockets
//! and in virtual time alike.

mod host;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant as RealInstant};

use ferrio_engine::session::{
    Connection, End, Next, Outbox, Progress, Server, Session, Stopper, Workspace,
};
use ferrio_engine::{DriverKind, Engine, Instant, Io, Limits, Readiness, StreamKind, Timeout};
use host::{HANG, on_every_driver};

/// What happened to a session, for a test to look at from its own thread.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn wait_for(&self, what: &str) {
        let start = RealInstant::now();
        while !self.entries().iter().any(|entry| entry == what) {
            assert!(start.elapsed() < HANG, "no {what:?} in {:?}", self.entries());
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Answers each line with its number and its length; ends after "quit"; is bored after ten seconds
/// without a line.
struct Lines {
    diary: Diary,
    partial: Vec<u8>,
    count: usize,
}

const PATIENCE: Duration = Duration::from_secs(10);

impl Lines {
    fn new(diary: &Diary) -> Self {
        Self { diary: diary.clone(), partial: Vec::new(), count: 0 }
    }
}

impl Session for Lines {
    fn on_start(&mut self, outbox: &mut Outbox<'_>, now: Instant) -> Next {
        outbox.send(b"hello\n");
        Next::read_until(now.saturating_add(PATIENCE))
    }

    fn on_data(&mut self, data: &[u8], outbox: &mut Outbox<'_>, now: Instant) -> Next {
        self.partial.extend_from_slice(data);
        let mut has_lines = false;
        while let Some(end) = self.partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            has_lines = true;
            if line == b"quit\n" {
                outbox.send(b"bye\n");
                return Next::close();
            }
            self.count += 1;
            outbox.send(format!("{} {}\n", self.count, line.len() - 1).as_bytes());
        }
        if has_lines { Next::read_until(now.saturating_add(PATIENCE)) } else { Next::Unchanged }
    }

    fn on_timer(&mut self, outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        self.diary.note("bored");
        outbox.send(b"bored\n");
        Next::close()
    }

    fn on_end(&mut self, end: End) {
        self.diary.note(end.to_string());
    }
}

struct Echo {
    diary: Diary,
}

impl Session for Echo {
    fn on_data(&mut self, data: &[u8], outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        outbox.send(data);
        if outbox.is_full() {
            self.diary.note("full");
        }
        Next::read()
    }

    fn on_writable(&mut self, outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        assert!(outbox.buffered() <= Limits::default().low());
        self.diary.note("writable");
        Next::Unchanged
    }

    fn on_eof(&mut self, _outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        self.diary.note("eof");
        Next::close()
    }

    fn on_end(&mut self, end: End) {
        self.diary.note(match end {
            End::Failed(error) => format!("failed: {:?}", error.kind()),
            end => end.to_string(),
        });
    }
}

/// A server in a thread; ends with the test.
struct Running {
    address: std::net::SocketAddr,
    stopper: Stopper,
    thread: Option<thread::JoinHandle<io::Result<()>>>,
}

impl Running {
    fn serve<S: Session + Send + 'static>(
        driver: DriverKind,
        make: impl FnMut() -> S + Send + 'static,
    ) -> Self {
        let mut make = make;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = Server::on(driver).unwrap();
        server.listen(listener, move |_peer| make()).unwrap();
        let stopper = server.stopper();
        let thread = Some(thread::spawn(move || server.run()));
        Self { address, stopper, thread }
    }

    fn echo(driver: DriverKind) -> (Self, Diary) {
        let diary = Diary::default();
        let own = diary.clone();
        (Self::serve(driver, move || Echo { diary: own.clone() }), diary)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        let ended = self.thread.take().map(thread::JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().unwrap().unwrap();
        }
    }
}

fn all_of(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn lines_are_answered_however_they_are_cut() {
    on_every_driver(|driver| {
        let diary = Diary::default();
        let server = Running::serve(driver, {
            let diary = diary.clone();
            move || Lines::new(&diary)
        });
        let conversation = b"one\nthree\n\nquit\n";
        for cut in 0..conversation.len() {
            let mut client = server.connect();
            client.write_all(&conversation[..cut]).unwrap();
            client.write_all(&conversation[cut..]).unwrap();
            assert_eq!(all_of(client), "hello\n1 3\n2 5\n3 0\nbye\n", "cut at {cut}");
        }
        diary.wait_for("closed");
        drop(server);
        assert_eq!(diary.entries(), vec!["closed"; conversation.len()]);
    });
}

#[test]
fn many_clients_get_their_own_bytes_back() {
    on_every_driver(|driver| {
        let (server, _diary) = Running::echo(driver);
        let clients: Vec<_> = (0..40u8)
            .map(|number| {
                let mut stream = server.connect();
                thread::spawn(move || {
                    // Longer and longer, over what is read at once and over the watermark.
                    for size in [1, 10, 1000, 70_000, 200_000] {
                        let sent = vec![number; size];
                        let mut writer = stream.try_clone().unwrap();
                        let writing = thread::spawn(move || writer.write_all(&sent).unwrap());
                        let mut got = vec![0; size];
                        stream.read_exact(&mut got).unwrap();
                        assert!(got.iter().all(|&byte| byte == number));
                        writing.join().unwrap();
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
    });
}

#[test]
fn who_asks_without_listening_waits() {
    on_every_driver(|driver| {
        let (server, diary) = Running::echo(driver);
        let mut client = server.connect();
        client.set_nonblocking(true).unwrap();
        let chunk = vec![7; 64 * 1024];
        let mut sent = 0;
        let mut refusals = 0;
        // All buffers on the way are full when nothing more goes in for a while.
        while refusals < 50 {
            match client.write(&chunk) {
                Ok(count) => {
                    sent += count;
                    refusals = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    refusals += 1;
                    thread::sleep(Duration::from_millis(2));
                }
                Err(error) => panic!("{error}"),
            }
        }
        diary.wait_for("full");
        assert!(!diary.entries().contains(&"writable".to_owned()));
        client.set_nonblocking(false).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), sent);
        diary.wait_for("closed");
        let entries = diary.entries();
        let first_writable = entries.iter().position(|entry| entry == "writable").unwrap();
        assert!(entries.iter().position(|entry| entry == "full").unwrap() < first_writable);
        assert_eq!(entries[entries.len() - 2..], ["eof", "closed"]);
    });
}

#[test]
fn a_reset_is_told_as_the_error_that_it_is() {
    on_every_driver(|driver| {
        let (server, diary) = Running::echo(driver);
        let mut client = server.connect();
        client.write_all(b"hello").unwrap();
        client.read_exact(&mut [0; 5]).unwrap();
        // A linger of 0 closes by RST.
        rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
        drop(client);
        diary.wait_for("failed: ConnectionReset");
        drop(server);
        assert_eq!(diary.entries(), ["failed: ConnectionReset"]);
    });
}

/// Both directions of a simulated connection.
#[derive(Default)]
struct Line {
    to_session: VecDeque<Vec<u8>>,
    from_session: Vec<u8>,
    calls: usize,
    has_hung_up: bool,
    /// How many bytes it takes at once; all if `None`.
    room: Option<usize>,
}

#[derive(Clone, Default)]
struct FakeSocket(Rc<RefCell<Line>>);

impl FakeSocket {
    fn put(&self, data: &[u8]) {
        self.0.borrow_mut().to_session.push_back(data.to_vec());
    }

    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.borrow_mut().from_session)).unwrap()
    }
}

impl Io for FakeSocket {
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut line = self.0.borrow_mut();
        match line.to_session.pop_front() {
            Some(data) => {
                buf[..data.len()].copy_from_slice(&data);
                Ok(data.len())
            }
            None if line.has_hung_up => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn send(&self, buf: &[u8]) -> io::Result<usize> {
        let mut line = self.0.borrow_mut();
        line.calls += 1;
        let count = line.room.map_or(buf.len(), |room| room.min(buf.len()));
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        line.from_session.extend_from_slice(&buf[..count]);
        line.room = line.room.map(|room| room - count);
        Ok(count)
    }

    fn send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = bufs.iter().flat_map(|slice| slice.to_vec()).collect();
        self.send(&all)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }
}

fn simulated<S: Session>(session: S) -> (Connection<S, FakeSocket>, FakeSocket, Workspace) {
    let socket = FakeSocket::default();
    let limits = Limits::new(4, 16).unwrap();
    let connection = Connection::new(socket.clone(), StreamKind::Other, limits, session);
    (connection, socket, Workspace::new(1024))
}

#[test]
fn a_deadline_passes_in_virtual_time() {
    let (mut engine, simulation) = Engine::<&str, ()>::simulated();
    let diary = Diary::default();
    let (mut connection, socket, mut workspace) = simulated(Lines::new(&diary));
    let start = simulation.now();
    assert_eq!(connection.start(&mut workspace, start), Progress::Waiting);
    assert_eq!(socket.take(), "hello\n");

    // Nine seconds of silence, a line, and nine more: nobody is bored.
    simulation.advance(Duration::from_secs(9));
    socket.put(b"a line\n");
    let now = simulation.now();
    let progress = connection.on_event(Readiness::READABLE, &mut workspace, now);
    assert_eq!(progress, Progress::More);
    assert_eq!(connection.resume(&mut workspace, now), Progress::Waiting);
    assert_eq!(socket.take(), "1 6\n");
    let deadline = connection.deadline().unwrap();
    assert_eq!(deadline.duration_since(start), Duration::from_secs(19));
    simulation.advance(Duration::from_secs(9));
    assert_eq!(connection.on_time(&mut workspace, simulation.now()), Progress::Waiting);
    assert_eq!(socket.take(), "");

    engine.add_timer(deadline, "deadline");
    let timeout = engine.timeout(simulation.now());
    assert_eq!(timeout, Timeout::Until(deadline));
    let mut wait = engine.begin_wait(timeout, simulation.now());
    wait.block().unwrap();
    engine.end_wait(wait);
    assert_eq!(connection.on_time(&mut workspace, simulation.now()), Progress::Over);
    assert_eq!(socket.take(), "bored\n");
    assert_eq!(diary.entries(), ["bored", "closed"]);
}

#[test]
fn what_a_callback_sends_leaves_in_one_call() {
    let diary = Diary::default();
    let (mut connection, socket, mut workspace) = simulated(Lines::new(&diary));
    let now = Instant::from_nanos(0);
    let _ = connection.start(&mut workspace, now);
    socket.put(b"a\nb\nc\n");
    let _ = connection.on_event(Readiness::READABLE, &mut workspace, now);
    assert_eq!(socket.take(), "hello\n1 1\n2 1\n3 1\n");
    assert_eq!(socket.0.borrow().calls, 2);
}

/// Sends a piece, has somebody look, and sends another.
struct Pieces(FakeSocket);

impl Session for Pieces {
    fn on_data(&mut self, data: &[u8], outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        outbox.send(data);
        assert_eq!(self.0.take(), "");
        outbox.flush();
        assert_eq!(self.0.take().as_bytes(), data);
        outbox.send(b".");
        Next::read()
    }
}

#[test]
fn flushing_gives_the_kernel_what_was_sent_so_far() {
    let socket = FakeSocket::default();
    let session = Pieces(socket.clone());
    let mut connection =
        Connection::new(socket.clone(), StreamKind::Other, Limits::default(), session);
    let mut workspace = Workspace::default();
    let now = Instant::from_nanos(0);
    let _ = connection.start(&mut workspace, now);
    socket.put(b"piece");
    let _ = connection.on_event(Readiness::READABLE, &mut workspace, now);
    assert_eq!(socket.take(), ".");
}

/// Answers each byte with ten.
struct Tenfold(Diary);

impl Session for Tenfold {
    fn on_data(&mut self, data: &[u8], outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        self.0.note(format!("data {}", data.len()));
        for &byte in data {
            outbox.send(&[byte; 10]);
        }
        Next::read()
    }

    fn on_writable(&mut self, outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        self.0.note(format!("writable {}", outbox.buffered()));
        Next::Unchanged
    }

    fn on_end(&mut self, end: End) {
        self.0.note(end.to_string());
    }
}

#[test]
fn above_the_high_mark_nothing_is_read_until_the_low_one() {
    let diary = Diary::default();
    let (mut connection, socket, mut workspace) = simulated(Tenfold(diary.clone()));
    let now = Instant::from_nanos(0);
    let _ = connection.start(&mut workspace, now);
    socket.0.borrow_mut().room = Some(3);
    socket.put(b"ab");
    socket.put(b"c");
    // 20 bytes, of which 17 wait: above 16.
    let readable = Readiness::READABLE;
    assert_eq!(connection.on_event(readable, &mut workspace, now), Progress::Waiting);
    assert_eq!(connection.resume(&mut workspace, now), Progress::Waiting);
    assert_eq!(diary.entries(), ["data 2"]);
    // 7 wait: below the high mark, and not yet at the low one.
    socket.0.borrow_mut().room = Some(10);
    assert_eq!(connection.on_event(Readiness::WRITABLE, &mut workspace, now), Progress::Waiting);
    assert_eq!(diary.entries(), ["data 2"]);
    socket.0.borrow_mut().room = Some(4);
    assert_eq!(connection.on_event(Readiness::WRITABLE, &mut workspace, now), Progress::More);
    assert_eq!(diary.entries(), ["data 2", "writable 3", "data 1"]);
}

#[test]
fn closing_sends_what_is_left_or_gives_up_at_its_deadline() {
    struct Closing(Diary, Option<Instant>);
    impl Session for Closing {
        fn on_data(&mut self, data: &[u8], outbox: &mut Outbox<'_>, _now: Instant) -> Next {
            outbox.send(data);
            Next::Close { until: self.1 }
        }
        fn on_timer(&mut self, _outbox: &mut Outbox<'_>, _now: Instant) -> Next {
            panic!("one that is closing is not asked any more");
        }
        fn on_end(&mut self, end: End) {
            self.0.note(end.to_string());
        }
    }
    let late = Instant::from_nanos(100);
    for (until, expected) in [(None, "closed"), (Some(late), "aborted")] {
        let diary = Diary::default();
        let (mut connection, socket, mut workspace) = simulated(Closing(diary.clone(), until));
        let now = Instant::from_nanos(0);
        let _ = connection.start(&mut workspace, now);
        socket.0.borrow_mut().room = Some(1);
        socket.put(b"abc");
        socket.put(b"nobody reads this");
        let readable = Readiness::READABLE;
        assert_eq!(connection.on_event(readable, &mut workspace, now), Progress::Waiting);
        assert_eq!(connection.deadline(), until);
        if until.is_some() {
            let early = Instant::from_nanos(99);
            assert_eq!(connection.on_time(&mut workspace, early), Progress::Waiting);
            assert_eq!(connection.on_time(&mut workspace, late), Progress::Over);
            assert_eq!(socket.take(), "a");
        } else {
            socket.0.borrow_mut().room = None;
            let writable = Readiness::WRITABLE;
            assert_eq!(connection.on_event(writable, &mut workspace, now), Progress::Over);
            assert_eq!(socket.take(), "abc");
        }
        assert_eq!(diary.entries(), [expected]);
        connection.abort();
        assert_eq!(diary.entries(), [expected], "the end is told once");
    }
}

#[test]
fn one_that_pauses_hears_nothing_until_it_is_called() {
    struct Pausing(Diary);
    impl Session for Pausing {
        fn on_start(&mut self, _outbox: &mut Outbox<'_>, _now: Instant) -> Next {
            Next::pause()
        }
        fn on_data(&mut self, data: &[u8], _outbox: &mut Outbox<'_>, _now: Instant) -> Next {
            self.0.note(format!("data {}", data.len()));
            Next::pause()
        }
    }
    let diary = Diary::default();
    let (mut connection, socket, mut workspace) = simulated(Pausing(diary.clone()));
    let now = Instant::from_nanos(0);
    let _ = connection.start(&mut workspace, now);
    socket.put(b"abc");
    let readable = Readiness::READABLE;
    assert_eq!(connection.on_event(readable, &mut workspace, now), Progress::Waiting);
    assert!(diary.entries().is_empty());
    // The event is not repeated: that there is something is remembered.
    let progress = connection.call(&mut workspace, |_, outbox| {
        outbox.send(b"go on");
        Next::read()
    });
    assert_eq!(progress, Progress::More);
    assert_eq!(socket.take(), "go on");
    assert_eq!(connection.resume(&mut workspace, now), Progress::Waiting);
    assert_eq!(diary.entries(), ["data 3"]);
}
