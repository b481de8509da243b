//! `BaseLoop`: the native half of `ferrio.Loop`, one file for each section of
//! `asyncio.AbstractEventLoop`.
//!
//! `ferrio.Loop` itself is a Python class over this one and `asyncio.AbstractEventLoop`: that
//! makes it a real event loop to `isinstance`, gives it an instance dict (programs replace methods
//! on the loop), and keeps there what is used a few times in a loop's life (exception handler,
//! default executor, asynchronous generators).

mod attempt;
mod blocking;
pub(crate) mod children;
pub(crate) mod clock;
mod connect;
mod contention;
mod driver;
mod executor;
mod exit;
mod guest;
mod lifecycle;
mod names;
mod opening;
mod private_names;
mod race;
pub(crate) mod readers;
pub(crate) mod report;
mod scheduling;
mod selector;
mod serve;
mod signals;
mod sockets;
pub(crate) mod tasks;
pub(crate) mod watch;

use std::collections::HashMap;
use std::ffi::c_int;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ferrio_engine::{
    DriverKind, Engine, Inbox, Instant, Interest, Key, Pool, Ready, RegisterError, Timeout,
    TimerKey, Trigger,
};
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error::WithText;
use crate::ffi::call::{python_of, thread_ident};
use crate::ffi::coroutine::method;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::item::{Item, Source};
use crate::transport::tls::Workspace;

/// The event loop. Use `ferrio.Loop`, which completes it to an `asyncio.AbstractEventLoop`.
#[pyclass(module = "ferrio._ferrio", name = "BaseLoop", frozen, subclass)]
pub(crate) struct Loop {
    /// None once closed.
    state: GilCell<Option<State>>,
    inbox: Inbox<Item>,
    /// What the engine waits with.
    driver: DriverKind,
    closed: AtomicBool,
    stopping: AtomicBool,
    debug: AtomicBool,
    /// The program has replaced `time()`.
    has_own_clock: AtomicBool,
    /// `_block()` is called for the loop to wait in.
    may_block: AtomicBool,
    /// The last task that ran from the queue is still `current_task()`: see `leave_task`.
    has_current_task: AtomicBool,
    /// The program has put something else in the place of this loop's `call_soon`.
    has_own_methods: AtomicBool,
    /// Tasks and futures are asyncio's own.
    c_tasks: AtomicBool,
    /// A step of a task of asyncio's own runs, that a program has made by itself.
    runs_c_task: AtomicBool,
    /// `threading.get_ident()` of the thread in `run_forever`, 0 if none is.
    thread: AtomicU64,
    task_factory: GilCell<Option<Py<PyAny>>>,
    signals: signals::Signals,
    /// Threads for `getaddrinfo`, made at first use.
    pool: GilCell<Option<Pool>>,
    contention: contention::Contention,
    whereabouts: exit::Whereabouts,
    selector: selector::Selector,
    guest: guest::Guest,
    run: GilCell<lifecycle::RunState>,
    /// Where streams receive before the size of the data is known. Kept, because memory of this
    /// size that is allocated for each read costs 15 to 20 µs of page faults.
    read_buffer: GilCell<Box<[u8]>>,
    /// What TLS connections receive and decrypt in; more than one only while one connection carries
    /// another.
    tls_workspaces: GilCell<Vec<Workspace>>,
}

/// What one read takes at most: asyncio's `max_size` (Lib/asyncio/selector_events.py).
const READ_BUFFER_LEN: usize = 256 * 1024;

/// What an open loop consists of.
pub(crate) struct State {
    pub(crate) engine: Engine<Item, Source>,
    /// Futures of `sock_*` coroutines that this turn's events wake; empty between turns.
    pub(crate) woken: Vec<Py<PyAny>>,
    /// How many sources only have to end a wait: 1, the signal pipe, while no handler of
    /// `add_signal_handler` wants to know what is in it.
    pub(crate) quiet_sources: usize,
    /// What was last given to a `sock_*` coroutine that waits.
    pub(crate) last_waiter: u64,
    /// Which transport owns a descriptor that is not registered yet: `add_reader` and its like refuse
    /// it, as they refuse those that are (see [`owner`](State::owner)).
    pub(crate) transports: HashMap<RawFd, Py<PyAny>>,
}

