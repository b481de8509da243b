//! `Event`.

use std::ffi::{CStr, c_int};

use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyModule, PyTuple};

use super::waiters::Waiters;
use crate::aio::loop_bound::LoopBound;
use crate::aio::waiter::Waiter;
use crate::ffi::call::python_of;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::state;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::iter::Step;

/// A flag that tasks can wait for.
#[pyclass(module = "ferrio", subclass, frozen, weakref)]
pub(crate) struct Event {
    looop: LoopBound,
    state: GilCell<State>,
}

#[derive(Default)]
struct State {
    is_set: bool,
    waiters: Waiters,
}

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Event>()?;
    method::install::<Wait>(module.py())
}

#[pymethods]
impl Event {
    /// Takes whatever a subclass is made with; `__init__` says what an Event is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Event {
        let _ = (args, kwargs);
        Event { looop: LoopBound::new(), state: GilCell::default() }
    }

    /// A flag that is not set.
    fn __init__(&self) {}

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let (is_set, waiting) =
            slf.get().state.with(slf.py(), |state| (state.is_set, state.waiters.len()));
        let mut extra = String::from(if is_set { "set" } else { "unset" });
        if waiting > 0 {
            extra += &format!(", waiters:{waiting}");
        }
        crate::aio::repr(slf, &extra)
    }

    /// True if the flag is set.
    fn is_set(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_set)
    }

    /// Sets the flag, and wakes all who wait for it.
    fn set(&self, py: Python<'_>) -> PyResult<()> {
        let waiting = self.state.with(py, |state| {
            let was_set = std::mem::replace(&mut state.is_set, true);
            if was_set { Vec::new() } else { state.waiters.all(py) }
        });
        for future in waiting {
            let future = future.into_bound(py);
            if !state::is_done(&future)? {
                state::set_result(&future, &PyBool::new(py, true))?;
            }
        }
        Ok(())
    }

    /// Takes the flag back: whoever waits from now on, waits until it is set again.
    fn clear(&self, py: Python<'_>) {
        self.state.with(py, |state| state.is_set = false);
    }

    /// asyncio's name for the flag.
    #[getter]
    fn _value(&self, py: Python<'_>) -> bool {
        self.is_set(py)
    }

    /// asyncio's name for those who wait: a new deque of their futures.
    #[getter]
    fn _waiters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let waiting = self.state.with(py, |state| state.waiters.all(py));
        crate::names::deque(py)?.call1((waiting,))
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.looop.peek(py)
    }

    fn _get_loop<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().looop.get(slf)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.looop.traverse(&visit)?;
        self.state
            .try_with(python_of(&visit), |state| state.waiters.traverse(&visit))
            .unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        self.looop.clear(py);
        drop(self.state.with(py, |state| state.waiters.take()));
    }
}

/// `Event.wait()`.
struct Wait {
    event: Py<Event>,
    waiter: Option<Waiter>,
}

impl CoroutineMethod for Wait {
    type Class = Event;
    type Body = Wait;
    const NAME: &'static CStr = c"wait";
    const DOC: &'static CStr =
        c"wait($self)\n--\n\nWaits until the flag is set, and returns True; at once if it is.";

    fn call<'py>(slf: &Bound<'py, Event>, arguments: &Arguments<'_, 'py>) -> PyResult<Wait> {
        arguments.none("Event.wait")?;
        Ok(Wait { event: slf.clone().unbind(), waiter: None })
    }
}

impl Body for Wait {
    fn qualname(&self) -> &'static str {
        "Event.wait"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let event = self.event.get();
        let is_true = || Ok(Step::Returned(PyBool::new(py, true).to_owned().into_any()));
        let waiter = match &mut self.waiter {
            Some(waiter) => waiter,
            None if event.is_set(py) => return is_true(),
            None => {
                let waiter = Waiter::new(&event.looop.get(self.event.bind(py))?)?;
                let future = waiter.future(py).clone().unbind();
                event.state.with(py, |state| state.waiters.push(future));
                self.waiter.insert(waiter)
            }
        };
        let step = waiter.step(py, with);
        if let Ok(Step::Yielded(_)) = step {
            return step;
        }
        drop(event.state.with(py, |state| state.waiters.remove(waiter.future(py))));
        step.and_then(|_| is_true())
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.event.as_ptr());
        match &self.waiter {
            Some(waiter) if answer == 0 => waiter.traverse(visit),
            Some(_) | None => answer,
        }
    }
}
