//! Making a future, finishing it, and scheduling what waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::layout::{FINISHED, PENDING};
use super::{Types, fields, types};
use crate::error::{self, WithText};
use crate::ffi::call::vectorcall;
use crate::ffi::task::callback;
use crate::ffi::task::queue::{self, direct_loop};
use crate::item::Item;

/// What `Future` has instead of the base's.
pub(super) static FUTURE_METHODS: Methods<2> = Methods::new([
    ffi::PyMethodDef {
        ml_name: c"set_result".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: set_result },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: c"set_result($self, result, /)\n--\n\nMark the future done and set its result.\n\n\
            If the future is already done when this method is called, raises\nInvalidStateError."
            .as_ptr(),
    },
    ffi::PyMethodDef::zeroed(),
]);

/// `Task.set_result` refuses, as asyncio's does.
pub(super) static TASK_METHODS: Methods<1> = Methods::new([ffi::PyMethodDef::zeroed()]);

/// Method definitions: constant, and read by every thread.
pub(crate) struct Methods<const N: usize>([ffi::PyMethodDef; N]);

// SAFETY: pointers to statics, never written to.
unsafe impl<const N: usize> Sync for Methods<N> {}

impl<const N: usize> Methods<N> {
    /// The last one has to be zeroed.
    pub(crate) const fn new(definitions: [ffi::PyMethodDef; N]) -> Methods<N> {
        Methods(definitions)
    }

    pub(crate) fn as_ptr(&self) -> *const ffi::PyMethodDef {
        self.0.as_ptr()
    }
}

/// A pending future of this loop, outside of debug mode (bench: future_ping_pong).
pub(crate) fn new_future<'py>(
    types: &Types,
    looop: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; a new instance of a type whose fields are all zero, which is what a new
    // future of the base has but for its loop.
    unsafe {
        let object = ffi::PyType_GenericAlloc(types.future, 0);
        if !object.is_null() {
            fields::put(object, types.layout.looop, ffi::Py_NewRef(looop.as_ptr()));
        }
        Bound::from_owned_ptr_or_err(looop.py(), object)
    }
}

/// `Future.set_result`: the plain case here, the rest in the base's method.
unsafe extern "C" fn set_result(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called attached, on an instance, with a vector of arguments; what is called may
    // change the future, and nothing of it is held meanwhile but itself, by the caller.
    unsafe {
        let py = Python::assume_attached();
        // There is no instance without the types.
        let Some(types) = types(py) else { return ptr::null_mut() };
        let layout = &types.layout;
        if nargs == 1
            && kwnames.is_null()
            && !fields::get(slf, layout.looop).is_null()
            && fields::state(slf, layout.state) == PENDING
        {
            let value = Bound::from_borrowed_ptr(py, *args);
            return match finish(py, types, slf, value) {
                Ok(()) => ffi::Py_NewRef(ffi::Py_None()),
                Err(error) => {
                    error.restore(py);
                    ptr::null_mut()
                }
            };
        }
        let values = if nargs == 0 && kwnames.is_null() {
            vec![slf]
        } else {
            let keywords =
                if kwnames.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(kwnames) as usize };
            let mut values = vec![slf];
            values.extend_from_slice(std::slice::from_raw_parts(args, nargs as usize + keywords));
            values
        };
        ffi::PyObject_Vectorcall(
            types.descriptors.set_result.as_ptr(),
            values.as_ptr(),
            nargs as usize + 1,
            kwnames,
        )
    }
}

/// Sets the result of a pending future.
///
/// # Safety
/// Attached; a pending future with a loop, by our layout, which the caller keeps alive.
pub(super) unsafe fn finish(
    py: Python<'_>,
    types: &Types,
    future: *mut ffi::PyObject,
    value: Bound<'_, PyAny>,
) -> PyResult<()> {
    // SAFETY: passed on; a pending future has no result.
    unsafe {
        fields::put(future, types.layout.result, value.into_ptr());
        fields::set_state(future, types.layout.state, FINISHED);
        // This is called by C, past PyO3's guard against panics.
        catch_unwind(AssertUnwindSafe(|| schedule_callbacks(py, types, future)))
            .unwrap_or_else(|panic| Err(error::of_panic(&*panic, "the loop's queue failed")))
    }
}