#[pymethods]
impl Loop {
    #[new]
    #[pyo3(signature = (*_args, **kwargs))]
    fn new(
        _args: &Bound<'_, pyo3::types::PyTuple>,
        kwargs: Option<&Bound<'_, pyo3::types::PyDict>>,
    ) -> PyResult<Loop> {
        let driver = driver::asked_for(kwargs)?;
        let engine = Engine::new(driver)?;
        let inbox = engine.inbox();
        Ok(Loop {
            state: GilCell::new(Some(State {
                engine,
                woken: Vec::new(),
                quiet_sources: 0,
                last_waiter: 0,
                transports: HashMap::new(),
            })),
            inbox,
            driver,
            closed: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            debug: AtomicBool::new(false),
            has_own_clock: AtomicBool::new(false),
            may_block: AtomicBool::new(false),
            has_current_task: AtomicBool::new(false),
            has_own_methods: AtomicBool::new(false),
            c_tasks: AtomicBool::new(false),
            runs_c_task: AtomicBool::new(false),
            thread: AtomicU64::new(0),
            task_factory: GilCell::new(None),
            signals: signals::Signals::new(),
            pool: GilCell::new(None),
            contention: contention::Contention::new(),
            whereabouts: exit::Whereabouts::new(),
            selector: selector::Selector::new(),
            guest: guest::Guest::new(),
            run: GilCell::new(lifecycle::RunState::default()),
            read_buffer: GilCell::new(Box::default()),
            tls_workspaces: GilCell::new(Vec::new()),
        })
    }

    /// As for any object; a `call_soon` or the like of the program's own is taken note of, for then
    /// tasks have to go by it.
    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if crate::ffi::task::queue::METHODS.contains(&name.to_str()?) {
            slf.get().has_own_methods.store(true, Ordering::Relaxed);
        }
        crate::ffi::call::set_attribute(slf.as_any(), name, Some(value))
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        crate::ffi::call::set_attribute(slf.as_any(), name, None)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let py = python_of(&visit);
        let mut result = Ok(());
        let mut call = |object: *mut raw::PyObject| -> c_int {
            if result.is_ok() {
                result = crate::ffi::call::visit_pointer(&visit, object);
            }
            c_int::from(result.is_err())
        };
        self.state.try_with(py, |state| {
            let Some(state) = state else { return };
            state.engine.for_each_item(|item| {
                item.traverse(&mut call);
            });
            state.engine.for_each_source(|source| {
                match source {
                    Source::Watch(watch) => watch.traverse(&mut call),
                    Source::Stream(transport) => transport.traverse(&mut call),
                    Source::Datagram(transport) => transport.traverse(&mut call),
                    Source::Listener(listener) => call(listener.as_ptr()),
                    Source::Native(native) => native.traverse(&mut call),
                };
            });
        });
        self.state.try_with(py, |state| {
            for transport in state.iter().flat_map(|state| state.transports.values()) {
                call(transport.as_ptr());
            }
        });
        self.task_factory.try_with(py, |factory| {
            factory.as_ref().map(|factory| call(factory.as_ptr()));
        });
        self.selector.traverse(py, &mut call);
        result
    }

    fn __clear__(&self, py: Python<'_>) {
        self.release(py);
        drop(self.task_factory.with(py, Option::take));
        self.selector.clear(py);
    }
}

impl Loop {
    /// Lends the engine; None once the loop is closed. The rules of [`GilCell::with`] hold.
    #[inline]
    pub(crate) fn with_state<R>(
        &self,
        py: Python<'_>,
        body: impl FnOnce(&mut State) -> R,
    ) -> Option<R> {
        self.state.with(py, |state| state.as_mut().map(body))
    }

    /// [`with_state`](Loop::with_state), with asyncio's RuntimeError for a closed loop.
    #[inline]
    pub(crate) fn open<R>(
        &self,
        py: Python<'_>,
        body: impl FnOnce(&mut State) -> R,
    ) -> PyResult<R> {
        self.with_state(py, body).ok_or_else(closed)
    }

