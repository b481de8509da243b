//! What a coroutine object tells of itself: the attributes of Python's own coroutines.

use std::ffi::{CStr, CString, c_void};

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::object::{State, awaited_of, origin_of, qualname_of, state_of};
use super::or_null;
use crate::error::WithText;
use crate::ffi::heap_type::getter;
use crate::ffi::make;

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

/// What is awaited, where that can be a program's own coroutine. Everything else is the body's own
/// business.
unsafe extern "C" fn awaited(slf: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: as name.
    unsafe {
        let py = Python::assume_attached();
        awaited_of(py, slf).unwrap_or_else(|| py.None()).into_ptr()
    }
}

/// A frame that shows the coroutine's name, until it has finished.
///
/// `inspect.getcoroutinestate` tells by it one that has not begun from one that has ended, and
/// `Task.get_stack` has the line that asyncio's coroutine would have there. Each call makes a new
/// one.
unsafe extern "C" fn frame(slf: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: as name.
    let (py, state, qualname) =
        unsafe { (Python::assume_attached(), state_of(slf), qualname_of(slf)) };
    if state == State::Finished {
        return py.None().into_ptr();
    }
    or_null(py, new_frame(py, qualname))
}

/// The file that frames of ours name: as those of the interpreter's own, it is none.
const FILE: &CStr = c"<ferrio>";

fn new_frame<'py>(py: Python<'py>, qualname: &'static str) -> PyResult<Bound<'py, PyAny>> {
    let name = CString::new(short(qualname))
        .map_err(|_| PyValueError::with_text("a name with a NUL byte"))?;
    let globals = make::dict(py)?;
    globals.set_item("__name__", "ferrio")?;
    // SAFETY: attached; two texts, then a code object and a dict that are alive.
    unsafe {
        let code = ffi::PyCode_NewEmpty(FILE.as_ptr(), name.as_ptr(), 1);
        let code = Bound::from_owned_ptr_or_err(py, code.cast())?;
        let names = make::dict(py)?;
        names.set_item("co_qualname", qualname)?;
        let code = code.call_method("replace", (), Some(&names))?;
        let frame = ffi::PyFrame_New(
            ffi::PyThreadState_Get(),
            code.as_ptr().cast(),
            globals.as_ptr(),
            std::ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(py, frame.cast())
    }
}
