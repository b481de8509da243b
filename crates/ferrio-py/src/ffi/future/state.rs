//! Asking any future how it stands, and finishing it: by its fields where it is of a known type, by
//! its methods otherwise.

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;

use super::layout::{CANCELLED, FINISHED, PENDING};
use super::{Types, fields, methods, types};
use crate::ffi::call::{Context, call_method1};
use crate::ffi::interned::intern;
use crate::ffi::make;

/// The types and the state, if the future is exactly of one of them: its `done()` and its like are
/// not overridden.
#[inline]
fn known(future: &Bound<'_, PyAny>) -> Option<(&'static Types, u8)> {
    let types = types(future.py())?;
    let raw = future.as_ptr();
    // SAFETY: futures of exactly these types have our layout.
    unsafe {
        let is_known = types.is_exact(raw) && !fields::get(raw, types.layout.looop).is_null();
        is_known.then(|| (types, fields::state(raw, types.layout.state)))
    }
}

/// Is it exactly of one of asyncio's two types or of ours: nothing of it can be overridden?
#[inline]
pub(crate) fn is_known(future: &Bound<'_, PyAny>) -> bool {
    known(future).is_some()
}

/// `future.done()`.
#[inline]
pub(crate) fn is_done(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    match known(future) {
        Some((_, state)) => Ok(state != PENDING),
        None => future.call_method0(intern!(future.py(), "done"))?.is_truthy(),
    }
}

/// `future.cancelled()`.
#[inline]
pub(crate) fn is_cancelled(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    match known(future) {
        Some((_, state)) => Ok(state == CANCELLED),
        None => future.call_method0(intern!(future.py(), "cancelled"))?.is_truthy(),
    }
}

/// `future.exception()`: None where the future has a result.
///
/// # Errors
/// CancelledError for a cancelled future, InvalidStateError for a pending one.
#[inline]
pub(crate) fn exception<'py>(future: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = future.py();
    if let Some((types, FINISHED)) = known(future) {
        // SAFETY: a future by our layout; the exception is its own while it is being cloned.
        unsafe {
            let raw = future.as_ptr();
            types.layout.log_traceback.clear(raw);
            let exception = fields::get(raw, types.layout.exception);
            return Ok(Bound::from_borrowed_ptr_or_opt(py, exception));
        }
    }
    let exception = future.call_method0(intern!(py, "exception"))?;
    Ok(Some(exception).filter(|exception| !exception.is_none()))
}

/// `future.result()`.
///
/// # Errors
/// What the future ended with, InvalidStateError for a pending one.
#[inline]
pub(crate) fn result<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = future.py();
    match known(future) {
        // SAFETY: a future by our layout.
        Some((types, _)) => unsafe { methods::result(py, types, future.as_ptr()) },
        None => future.call_method0(intern!(py, "result")),
    }
}

/// `future.set_result(value)`.
///
/// # Errors
/// InvalidStateError if it is done already; what a `call_soon` of the program's own raises.
#[inline]
pub(crate) fn set_result(future: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    if let Some((types, PENDING)) = known(future) {
        let raw = future.as_ptr();
        // SAFETY: a pending future with a loop, by our layout. A task refuses a result.
        unsafe {
            let ty = ffi::Py_TYPE(raw);
            if ty != types.task && ty != types.c_task {
                return methods::finish(py, types, raw, value.clone());
            }
        }
    }
    call_method1(py, future.as_unbound(), intern!(py, "set_result"), value).map(drop)
}

/// `future.set_exception(error)`.
///
/// # Errors
/// As [`set_result`].
pub(crate) fn set_exception(future: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    call_method1(py, future.as_unbound(), intern!(py, "set_exception"), error).map(drop)
}

/// `future.cancel()`, of which one that is done takes no notice: whether it did.
pub(crate) fn cancel(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    if known(future).is_some_and(|(_, state)| state != PENDING) {
        return Ok(false);
    }
    future.call_method0(intern!(future.py(), "cancel"))?.is_truthy()
}

/// `future._make_cancelled_error()`: the CancelledError of a cancelled future.
pub(crate) fn cancelled_error<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    future.call_method0(intern!(future.py(), "_make_cancelled_error"))
}

/// The loop of a future: `asyncio.futures._get_loop`.
pub(crate) fn loop_of<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = future.py();
    if let Some((types, _)) = known(future) {
        // SAFETY: a future by our layout that has a loop.
        return Ok(unsafe {
            Bound::from_borrowed_ptr(py, fields::get(future.as_ptr(), types.layout.looop))
        });
    }
    match future.getattr_opt(intern!(py, "get_loop"))? {
        Some(method) => method.call0(),
        None => future.getattr(intern!(py, "_loop")),
    }
}