    /// Appends to the ready queue. On a closed loop the item is dropped.
    pub(crate) fn push(&self, py: Python<'_>, item: Item) {
        let rejected = self.state.with(py, |state| match state {
            Some(state) => {
                state.engine.push(item);
                None
            }
            None => Some(item),
        });
        drop(rejected);
    }

    /// [`push`](Loop::push) from whichever thread: straight onto the ready queue, for the order among
    /// threadsafe and ordinary callbacks is that of the calls, as in asyncio. Wakes the loop.
    pub(crate) fn push_threadsafe(&self, py: Python<'_>, item: Item) {
        self.push(py, item);
        if !self.is_running_in(thread_ident()) {
            self.inbox.wake();
        }
    }

    /// Cancels a timer: frees its place and its reference to the handle.
    pub(crate) fn forget_timer(&self, py: Python<'_>, key: u64) {
        let key = TimerKey::from_bits(key);
        if let Some(Some(item)) = self.with_state(py, |state| state.engine.cancel_timer(key)) {
            item.discard(py);
        }
    }

    /// Registers a descriptor for its owner. Callbacks and waiting coroutines that a program left
    /// on that number give way.
    ///
    /// # Errors
    /// RuntimeError for a closed loop; inside, what the kernel says, with the source.
    pub(crate) fn register(
        &self,
        py: Python<'_>,
        fd: RawFd,
        interest: Interest,
        trigger: Trigger,
        source: Source,
    ) -> PyResult<Result<Key, RegisterError<Source>>> {
        let (evicted, registered) = self.open(py, |state| {
            (state.evict_watch(fd), state.engine.register(fd, interest, trigger, source))
        })?;
        if let Some(watch) = evicted {
            watch.abandon(py)?;
        }
        Ok(registered)
    }

    /// `add_reader` and its like refuse the descriptor from now on: this transport will have it
    /// registered.
    pub(crate) fn claim(&self, py: Python<'_>, fd: RawFd, transport: Py<PyAny>) -> PyResult<()> {
        let old = self.open(py, |state| state.transports.insert(fd, transport))?;
        drop(old);
        Ok(())
    }

    /// Takes [`claim`](Loop::claim) back, unless another transport has made one since.
    pub(crate) fn disclaim(&self, py: Python<'_>, fd: RawFd, transport: &Bound<'_, PyAny>) {
        let claim = self.with_state(py, |state| {
            let is_ours = state.transports.get(&fd).is_some_and(|owner| owner.is(transport));
            if is_ours { state.transports.remove(&fd) } else { None }
        });
        drop(claim);
    }

    /// Lends the loop's receive buffer, made at first use.
    pub(crate) fn with_read_buffer<R>(
        &self,
        py: Python<'_>,
        body: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        self.read_buffer.with(py, |buffer| {
            if buffer.is_empty() {
                *buffer = vec![0; READ_BUFFER_LEN].into_boxed_slice();
            }
            body(buffer)
        })
    }

    /// Lends buffers for TLS, made at first use. Python code may run meanwhile.
    pub(crate) fn with_tls_workspace<R>(
        &self,
        py: Python<'_>,
        body: impl FnOnce(&Workspace) -> PyResult<R>,
    ) -> PyResult<R> {
        let workspace = match self.tls_workspaces.with(py, Vec::pop) {
            Some(workspace) => workspace,
            None => Workspace::new(py)?,
        };
        let result = body(&workspace);
        self.tls_workspaces.with(py, |workspaces| workspaces.push(workspace));
        result
    }

    /// Whether this turn could go on for the next one, and nobody could tell: nothing is ready or
    /// due, and nobody wants the loop to stop.
    pub(crate) fn may_go_on(&self, py: Python<'_>) -> bool {
        let has_nothing = |state: &mut State| {
            let engine = &mut state.engine;
            if engine.is_ready() {
                return false;
            }
            // The clock costs more than all the rest.
            engine.timer_len() == 0 || engine.timeout(Instant::now()) != Timeout::Zero
        };
        let is_over = self.stopping.load(Ordering::Relaxed);
        !is_over && self.with_state(py, has_nothing).unwrap_or(false)
    }

