//! Promise: whatever a system call answers, every byte that arrives is the right one, every
//! connection ends, the loop neither hangs nor spins, and no descriptor is lost.
//!
//! Echo over real sockets and pipes while one system call in so many fails (cargo feature `faults`).
//! Injection is for the whole process, so there is one test, in parts. `FAULTS_SEED` repeats a run's
//! choice of faults, `FAULTS_ROUNDS` tries as many seeds from there on.
#![expect(clippy::print_stdout, reason = "the figures and the seed")]

mod host;

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant as RealInstant};

use ferrio_engine::faults::{Faults, Injection, inject};
use ferrio_engine::net::Connecting;
use ferrio_engine::{
    Accept, DriverKind, Engine, Flow, Instant, Interest, Io, Key, LentFd, Limits, Listener, PipeFd,
    Read, Readiness, Ready, Settled, Stream, StreamKind, Timeout, Trigger,
};
use host::on_every_driver;

const CONNECTIONS: usize = 60;
/// More than both sockets' buffers hold, so that writers have to wait.
const BYTES: usize = 300_000;
const ONE_IN: u32 = 50;
const BACK_OFF: Duration = Duration::from_millis(20);
/// Nothing here takes that long; what does has hung.
const HANG: Duration = Duration::from_secs(60);

type Events = Engine<Item, Who>;
type Run = fn(DriverKind) -> Outcome;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Who {
    Listener,
    Connecting(usize),
    Stream(usize),
}

enum Item {
    Event(Who, Readiness),
    /// What was left to be read when its turn was over.
    Again(usize),
    Retry,
}

/// What a connection is there for.
enum Role {
    /// Sends the bytes of this number and expects them back.
    Client { number: usize, sent: usize, received: usize },
    /// Sends back what it receives.
    Server,
}

struct Peer {
    stream: Stream<Vec<u8>, End>,
    role: Role,
    key: Option<Key>,
}

/// One end of a connection, by way of the calls that are for sockets or those that are for files.
enum End {
    Socket(OwnedFd),
    File(OwnedFd),
}

impl End {
    const fn fd(&self) -> &OwnedFd {
        match self {
            Self::Socket(fd) | Self::File(fd) => fd,
        }
    }

    fn io(&self) -> Box<dyn Io + '_> {
        match self {
            Self::Socket(fd) => Box::new(fd.as_fd()),
            Self::File(fd) => Box::new(PipeFd::new(LentFd::new(fd.as_raw_fd()).unwrap())),
        }
    }
}

impl Io for End {
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.io().recv(buf)
    }

    fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.io().send(buf)
    }

    fn send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.io().send_vectored(bufs)
    }

    /// A file's end would be told by closing it, which the other direction does not survive.
    fn shutdown_write(&self) -> io::Result<()> {
        self.fd().as_fd().shutdown_write()
    }
}

/// How the clients ended.
#[derive(Default, Debug)]
struct Outcome {
    complete: usize,
    errors: usize,
    /// Ended by the server before all had come back.
    cut: usize,
    turns: usize,
    /// Calls of `accept` that found the system exhausted or failed.
    refusals: usize,
}

struct Echo {
    engine: Events,
    peers: HashMap<usize, Peer>,
    connecting: HashMap<usize, (Connecting, Key)>,
    next: usize,
    listener: Option<(Listener<TcpListener>, Key)>,
    clients_left: usize,
    outcome: Outcome,
}

impl Echo {
    fn new(driver: DriverKind) -> Option<Self> {
        // To make the driver may fail, too.
        let engine = (0..100).find_map(|_| Engine::new(driver).ok())?;
        Some(Self {
            engine,
            peers: HashMap::new(),
            connecting: HashMap::new(),
            next: 0,
            listener: None,
            clients_left: 0,
            outcome: Outcome::default(),
        })
    }

    fn listen(&mut self) -> SocketAddr {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let fd = socket.as_raw_fd();
        let key = (0..100)
            .find_map(|_| {
                self.engine.register(fd, Interest::READ, Trigger::Level, Who::Listener).ok()
            })
            .unwrap();
        self.listener = Some((Listener::new(socket), key));
        address
    }

