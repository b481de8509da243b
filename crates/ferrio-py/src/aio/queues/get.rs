//! `Queue.get()`.

use std::ffi::{CStr, c_int};

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::queue::{Queue, shut_down};
use super::waking::give_up;
use crate::aio::waiter::Waiter;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::iter::Step;
use crate::ffi::raise::while_handling;

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    method::install::<Get>(py)
}

struct Get {
    queue: Py<Queue>,
    /// While it waits for an item.
    waiter: Option<Waiter>,
}

impl Get {
    fn new(queue: &Bound<'_, Queue>) -> Get {
        Get { queue: queue.clone().unbind(), waiter: None }
    }
}

impl CoroutineMethod for Get {
    type Class = Queue;
    type Body = Get;
    const NAME: &'static CStr = c"get";
    const DOC: &'static CStr = c"get($self)\n--\n\n\
        Waits until there is an item, takes it out and returns it. QueueShutDown if there is none\n\
        and will be none.";

    fn call<'py>(slf: &Bound<'py, Queue>, arguments: &Arguments<'_, 'py>) -> PyResult<Get> {
        arguments.none("Queue.get")?;
        Ok(Get::new(slf))
    }

    const PLAIN: Option<method::Plain<Queue, Get>> =
        Some(method::Plain::new(0, |slf| Some(Get::new(slf))));
}

impl Body for Get {
    fn qualname(&self) -> &'static str {
        "Queue.get"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let queue = self.queue.bind(py);
        let getters = &queue.get().getters;
        if let Some(waiter) = &mut self.waiter {
            match waiter.step(py, with) {
                Ok(Step::Yielded(yielded)) => return Ok(Step::Yielded(yielded)),
                Ok(Step::Returned(_)) => self.waiter = None,
                Err(error) => {
                    let can_get = || Ok(!Queue::is_empty(queue)?);
                    let future = waiter.future(py);
                    while_handling(py, &error, || give_up(queue, getters, future, can_get))?;
                    return Err(error);
                }
            }
        }
        while Queue::is_empty(queue)? {
            if queue.get().is_shut_down() && Queue::is_empty(queue)? {
                return Err(shut_down(py));
            }
            let waiter = self.waiter.insert(Waiter::new(&Queue::get_loop(queue)?)?);
            getters.push(waiter.future(py))?;
            match waiter.step(py, Resume::Value(py.None().into_bound(py)))? {
                Step::Yielded(yielded) => return Ok(Step::Yielded(yielded)),
                Step::Returned(_) => self.waiter = None,
            }
        }
        Queue::take_nowait(queue).map(Step::Returned)
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.queue.as_ptr());
        match &self.waiter {
            Some(waiter) if answer == 0 => waiter.traverse(visit),
            Some(_) | None => answer,
        }
    }
}
