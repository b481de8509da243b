//! `Condition.wait_for()`.

use std::ffi::{CStr, c_int};

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::Condition;
use super::wait::Waiting;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::awaiting::{Awaiting, Begun};
use crate::ffi::interned::intern;
use crate::ffi::iter::Step;

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    method::install::<WaitFor>(py)
}

struct WaitFor {
    condition: Py<Condition>,
    predicate: Py<PyAny>,
    waiting: Option<OneWait>,
}

/// One wait, by whoever's method that is.
enum OneWait {
    Ours(Box<Waiting>),
    Theirs(Awaiting),
}

impl CoroutineMethod for WaitFor {
    type Class = Condition;
    type Body = WaitFor;
    const NAME: &'static CStr = c"wait_for";
    const DOC: &'static CStr = c"wait_for($self, predicate)\n--\n\n\
        Waits until `predicate()` is true, and returns what it returned. It is called with the\n\
        lock held: first at once, then after every notification.";

    fn call<'py>(slf: &Bound<'py, Condition>, arguments: &Arguments<'_, 'py>) -> PyResult<WaitFor> {
        let [predicate] = arguments.required("Condition.wait_for", ["predicate"])?;
        Ok(WaitFor {
            condition: slf.clone().unbind(),
            predicate: predicate.unbind(),
            waiting: None,
        })
    }
}

impl Body for WaitFor {
    fn qualname(&self) -> &'static str {
        "Condition.wait_for"
    }

    fn resume<'py>(&mut self, py: Python<'py>, mut with: Resume<'py>) -> PyResult<Step<'py>> {
        loop {
            let step = match &mut self.waiting {
                None => None,
                Some(OneWait::Ours(waiting)) => Some(waiting.step(py, with)?),
                Some(OneWait::Theirs(awaiting)) => Some(awaiting.resume(py, with)?),
            };
            if let Some(Step::Yielded(yielded)) = step {
                return Ok(Step::Yielded(yielded));
            }
            self.waiting = None;
            let result = self.predicate.bind(py).call0()?;
            if result.is_truthy()? {
                return Ok(Step::Returned(result));
            }
            with = Resume::Value(py.None().into_bound(py));
            let condition = self.condition.bind(py);
            if Condition::is_ours(condition) {
                self.waiting = Some(OneWait::Ours(Box::new(Waiting::new(condition))));
                continue;
            }
            let awaitable = condition.call_method0(intern!(py, "wait"))?;
            if let Begun::Waiting(awaiting, yielded) = Awaiting::begin(&awaitable)? {
                self.waiting = Some(OneWait::Theirs(awaiting));
                return Ok(Step::Yielded(yielded));
            }
        }
    }

    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        &["Condition.wait"]
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.condition.as_ptr());
        let answer = if answer == 0 { visit(self.predicate.as_ptr()) } else { answer };
        match &self.waiting {
            Some(OneWait::Ours(waiting)) if answer == 0 => waiting.traverse(py, visit),
            Some(OneWait::Theirs(awaiting)) if answer == 0 => awaiting.traverse(visit),
            Some(_) | None => answer,
        }
    }
}