    fn add(&mut self, end: End, kind: StreamKind, role: Role) {
        let id = self.next;
        self.next += 1;
        let is_client = matches!(role, Role::Client { .. });
        let (fd, who) = (end.fd().as_raw_fd(), Who::Stream(id));
        let stream = Stream::new(end, kind, Limits::default());
        match self.engine.register(fd, Interest::BOTH, Trigger::Edge, who) {
            Ok(key) => {
                self.peers.insert(id, Peer { stream, role, key: Some(key) });
                if is_client {
                    self.client_writes(id);
                }
            }
            Err(_) if is_client => {
                self.outcome.errors += 1;
                self.clients_left -= 1;
            }
            Err(_) => {}
        }
    }

    /// Begins a connection; the first attempt may be the last.
    fn connect(&mut self, address: SocketAddr) {
        let id = self.next;
        self.next += 1;
        self.clients_left += 1;
        let begun = Connecting::open(libc::AF_INET, libc::SOCK_STREAM, 0).and_then(|socket| {
            socket.connect(address)?;
            let who = Who::Connecting(id);
            let key =
                self.engine.register(socket.as_raw_fd(), Interest::WRITE, Trigger::Edge, who)?;
            Ok((socket, key))
        });
        match begun {
            Ok(connecting) => drop(self.connecting.insert(id, connecting)),
            Err(_) => {
                self.outcome.errors += 1;
                self.clients_left -= 1;
            }
        }
    }

    fn connected(&mut self, id: usize) {
        let Some((connecting, key)) = self.connecting.remove(&id) else { return };
        self.engine.deregister(key);
        match connecting.outcome() {
            Ok(()) => {
                let role = Role::Client { number: id, sent: 0, received: 0 };
                self.add(End::Socket(connecting.into_socket()), StreamKind::Tcp, role);
            }
            Err(_) => {
                self.outcome.errors += 1;
                self.clients_left -= 1;
            }
        }
    }

    fn accept(&mut self) {
        loop {
            let Some((listener, key)) = &mut self.listener else { return };
            match listener.accept() {
                Accept::Connection(fd, _) => {
                    self.add(End::Socket(fd), StreamKind::Tcp, Role::Server);
                }
                Accept::Blocked => return,
                Accept::Exhausted { .. } | Accept::Failed(_) => {
                    self.outcome.refusals += 1;
                    let _ = self.engine.set_interest(*key, Interest::NONE);
                    let retry = Instant::now().saturating_add(BACK_OFF);
                    self.engine.add_timer(retry, Item::Retry);
                    return;
                }
            }
        }
    }

    fn retry(&mut self) {
        let Some((_, key)) = &self.listener else { return };
        if self.engine.set_interest(*key, Interest::READ).is_err() {
            let retry = Instant::now().saturating_add(BACK_OFF);
            self.engine.add_timer(retry, Item::Retry);
        }
    }

