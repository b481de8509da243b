//! An echo server on the engine alone: how a host uses it, and how close it is to a bare epoll loop
//! (`bench/c/epoll_echo.c`, compared by `bench/engine_echo.py`).
//!
//! `cargo run --release --example echo -- --port 9000`; without `--port` any free one. Prints the
//! address it listens on and ends cleanly on SIGINT and SIGTERM.
#![allow(clippy::print_stdout, clippy::print_stderr)] // It is a program.

use std::env;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;

use ferrio_engine::{
    Accept, DriverKind, Engine, Instant, Interest, Key, Limits, Listener, RETRY_DELAY, Read,
    Readiness, Ready, Settled, SignalPipe, Stream, StreamKind, Timeout, Trigger,
};

/// What waits on the ready queue.
#[derive(Copy, Clone)]
enum Item {
    /// A source has an event.
    Event(Key, Readiness),
    /// A stream was read from as much as is fair and has more.
    Continue(Key),
    /// The listener has backed off for long enough.
    AcceptAgain(Key),
}

/// What is registered.
enum Source {
    Listener,
    Signals,
    Connection(Connection),
}

type Connection = Stream<Vec<u8>, OwnedFd>;

struct Server {
    engine: Engine<Item, Source>,
    listener: Listener<TcpListener>,
    signals: SignalPipe,
    /// One for all connections: what is read is copied out at its exact length.
    buffer: Vec<u8>,
    is_stopping: bool,
}

fn main() -> ExitCode {
    match port().and_then(Server::bind).and_then(Server::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn port() -> io::Result<u16> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(0),
        ["--port", number] => number.parse().map_err(io::Error::other),
        _ => Err(io::Error::other("usage: echo [--port NUMBER]")),
    }
}

impl Server {
    fn bind(port: u16) -> io::Result<Self> {
        let mut engine = Engine::new(DriverKind::default())?;
        let mut signals = SignalPipe::new()?;
        for signal in [libc_signal::INT, libc_signal::TERM] {
            signals.catch(signal)?;
        }
        engine.register(signals.read_fd(), Interest::READ, Trigger::Level, Source::Signals)?;
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        socket.set_nonblocking(true)?;
        engine.register(socket.as_raw_fd(), Interest::READ, Trigger::Level, Source::Listener)?;
        println!("listening on {}", socket.local_addr()?);
        io::stdout().flush()?;
        let listener = Listener::new(socket);
        Ok(Self { engine, listener, signals, buffer: vec![0; 64 * 1024], is_stopping: false })
    }

    fn run(mut self) -> io::Result<()> {
        while !self.is_stopping {
            let now = Instant::now();
            let timeout = self.engine.timeout(now);
            if self.engine.poll_now()? == 0 && timeout != Timeout::Zero {
                let mut wait = self.engine.begin_wait(timeout, now);
                let blocked = wait.block();
                self.engine.end_wait(wait);
                blocked?;
            }
            self.engine.collect(Instant::now(), |key, readiness, _source, ready| {
                ready.push(Item::Event(key, readiness));
            });
            for _ in 0..self.engine.ready_len() {
                match self.engine.pop() {
                    Some(Ready::Item(item)) => self.run_item(item)?,
                    Some(Ready::Task(step)) => drop(step.run()),
                    None => break,
                }
            }
        }
        // Connections close as they are dropped.
        drop(self.engine.close());
        Ok(())
    }

    fn run_item(&mut self, item: Item) -> io::Result<()> {
        match item {
            Item::Event(key, readiness) => match self.engine.source_mut(key) {
                Some(Source::Connection(connection)) => {
                    let acting = connection.on_event(readiness);
                    if acting.contains(Interest::READ) {
                        self.echo(key);
                    } else if acting.contains(Interest::WRITE) {
                        self.flush(key);
                    }
                }
                Some(Source::Listener) => self.accept(key)?,
                Some(Source::Signals) => {
                    self.signals.drain(&mut Vec::new())?;
                    self.is_stopping = true;
                }
                None => {}
            },
            Item::Continue(key) => self.echo(key),
            Item::AcceptAgain(key) => self.engine.set_interest(key, Interest::READ)?,
        }
        Ok(())
    }

    fn accept(&mut self, listener: Key) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Accept::Connection(socket, _peer) => {
                    rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
                    let fd = socket.as_raw_fd();
                    let stream = Stream::new(socket, StreamKind::Tcp, Limits::default());
                    let source = Source::Connection(stream);
                    self.engine.register(fd, Interest::BOTH, Trigger::Edge, source)?;
                }
                Accept::Blocked => return Ok(()),
                Accept::Exhausted { error, is_news } => {
                    if is_news {
                        eprintln!("echo: out of resources, will accept again: {error}");
                    }
                    self.engine.set_interest(listener, Interest::NONE)?;
                    let retry = Instant::now().saturating_add(RETRY_DELAY);
                    self.engine.add_timer(retry, Item::AcceptAgain(listener));
                    return Ok(());
                }
                Accept::Failed(error) => return Err(error),
            }
        }
    }

    /// Reads once, as asyncio does, so that no connection can keep the others waiting.
    fn echo(&mut self, key: Key) {
        let Some(Source::Connection(connection)) = self.engine.source_mut(key) else { return };
        match connection.read(&mut self.buffer) {
            Ok(Read::Data(count)) => {
                let data = &self.buffer[..count];
                // Only streams that are closing refuse, and these are not read from; an error has
                // closed the stream, which `settle` sees.
                let _ = connection.write(data, |sent| data[sent..].to_vec());
                // A client that sends without reading is to wait, and not to fill our memory.
                if connection.buffered_bytes() > connection.limits().high() {
                    connection.pause_reading();
                }
            }
            Ok(Read::Blocked) => {}
            Ok(Read::Eof) => drop(connection.close()),
            Err(_reset) => {}
        }
        self.settle(key);
    }

    fn flush(&mut self, key: Key) {
        let Some(Source::Connection(connection)) = self.engine.source_mut(key) else { return };
        // An error has closed the stream, which `settle` sees.
        let _ = connection.flush();
        self.settle(key);
    }

    fn settle(&mut self, key: Key) {
        let Some(Source::Connection(connection)) = self.engine.source_mut(key) else { return };
        let is_over = match connection.settle() {
            Ok(Settled::Closed) | Err(_) => true,
            Ok(Settled::Unchanged | Settled::WriteShut) => connection.is_closed(),
        };
        if is_over {
            drop(self.engine.deregister(key));
            return;
        }
        if connection.buffered_bytes() <= connection.limits().low() {
            connection.resume_reading();
        }
        if connection.is_readable() {
            self.engine.push(Item::Continue(key));
        }
    }
}

/// The numbers of Linux, macOS and the BSDs, for which one need not depend on libc.
mod libc_signal {
    pub(super) const INT: i32 = 2;
    pub(super) const TERM: i32 = 15;
}
