//! `Queue.put()`.

use std::ffi::{CStr, c_int};

use pyo3::exceptions::PyValueError;
use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::queue::{Queue, shut_down};
use crate::aio::waiter::Waiter;
use crate::aio::waiters::Waiters;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::state;
use crate::ffi::iter::Step;

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    method::install::<Put>(py)
}

struct Put {
    queue: Py<Queue>,
    item: Py<PyAny>,
    /// While it waits for room.
    waiter: Option<Waiter>,
}

impl CoroutineMethod for Put {
    type Class = Queue;
    type Body = Put;
    const NAME: &'static CStr = c"put";
    const DOC: &'static CStr = c"put($self, item)\n--\n\n\
        Waits until there is room, and puts an item in. QueueShutDown after shutdown().";

    fn call<'py>(slf: &Bound<'py, Queue>, arguments: &Arguments<'_, 'py>) -> PyResult<Put> {
        let [item] = arguments.required("Queue.put", ["item"])?;
        Ok(Put { queue: slf.clone().unbind(), item: item.unbind(), waiter: None })
    }
}

impl Body for Put {
    fn qualname(&self) -> &'static str {
        "Queue.put"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let queue = self.queue.bind(py);
        let putters = &queue.get().putters;
        if let Some(waiter) = &mut self.waiter {
            match waiter.step(py, with) {
                Ok(Step::Yielded(yielded)) => return Ok(Step::Yielded(yielded)),
                Ok(Step::Returned(_)) => self.waiter = None,
                Err(error) => {
                    let can_put = || Ok(!Queue::is_full(queue)?);
                    give_up(queue, putters, waiter.future(py), can_put)?;
                    return Err(error);
                }
            }
        }
        while Queue::is_full(queue)? {
            if queue.get().is_shut_down() {
                return Err(shut_down(py));
            }
            let waiter = self.waiter.insert(Waiter::new(&Queue::get_loop(queue)?)?);
            putters.push(waiter.future(py))?;
            match waiter.step(py, Resume::Value(py.None().into_bound(py)))? {
                Step::Yielded(yielded) => return Ok(Step::Yielded(yielded)),
                Step::Returned(_) => self.waiter = None,
            }
        }
        Queue::put_nowait(queue, self.item.bind(py)).map(Step::Returned)
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.queue.as_ptr());
        let answer = if answer == 0 { visit(self.item.as_ptr()) } else { answer };
        match &self.waiter {
            Some(waiter) if answer == 0 => waiter.traverse(visit),
            Some(_) | None => answer,
        }
    }
}

/// One who waited does not any more: if it had been woken to do what `is_possible`, the next is
/// woken in its place.
pub(super) fn give_up<'py>(
    queue: &Bound<'py, Queue>,
    waiters: &Waiters,
    future: &Bound<'py, PyAny>,
    is_possible: impl FnOnce() -> PyResult<bool>,
) -> PyResult<()> {
    let py = queue.py();
    state::cancel(future)?;
    match waiters.remove(future) {
        // Whoever woke it has taken it out.
        Err(error) if error.is_instance_of::<PyValueError>(py) => {}
        removed => removed?,
    }
    if is_possible()? && !state::is_cancelled(future)? {
        Queue::wake_up_next(queue, waiters)?;
    }
    Ok(())
}
