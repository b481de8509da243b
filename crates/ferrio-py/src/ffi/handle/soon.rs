//! The plain `call_soon(callback, *args)` and `call_soon_threadsafe`, and running what they queued:
//! the shortest way there is.
//!
//! A batch of callbacks is bound by what surrounds each of them (bench: call_soon_batch). The
//! general way goes through PyO3's trampoline, parses keywords and passes Rust values around, some
//! 480 instructions a callback; this one, for a handle whose layout is known, takes 150.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use super::fields::Fields;
use super::life::{allocate, has_weakrefs};
use super::{Class, Handle, HandleTypes, Kind, TYPES};
use crate::error;
use crate::event_loop::Loop;
use crate::item::Item;

/// `Loop.call_soon` with positional arguments only. None where the general way has to be taken:
/// the loop is closed or in debug mode, or handles have another layout.
///
/// # Safety
/// Called by CPython as a method of `Loop`: attached, on an instance of it, with a vector of
/// `nargs` arguments, at least one.
pub(crate) unsafe fn call_soon(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: usize,
) -> Option<*mut ffi::PyObject> {
    // SAFETY: passed on.
    unsafe { queue(py, Kind::Soon, slf, args, nargs, Loop::push) }
}

/// As [`call_soon`], for `Loop.call_soon_threadsafe` (bench: call_soon_threadsafe_from_thread).
///
/// # Safety
/// As there.
pub(crate) unsafe fn call_soon_threadsafe(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: usize,
) -> Option<*mut ffi::PyObject> {
    // SAFETY: passed on.
    unsafe { queue(py, Kind::OF_ANOTHER_THREAD, slf, args, nargs, Loop::push_threadsafe) }
}

/// What both have in common.
///
/// # Safety
/// As [`call_soon`].
#[inline(always)]
unsafe fn queue(
    py: Python<'_>,
    kind: Kind,
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: usize,
    push: impl FnOnce(&Loop, Python<'_>, Item),
) -> Option<*mut ffi::PyObject> {
    let types = TYPES.get(py).filter(|types| types.is_as_expected)?;
    // SAFETY: see above; `slf` outlives the call.
    unsafe {
        let this = Borrowed::from_ptr(py, slf).cast_unchecked::<Loop>();
        if !this.get().takes_plain_callbacks() {
            return None;
        }
        let raw = make(py, types, types.of(kind), slf, args, nargs);
        if raw.is_null() {
            return Some(raw);
        }
        let item = Item::Handle(Handle(Borrowed::from_ptr(py, raw).to_owned().unbind()));
        // This is called by C, past PyO3's guard against panics.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| push(this.get(), py, item))) {
            ffi::Py_DECREF(raw);
            error::of_panic(&*panic, "the loop's queue failed").restore(py);
            return Some(ptr::null_mut());
        }
        Some(raw)
    }
}

/// A new handle for `args[0](*args[1:])`; NULL with an error set.
///
/// # Safety
/// As [`call_soon`].
pub(super) unsafe fn make(
    py: Python<'_>,
    types: &HandleTypes,
    class: &Class,
    looop: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: usize,
) -> *mut ffi::PyObject {
    // SAFETY: see above; each field is written once, with a reference of its own, and nobody sees
    // the tuple or the handle before they are complete.
    unsafe {
        let rest = if nargs == 1 {
            ffi::Py_NewRef(types.no_args.as_ptr())
        } else {
            let tuple = ffi::PyTuple_New(nargs as ffi::Py_ssize_t - 1);
            if tuple.is_null() {
                return tuple;
            }
            for index in 1..nargs {
                let value = ffi::Py_NewRef(*args.add(index));
                ffi::PyTuple_SET_ITEM(tuple, index as ffi::Py_ssize_t - 1, value);
            }
            tuple
        };
        let context = ffi::PyContext_CopyCurrent();
        let raw = if context.is_null() { context } else { allocate(py, class) };
        if raw.is_null() {
            ffi::Py_DECREF(rest);
            ffi::Py_XDECREF(context);
            return raw;
        }
        let fields = raw.cast::<Fields>();
        (*fields).args = rest;
        (*fields).callback = ffi::Py_NewRef(*args);
        (*fields).cancelled = ffi::Py_NewRef(ffi::Py_False());
        (*fields).context = context;
        (*fields).looop = ffi::Py_NewRef(looop);
        (*fields).repr = ffi::Py_NewRef(ffi::Py_None());
        (*fields).source_traceback = ffi::Py_NewRef(ffi::Py_None());
        raw
    }
}

/// Runs a plain handle that only the caller holds; None if it is another one.
///
/// Nobody can find such a handle: the collector does not know it, or, as with a timer's, is made to
/// forget it. So its fields stay as they are while the callback runs, and need not be held. Whatever
/// kind of handle it is, nobody can cancel it, so 3.14's rule for the threadsafe ones has no say.
pub(super) fn run_unshared(
    py: Python<'_>,
    types: &HandleTypes,
    handle: &Handle,
) -> Option<PyResult<()>> {
    let raw = handle.0.as_ptr();
    // SAFETY: attached; `handle` keeps the object alive, and with it what its fields refer to; the
    // arguments are an array of live objects in an immutable tuple.
    unsafe {
        if !types.is_as_expected || ffi::Py_REFCNT(raw) != 1 || has_weakrefs(types, raw) {
            return None;
        }
        let &Fields { args, callback, cancelled, context, .. } = &*raw.cast::<Fields>();
        if cancelled != ffi::Py_False() {
            return Some(Ok(()));
        }
        if args.is_null()
            || callback.is_null()
            || context.is_null()
            || ffi::PyTuple_CheckExact(args) == 0
        {
            return None;
        }
        if ffi::PyObject_GC_IsTracked(raw) != 0 {
            if cfg!(Py_GIL_DISABLED) {
                // Another thread may be about to find it.
                return None;
            }
            ffi::PyObject_GC_UnTrack(raw.cast());
        }
        if ffi::PyContext_Enter(context) != 0 {
            return Some(Err(PyErr::fetch(py)));
        }
        let items = (&raw const (*args.cast::<ffi::PyTupleObject>()).ob_item).cast();
        let count = ffi::PyTuple_GET_SIZE(args) as usize;
        let result = ffi::PyObject_Vectorcall(callback, items, count, ptr::null_mut());
        // PyContext_Exit must find no error set.
        let error = if result.is_null() { Some(PyErr::fetch(py)) } else { None };
        let exit_error =
            if ffi::PyContext_Exit(context) != 0 { Some(PyErr::fetch(py)) } else { None };
        // The result may have a finalizer, which runs outside, as after `Context.run`.
        ffi::Py_XDECREF(result);
        Some(error.or(exit_error).map_or(Ok(()), Err))
    }
}
