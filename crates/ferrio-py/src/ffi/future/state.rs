//! Asking any future how it stands, and finishing it: by its fields where it is of a known type, by
//! its methods otherwise.

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

use super::layout::{CANCELLED, PENDING};
use super::{fields, methods, types};
use crate::ffi::call::call_method1;

/// The state, if the future is exactly of one of the four types: its `done()` and its like are not
/// overridden.
#[inline]
fn known(future: &Bound<'_, PyAny>) -> Option<u8> {
    let types = types(future.py())?;
    let raw = future.as_ptr();
    // SAFETY: futures of exactly these types have our layout.
    unsafe {
        let is_known = types.is_exact(raw) && !fields::get(raw, types.layout.looop).is_null();
        is_known.then(|| fields::state(raw, types.layout.state))
    }
}

/// `future.done()`.
#[inline]
pub(crate) fn is_done(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    match known(future) {
        Some(state) => Ok(state != PENDING),
        None => future.call_method0(intern!(future.py(), "done"))?.is_truthy(),
    }
}

/// `future.cancelled()`.
#[inline]
pub(crate) fn is_cancelled(future: &Bound<'_, PyAny>) -> PyResult<bool> {
    match known(future) {
        Some(state) => Ok(state == CANCELLED),
        None => future.call_method0(intern!(future.py(), "cancelled"))?.is_truthy(),
    }
}

/// `future.cancel()`, of which one that is done takes no notice.
pub(crate) fn cancel(future: &Bound<'_, PyAny>) -> PyResult<()> {
    match known(future) {
        Some(state) if state != PENDING => Ok(()),
        Some(_) | None => future.call_method0(intern!(future.py(), "cancel")).map(drop),
    }
}

/// `future.set_result(value)`.
///
/// # Errors
/// InvalidStateError if it is done already; what a `call_soon` of the program's own raises.
#[inline]
pub(crate) fn set_result(future: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    if let Some(types) = types(py)
        && known(future) == Some(PENDING)
    {
        let raw = future.as_ptr();
        // SAFETY: a pending future with a loop, by our layout. A task refuses a result.
        unsafe {
            let ty = ffi::Py_TYPE(raw);
            if ty == types.future || ty == types.c_future {
                return methods::finish(py, types, raw, value.clone());
            }
        }
    }
    call_method1(py, future.as_unbound(), intern!(py, "set_result"), value).map(drop)
}
