//! Audit hooks (PEP 578): does anybody listen, and telling them.
//!
//! asyncio raises audit events by way of the `socket` module: `socket.__new__`, `socket.bind`,
//! `socket.connect`, `socket.sendto`. Whoever has added a hook gets them here as well, with the
//! same arguments, and may refuse: then the module's own methods are called where the kernel would
//! have been called directly. Without a hook nothing is different, so nobody pays for it.
//!
//! Both go through CPython's function in C: a program that replaces `sys.audit` hides nothing.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// Is there an audit hook, of this interpreter or of the whole process?
#[inline]
pub(crate) fn is_listening(_py: Python<'_>) -> bool {
    // SAFETY: attached, with no error pending: Rust code holds errors as values. "O&" takes a
    // function and its argument.
    let answer = unsafe {
        PySys_Audit(
            c"ferrio.probe".as_ptr(),
            c"O&".as_ptr(),
            refuse as extern "C" fn(*mut c_void) -> *mut ffi::PyObject,
            ptr::null_mut::<c_void>(),
        )
    };
    if answer == 0 {
        return false;
    }
    // SAFETY: attached; the error is that of `refuse`.
    unsafe { ffi::PyErr_Clear() };
    true
}

/// Raises the event `event` with what `arguments` makes, if there is a hook; what a hook raises is the
/// error.
pub(crate) fn tell<'py>(
    py: Python<'py>,
    event: &CStr,
    arguments: impl FnOnce() -> PyResult<Bound<'py, PyTuple>>,
) -> PyResult<()> {
    if !is_listening(py) {
        return Ok(());
    }
    let arguments = arguments()?;
    // SAFETY: attached, with no error pending; "O" with a tuple are the event's arguments.
    match unsafe { PySys_Audit(event.as_ptr(), c"O".as_ptr(), arguments.as_ptr()) } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(py)),
    }
}

/// Makes the arguments of an event, which CPython asks for only if there is a hook: it fails, so
/// that no hook is called.
extern "C" fn refuse(_argument: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: called attached, from `is_listening`.
    unsafe { ffi::PyErr_SetNone(ffi::PyExc_LookupError) };
    ptr::null_mut()
}

unsafe extern "C" {
    // Documented and exported by every CPython; pyo3-ffi has not got it.
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
}
