//! Python objects that are looked up once: modules and functions of asyncio.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyModule, PyTuple};

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

module!(events, "asyncio.events");
module!(futures, "asyncio.futures");
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

attribute!(
    /// `asyncio.log.logger`.
    logger, "asyncio.log", "logger"
);
attribute!(ensure_future, "asyncio.tasks", "ensure_future");
attribute!(is_future, "asyncio.futures", "isfuture");
attribute!(
    /// The very function that anyio looks for among a task's callbacks to find the root task.
    run_until_complete_cb, "asyncio.base_events", "_run_until_complete_cb"
);
attribute!(relay, "ferrio._relay", "relay");
attribute!(getprofile, "sys", "getprofile");
attribute!(profiled_wait, "ferrio._waiting", "profiled_wait");
attribute!(base_event_loop, "asyncio.base_events", "BaseEventLoop");
attribute!(extract_stack, "asyncio.format_helpers", "extract_stack");
attribute!(strerror, "os", "strerror");
attribute!(socket_class, "socket", "socket");
attribute!(c_socket_class, "_socket", "socket");
attribute!(transport_socket, "asyncio.trsock", "TransportSocket");
attribute!(buffered_protocol, "asyncio.protocols", "BufferedProtocol");
attribute!(invalid_state_error, "asyncio.exceptions", "InvalidStateError");
attribute!(check_ssl_socket, "asyncio.base_events", "_check_ssl_socket");
attribute!(address_family, "socket", "AddressFamily");
attribute!(sock_stream, "socket", "SOCK_STREAM");
attribute!(exception_group, "builtins", "ExceptionGroup");
attribute!(weak_set, "weakref", "WeakSet");
attribute!(main_thread, "threading", "main_thread");
attribute!(gaierror, "socket", "gaierror");
attribute!(socket_kind, "socket", "SocketKind");
attribute!(weak_value_dictionary, "weakref", "WeakValueDictionary");
attribute!(
    /// For sockets whose class overrides `recv` or `send`.
    socket_object_transport, "ferrio._socket_transport", "SocketObjectTransport"
);
attribute!(
    /// The same for datagrams.
    datagram_object_transport, "ferrio._socket_transport", "DatagramObjectTransport"
);
attribute!(warn, "warnings", "warn");
attribute!(warn_unawaited_coroutine, "warnings", "_warn_unawaited_coroutine");
attribute!(concurrent_future, "concurrent.futures", "Future");
attribute!(wrap_future, "asyncio.futures", "wrap_future");
attribute!(copy_future_state, "asyncio.futures", "_copy_future_state");
#[cfg(not(Py_3_13))]
attribute!(
    /// The builtin, not what the program may have put in its place.
    set_wakeup_fd, "_signal", "set_wakeup_fd"
);
attribute!(getframe, "sys", "_getframe");
attribute!(cancelled_error, "asyncio.exceptions", "CancelledError");
attribute!(
    /// Since 3.14.
    future_add_to_awaited_by, "_asyncio", "future_add_to_awaited_by"
);
attribute!(
    /// Since 3.14.
    future_discard_from_awaited_by, "_asyncio", "future_discard_from_awaited_by"
);
attribute!(is_coroutine, "asyncio.coroutines", "iscoroutine");
attribute!(
    /// The running loop or None.
    get_running_loop, "asyncio.events", "_get_running_loop"
);
attribute!(
    /// asyncio's own, looked up at import: before ours may stand in its place.
    stream_reader, "asyncio.streams", "StreamReader"
);
attribute!(
    /// As [`stream_reader`].
    stream_reader_protocol, "asyncio.streams", "StreamReaderProtocol"
);
attribute!(
    /// As [`stream_reader`].
    stream_writer, "asyncio.streams", "StreamWriter"
);
attribute!(incomplete_read_error, "asyncio.exceptions", "IncompleteReadError");
attribute!(limit_overrun_error, "asyncio.exceptions", "LimitOverrunError");
attribute!(deque, "collections", "deque");
attribute!(
    /// Coroutines to be looked at in the place of native ones.
    shown, "ferrio._shown", "shown"
);
attribute!(
    /// What is said of a call with the wrong arguments.
    refused, "ferrio._like", "refused"
);
attribute!(broken_barrier_error, "asyncio.exceptions", "BrokenBarrierError");
attribute!(
    /// `Lock`, `Event` and so on as programs see them: what completes ours.
    lock, "ferrio.aio._locks", "Lock"
);
attribute!(event, "ferrio.aio._locks", "Event");
attribute!(condition, "ferrio.aio._locks", "Condition");
attribute!(queue_empty, "asyncio.queues", "QueueEmpty");
attribute!(queue_full, "asyncio.queues", "QueueFull");
#[cfg(Py_3_13)]
attribute!(queue_shut_down, "asyncio.queues", "QueueShutDown");
attribute!(heappush, "heapq", "heappush");
attribute!(heappop, "heapq", "heappop");
attribute!(
    /// What `sleep` has its timer call.
    set_result_unless_cancelled, "asyncio.futures", "_set_result_unless_cancelled"
);
attribute!(
    /// `ferrio.aio.Timeout`, which completes the native class.
    aio_timeout, "ferrio.aio._timeouts", "Timeout"
);
attribute!(
    /// What `gather` returns, a class written in Python.
    aio_gathering_future, "ferrio.aio._tasks", "GatheringFuture"
);
attribute!(
    /// `ferrio.aio.TaskGroup`, which completes the native class.
    aio_task_group, "ferrio.aio._task_group", "TaskGroup"
);
attribute!(set, "builtins", "set");
attribute!(timeout_state, "asyncio.timeouts", "_State");
attribute!(round, "builtins", "round");
attribute!(base_exception_group, "builtins", "BaseExceptionGroup");
attribute!(
    /// What `wait` has its timer call.
    release_waiter, "asyncio.tasks", "_release_waiter"
);
attribute!(memory_bio, "ssl", "MemoryBIO");
attribute!(ssl_object, "ssl", "SSLObject");
attribute!(ssl_error, "ssl", "SSLError");
attribute!(ssl_want_read, "ssl", "SSLWantReadError");
attribute!(ssl_syscall_error, "ssl", "SSLSyscallError");
attribute!(ssl_certificate_error, "ssl", "CertificateError");
attribute!(tls_protocol, "ferrio._tls", "SSLProtocol");