/// `future.add_done_callback(callback)`, in this context or in a copy of the current one. A future
/// that is not of a known type takes the copy for itself.
pub(crate) fn add_done_callback<'py>(
    future: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
    context: Option<&Context>,
) -> PyResult<()> {
    let py = future.py();
    let Some((types, _)) = known(future) else {
        let name = intern!(py, "add_done_callback");
        return call_method1(py, future.as_unbound(), name, callback).map(drop);
    };
    let context = match context {
        Some(context) => context.clone_ref(py),
        None => Context::copy_current(py)?,
    };
    let raw = future.as_ptr();
    // SAFETY: a future by our layout; of a pending one the first callback is taken, if it is free,
    // as asyncio's own method takes it. Making a context may have run a finalizer: only now does its
    // state count.
    unsafe {
        let is_first = fields::state(raw, types.layout.state) == PENDING
            && fields::get(raw, types.layout.callback0).is_null()
            && fields::get(raw, types.layout.callbacks).is_null();
        if is_first {
            fields::put(raw, types.layout.callback0, callback.clone().into_ptr());
            fields::put(raw, types.layout.context0, context.into_object().into_ptr());
            return Ok(());
        }
    }
    let keywords = make::dict(py)?;
    keywords.set_item(intern!(py, "context"), context.into_object())?;
    let arguments = make::tuple(py, [future, callback])?;
    types.descriptors.add_done_callback.bind(py).call(arguments, Some(&keywords)).map(drop)
}

/// `future.remove_done_callback(callback)`.
pub(crate) fn remove_done_callback(
    future: &Bound<'_, PyAny>,
    callback: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = future.py();
    if let Some((types, state)) = known(future) {
        let raw = future.as_ptr();
        // SAFETY: a future by our layout; attached. What the callback's end may run finds it gone.
        unsafe {
            if state != PENDING {
                // Its callbacks have been scheduled.
                return Ok(());
            }
            if fields::get(raw, types.layout.callbacks).is_null() {
                if fields::get(raw, types.layout.callback0) == callback.as_ptr() {
                    let context = fields::take(raw, types.layout.context0);
                    fields::clear(raw, types.layout.callback0);
                    ffi::Py_XDECREF(context);
                }
                return Ok(());
            }
        }
    }
    let name = intern!(py, "remove_done_callback");
    call_method1(py, future.as_unbound(), name, callback).map(drop)
}

/// `task.cancelling()`.
#[inline]
pub(crate) fn cancelling(task: &Bound<'_, PyAny>) -> PyResult<i64> {
    if let Some((types, _)) = known(task) {
        let raw = task.as_ptr();
        // SAFETY: a task by our layout.
        unsafe {
            let ty = ffi::Py_TYPE(raw);
            if ty == types.task || ty == types.c_task {
                return Ok((*raw.byte_add(types.layout.cancels).cast::<c_int>()).into());
            }
        }
    }
    task.call_method0(intern!(task.py(), "cancelling"))?.extract()
}

/// `task.uncancel()`: how many requests are left.
pub(crate) fn uncancel(task: &Bound<'_, PyAny>) -> PyResult<i64> {
    task.call_method0(intern!(task.py(), "uncancel"))?.extract()
}

/// The context that a task of a known type runs in.
pub(crate) fn context_of<'py>(task: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let (types, _) = known(task)?;
    let raw = task.as_ptr();
    // SAFETY: a task by our layout.
    unsafe {
        let ty = ffi::Py_TYPE(raw);
        if ty != types.task && ty != types.c_task {
            return None;
        }
        let context = fields::get(raw, types.layout.context);
        Bound::from_borrowed_ptr_or_opt(task.py(), context)
    }
}

/// Has a task that was made for somebody who cannot see it go without a word if it is forgotten
/// pending: `task._log_destroy_pending = False`.
#[inline]
pub(crate) fn forget_silently(task: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = task.py();
    if let Some((types, _)) = known(task) {
        let raw = task.as_ptr();
        // SAFETY: a task by our layout.
        unsafe {
            let ty = ffi::Py_TYPE(raw);
            if ty == types.task || ty == types.c_task {
                types.layout.log_destroy_pending.clear(raw);
                return Ok(());
            }
        }
    }
    task.setattr(intern!(py, "_log_destroy_pending"), false)
}

/// Raises an exception where something is being handled, perhaps: that becomes its context, as with
/// a `raise` statement.
pub(crate) fn raised(error: &Bound<'_, PyAny>) -> PyErr {
    let py = error.py();
    // SAFETY: attached; a live exception and its class.
    unsafe {
        ffi::PyErr_SetObject(error.get_type().as_ptr(), error.as_ptr());
    }
    PyErr::fetch(py)
}
