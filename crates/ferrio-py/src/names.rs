//! Names of other modules, and when each of them is looked up.
//!
//! asyncio looks a name up when it uses it, unless it has bound it by then: programs and tests put
//! something else there, for good or for a while (mock, pytest-socket, PySocks), and what they put
//! there is used as long as it is there.

use pyo3::exceptions::{PyNameError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule, PyString, PyTuple};

use crate::error::WithText;
use crate::ffi::interned::intern;
use crate::ffi::make;

macro_rules! module {
    ($(#[$doc:meta])* $name:ident, $path:literal) => {
        $(#[$doc])*
        pub(crate) fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
            static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
            Ok(MODULE.get_or_try_init(py, || {
                py.import(make::text(py, $path)?).map(Bound::unbind)
            })?.bind(py))
        }
    };
}

macro_rules! attribute {
    ($(#[$doc:meta])* $name:ident, $module:literal, $attribute:literal) => {
        $(#[$doc])*
        pub(crate) fn $name(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
            static OBJECT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
            let object = OBJECT.get_or_try_init(py, || {
                let module = py.import(make::text(py, $module)?)?;
                module.getattr(make::text(py, $attribute)?).map(Bound::unbind)
            })?;
            Ok(object.bind(py))
        }
    };
}

/// What is bound when ferrio is imported: asyncio does so when it is imported itself, or the name is
/// ours to use and a program that changes it does not mean us.
macro_rules! kept {
    ($($name:ident = $module:literal, $attribute:literal;)*) => {
        $(attribute!($name, $module, $attribute);)*

        fn look_up_kept(py: Python<'_>) -> PyResult<()> {
            $($name(py)?;)*
            Ok(())
        }
    };
}

/// What asyncio looks up each time it needs it, and so do we: a name of one of its modules, or what
/// stands under a name of the module that it means. A patch counts from when it is there until it is
/// gone. Two look-ups in dicts.
macro_rules! current {
    ($($(#[$meta:meta])* $name:ident = $module:literal, $first:literal $(, $second:literal)?;)*) => {
        $(
            $(#[$meta])*
            #[allow(dead_code, reason = "of some, all that is asked is whether they are there")]
            pub(crate) fn $name(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
                places::$name(py)?.current(py)
            }
        )*

        /// Where each of them stands, by the same names.
        pub(crate) mod places {
            use super::{Place, PyOnceLock, PyResult, Python};

            $(
                $(#[$meta])*
                #[inline]
                pub(crate) fn $name(py: Python<'_>) -> PyResult<&'static Place> {
                    static PLACE: PyOnceLock<Place> = PyOnceLock::new();
                    PLACE.get_or_try_init(py, || {
                        let path: &[&str] = &[$first $(, $second)?];
                        Place::new(py, $module, path)
                    })
                }
            )*

            pub(super) fn look_up_all(py: Python<'_>) -> PyResult<()> {
                $(
                    $(#[$meta])*
                    $name(py)?;
                )*
                Ok(())
            }
        }
    };
}

module!(events, "asyncio.events");
module!(locks, "asyncio.locks");
module!(tasks, "asyncio.tasks");
module!(base_events, "asyncio.base_events");
module!(format_helpers, "asyncio.format_helpers");
module!(sys, "sys");
module!(threading, "threading");
module!(socket_module, "socket");
module!(c_socket_module, "_socket");
module!(staggered, "asyncio.staggered");
module!(sslproto, "asyncio.sslproto");

current! {
    base_events_logger = "asyncio.base_events", "logger";
    selector_events_logger = "asyncio.selector_events", "logger";
    sslproto_logger = "asyncio.sslproto", "logger";
    #[cfg(unix)]
    unix_events_logger = "asyncio.unix_events", "logger";

    // Loops.
    run_until_complete_cb = "asyncio.base_events", "_run_until_complete_cb";
    base_events_ensure_future = "asyncio.base_events", "tasks", "ensure_future";
    base_events_is_future = "asyncio.base_events", "futures", "isfuture";
    future = "asyncio.base_events", "futures", "Future";
    task = "asyncio.base_events", "tasks", "Task";
    set_running_loop = "asyncio.base_events", "events", "_set_running_loop";
    running_loop = "asyncio.events", "_get_running_loop";
    get_running_loop = "asyncio.events", "get_running_loop";
    handle_extract_stack = "asyncio.events", "format_helpers", "extract_stack";
    handle_getframe = "asyncio.events", "sys", "_getframe";
    wrap_future = "asyncio.base_events", "futures", "wrap_future";
    chain_future = "asyncio.futures", "_chain_future";
    copy_future_state = "asyncio.futures", "_copy_future_state";
    #[cfg(Py_3_14)]
    add_to_awaited_by = "asyncio.futures", "future_add_to_awaited_by";
    #[cfg(Py_3_14)]
    discard_from_awaited_by = "asyncio.futures", "future_discard_from_awaited_by";

    // Sockets and connections.
    socket_class = "asyncio.base_events", "socket", "socket";
    accepted_socket_class = "socket", "socket";
    sock_stream = "asyncio.base_events", "socket", "SOCK_STREAM";
    inet_pton = "asyncio.base_events", "socket", "inet_pton";
    address_info = "asyncio.base_events", "_ipaddr_info";
    check_ssl_socket = "asyncio.base_events", "_check_ssl_socket";
    set_nodelay = "asyncio.base_events", "_set_nodelay";
    address_family = "socket", "AddressFamily";
    socket_kind = "socket", "SocketKind";
    transport_socket = "asyncio.selector_events", "trsock", "TransportSocket";
    late_writes_before_warning = "asyncio.constants", "LOG_THRESHOLD_FOR_CONNLOST_WRITES";
    accept_retry_delay = "asyncio.constants", "ACCEPT_RETRY_DELAY";
    buffered_protocol = "asyncio.protocols", "BufferedProtocol";
    weak_set = "asyncio.base_events", "weakref", "WeakSet";
    weak_value_dictionary = "asyncio.selector_events", "weakref", "WeakValueDictionary";

    // TLS.
    memory_bio = "asyncio.sslproto", "ssl", "MemoryBIO";
    ssl_error = "asyncio.sslproto", "ssl", "SSLError";
    ssl_again = "asyncio.sslproto", "SSLAgainErrors";
    ssl_certificate_error = "asyncio.sslproto", "ssl", "CertificateError";
    ssl_high_water_for_reading = "asyncio.constants", "FLOW_CONTROL_HIGH_WATER_SSL_READ";
    ssl_high_water_for_writing = "asyncio.constants", "FLOW_CONTROL_HIGH_WATER_SSL_WRITE";
    ssl_protocol = "asyncio.sslproto", "SSLProtocol";

    // Functions over tasks.
    is_future = "asyncio.futures", "isfuture";
    is_coroutine = "asyncio.coroutines", "iscoroutine";
    ensure_future = "asyncio.tasks", "ensure_future";
    // By `gather` and `shield`.
    #[cfg(not(Py_3_12))]
    inner_ensure_future = "asyncio.tasks", "_ensure_future";
    get_event_loop = "asyncio.events", "get_event_loop";
    current_task = "asyncio.tasks", "current_task";
    set_result_unless_cancelled = "asyncio.futures", "_set_result_unless_cancelled";
    release_waiter = "asyncio.tasks", "_release_waiter";
    tasks_set = "asyncio.tasks", "set";
    their_timeout = "asyncio.timeouts", "Timeout";
    timeout_function = "asyncio.timeouts", "timeout";
    timeout_state = "asyncio.timeouts", "_State";
    timeouts_round = "asyncio.timeouts", "round";
    exception_group = "asyncio.base_events", "ExceptionGroup";
    base_exception_group = "asyncio.taskgroups", "BaseExceptionGroup";

    // Locks, queues and streams.
    deque = "collections", "deque";
    their_lock = "asyncio.locks", "Lock";
    their_condition = "asyncio.locks", "Condition";
    their_event = "asyncio.queues", "locks", "Event";
    queue_empty = "asyncio.queues", "QueueEmpty";
    queue_full = "asyncio.queues", "QueueFull";
    #[cfg(Py_3_13)]
    queue_shut_down = "asyncio.queues", "QueueShutDown";

    // Raised and caught by name.
    cancelled_error = "asyncio.exceptions", "CancelledError";
    incomplete_read_error = "asyncio.exceptions", "IncompleteReadError";
    limit_overrun_error = "asyncio.exceptions", "LimitOverrunError";
    broken_barrier_error = "asyncio.exceptions", "BrokenBarrierError";
    warn_unawaited_coroutine = "warnings", "_warn_unawaited_coroutine";
}

kept! {
    base_event_loop = "asyncio.base_events", "BaseEventLoop";
    // What an OSError is given as its text, in C.
    strerror = "os", "strerror";
    getprofile = "sys", "getprofile";
    is_finalizing = "sys", "is_finalizing";
    c_socket_class = "_socket", "socket";
    gaierror = "_socket", "gaierror";
    main_thread = "threading", "main_thread";
    getframe = "sys", "_getframe";
    origin_tracking_depth = "sys", "get_coroutine_origin_tracking_depth";
    concurrent_future = "concurrent.futures", "Future";
    // As the default of an argument.
    warn = "warnings", "warn";
    // By C code.
    c_cancelled_error = "asyncio.exceptions", "CancelledError";
    invalid_state_error = "asyncio.exceptions", "InvalidStateError";
    c_is_coroutine = "asyncio.coroutines", "iscoroutine";
    c_deque = "_collections", "deque";
    // asyncio's own, before ours may stand in their place.
    stream_reader = "asyncio.streams", "StreamReader";
    stream_reader_protocol = "asyncio.streams", "StreamReaderProtocol";
    stream_writer = "asyncio.streams", "StreamWriter";
    barrier = "asyncio.locks", "Barrier";
    wait_for = "asyncio.tasks", "wait_for";
}
attribute!(ssl_object, "ssl", "SSLObject");
#[cfg(not(Py_3_13))]
attribute!(
    /// The builtin, not what the program may have put in its place.
    set_wakeup_fd, "_signal", "set_wakeup_fd"
);
attribute!(
    /// Since 3.14: the builtin, which steps of tasks use whatever the program has put in its place.
    future_add_to_awaited_by, "_asyncio", "future_add_to_awaited_by"
);
attribute!(
    /// Its reverse.
    future_discard_from_awaited_by, "_asyncio", "future_discard_from_awaited_by"
);

// Ours, written in Python.
attribute!(relay, "ferrio._relay", "relay");
attribute!(profiled_wait, "ferrio._waiting", "profiled_wait");
attribute!(
    /// For sockets whose class overrides `recv` or `send`.
    socket_object_transport, "ferrio._socket_transport", "SocketObjectTransport"
);
attribute!(
    /// The same for datagrams.
    datagram_object_transport, "ferrio._socket_transport", "DatagramObjectTransport"
);
attribute!(
    /// Coroutines to be looked at in the place of native ones.
    shown, "ferrio._shown", "shown"
);
attribute!(
    /// What is said of a call with the wrong arguments.
    refused, "ferrio._refusal", "refused"
);
attribute!(refused_call, "ferrio._refusal", "refused_call");
attribute!(
    /// `Lock`, `Event` and so on as programs see them: what completes ours.
    aio_lock, "ferrio.aio._locks", "Lock"
);
attribute!(aio_event, "ferrio.aio._locks", "Event");
attribute!(aio_condition, "ferrio.aio._locks", "Condition");
attribute!(
    /// `ferrio.aio.Timeout`, which completes the native class.
    aio_timeout, "ferrio.aio._timeouts", "Timeout"
);
attribute!(aio_timeout_function, "ferrio.aio._timeouts", "timeout");
attribute!(
    /// What `gather` returns, a class written in Python.
    aio_gathering_future, "ferrio.aio._tasks", "GatheringFuture"
);
attribute!(
    /// `ferrio.aio.TaskGroup`, which completes the native class.
    aio_task_group, "ferrio.aio._task_group", "TaskGroup"
);
attribute!(aio_tls_protocol, "ferrio._tls", "SSLProtocol");

/// Looks up all that asyncio has by now and that a program may change later: when ferrio is imported.
///
/// What waits while the interpreter ends is closed, and its cleanup tells exceptions apart: nothing
/// can be imported any more then.
pub(crate) fn look_up(py: Python<'_>) -> PyResult<()> {
    look_up_kept(py)?;
    heap_functions(py)?;
    #[cfg(Py_3_14)]
    {
        future_add_to_awaited_by(py)?;
        future_discard_from_awaited_by(py)?;
    }
    crate::socket::own_class(py)?;
    // Not every build of CPython has the module.
    let _no_ssl = crate::transport::tls::look_up(py);
    places::look_up_all(py)
}

/// A name of a module, or what stands under a name of the module that it means.
pub(crate) struct Place {
    module: Py<PyModule>,
    /// Is it a bare name to the functions that use it, which are of this module themselves?
    is_bare: bool,
    globals: Py<PyDict>,
    name: Py<PyString>,
    step: Option<Step>,
    /// What stood there when ferrio was imported.
    original: Py<PyAny>,
}

/// Modules whose names are looked up by functions of their own.
const WITH_FUNCTIONS: [&str; 9] = [
    "asyncio.base_events",
    "asyncio.locks",
    "asyncio.queues",
    "asyncio.selector_events",
    "asyncio.sslproto",
    "asyncio.taskgroups",
    "asyncio.tasks",
    "asyncio.timeouts",
    "asyncio.unix_events",
];

/// From a module's name to an attribute of it.
struct Step {
    module: Py<PyAny>,
    globals: Py<PyDict>,
    name: Py<PyString>,
}

impl Place {
    fn new(py: Python<'_>, module: &str, path: &[&str]) -> PyResult<Place> {
        let is_bare = WITH_FUNCTIONS.contains(&module);
        let module = py.import(make::text(py, module)?)?;
        let interned = |name: &str| PyString::intern(py, name).unbind();
        let (first, second) = (path[0], path.get(1));
        let found = match module.getattr_opt(first)? {
            Some(found) => found,
            None => py.import("builtins")?.getattr(first)?,
        };
        let (step, original) = match second {
            None => (None, found),
            Some(second) => {
                // There is no module where CPython was built without `ssl`, but None.
                let original =
                    found.getattr_opt(*second)?.unwrap_or_else(|| py.None().into_bound(py));
                let globals = match found.cast::<PyModule>() {
                    Ok(module) => module.dict(),
                    Err(_) => make::dict(py)?,
                };
                let globals = globals.unbind();
                let step = Step { module: found.unbind(), globals, name: interned(second) };
                (Some(step), original)
            }
        };
        Ok(Place {
            is_bare,
            globals: module.dict().unbind(),
            module: module.unbind(),
            name: interned(first),
            step,
            original: original.unbind(),
        })
    }

    /// What stood there when ferrio was imported.
    #[inline]
    pub(crate) fn original<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.original.bind(py)
    }

    /// What stands there now.
    #[inline]
    pub(crate) fn current<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some(first) = self.globals.bind(py).get_item(self.name.bind(py))? else {
            return self.elsewhere(py);
        };
        let found = match &self.step {
            None => first,
            Some(step) if first.is(&step.module) => {
                match step.globals.bind(py).get_item(step.name.bind(py))? {
                    Some(found) => found,
                    None => first.getattr(step.name.bind(py))?,
                }
            }
            Some(step) if !first.is_none() => first.getattr(step.name.bind(py))?,
            Some(_) => first,
        };
        if !found.is_none() {
            return Ok(found);
        }
        // Somebody has put it there, or the interpreter has.
        Ok(self.if_emptied(py)?.unwrap_or(found))
    }

    /// Is it what stood there when ferrio was imported?
    #[inline]
    pub(crate) fn is_original(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.current(py)?.is(&self.original))
    }

    /// What stood there, while the interpreter ends: it empties modules then, in any order, first by
    /// None under their names and later by taking the names away.
    #[cold]
    fn if_emptied<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let is_ending = is_finalizing(py)?.call0()?.is_truthy()?;
        Ok(is_ending.then(|| self.original.bind(py).clone()))
    }

    /// A builtin function, as far as nobody has put anything over it.
    #[cold]
    fn elsewhere<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let name = self.name.bind(py);
        let builtins = py.import(intern!(py, "builtins"));
        let error = match builtins.and_then(|builtins| builtins.getattr_opt(name)) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if let Some(original) = self.if_emptied(py)? {
            return Ok(original);
        }
        match error {
            Some(error) => Err(error),
            None if self.is_bare => {
                Err(PyNameError::with_text(format!("name '{name}' is not defined")))
            }
            None => self.module.bind(py).getattr(name),
        }
    }
}

/// What stands at `place`; what completes ours where that is asyncio's own.
fn ours_for<'py>(place: &Place, ours: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = ours.py();
    let current = place.current(py)?;
    Ok(if current.is(place.original(py)) { ours.clone() } else { current })
}

/// Has something been put there that is neither asyncio's nor ours?
fn is_foreign(place: &Place, ours: &Bound<'_, PyAny>) -> PyResult<bool> {
    let current = place.current(ours.py())?;
    Ok(!current.is(place.original(ours.py())) && !current.is(ours))
}

/// What a program has put in the place of `asyncio.timeouts.Timeout`, if anything.
pub(crate) fn foreign_timeout(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let place = places::their_timeout(py)?;
    Ok(if is_foreign(place, aio_timeout(py)?)? { Some(place.current(py)?) } else { None })
}

/// Has a program put something in the place of `asyncio.timeouts.timeout`, or of the class that it
/// makes an object of?
pub(crate) fn has_foreign_timeout(py: Python<'_>) -> PyResult<bool> {
    Ok(is_foreign(places::timeout_function(py)?, aio_timeout_function(py)?)?
        || is_foreign(places::their_timeout(py)?, aio_timeout(py)?)?)
}

/// Are addresses that are literals told from names by asyncio's own function, on its own means?
pub(crate) fn has_own_literals(py: Python<'_>) -> PyResult<bool> {
    Ok(places::address_info(py)?.is_original(py)? && places::inet_pton(py)?.is_original(py)?)
}

/// Has a program put something in the place of the event that a `Queue` makes?
pub(crate) fn has_foreign_event(py: Python<'_>) -> PyResult<bool> {
    is_foreign(places::their_event(py)?, aio_event(py)?)
}

/// The class of the lock that a `Condition` makes for itself.
pub(crate) fn lock(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    ours_for(places::their_lock(py)?, aio_lock(py)?)
}

/// The class of the condition that a `Barrier` has.
pub(crate) fn condition(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    ours_for(places::their_condition(py)?, aio_condition(py)?)
}

/// The class of the event that a `Queue` has.
pub(crate) fn event(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    ours_for(places::their_event(py)?, aio_event(py)?)
}

/// The class of what stands between a transport and a protocol with TLS.
pub(crate) fn tls_protocol(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    ours_for(places::ssl_protocol(py)?, aio_tls_protocol(py)?)
}

/// `heapq.heappush` and `heappop`, as asyncio's `PriorityQueue` has kept them: as defaults.
fn heap_functions(py: Python<'_>) -> PyResult<&[Py<PyAny>; 2]> {
    static FUNCTIONS: PyOnceLock<[Py<PyAny>; 2]> = PyOnceLock::new();
    FUNCTIONS.get_or_try_init(py, || {
        let class = py.import("asyncio.queues")?.getattr("PriorityQueue")?;
        let default = |method: &str| -> PyResult<Py<PyAny>> {
            let defaults = class.getattr(method)?.getattr("__defaults__")?;
            defaults.get_item(0).map(Bound::unbind)
        };
        Ok([default("_put")?, default("_get")?])
    })
}

pub(crate) fn heappush(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    Ok(heap_functions(py)?[0].bind(py))
}

pub(crate) fn heappop(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    Ok(heap_functions(py)?[1].bind(py))
}

/// What `write()` accepts, as this version's TypeError says it: the words changed between two
/// releases, so they are taken from asyncio's own method.
pub(crate) fn what_write_takes(py: Python<'_>) -> PyResult<&'static str> {
    static ANSWER: PyOnceLock<&str> = PyOnceLock::new();
    ANSWER
        .get_or_try_init(py, || {
            let constants = py
                .import(intern!(py, "asyncio.selector_events"))?
                .getattr(intern!(py, "_SelectorSocketTransport"))?
                .getattr(intern!(py, "write"))?
                .getattr(intern!(py, "__code__"))?
                .getattr(intern!(py, "co_consts"))?;
            let mut answer = "a bytes-like object";
            for constant in constants.try_iter()? {
                let precise = "a bytes, bytearray, or memoryview object";
                if constant?.extract::<String>().is_ok_and(|text| text.contains(precise)) {
                    answer = precise;
                }
            }
            Ok(answer)
        })
        .copied()
}

/// Does this version's `writelines()` pass over whatever is false, None included? (Since a patch
/// release of 3.14.) Its own function is asked, on an object that has what it looks at.
pub(crate) fn writelines_skips_false(py: Python<'_>) -> PyResult<bool> {
    static ANSWER: PyOnceLock<bool> = PyOnceLock::new();
    ANSWER
        .get_or_try_init(py, || {
            let fields = make::dict(py)?;
            fields.set_item(intern!(py, "_eof"), false)?;
            fields.set_item(intern!(py, "_empty_waiter"), py.None())?;
            fields.set_item(intern!(py, "_conn_lost"), 0)?;
            fields.set_item(intern!(py, "_buffer_size"), 0)?;
            fields.set_item(intern!(py, "_buffer"), make::list(py)?)?;
            let transport = py
                .import(intern!(py, "types"))?
                .getattr(intern!(py, "SimpleNamespace"))?
                .call((), Some(&fields))?;
            let writelines = py
                .import(intern!(py, "asyncio.selector_events"))?
                .getattr(intern!(py, "_SelectorSocketTransport"))?
                .getattr(intern!(py, "writelines"))?;
            match writelines.call1((transport, [py.None()])) {
                Ok(_) => Ok(true),
                Err(error) if error.is_instance_of::<PyTypeError>(py) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .copied()
}

/// The keyword names of a call with `loop=` alone, for vectorcall.
pub(crate) fn loop_keyword(py: Python<'_>) -> PyResult<&Bound<'_, PyTuple>> {
    static NAMES: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    let names =
        NAMES.get_or_try_init(py, || make::tuple(py, [intern!(py, "loop")]).map(Bound::unbind))?;
    Ok(names.bind(py))
}

/// Does this version's `_format_callback_source` take `debug=`? (Added in a 3.13 patch release.)
pub(crate) fn callback_source_takes_debug(py: Python<'_>) -> PyResult<bool> {
    static ANSWER: PyOnceLock<bool> = PyOnceLock::new();
    ANSWER
        .get_or_try_init(py, || {
            let code = format_helpers(py)?
                .getattr(intern!(py, "_format_callback_source"))?
                .getattr(intern!(py, "__code__"))?;
            code.getattr(intern!(py, "co_varnames"))?.contains(intern!(py, "debug"))
        })
        .copied()
}

/// Does the shutdown timer of this version's `SSLProtocol` run until the connection is lost, and
/// not only until close_notify was exchanged? (A patch release brought it.)
pub(crate) fn shutdown_timer_outlives_shutdown(py: Python<'_>) -> PyResult<bool> {
    static ANSWER: PyOnceLock<bool> = PyOnceLock::new();
    ANSWER
        .get_or_try_init(py, || {
            let code = sslproto(py)?
                .getattr(intern!(py, "SSLProtocol"))?
                .getattr(intern!(py, "_on_shutdown_complete"))?
                .getattr(intern!(py, "__code__"))?;
            code.getattr(intern!(py, "co_names"))?.contains(intern!(py, "call_later"))
        })
        .copied()
}

/// Is a TLS transport of this version closing as soon as the transport below it is?
pub(crate) fn tls_closes_with_its_transport(py: Python<'_>) -> PyResult<bool> {
    static ANSWER: PyOnceLock<bool> = PyOnceLock::new();
    ANSWER
        .get_or_try_init(py, || {
            sslproto(py)?
                .getattr(intern!(py, "SSLProtocol"))?
                .hasattr(intern!(py, "_is_transport_closing"))
        })
        .copied()
}

/// Is this the main thread, as `threading` has it: in the child of a fork, the one that forked?
pub(crate) fn in_main_thread(py: Python<'_>) -> PyResult<bool> {
    let main: u64 = main_thread(py)?.call0()?.getattr(intern!(py, "ident"))?.extract()?;
    // Where greenlets stand for threads, it is they that have such numbers.
    let this: u64 = threading(py)?.call_method0(intern!(py, "get_ident"))?.extract()?;
    Ok(main == this)
}