/// Looks up what is needed while the interpreter ends, when nothing can be imported any more: what
/// waits then is closed, and its cleanup tells exceptions apart.
pub(crate) fn look_up_for_the_end(py: Python<'_>) -> PyResult<()> {
    for look_up in [
        warn,
        warn_unawaited_coroutine,
        cancelled_error,
        invalid_state_error,
        incomplete_read_error,
        limit_overrun_error,
        exception_group,
        get_running_loop,
    ] {
        look_up(py)?;
    }
    Ok(())
}

/// What `write()` accepts, as this version's TypeError says it: the words changed between two
/// releases, so they are taken from asyncio's own method.
pub(crate) fn what_write_takes(py: Python<'_>) -> PyResult<&'static str> {
    static ANSWER: PyOnceLock<&str> = PyOnceLock::new();
    ANSWER
        .get_or_try_init(py, || {
            let constants = py
                .import("asyncio.selector_events")?
                .getattr("_SelectorSocketTransport")?
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
            fields.set_item("_eof", false)?;
            fields.set_item("_empty_waiter", py.None())?;
            fields.set_item("_conn_lost", 0)?;
            fields.set_item("_buffer_size", 0)?;
            fields.set_item("_buffer", make::list(py)?)?;
            let transport =
                py.import("types")?.getattr("SimpleNamespace")?.call((), Some(&fields))?;
            let writelines = py
                .import("asyncio.selector_events")?
                .getattr("_SelectorSocketTransport")?
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

/// `asyncio.futures.Future`, as it is now: programs and tests put other classes there.
pub(crate) fn future(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    futures(py)?.getattr(intern!(py, "Future"))
}

/// `asyncio.tasks.Task`, as it is now.
pub(crate) fn task(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    tasks(py)?.getattr(intern!(py, "Task"))
}

/// `asyncio.events._set_running_loop`, as it is now: asyncio too asks its module each time.
pub(crate) fn set_running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    events(py)?.getattr(intern!(py, "_set_running_loop"))
}

/// `asyncio.events._get_running_loop`, as it is now.
pub(crate) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    events(py)?.getattr(intern!(py, "_get_running_loop"))
}

/// Does this version's `_format_callback_source` take `debug=`? (Added in a 3.13 patch release.)
pub(crate) fn callback_source_takes_debug(py: Python<'_>) -> PyResult<bool> {
    static ANSWER: PyOnceLock<bool> = PyOnceLock::new();
    ANSWER
        .get_or_try_init(py, || {
            let code = format_helpers(py)?
                .getattr(intern!(py, "_format_callback_source"))?
                .getattr(intern!(py, "__code__"))?;
            code.getattr(intern!(py, "co_varnames"))?.contains("debug")
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
            code.getattr(intern!(py, "co_names"))?.contains("call_later")
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
