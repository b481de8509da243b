//! Fields of handles: asyncio's slots, reached by their offsets.

use std::sync::atomic::AtomicU64;

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::PyType;

use crate::error::WithText;

/// A handle as every asyncio from 3.11 to 3.15 lays it out: its slots in the order of their names.
/// [`slot_offset`] tells whether that is so; paths that count on it are taken only then.
#[repr(C)]
pub(super) struct Fields {
    pub(super) header: ffi::PyObject,
    pub(super) args: *mut ffi::PyObject,
    pub(super) callback: *mut ffi::PyObject,
    pub(super) cancelled: *mut ffi::PyObject,
    pub(super) context: *mut ffi::PyObject,
    pub(super) looop: *mut ffi::PyObject,
    pub(super) repr: *mut ffi::PyObject,
    pub(super) source_traceback: *mut ffi::PyObject,
}

/// # Safety
/// `offset` is that of a pointer field of the object.
pub(super) unsafe fn read(object: *mut ffi::PyObject, offset: usize) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe { *object.byte_add(offset).cast::<*mut ffi::PyObject>() }
}

/// Sets a field that holds nothing yet.
///
/// # Safety
/// As [`read`]; `value` is an owned reference or NULL.
pub(super) unsafe fn write(object: *mut ffi::PyObject, offset: usize, value: *mut ffi::PyObject) {
    // SAFETY: passed on.
    unsafe { *object.byte_add(offset).cast::<*mut ffi::PyObject>() = value }
}

/// Sets a field and releases what it held.
///
/// # Safety
/// As [`write`]; attached.
pub(super) unsafe fn replace(object: *mut ffi::PyObject, offset: usize, value: *mut ffi::PyObject) {
    // SAFETY: passed on; the old value is released when the field no longer names it.
    unsafe {
        let old = locked(object, || {
            let old = read(object, offset);
            write(object, offset, value);
            old
        });
        ffi::Py_XDECREF(old);
    }
}

/// Keeps other threads from the object's fields meanwhile, on free-threaded builds: `handle._args`
/// takes the same lock. `body` neither runs Python code nor drops anything.
///
/// # Safety
/// Attached; a live object.
#[inline]
pub(super) unsafe fn locked<R>(object: *mut ffi::PyObject, body: impl FnOnce() -> R) -> R {
    // SAFETY: passed on.
    let object = unsafe { Borrowed::from_ptr(Python::assume_attached(), object) };
    with_critical_section(&object, body)
}

/// What a field holds.
///
/// # Errors
/// AttributeError if the program has deleted it.
///
/// # Safety
/// As [`read`]; the object is alive.
pub(super) unsafe fn owned<'py>(
    py: Python<'py>,
    object: *mut ffi::PyObject,
    offset: usize,
    name: &'static str,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: passed on.
    unsafe { locked(object, || Bound::from_borrowed_ptr_or_opt(py, read(object, offset))) }
        .ok_or_else(|| {
            pyo3::exceptions::PyAttributeError::with_text(format!(
                "'Handle' object has no attribute '{name}'"
            ))
        })
}

/// Our own eight bytes of a handle.
///
/// # Safety
/// The object is an instance of the class that `offset` belongs to and outlives `'a`.
pub(super) unsafe fn extra<'a>(object: *mut ffi::PyObject, offset: usize) -> &'a AtomicU64 {
    // SAFETY: the classes are made eight bytes larger than their base, whose size is a multiple
    // of eight; only atomics ever touch these bytes.
    unsafe { &*object.byte_add(offset).cast::<AtomicU64>() }
}

pub(super) fn weakref_offset(class: &Bound<'_, PyType>) -> PyResult<isize> {
    // SAFETY: reading a field of a live type.
    let offset = unsafe { (*class.as_type_ptr()).tp_weaklistoffset };
    if offset == 0 {
        return Err(PyImportError::with_text(format!("{class} has no place for weak references")));
    }
    Ok(offset)
}
