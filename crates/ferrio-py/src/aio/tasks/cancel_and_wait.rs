//! A future that is cancelled and waited for: asyncio's `_cancel_and_wait`.

use std::ffi::c_int;

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::wait::Released;
use crate::aio::current::{current_task, running_loop};
use crate::aio::versions::Versions;
use crate::aio::waiter::Waiter;
use crate::ffi::coroutine::Resume;
use crate::ffi::done_callback::new_callback;
use crate::ffi::future::{awaited_by, state};
use crate::ffi::iter::Step;
use crate::ffi::raise::finally;

/// Not by awaiting the future: that could not be cancelled without cancelling the future again.
pub(super) struct CancelAndWait {
    future: Py<PyAny>,
    waiter: Waiter,
    callback: Py<PyAny>,
    parent: Option<Py<PyAny>>,
}

impl CancelAndWait {
    /// Everything up to the await. The first [`step`](CancelAndWait::step) begins that.
    pub(super) fn begin(future: &Bound<'_, PyAny>) -> PyResult<CancelAndWait> {
        let py = future.py();
        let waiter = Waiter::new(&running_loop(py)?)?;
        let released = Released { waiter: waiter.future(py).clone().unbind() };
        let callback = new_callback(py, released)?;
        state::add_done_callback(future, &callback, None)?;
        let parent = match Versions::get(py)?.cancel_and_wait_has_edges {
            true => current_task(py, None)?,
            false => None,
        };
        if let Some(parent) = &parent {
            awaited_by::add_by_name(future, parent)?;
        }
        let this = CancelAndWait {
            future: future.clone().unbind(),
            waiter,
            callback: callback.unbind(),
            parent: parent.map(Bound::unbind),
        };
        match state::cancel(future) {
            Ok(_) => Ok(this),
            Err(error) => this.end(py).and(Err(error)),
        }
    }

    /// Yields until the future is done; returns None, or raises what is thrown in.
    pub(super) fn step<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let stepped = self.waiter.step(py, with);
        match stepped {
            Ok(Step::Yielded(_)) => stepped,
            stepped => finally(py, stepped, || self.end(py)),
        }
    }

    fn end(&self, py: Python<'_>) -> PyResult<()> {
        let future = self.future.bind(py);
        state::remove_done_callback(future, self.callback.bind(py))?;
        match &self.parent {
            Some(parent) => awaited_by::discard_by_name(future, parent.bind(py)),
            None => Ok(()),
        }
    }

    pub(super) fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        let answer = self.waiter.traverse(visit);
        if answer != 0 {
            return answer;
        }
        [Some(&self.future), Some(&self.callback), self.parent.as_ref()]
            .into_iter()
            .flatten()
            .map(|object| visit(object.as_ptr()))
            .find(|&answer| answer != 0)
            .unwrap_or(0)
    }
}
