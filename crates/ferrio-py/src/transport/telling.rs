//! What every transport tells: its protocol, the log and the loop's exception handler.

use ferrio_engine::Flow;
use pyo3::prelude::*;

use crate::event_loop::{Loop, report};
use crate::ffi::call::{Context, call_method1};
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::names;
use crate::transport::{ReadPipeTransport, TlsProtocol, TlsTransport, WritePipeTransport};

/// Finds the logger as a module of asyncio's has it: each has its own name for the one.
pub(crate) type Logger = fn(Python<'_>) -> PyResult<Bound<'_, PyAny>>;

/// A write to a socket that came after the end of its connection, the `count`th.
pub(crate) fn warn_of_late_write(py: Python<'_>, count: u32, text: &str) -> PyResult<()> {
    warn_of_late_write_by(names::selector_events_logger, py, count, text)
}

/// The same for what is not a socket.
pub(crate) fn warn_of_late_write_by(
    logger: Logger,
    py: Python<'_>,
    count: u32,
    text: &str,
) -> PyResult<()> {
    if !names::late_writes_before_warning(py)?.gt(count)? {
        logger(py)?.call_method1(intern!(py, "warning"), (make::text(py, text)?,))?;
    }
    Ok(())
}

fn logger<'py>(transport: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = transport.py();
    if transport.is_instance_of::<TlsProtocol>() || transport.is_instance_of::<TlsTransport>() {
        return names::sslproto_logger(py);
    }
    #[cfg(unix)]
    if transport.is_instance_of::<ReadPipeTransport>()
        || transport.is_instance_of::<WritePipeTransport>()
    {
        return names::unix_events_logger(py);
    }
    names::selector_events_logger(py)
}

/// Debug mode's line about a transport; `text` has one `%r` for it.
pub(crate) fn log(
    looop: &Bound<'_, Loop>,
    transport: &Bound<'_, PyAny>,
    level: &str,
    text: &str,
) -> PyResult<()> {
    if looop.get().is_debug() {
        let py = looop.py();
        let (level, text) = (make::text(py, level)?, make::text(py, text)?);
        logger(transport)?.call_method1(level, (text, transport))?;
    }
    Ok(())
}

/// Debug mode's line about an error that is the network's doing, with its traceback.
pub(crate) fn log_error(
    looop: &Bound<'_, Loop>,
    transport: &Bound<'_, PyAny>,
    error: &PyErr,
    message: &str,
) -> PyResult<()> {
    if looop.get().is_debug() {
        let py = looop.py();
        let options = make::dict(py)?;
        options.set_item(intern!(py, "exc_info"), error.clone_ref(py).into_value(py))?;
        let arguments = (intern!(py, "%r: %s"), transport, make::text(py, message)?);
        logger(transport)?.call_method(intern!(py, "debug"), arguments, Some(&options))?;
    }
    Ok(())
}

/// The telling half of asyncio's `_fatal_error`. An error that is the network's doing, `is_usual`,
/// is only logged, any other goes to the exception handler; the caller, who gets it back, closes
/// the connection.
///
/// # Errors
/// The error itself if the program is to end by it.
pub(crate) fn error(
    looop: &Bound<'_, Loop>,
    transport: &Bound<'_, PyAny>,
    protocol: Option<&Py<PyAny>>,
    error: PyErr,
    message: &str,
    is_usual: bool,
) -> PyResult<PyErr> {
    let py = looop.py();
    if report::is_fatal(py, &error) {
        return Err(error);
    }
    if is_usual {
        log_error(looop, transport, &error, message)?;
    } else {
        report::transport_error(looop, message, &error, transport, protocol)?;
    }
    Ok(error)
}

/// Calls `pause_writing` or `resume_writing`, in a context other than the current one if it is
/// given.
pub(crate) fn flow(
    looop: &Bound<'_, Loop>,
    transport: &Bound<'_, PyAny>,
    protocol: &Py<PyAny>,
    flow: Flow,
    context: Option<&Context>,
) -> PyResult<()> {
    let py = looop.py();
    let method = match flow {
        Flow::Pause => intern!(py, "pause_writing"),
        Flow::Resume => intern!(py, "resume_writing"),
    };
    let call = || protocol.call_method0(py, method).map(drop);
    let result = match context {
        Some(context) => context.run(py, call),
        None => call(),
    };
    let Err(error) = result else { return Ok(()) };
    if report::is_fatal(py, &error) {
        return Err(error);
    }
    let text = format!("protocol.{method}() failed");
    report::transport_error(looop, &text, &error, transport, Some(protocol))
}

/// Calls `connection_lost` and then `release`, whatever came of it; what either of them raises is
/// reported as a failure of the call that asyncio schedules for both.
pub(crate) fn lost(
    looop: &Bound<'_, Loop>,
    transport: &Bound<'_, PyAny>,
    protocol: Option<Py<PyAny>>,
    error: Option<PyErr>,
    context: Context,
    release: impl FnOnce() -> PyResult<()>,
) -> PyResult<()> {
    let py = looop.py();
    let reason = match error {
        Some(error) => error.into_value(py).into_any(),
        None => py.None(),
    };
    let called = match &protocol {
        Some(protocol) => context.run(py, || {
            let method = intern!(py, "connection_lost");
            call_method1(py, protocol, method, reason.bind(py)).map(drop)
        }),
        None => Ok(()),
    };
    drop(protocol);
    let released = release();
    let Err(error) = called.and(released) else { return Ok(()) };
    let method = transport.getattr(intern!(py, "_call_connection_lost"))?;
    report::failed_call(looop, error, &method, Some(reason.bind(py)), context.into_object())
}

/// What is said of a transport that nobody has closed when it is collected. `release` closes it.
pub(crate) fn unclosed(transport: &Bound<'_, PyAny>, release: impl FnOnce() -> PyResult<()>) {
    let warned = report::warn_unclosed(transport, "transport");
    for result in [warned, release()] {
        if let Err(error) = result {
            error.write_unraisable(transport.py(), Some(transport));
        }
    }
}
