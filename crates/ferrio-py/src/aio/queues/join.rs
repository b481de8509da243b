//! `Queue.join()`.

use std::ffi::{CStr, c_int};

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::queue::Queue;
use crate::aio::locks::Waiting;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::iter::Step;

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    method::install::<Join>(py)
}

struct Join {
    queue: Py<Queue>,
    /// For the event, if anything is unfinished.
    waiting: Option<Waiting>,
}

impl CoroutineMethod for Join {
    type Class = Queue;
    type Body = Join;
    const NAME: &'static CStr = c"join";
    const DOC: &'static CStr = c"join($self)\n--\n\n\
        Waits until task_done() has been called for every item that was put in.";

    fn call<'py>(slf: &Bound<'py, Queue>, arguments: &Arguments<'_, 'py>) -> PyResult<Join> {
        arguments.none("Queue.join")?;
        Ok(Join { queue: slf.clone().unbind(), waiting: None })
    }
}

impl Body for Join {
    fn qualname(&self) -> &'static str {
        "Queue.join"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let queue = self.queue.get();
        let none = || Ok(Step::Returned(py.None().into_bound(py)));
        let waiting = match &mut self.waiting {
            Some(waiting) => waiting,
            None if queue.unfinished.count() <= 0 => return none(),
            None => self.waiting.insert(Waiting::new(&queue.unfinished.event(py)?)),
        };
        match waiting.resume(py, with)? {
            Step::Yielded(yielded) => Ok(Step::Yielded(yielded)),
            Step::Returned(_) => none(),
        }
    }

    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        &["Event.wait"]
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.queue.as_ptr());
        match &self.waiting {
            Some(waiting) if answer == 0 => waiting.traverse(py, visit),
            Some(_) | None => answer,
        }
    }
}