    /// Reads once and writes what there is.
    fn event(&mut self, id: usize, readiness: Readiness) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.stream.on_event(readiness);
        let mut buf = [0; 8192];
        match peer.stream.read(&mut buf) {
            Ok(Read::Data(count)) => match &mut peer.role {
                Role::Client { number, received, .. } => {
                    for byte in &buf[..count] {
                        assert_eq!(*byte, pattern(*number, *received), "at {received}");
                        *received += 1;
                    }
                }
                Role::Server => {
                    if let Some(Flow::Pause) = peer.stream.push(buf[..count].to_vec()).unwrap() {
                        peer.stream.pause_reading();
                    }
                }
            },
            Ok(Read::Blocked) => {}
            Ok(Read::Eof) => match peer.role {
                Role::Client { received, .. } if received == BYTES => return self.finish(id, None),
                Role::Client { .. } => return self.finish(id, Some(false)),
                Role::Server => {
                    if peer.stream.close() {
                        return self.finish(id, None);
                    }
                }
            },
            Err(_) => return self.finish(id, Some(true)),
        }
        self.flush(id);
    }

    fn flush(&mut self, id: usize) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let flushed = match peer.stream.flush() {
            Ok(flushed) => flushed,
            Err(_) => return self.finish(id, Some(true)),
        };
        if flushed.flow == Some(Flow::Resume) && matches!(peer.role, Role::Server) {
            peer.stream.resume_reading();
        }
        match peer.stream.settle() {
            Ok(Settled::Unchanged | Settled::WriteShut) => {}
            Ok(Settled::Closed) => return self.finish(id, None),
            Err(_) => return self.finish(id, Some(true)),
        }
        let is_client = matches!(peer.role, Role::Client { .. });
        if is_client && !flushed.blocked {
            self.client_writes(id);
        }
        if self.peers.get(&id).is_some_and(|peer| peer.stream.is_readable()) {
            self.engine.push(Item::Again(id));
        }
    }

    /// One more piece of the client's bytes, in two chunks; at their end, ours.
    fn client_writes(&mut self, id: usize) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Role::Client { number, sent, .. } = &mut peer.role else { return };
        if peer.stream.is_write_ended() {
            return;
        }
        let count = 20_000.min(BYTES - *sent);
        let bytes: Vec<u8> = (*sent..*sent + count).map(|at| pattern(*number, at)).collect();
        *sent += count;
        let (one, two) = bytes.split_at(count / 3);
        for chunk in [one, two] {
            let _ = peer.stream.push(chunk.to_vec()).unwrap();
        }
        if *sent == BYTES && peer.stream.shutdown_write().is_err() {
            return self.finish(id, Some(true));
        }
        self.flush(id);
    }

    /// `Some(true)` for an error of ours, `Some(false)` for an end that came too early.
    fn finish(&mut self, id: usize, failure: Option<bool>) {
        let Some(peer) = self.peers.remove(&id) else { return };
        if let Some(key) = peer.key {
            self.engine.deregister(key);
        }
        if let Role::Client { .. } = peer.role {
            self.clients_left -= 1;
            match failure {
                None => self.outcome.complete += 1,
                Some(true) => self.outcome.errors += 1,
                Some(false) => self.outcome.cut += 1,
            }
        }
    }

    /// Turns until every client has come to its end, then some more with nothing to do.
    fn run(mut self) -> Outcome {
        let start = RealInstant::now();
        while self.clients_left > 0 {
            assert!(
                start.elapsed() < HANG,
                "{} clients hang: {:?}",
                self.clients_left,
                self.outcome
            );
            self.turn(Duration::from_millis(100));
        }
        // The servers hear of it, in few turns; after that there is nothing to do.
        let mut idle_turns = 0;
        let last = RealInstant::now();
        while last.elapsed() < Duration::from_millis(200) {
            self.turn(Duration::from_millis(50));
            idle_turns += 1;
        }
        assert!(idle_turns < 50 * CONNECTIONS, "{idle_turns} turns with nothing to do");
        assert!(self.peers.values().all(|peer| matches!(peer.role, Role::Server)));
        self.outcome
    }

    fn turn(&mut self, limit: Duration) {
        self.outcome.turns += 1;
        let now = Instant::now();
        let last = now.saturating_add(limit);
        let timeout = match self.engine.timeout(now) {
            Timeout::Zero => Timeout::Zero,
            Timeout::Until(deadline) => Timeout::Until(deadline.min(last)),
            Timeout::Forever => Timeout::Until(last),
        };
        if self.engine.poll_now().unwrap() == 0 && timeout != Timeout::Zero {
            let mut wait = self.engine.begin_wait(timeout, now);
            wait.block().unwrap();
            self.engine.end_wait(wait);
        }
        self.engine.collect(Instant::now(), |_, readiness, who, ready| {
            ready.push(Item::Event(*who, readiness));
        });
        for _ in 0..self.engine.ready_len() {
            let Some(Ready::Item(item)) = self.engine.pop() else { return };
            match item {
                Item::Event(Who::Listener, _) => self.accept(),
                Item::Event(Who::Connecting(id), _) => self.connected(id),
                Item::Event(Who::Stream(id), readiness) => self.event(id, readiness),
                Item::Again(id) => self.event(id, Readiness::NONE),
                Item::Retry => self.retry(),
            }
        }
    }
}

