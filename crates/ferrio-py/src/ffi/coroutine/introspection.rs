//! What a coroutine object tells of itself: the attributes of Python's own coroutines.

use std::ffi::c_void;

use pyo3::ffi;
use pyo3::prelude::*;

use super::object::{State, awaited_of, inner_of, origin_of, qualname_of, state_of};
use super::or_null;
use crate::ffi::heap_type::getter;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::names;

pub(super) fn getters() -> Vec<ffi::PyGetSetDef> {
    vec![
        getter(c"__name__", name),
        getter(c"__qualname__", qualname),
        getter(c"__class__", class),
        getter(c"cr_origin", origin),
        getter(c"cr_running", is_running),
        getter(c"cr_suspended", is_suspended),
        #[cfg(Py_3_15)]
        getter(c"cr_state", state),
        getter(c"cr_frame", frame),
        getter(c"cr_code", code),
        getter(c"cr_await", awaited),
    ]
}

/// A new string, or NULL with an error set.
pub(super) fn new_string(text: &str) -> *mut ffi::PyObject {
    // SAFETY: called attached, by slots and getters.
    unsafe { ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as ffi::Py_ssize_t) }
}

/// A coroutine's name, without the class it is a method of.
fn short(qualname: &'static str) -> &'static str {
    qualname.rsplit('.').next().unwrap_or(qualname)
}

unsafe extern "C" fn name(slf: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls getters attached, with a live coroutine.
    new_string(short(unsafe { qualname_of(slf) }))
}

unsafe extern "C" fn qualname(
    slf: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: as name.
    new_string(unsafe { qualname_of(slf) })
}

/// What `isinstance` and with it `inspect.iscoroutine` go by: a program that awaits what is a
/// coroutine and takes everything else for a result must not take ours for one.
unsafe extern "C" fn class(_slf: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls getters attached; a static type.
    unsafe { ffi::Py_NewRef((&raw mut ffi::PyCoro_Type).cast()) }
}

unsafe extern "C" fn origin(slf: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: as name.
    unsafe {
        let origin = origin_of(slf);
        ffi::Py_NewRef(if origin.is_null() { ffi::Py_None() } else { origin })
    }
}

unsafe extern "C" fn is_running(
    slf: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: as name.
    unsafe { ffi::PyBool_FromLong((state_of(slf) == State::Running).into()) }
}

unsafe extern "C" fn is_suspended(
    slf: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: as name.
    unsafe { ffi::PyBool_FromLong((state_of(slf) == State::Suspended).into()) }
}

/// What `inspect.getcoroutinestate` answers.
#[cfg(Py_3_15)]
unsafe extern "C" fn state(slf: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: as name.
    new_string(match unsafe { state_of(slf) } {
        State::Created => "CORO_CREATED",
        State::Running => "CORO_RUNNING",
        State::Suspended => "CORO_SUSPENDED",
        State::Finished => "CORO_CLOSED",
    })
}

/// There is no code to show.
unsafe extern "C" fn code(_slf: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: as name.
    unsafe { ffi::Py_NewRef(ffi::Py_None()) }
}

/// What is awaited, where that can be a program's own coroutine, or what asyncio's would await in its
/// place. Everything else is the body's own business.
unsafe extern "C" fn awaited(slf: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: as name.
    let (py, awaited) = unsafe {
        let py = Python::assume_attached();
        (py, awaited_of(py, slf))
    };
    if let Some(awaited) = awaited {
        return awaited.into_ptr();
    }
    // SAFETY: as name.
    let inner = unsafe { inner_of(py, slf) };
    if inner.is_empty() {
        return py.None().into_ptr();
    }
    // SAFETY: as name.
    let slf = unsafe { Borrowed::from_ptr(py, slf) };
    or_null(py, shown(&slf, inner))
}

/// A frame that shows the coroutine's name, until it has finished.
///
/// `inspect.getcoroutinestate` tells by it one that has not begun from one that has ended, and
/// `Task.get_stack` and call graphs have the line that asyncio's coroutine would have there.
unsafe extern "C" fn frame(slf: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: as name.
    let (py, state, qualname) =
        unsafe { (Python::assume_attached(), state_of(slf), qualname_of(slf)) };
    if state == State::Finished {
        return py.None().into_ptr();
    }
    // SAFETY: as name.
    let slf = unsafe { Borrowed::from_ptr(py, slf) };
    let shown = shown(&slf, &[qualname]);
    or_null(py, shown.and_then(|shown| shown.getattr(intern!(py, "cr_frame"))))
}

/// A coroutine of the interpreter's that looks as this one would if it were one.
fn shown<'py>(slf: &Bound<'py, PyAny>, qualnames: &[&str]) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let texts = qualnames.iter().map(|name| make::text(py, name)).collect::<PyResult<Vec<_>>>()?;
    names::shown(py)?.call1((slf, make::tuple(py, texts)?))
}
