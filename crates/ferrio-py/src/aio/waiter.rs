//! A future that was made to be waited for by one coroutine.

use std::ffi::c_int;

use pyo3::ffi as raw;
use pyo3::prelude::*;

use crate::event_loop::tasks::create_future;
use crate::ffi::coroutine::Resume;
use crate::ffi::future::awaiting::{Awaiting, Begun};
use crate::ffi::iter::Step;

/// The future, and the await of it once that has begun.
pub(super) struct Waiter {
    future: Py<PyAny>,
    awaiting: Option<Awaiting>,
}

impl Waiter {
    /// Over a new future of this loop.
    pub(super) fn new(looop: &Bound<'_, PyAny>) -> PyResult<Waiter> {
        Ok(Waiter::of(&create_future(looop)?))
    }

    /// Over this future.
    pub(super) fn of(future: &Bound<'_, PyAny>) -> Waiter {
        Waiter { future: future.clone().unbind(), awaiting: None }
    }

    pub(super) fn future<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.future.bind(py)
    }

    /// Begins the await, or goes on with it: yields until the future is done, returns its result or
    /// raises, also what is thrown in.
    pub(super) fn step<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        if let Some(awaiting) = &self.awaiting {
            return awaiting.resume(py, with);
        }
        match Awaiting::begin(self.future.bind(py))? {
            Begun::Waiting(awaiting, yielded) => {
                self.awaiting = Some(awaiting);
                Ok(Step::Yielded(yielded))
            }
            Begun::Done(value) => Ok(Step::Returned(value)),
        }
    }

    /// As [`Body::traverse`](crate::ffi::coroutine::Body::traverse).
    pub(super) fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        let answer = visit(self.future.as_ptr());
        match &self.awaiting {
            Some(awaiting) if answer == 0 => awaiting.traverse(visit),
            Some(_) | None => answer,
        }
    }
}