    /// Is this thread in `run_forever`, so that the loop will look at what it is given? Where greenlets
    /// share the thread, nobody knows whether it is not one of the others that asks.
    pub(crate) fn is_running_in(&self, thread: u64) -> bool {
        self.thread.load(Ordering::Relaxed) == thread && !self.selector.is_there()
    }

    /// The door for other threads.
    pub(crate) fn inbox(&self) -> &Inbox<Item> {
        &self.inbox
    }

    pub(crate) fn is_debug(&self) -> bool {
        self.debug.load(Ordering::Relaxed)
    }

    /// Whether `call_soon` has nothing to check: the loop is open and not in debug mode.
    pub(crate) fn takes_plain_callbacks(&self) -> bool {
        !self.is_closed() && !self.is_debug()
    }

    pub(crate) fn has_current_task(&self) -> bool {
        self.has_current_task.load(Ordering::Relaxed)
    }

    pub(crate) fn set_has_current_task(&self, has: bool) {
        self.has_current_task.store(has, Ordering::Relaxed);
    }

    /// A step of a C task begins or ends: in it, futures are of its kind. It waits for its own by
    /// their fields, and for ours by their methods (bench: c_task_ping_pong).
    pub(crate) fn set_runs_c_task(&self, runs: bool) {
        self.runs_c_task.store(runs, Ordering::Relaxed);
    }

    pub(crate) fn has_own_methods(&self) -> bool {
        self.has_own_methods.load(Ordering::Relaxed)
    }

    /// The last task that ran from the queue is not the current one any more. Called before
    /// anything runs that is no step of a task.
    #[inline]
    pub(crate) fn leave_task(&self, slf: &Bound<'_, Self>) {
        if self.has_current_task() {
            self.set_has_current_task(false);
            let py = slf.py();
            if let Some(types) = crate::ffi::future::types(py)
                && let Err(error) = crate::ffi::task::current::vacate(types, slf.as_any())
            {
                // Whoever has made another loop the running one is not there to be told.
                error.write_unraisable(py, Some(slf.as_any()));
            }
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(crate) fn check_closed(&self) -> PyResult<()> {
        if self.is_closed() { Err(closed()) } else { Ok(()) }
    }

    /// Debug mode's check that a method which is not thread-safe is called in the loop's thread.
    pub(crate) fn check_thread(&self) -> PyResult<()> {
        let running = self.thread.load(Ordering::Relaxed);
        if running == 0 || running == thread_ident() {
            return Ok(());
        }
        Err(PyRuntimeError::with_text(
            "Non-thread-safe operation invoked on an event loop other than the current one",
        ))
    }

    /// Takes the state out and drops what it held, outside of the cell.
    fn release(&self, py: Python<'_>) {
        let state = self.state.with(py, Option::take);
        let Some(mut state) = state else { return };
        let held = state.engine.close();
        for item in held.timers {
            item.discard(py);
        }
        for ready in held.ready {
            if let Ready::Item(item) = ready {
                item.discard(py);
            }
        }
        drop(held.sources);
    }
}

/// Adds the methods that are written by hand.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    names::look_up(py)?;
    scheduling::install(py)?;
    tasks::install(py)?;
    method::mark_methods(&py.get_type::<Loop>(), &COROUTINE_METHODS)?;
    attempt::install(py)
}

/// Those that are written with PyO3. As `async def` in asyncio, they are seen as coroutine functions.
const COROUTINE_METHODS: [&str; 12] = [
    "getaddrinfo",
    "getnameinfo",
    "create_connection",
    "connect_accepted_socket",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendto",
    "sock_connect",
    "sock_accept",
];

fn closed() -> PyErr {
    PyRuntimeError::with_text("Event loop is closed")
}

/// `loop.get_debug()`, without the call where the loop is ours.
pub(crate) fn is_debug(looop: &Bound<'_, PyAny>) -> PyResult<bool> {
    match looop.cast::<Loop>() {
        Ok(looop) => Ok(looop.get().is_debug()),
        Err(_) => looop.call_method0(intern!(looop.py(), "get_debug"))?.is_truthy(),
    }
}
