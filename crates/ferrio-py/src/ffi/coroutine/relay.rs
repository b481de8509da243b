//! Awaits while somebody is told of every exception.
//!
//! A coroutine of the interpreter's returns, and nobody hears of it. Anything else gives `await` its
//! result in a StopIteration, which `sys.monitoring` and trace functions are told of as raised: a
//! debugger that stops at exceptions would stop at every `await queue.get()`. So while a tool listens
//! for them, what is awaited is a generator around the coroutine (`python/ferrio/_relay.py`), whose
//! frame stands where that of asyncio's function would.
//!
//! From 3.13 on, where a function tells in no time whether a tool listens.

use pyo3::ffi;
use pyo3::prelude::*;

use super::Resume;
use super::object;
use crate::ffi::iter::Step;
use crate::names;

/// The generator, or NULL with an exception.
///
/// # Safety
/// Attached; a live coroutine.
#[cold]
pub(super) unsafe fn around(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    let (py, coroutine) = unsafe {
        let py = Python::assume_attached();
        (py, Bound::from_borrowed_ptr(py, slf))
    };
    match names::relay(py).and_then(|relay| relay.call1((coroutine,))) {
        Ok(generator) => generator.into_ptr(),
        Err(error) => {
            error.restore(py);
            std::ptr::null_mut()
        }
    }
}

/// Steps a coroutine of ours, with a value or with an exception: whether it has ended, and what it
/// has returned or waits for.
#[pyfunction]
pub(crate) fn step_coroutine<'py>(
    coroutine: &Bound<'py, PyAny>,
    value: Bound<'py, PyAny>,
    error: Option<Bound<'py, PyAny>>,
) -> PyResult<(bool, Bound<'py, PyAny>)> {
    let with = match error {
        Some(error) => Resume::Error(PyErr::from_value(error)),
        None => Resume::Value(value),
    };
    Ok(match object::step(coroutine, with)? {
        Step::Yielded(object) => (false, object),
        Step::Returned(value) => (true, value),
    })
}

/// Has a tool asked for raised exceptions?
///
/// # Safety
/// Attached.
#[cfg(not(Py_3_13))]
#[inline]
pub(super) const unsafe fn is_listened_for() -> bool {
    false
}

/// Has a tool asked for raised exceptions?
///
/// # Safety
/// Attached.
#[cfg(Py_3_13)]
#[inline]
pub(super) unsafe fn is_listened_for() -> bool {
    /// `PyMonitoringState` (Include/cpython/monitoring.h).
    #[repr(C)]
    struct State {
        active: u8,
        opaque: u8,
    }

    unsafe extern "C" {
        fn PyMonitoring_EnterScope(
            states: *mut State,
            version: *mut u64,
            events: *const u8,
            len: ffi::Py_ssize_t,
        ) -> std::ffi::c_int;
    }

    /// `PY_MONITORING_EVENT_RAISE`.
    static RAISE: u8 = if cfg!(Py_3_14) { 11 } else { 10 };

    let mut state = State { active: 0, opaque: 0 };
    let mut version = 0;
    // SAFETY: attached, as the caller says. One state, a version and one event, which are
    // ours; the function writes how many tools want the event if any has ever wanted one.
    unsafe { PyMonitoring_EnterScope(&raw mut state, &raw mut version, &raw const RAISE, 1) };
    state.active != 0
}
