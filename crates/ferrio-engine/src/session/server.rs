//! A host for sessions: an engine, listeners and connections, for programs that are nothing but
//! protocols.

use std::fmt;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use super::{Connection, Next, Outbox, Progress, Session, Workspace};
use crate::engine::{Engine, Timeout};
use crate::inbox::Inbox;
use crate::net::Address;
use crate::reactor::{Interest, Key, Readiness, Trigger};
use crate::ready::Ready;
use crate::signal::SignalPipe;
use crate::sys::DriverKind;
use crate::time::Instant;
use crate::timer::TimerKey;
use crate::transport::{Accept, Limits, Listener, RETRY_DELAY, StreamKind};

/// Runs sessions on TCP connections, those that it accepts and those that it is given.
///
/// One thread; [`Stopper`] alone is shared. Each connection has one timer at most, which is left
/// alone while deadlines move on: a deadline for each request costs nothing.
///
/// ```no_run
/// use std::net::TcpListener;
/// use ferrio_engine::Instant;
/// use ferrio_engine::session::{Next, Outbox, Server, Session};
///
/// struct Echo;
///
/// impl Session for Echo {
///     fn on_data(&mut self, data: &[u8], outbox: &mut Outbox<'_>, _now: Instant) -> Next {
///         outbox.send(data);
///         Next::read()
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut server = Server::new()?;
/// server.listen(TcpListener::bind("127.0.0.1:7000")?, |_peer| Echo)?;
/// server.run()
/// # }
/// ```
pub struct Server<S> {
    engine: Engine<Item, Source<S>>,
    workspace: Workspace,
    limits: Limits,
    is_stopping: bool,
}

/// Ends [`Server::run`] from any thread.
#[derive(Clone)]
pub struct Stopper(Inbox<Item>);

#[derive(Copy, Clone)]
enum Item {
    Event(Key, Readiness),
    /// A connection was read from as much as is fair, and has more.
    More(Key),
    Time(Key),
    AcceptAgain(Key),
    Stop,
}

enum Source<S> {
    Listener(Listener<TcpListener>, MakeSession<S>),
    Signals(SignalPipe),
    Connection(Box<Served<S>>),
}

/// A session for a connection of this peer's.
type MakeSession<S> = Box<dyn FnMut(Address) -> S + Send>;

struct Served<S> {
    connection: Connection<S, OwnedFd>,
    /// Fires at the deadline or before it.
    timer: Option<(TimerKey, Instant)>,
}

impl<S: Session> Server<S> {
    /// A server with nothing to do.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::new`].
    pub fn new() -> io::Result<Self> {
        Self::on(DriverKind::default())
    }

    /// The same on a driver of the caller's choice.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::new`].
    pub fn on(driver: DriverKind) -> io::Result<Self> {
        Ok(Self {
            engine: Engine::new(driver)?,
            workspace: Workspace::default(),
            limits: Limits::default(),
            is_stopping: false,
        })
    }