/// The byte that connection `number` sends at this place; neighbours differ in both.
fn pattern(number: usize, at: usize) -> u8 {
    (number.wrapping_mul(31) ^ (at / 251).wrapping_mul(7) ^ at) as u8
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn over_tcp(driver: DriverKind) -> Outcome {
    let mut echo = Echo::new(driver).unwrap();
    let address = echo.listen();
    for _ in 0..CONNECTIONS {
        echo.connect(address);
    }
    echo.run()
}

/// `wrap` makes the ends, of which a pair of Unix sockets has two.
fn over_pairs(driver: DriverKind, wrap: fn(OwnedFd) -> End) -> Outcome {
    let mut echo = Echo::new(driver).unwrap();
    for number in 0..CONNECTIONS {
        let (one, two) = UnixStream::pair().unwrap();
        for end in [&one, &two] {
            end.set_nonblocking(true).unwrap();
        }
        echo.clients_left += 1;
        let role = Role::Client { number, sent: 0, received: 0 };
        echo.add(wrap(one.into()), StreamKind::Other, role);
        echo.add(wrap(two.into()), StreamKind::Other, Role::Server);
    }
    echo.run()
}

fn report(what: &str, injection: &Injection, outcome: &Outcome) {
    let mut injected = injection.injected();
    injected.sort_by(|a, b| (&a.call, &a.fault).cmp(&(&b.call, &b.fault)));
    let list: Vec<_> =
        injected.iter().map(|one| format!("{} {} {}", one.call, one.fault, one.count)).collect();
    let total: u64 = injected.iter().map(|one| one.count).sum();
    println!(
        "{what}: {outcome:?}\n  {total} faults in {} calls: {}",
        injection.calls(),
        list.join(", ")
    );
}

/// Each kind of fault, on each kind of stream, with each driver.
#[test]
fn bytes_are_right_and_connections_end_whatever_the_kernel_answers() {
    let (first, rounds) = (number("FAULTS_SEED", 1), number("FAULTS_ROUNDS", 1));
    for seed in first..first + rounds {
        println!("FAULTS_SEED={seed}");
        every_kind(seed);
        calls_that_do_not_wait_are_repeated(seed);
    }
}

/// Where no state machine stands above: the caller is never told of an interruption.
fn calls_that_do_not_wait_are_repeated(seed: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = datagrams.local_addr().unwrap();
    let lent = |file: &dyn AsRawFd| LentFd::new(file.as_raw_fd()).unwrap();
    let injection = inject(seed, 2, Faults::Harmless);
    let mut interrupted = 0;
    let mut note = |error: Option<io::Error>| {
        interrupted += usize::from(error.is_some_and(|e| e.kind() == io::ErrorKind::Interrupted));
    };
    for _ in 0..100 {
        let client = TcpStream::connect(address).unwrap();
        note(lent(&listener).accept().err());
        note(lent(&client).send(b"hello").err());
        note(lent(&client).recv(&mut [0; 10]).err());
        note(lent(&client).connected().err());
        note(lent(&datagrams).send_to(b"hello", to).err());
        note(lent(&datagrams).recv_from(&mut [0; 10]).err());
    }
    let count: u64 = injection.injected().iter().map(|one| one.count).sum();
    println!("{count} faults in {} calls of sockets: {interrupted} interrupted", injection.calls());
    assert_eq!(interrupted, 0);
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn every_kind(seed: u64) {
    let kinds: [(&str, Run); 3] = [
        ("tcp", over_tcp),
        ("unix", |driver| over_pairs(driver, End::Socket)),
        ("read and write", |driver| over_pairs(driver, End::File)),
    ];
    on_every_driver(|driver| {
        for (name, run) in kinds {
            let before = open_descriptors();
            let injection = inject(seed, ONE_IN, Faults::Harmless);
            let outcome = run(driver);
            report(&format!("{driver:?}, {name}, harmless"), &injection, &outcome);
            drop(injection);
            assert_eq!(outcome.complete, CONNECTIONS, "{outcome:?}");
            assert_eq!((outcome.errors, outcome.cut, outcome.refusals), (0, 0, 0));
            assert_eq!(open_descriptors(), before);

            let injection = inject(seed, ONE_IN, Faults::All);
            let outcome = run(driver);
            report(&format!("{driver:?}, {name}, all"), &injection, &outcome);
            drop(injection);
            assert_eq!(outcome.complete + outcome.errors + outcome.cut, CONNECTIONS);
            assert!(outcome.errors > 0, "no fault had an effect");
            assert_eq!(open_descriptors(), before);
        }
    });
}
