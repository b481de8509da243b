//! `Queue.put()` and `Queue.put_nowait()`.

use std::ffi::{CStr, c_int};

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::queue::{Queue, shut_down};
use super::waking::give_up;
use crate::aio::waiter::Waiter;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::{self, Arguments, FastMethod};
use crate::ffi::iter::Step;
use crate::ffi::raise::while_handling;

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    fastcall::install::<PutNowait>(py)?;
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
                    let future = waiter.future(py);
                    while_handling(py, &error, || give_up(queue, putters, future, can_put))?;
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

/// `Queue.put_nowait()`.
struct PutNowait;

impl FastMethod for PutNowait {
    type Class = Queue;
    const NAME: &'static CStr = c"put_nowait";
    const DOC: &'static CStr = c"put_nowait($self, item)\n--\n\n\
        Puts an item in. QueueFull if there is no room; QueueShutDown after shutdown().";

    fn call<'py>(
        slf: &Bound<'py, Queue>,
        arguments: Arguments<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let [item] = arguments.required("Queue.put_nowait", ["item"])?;
        Queue::add(slf, &item)?;
        Ok(slf.py().None().into_bound(slf.py()))
    }
}
