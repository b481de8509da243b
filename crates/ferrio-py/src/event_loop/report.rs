//! Running callbacks, and where their exceptions go: `Handle._run` and the debug half of
//! `BaseEventLoop._run_once` (Lib/asyncio).

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Loop, clock};
use crate::ffi::Context;
use crate::ffi::handle::{Handle, Kind, Parts};
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::raise::while_handling;
use crate::names;

/// True for what asyncio lets through everywhere: the program is to end.
pub(crate) fn is_fatal(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
}

/// Runs a handle's callback; its exception goes to the loop's exception handler.
pub(crate) fn run_handle(py: Python<'_>, looop: &Bound<'_, Loop>, handle: &Handle) -> PyResult<()> {
    if looop.get().is_debug() {
        return run_watched(py, looop, handle);
    }
    match handle.run(py) {
        Ok(()) => Ok(()),
        Err(error) => failed_handle(py, looop, error, handle),
    }
}

/// Debug mode: the handle is the loop's `_current_handle` meanwhile, and a slow one is logged.
fn run_watched(py: Python<'_>, looop: &Bound<'_, Loop>, handle: &Handle) -> PyResult<()> {
    let current = intern!(py, "_current_handle");
    if handle.is_cancelled(py)? {
        handle.leave_queue(py);
        return Ok(());
    }
    looop.setattr(current, handle.as_object())?;
    let start = ferrio_engine::Instant::now();
    let result = match handle.run(py) {
        Ok(()) => Ok(()),
        Err(error) => failed_handle(py, looop, error, handle),
    };
    looop.setattr(current, py.None())?;
    result?;
    let elapsed = clock::seconds(ferrio_engine::Instant::now()) - clock::seconds(start);
    let limit: f64 = looop.getattr(intern!(py, "slow_callback_duration"))?.extract()?;
    if elapsed >= limit {
        let shown = names::base_events(py)?
            .getattr(intern!(py, "_format_handle"))?
            .call1((handle.as_object(),))?;
        names::base_events_logger(py)?.call_method1(
            intern!(py, "warning"),
            (intern!(py, "Executing %s took %.3f seconds"), shown, make::float(py, elapsed)?),
        )?;
    }
    Ok(())
}

/// A callback raised: what `Handle._run` does about it.
fn failed_handle(
    py: Python<'_>,
    looop: &Bound<'_, Loop>,
    error: PyErr,
    handle: &Handle,
) -> PyResult<()> {
    if is_fatal(py, &error) {
        return Err(error);
    }
    let shown = {
        let object = handle.as_object().bind(py);
        let callback = object.getattr(intern!(py, "_callback"))?;
        let args = object.getattr(intern!(py, "_args"))?;
        let options = make::dict(py)?;
        if names::callback_source_takes_debug(py)? {
            options.set_item(intern!(py, "debug"), looop.get().is_debug())?;
        }
        names::format_helpers(py)?
            .getattr(intern!(py, "_format_callback_source"))?
            .call((callback, args), Some(&options))?
    };
    let context = make::dict(py)?;
    context.set_item(
        intern!(py, "message"),
        make::text(py, format!("Exception in callback {shown}"))?,
    )?;
    context.set_item(intern!(py, "exception"), error.value(py))?;
    context.set_item(intern!(py, "handle"), handle.as_object())?;
    // Whoever keeps it may make a cycle of it.
    handle.leave_queue(py);
    let traceback = handle.as_object().bind(py).getattr(intern!(py, "_source_traceback"))?;
    if traceback.is_truthy()? {
        context.set_item(intern!(py, "source_traceback"), traceback)?;
    }
    call_exception_handler(looop, &error, &context)
}

/// As [`failed_handle`], for a callback that had no handle: it gets one now, to be shown.
pub(crate) fn failed_call(
    looop: &Bound<'_, Loop>,
    error: PyErr,
    callback: &Bound<'_, PyAny>,
    argument: Option<&Bound<'_, PyAny>>,
    context: Py<PyAny>,
) -> PyResult<()> {
    let py = looop.py();
    if is_fatal(py, &error) {
        return Err(error);
    }
    let args = make::tuple(py, argument)?;
    let parts = Parts {
        looop: looop.as_any(),
        callback: callback.clone(),
        args,
        context: Context::from_object(context),
        source_traceback: None,
    };
    let handle = Handle::new(parts, Kind::Soon, None)?;
    failed_handle(py, looop, error, &handle)
}

/// `loop.call_exception_handler(context)`: by attribute, for it is a public method that programs
/// replace. What it raises leaves `run_forever`, as in asyncio. It is called where `error` is being
/// handled: many a handler prints what `sys.exc_info()` says, or `logging.exception` does.
pub(crate) fn call_exception_handler(
    looop: &Bound<'_, Loop>,
    error: &PyErr,
    context: &Bound<'_, PyDict>,
) -> PyResult<()> {
    let py = looop.py();
    while_handling(py, error, || {
        looop.call_method1(intern!(py, "call_exception_handler"), (context,)).map(drop)
    })
}

/// The report of an error in a transport: asyncio's keys message, exception, transport, protocol.
pub(crate) fn transport_error(
    looop: &Bound<'_, Loop>,
    message: &str,
    error: &PyErr,
    transport: &Bound<'_, PyAny>,
    protocol: Option<&Py<PyAny>>,
) -> PyResult<()> {
    let py = looop.py();
    let context = make::dict(py)?;
    context.set_item(intern!(py, "message"), make::text(py, message)?)?;
    context.set_item(intern!(py, "exception"), error.value(py))?;
    context.set_item(intern!(py, "transport"), transport)?;
    context.set_item(intern!(py, "protocol"), protocol)?;
    call_exception_handler(looop, error, &context)
}

/// The ResourceWarning of an object that was never closed.
pub(crate) fn warn_unclosed(object: &Bound<'_, PyAny>, noun: &str) -> PyResult<()> {
    resource_warning(object, &format!("unclosed {noun} {}", object.repr()?))
}

/// A ResourceWarning about an object.
pub(crate) fn resource_warning(object: &Bound<'_, PyAny>, text: &str) -> PyResult<()> {
    let py = object.py();
    let options = make::dict(py)?;
    options.set_item(intern!(py, "source"), object)?;
    let category = py.get_type::<pyo3::exceptions::PyResourceWarning>();
    names::warn(py)?.call((make::text(py, text)?, category), Some(&options)).map(drop)
}
