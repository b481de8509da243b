//! `await` inside a body in Rust: what an `await` expression does with what it is given.

use std::ffi::c_int;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::layout::PENDING;
use super::{Types, fields, methods, types};
use crate::error::WithText;
use crate::ffi::coroutine::Resume;
use crate::ffi::iter::{self, Step};
use crate::ffi::recursion;

/// An await that has begun and not ended.
pub(crate) enum Awaiting {
    /// Of one of asyncio's types or of ours, exactly: no iterator is made for it.
    Future(Py<PyAny>),
    /// The iterator of anything else.
    Iterator(Py<PyAny>),
}

/// How an await begins.
pub(crate) enum Begun<'py> {
    /// It waits; the object is for the task that runs all this.
    Waiting(Awaiting, Bound<'py, PyAny>),
    /// It had nothing to wait for.
    Done(Bound<'py, PyAny>),
}

impl Awaiting {
    /// The first step of `await awaitable`.
    pub(crate) fn begin<'py>(awaitable: &Bound<'py, PyAny>) -> PyResult<Begun<'py>> {
        let py = awaitable.py();
        let raw = awaitable.as_ptr();
        if let Some(types) = types(py) {
            // SAFETY: futures of exactly these types have our layout.
            unsafe {
                if types.is_exact(raw) && !fields::get(raw, types.layout.looop).is_null() {
                    return Ok(match step(types, awaitable)? {
                        Step::Yielded(object) => {
                            let waiting = Awaiting::Future(awaitable.clone().unbind());
                            Begun::Waiting(waiting, object)
                        }
                        Step::Returned(value) => Begun::Done(value),
                    });
                }
            }
        }
        let _level = recursion::enter(py, recursion::AWAITING)?;
        let iterator = iter::awaitable_iter(awaitable)?;
        match iter::send(&iterator, py.None().bind(py))? {
            Step::Yielded(object) => {
                Ok(Begun::Waiting(Awaiting::Iterator(iterator.unbind()), object))
            }
            Step::Returned(value) => Ok(Begun::Done(value)),
        }
    }

    /// The next step.
    pub(crate) fn resume<'py>(&self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        match (self, with) {
            (Awaiting::Future(_), Resume::Error(error)) => Err(error),
            (Awaiting::Future(future), Resume::Value(_)) => {
                let Some(types) = types(py) else { return Err(not_taken()) };
                // SAFETY: such a future has our layout, see `begin`.
                unsafe { step(types, future.bind(py)) }
            }
            (Awaiting::Iterator(iterator), with) => {
                let _level = recursion::enter(py, recursion::AWAITING)?;
                match with {
                    Resume::Value(value) => iter::send(iterator.bind(py), &value),
                    Resume::Error(error) => iter::throw(iterator.bind(py), error),
                }
            }
        }
    }

    /// The future, or the iterator of another awaitable.
    pub(crate) fn object(&self) -> &Py<PyAny> {
        match self {
            Awaiting::Future(object) | Awaiting::Iterator(object) => object,
        }
    }

    /// As [`Body::traverse`](crate::ffi::coroutine::Body::traverse).
    pub(crate) fn traverse(&self, visit: &mut dyn FnMut(*mut ffi::PyObject) -> c_int) -> c_int {
        visit(self.object().as_ptr())
    }
}

/// What a future's iterator does, whether its first step or a later one: one that is stepped while
/// the future is pending yields it again, unless nobody has taken it since it was yielded last.
///
/// # Safety
/// A future by our layout.
#[inline]
unsafe fn step<'py>(types: &Types, future: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
    let (py, raw, layout) = (future.py(), future.as_ptr(), &types.layout);
    // SAFETY: passed on.
    unsafe {
        if fields::state(raw, layout.state) != PENDING {
            return methods::result(py, types, raw).map(Step::Returned);
        }
        if layout.blocking.is_set(raw) {
            return Err(not_taken());
        }
        layout.blocking.set(raw);
    }
    Ok(Step::Yielded(future.clone()))
}

/// asyncio's words where who was given the future has not said that it waits for it.
#[cold]
fn not_taken() -> PyErr {
    PyRuntimeError::with_text("await wasn't used with future")
}