/// `future_schedule_callbacks`: one `call_soon` for each callback, in order.
///
/// # Safety
/// Attached; a future that is done, with a loop, by our layout, which the caller keeps alive.
pub(crate) unsafe fn schedule_callbacks(
    py: Python<'_>,
    types: &Types,
    future: *mut ffi::PyObject,
) -> PyResult<()> {
    let layout = &types.layout;
    // SAFETY: passed on; callbacks are taken out of the future before `call_soon`, which may be
    // anybody's, can see it, and each is paired with its context.
    unsafe {
        let callback = fields::take(future, layout.callback0);
        if !callback.is_null() {
            let context = fields::take(future, layout.context0);
            let scheduled = call_soon(py, types, future, callback, context);
            if scheduled.is_err() {
                fields::clear(future, layout.callbacks);
                return scheduled;
            }
        }
        let list = fields::take(future, layout.callbacks);
        let Some(list) = Bound::from_owned_ptr_or_opt(py, list) else { return Ok(()) };
        let mut index = 0;
        while index < ffi::PyList_GET_SIZE(list.as_ptr()) {
            let pair = ffi::PyList_GET_ITEM(list.as_ptr(), index);
            let callback = ffi::Py_NewRef(ffi::PyTuple_GET_ITEM(pair, 0));
            let context = ffi::Py_NewRef(ffi::PyTuple_GET_ITEM(pair, 1));
            call_soon(py, types, future, callback, context)?;
            index += 1;
        }
        Ok(())
    }
}

/// `loop.call_soon(callback, future, context=context)`; takes both references over.
///
/// # Safety
/// As [`schedule_callbacks`].
unsafe fn call_soon(
    py: Python<'_>,
    types: &Types,
    future: *mut ffi::PyObject,
    callback: *mut ffi::PyObject,
    context: *mut ffi::PyObject,
) -> PyResult<()> {
    // SAFETY: passed on. The loop is held: looking at it, or an earlier callback's `call_soon`, may
    // have the program give the future another one, or none.
    unsafe {
        let looop = fields::get(future, types.layout.looop);
        let looop = Bound::from_borrowed_ptr_or_opt(py, looop);
        let Some(ours) = looop.as_ref().and_then(direct_loop) else {
            let callback = Bound::from_owned_ptr(py, callback);
            let context = Bound::from_owned_ptr(py, context);
            let future = Bound::from_borrowed_ptr(py, future);
            let Some(looop) = looop else {
                return Err(PyRuntimeError::with_text("Future object is not initialized."));
            };
            return queue::call_soon(&looop, &callback, Some(&future), &context);
        };
        let argument = Bound::from_borrowed_ptr(py, future).unbind();
        let item = match callback::into_task(py, types, callback, context) {
            Ok(task) => Item::Wakeup { task, future: argument },
            Err((callback, context)) => Item::Call {
                callback: Bound::from_owned_ptr(py, callback).unbind(),
                argument: Some(argument),
                context: Bound::from_owned_ptr(py, context).unbind(),
            },
        };
        ours.get().push(py, item);
        Ok(())
    }
}

/// `future.result()`, of a future by our layout, without looking the method up: a new reference or
/// the error.
///
/// # Safety
/// Attached; `future` is alive and has our layout.
pub(super) unsafe fn result<'py>(
    py: Python<'py>,
    types: &Types,
    future: *mut ffi::PyObject,
) -> PyResult<Bound<'py, PyAny>> {
    let layout = &types.layout;
    // SAFETY: passed on.
    unsafe {
        if fields::state(future, layout.state) == FINISHED
            && fields::get(future, layout.exception).is_null()
            && !fields::get(future, layout.result).is_null()
        {
            layout.log_traceback.clear(future);
            return Ok(Bound::from_borrowed_ptr(py, fields::get(future, layout.result)));
        }
        vectorcall(types.descriptors.result.bind(py), &[future])
    }
}
