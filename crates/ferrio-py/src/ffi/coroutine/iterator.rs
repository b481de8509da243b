//! What `coroutine.__await__()` returns to those who call it by name.
//!
//! The interpreter awaits a coroutine of ours by the slot, and is given the coroutine itself. That has
//! no `__iter__`, as no coroutine has: `for` over one is a mistake, and `isinstance(x, Iterable)` is
//! asked by programs that take either. But what `__await__` returns can be iterated, and generators
//! do so by `yield from`.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::ffi::heap_type::{self, method, slot};
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::trash;

/// The class, made by the first [`new_iterator`].
static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

#[repr(C)]
struct Iterator {
    header: ffi::PyObject,
    /// NULL once the collector has cleared it.
    coroutine: *mut ffi::PyObject,
}

/// An iterator that steps the coroutine.
pub(super) fn new_iterator<'py>(coroutine: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = coroutine.py();
    // SAFETY: attached; a new instance, whose field is filled before anybody sees it.
    unsafe {
        let object = ffi::PyType_GenericAlloc(class(py)?, 0);
        let object = Bound::from_owned_ptr_or_err(py, object)?;
        (*object.as_ptr().cast::<Iterator>()).coroutine = coroutine.clone().into_ptr();
        Ok(object)
    }
}

fn class(py: Python<'_>) -> PyResult<*mut ffi::PyTypeObject> {
    let made = TYPE.load(Ordering::Relaxed);
    if !made.is_null() {
        return Ok(made);
    }
    let slots = vec![
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        heap_type::methods(vec![
            method(c"send", send, ffi::METH_O),
            method(c"throw", throw, ffi::METH_VARARGS),
            method(c"close", close, ffi::METH_NOARGS),
        ]),
    ];
    // SAFETY: functions of the slots' types, for an Iterator.
    let class =
        unsafe { heap_type::new_type::<Iterator>(py, c"ferrio.CoroutineIterator", 0, slots)? };
    TYPE.store(class, Ordering::Relaxed);
    Ok(class)
}

/// `coroutine.name(*args)`.
///
/// # Safety
/// Attached; a live iterator.
unsafe fn forward(
    slf: *mut ffi::PyObject,
    name: impl for<'py> FnOnce(Python<'py>) -> &'py Bound<'py, pyo3::types::PyString>,
    arguments: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyTuple>>,
) -> *mut ffi::PyObject {
    let called = |py: Python<'_>| -> PyResult<*mut ffi::PyObject> {
        // SAFETY: passed on; a reference of our own is taken.
        let coroutine =
            unsafe { Bound::from_borrowed_ptr_or_opt(py, (*slf.cast::<Iterator>()).coroutine) };
        let Some(coroutine) = coroutine else { return Ok(ptr::null_mut()) };
        let name = name(py).clone();
        Ok(coroutine.getattr(name)?.call1(arguments(py)?)?.into_ptr())
    };
    // SAFETY: as above.
    let py = unsafe { Python::assume_attached() };
    called(py).unwrap_or_else(|error| {
        error.restore(py);
        ptr::null_mut()
    })
}

unsafe extern "C" fn next(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, on a live iterator.
    unsafe {
        let coroutine = (*slf.cast::<Iterator>()).coroutine;
        if coroutine.is_null() {
            return ptr::null_mut();
        }
        super::object::next(coroutine)
    }
}

unsafe extern "C" fn send(
    slf: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, on a live iterator, with a live value.
    unsafe {
        forward(
            slf,
            |py| intern!(py, "send"),
            |py| make::tuple(py, [Bound::from_borrowed_ptr(py, value)]),
        )
    }
}

unsafe extern "C" fn throw(
    slf: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as send, with a tuple.
    unsafe {
        forward(
            slf,
            |py| intern!(py, "throw"),
            |py| Ok(Bound::from_borrowed_ptr(py, args).cast_into_unchecked()),
        )
    }
}

unsafe extern "C" fn close(
    slf: *mut ffi::PyObject,
    _unused: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as send.
    unsafe { forward(slf, |py| intern!(py, "close"), |py| Ok(PyTuple::empty(py))) }
}

unsafe extern "C" fn traverse(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the collector calls this attached; only reads.
    unsafe {
        let answer = visit(ffi::Py_TYPE(slf).cast(), arg);
        let coroutine = (*slf.cast::<Iterator>()).coroutine;
        if answer != 0 || coroutine.is_null() { answer } else { visit(coroutine, arg) }
    }
}

unsafe extern "C" fn clear(slf: *mut ffi::PyObject) -> c_int {
    // SAFETY: called attached on a live iterator; the field is empty when the coroutine goes.
    unsafe {
        let this = slf.cast::<Iterator>();
        ffi::Py_XDECREF(std::mem::replace(&mut (*this).coroutine, ptr::null_mut()));
    }
    0
}

unsafe extern "C" fn dealloc(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached with the last reference.
    unsafe { trash::dealloc(slf, free) };
}

/// [`dealloc`], when it is the object's turn.
unsafe extern "C" fn free(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached with the last reference.
    unsafe {
        ffi::PyObject_GC_UnTrack(slf.cast());
        clear(slf);
        crate::ffi::class::free(slf);
    }
}