    /// The watermarks of connections from here on.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Accepts connections, and makes a session for each out of its peer's address.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::register`], of fcntl(2).
    pub fn listen(
        &mut self,
        socket: TcpListener,
        make_session: impl FnMut(Address) -> S + Send + 'static,
    ) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let fd = socket.as_raw_fd();
        let source = Source::Listener(Listener::new(socket), Box::new(make_session));
        self.engine
            .register(fd, Interest::READ, Trigger::Level, source)
            .map_err(|failed| failed.error)?;
        Ok(())
    }

    /// Runs `session` on a connected socket, from its [`on_start`](Session::on_start) on. The key is
    /// for [`call`](Self::call).
    ///
    /// # Errors
    ///
    /// Those of [`Engine::register`], of fcntl(2) and setsockopt(2).
    pub fn add(&mut self, socket: impl Into<TcpStream>, session: S) -> io::Result<Key> {
        let socket = socket.into();
        socket.set_nonblocking(true)?;
        // What is sent is to leave: an outbox joins what belongs together.
        socket.set_nodelay(true)?;
        let fd = socket.as_raw_fd();
        let connection = Connection::new(socket.into(), StreamKind::Tcp, self.limits, session);
        let source = Source::Connection(Box::new(Served { connection, timer: None }));
        let key = self
            .engine
            .register(fd, Interest::BOTH, Trigger::Edge, source)
            .map_err(|failed| failed.error)?;
        let now = Instant::now();
        self.drive(key, |connection, workspace| connection.start(workspace, now));
        Ok(key)
    }

    /// Has somebody else's news told to a session, such as an answer that it waits for. Nothing
    /// happens if the connection is over.
    pub fn call(&mut self, key: Key, f: impl FnOnce(&mut S, &mut Outbox<'_>) -> Next) {
        self.drive(key, |connection, workspace| connection.call(workspace, f));
    }

    /// How many connections there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut count = 0;
        self.engine.for_each_source(|source| {
            count += usize::from(matches!(source, Source::Connection(_)));
        });
        count
    }

    /// Whether there are no connections.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends [`run`](Self::run), from whatever thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.engine.inbox())
    }

    /// Has these signals end [`run`](Self::run), as SIGINT (2) and SIGTERM (15) should.
    ///
    /// # Errors
    ///
    /// Those of [`SignalPipe::new`] and [`SignalPipe::catch`]: one server of a process can do this.
    pub fn stop_on_signals(&mut self, signals: &[i32]) -> io::Result<()> {
        let mut pipe = SignalPipe::new()?;
        for &signal in signals {
            pipe.catch(signal)?;
        }
        let fd = pipe.read_fd();
        self.engine
            .register(fd, Interest::READ, Trigger::Level, Source::Signals(pipe))
            .map_err(|failed| failed.error)?;
        Ok(())
    }

    /// Makes turns until a [`Stopper`] or a signal says so; what is connected then is aborted.
    ///
    /// # Errors
    ///
    /// Those of [`turn`](Self::turn).
    pub fn run(mut self) -> io::Result<()> {
        while !self.is_stopping {
            self.turn(Duration::MAX)?;
        }
        for source in self.engine.close().sources {
            if let Source::Connection(mut served) = source {
                served.connection.abort();
            }
        }
        Ok(())
    }

    /// One turn: waits for `limit` at most if there is nothing to do, and does what there is.
    ///
    /// # Errors
    ///
    /// accept(2), other than for want of descriptors or memory, after which it tries again by
    /// itself; those of [`Engine::poll_now`].
    pub fn turn(&mut self, limit: Duration) -> io::Result<()> {
        let now = Instant::now();
        let timeout = match self.engine.timeout(now) {
            Timeout::Zero => Timeout::Zero,
            _ if limit.is_zero() => Timeout::Zero,
            Timeout::Until(deadline) => Timeout::Until(deadline.min(now.saturating_add(limit))),
            Timeout::Forever if limit == Duration::MAX => Timeout::Forever,
            Timeout::Forever => Timeout::Until(now.saturating_add(limit)),
        };
        if self.engine.poll_now()? == 0 && timeout != Timeout::Zero {
            let mut wait = self.engine.begin_wait(timeout, now);
            let blocked = wait.block();
            self.engine.end_wait(wait);
            blocked?;
        }
        let now = Instant::now();
        self.engine.collect(now, |key, readiness, _source, ready| {
            ready.push(Item::Event(key, readiness));
        });
        for _ in 0..self.engine.ready_len() {
            match self.engine.pop() {
                Some(Ready::Item(item)) => self.run_item(item, now)?,
                Some(Ready::Task(step)) => drop(step.run()),
                None => break,
            }
        }
        Ok(())
    }

    fn run_item(&mut self, item: Item, now: Instant) -> io::Result<()> {
        match item {
            Item::Event(key, readiness) => match self.engine.source_mut(key) {
                Some(Source::Listener(..)) => return self.accept(key),
                Some(Source::Signals(pipe)) => {
                    pipe.drain(&mut Vec::new())?;
                    self.is_stopping = true;
                }
                Some(Source::Connection(_)) => self.drive(key, |connection, workspace| {
                    connection.on_event(readiness, workspace, now)
                }),
                None => {}
            },
            Item::More(key) => {
                self.drive(key, |connection, workspace| connection.resume(workspace, now));
            }
            Item::Time(key) => {
                if let Some(Source::Connection(served)) = self.engine.source_mut(key) {
                    served.timer = None;
                }
                self.drive(key, |connection, workspace| connection.on_time(workspace, now));
            }
            Item::AcceptAgain(key) => self.engine.set_interest(key, Interest::READ)?,
            Item::Stop => self.is_stopping = true,
        }
        Ok(())
    }

    fn accept(&mut self, key: Key) -> io::Result<()> {
        loop {
            let Some(Source::Listener(listener, make_session)) = self.engine.source_mut(key) else {
                return Ok(());
            };
            match listener.accept() {
                Accept::Connection(socket, peer) => {
                    let session = make_session(peer);
                    // One that is gone already is no reason to end the others.
                    let _ = self.add(socket, session);
                }
                Accept::Blocked => return Ok(()),
                Accept::Exhausted { .. } => {
                    self.engine.set_interest(key, Interest::NONE)?;
                    let retry = Instant::now().saturating_add(RETRY_DELAY);
                    self.engine.add_timer(retry, Item::AcceptAgain(key));
                    return Ok(());
                }
                Accept::Failed(error) => return Err(error),
            }
        }
    }

    fn drive(
        &mut self,
        key: Key,
        f: impl FnOnce(&mut Connection<S, OwnedFd>, &mut Workspace) -> Progress,
    ) {
        let Some(Source::Connection(served)) = self.engine.source_mut(key) else { return };
        match f(&mut served.connection, &mut self.workspace) {
            Progress::Over => {
                if let Some(Source::Connection(served)) = self.engine.deregister(key)
                    && let Some((timer, _)) = served.timer
                {
                    self.engine.cancel_timer(timer);
                }
                return;
            }
            Progress::More => self.engine.push(Item::More(key)),
            Progress::Waiting => {}
        }
        self.arm(key);
    }

    /// Has a timer fire by the deadline of a connection. One that fires before it is left alone:
    /// deadlines move on with every message, and mostly nobody needs them.
    fn arm(&mut self, key: Key) {
        let Some(Source::Connection(served)) = self.engine.source(key) else { return };
        let Some(deadline) = served.connection.deadline() else { return };
        match served.timer {
            Some((_, at)) if at <= deadline => return,
            Some((late, _)) => drop(self.engine.cancel_timer(late)),
            None => {}
        }
        let timer = self.engine.add_timer(deadline, Item::Time(key));
        if let Some(Source::Connection(served)) = self.engine.source_mut(key) {
            served.timer = Some((timer, deadline));
        }
    }
}

impl Stopper {
    /// The turn under way is the last one.
    pub fn stop(&self) {
        // Refused by a server that is gone, which has stopped.
        let _ = self.0.push(Item::Stop);
    }
}

impl<S> Drop for Server<S> {
    /// Connections close as their sockets are dropped; see [`Server::run`] for their sessions.
    fn drop(&mut self) {
        drop(self.engine.close());
    }
}

impl<S> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").finish_non_exhaustive()
    }
}
