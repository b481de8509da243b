//! The end of futures and tasks, and what the collector sees, where the base needs help.
//!
//! From 3.14 on it needs none. Up to 3.13 a task has a field of ours, and a chain of futures, each
//! the result of the next, goes by recursion; on 3.11 the base is a static type, which neither shows
//! nor drops the reference to the type, and calls no finalizer for subclasses.

use std::ffi::{c_int, c_void};

use pyo3::ffi;
use pyo3::prelude::*;

use crate::ffi::future::{fields, types};
use crate::ffi::trash;

/// `tp_dealloc` of `ferrio.Future` up to 3.13.
pub(crate) unsafe extern "C" fn dealloc_future(slf: *mut ffi::PyObject) {
    // SAFETY: called attached with the last reference.
    unsafe { trash::dealloc(slf, free_future) };
}

unsafe extern "C" fn free_future(slf: *mut ffi::PyObject) {
    // SAFETY: called attached with the last reference; the finalizer may resurrect the object.
    unsafe {
        let Some(types) = types(Python::assume_attached()) else { return };
        if cfg!(Py_3_12) || ffi::PyObject_CallFinalizerFromDealloc(slf) == 0 {
            dealloc_as(types.c_future, slf);
        }
    }
}

/// `tp_dealloc` of `ferrio.Task` up to 3.13.
pub(crate) unsafe extern "C" fn dealloc_task(slf: *mut ffi::PyObject) {
    // SAFETY: as above.
    unsafe { trash::dealloc(slf, free_task) };
}

unsafe extern "C" fn free_task(slf: *mut ffi::PyObject) {
    // SAFETY: as above; the field behind the base's is ours.
    unsafe {
        let Some(types) = types(Python::assume_attached()) else { return };
        if ffi::PyObject_CallFinalizerFromDealloc(slf) == 0 {
            fields::clear(slf, types.c_task_size);
            dealloc_as(types.c_task, slf);
        }
    }
}

/// # Safety
/// Attached; the object is of a subclass of `base` and nobody's any more.
unsafe fn dealloc_as(base: *mut ffi::PyTypeObject, slf: *mut ffi::PyObject) {
    // SAFETY: passed on. The base's function untracks the object and frees it; on 3.11 it leaves
    // the reference to the type to us.
    unsafe {
        let ty = ffi::Py_TYPE(slf);
        if let Some(dealloc) = (*base).tp_dealloc {
            dealloc(slf);
        }
        if cfg!(not(Py_3_12)) {
            ffi::Py_DECREF(ty.cast());
        }
    }
}

/// # Safety
/// `object` is alive, and of one of our types.
unsafe fn base_of(object: *mut ffi::PyObject) -> Option<*mut ffi::PyTypeObject> {
    // SAFETY: passed on; a task is a future as well.
    unsafe {
        let types = types(Python::assume_attached())?;
        let is_task = ffi::PyObject_TypeCheck(object, types.c_task) != 0;
        Some(if is_task { types.c_task } else { types.c_future })
    }
}

/// `tp_traverse` on 3.11.
pub(crate) unsafe extern "C" fn traverse(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called attached by the collector on a live object; only reads.
    unsafe {
        let answer = visit(ffi::Py_TYPE(slf).cast(), arg);
        if answer != 0 {
            return answer;
        }
        match base_of(slf).and_then(|base| (*base).tp_traverse) {
            Some(traverse) => traverse(slf, visit, arg),
            None => 0,
        }
    }
}

/// `tp_clear` on 3.11.
pub(crate) unsafe extern "C" fn clear(slf: *mut ffi::PyObject) -> c_int {
    // SAFETY: called attached by the collector on a live object.
    unsafe {
        match base_of(slf).and_then(|base| (*base).tp_clear) {
            Some(clear) => clear(slf),
            None => 0,
        }
    }
}
