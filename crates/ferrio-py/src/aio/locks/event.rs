//! `Event`.

use std::ffi::{CStr, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyModule, PyTuple};

use crate::aio::loop_bound::{LoopBound, loop_bound};
use crate::aio::waiter::Waiter;
use crate::aio::waiters::{Waiters, waiters_always};
use crate::ffi::coroutine::{Body, CoroutineMethod, End, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::state;
use crate::ffi::inherited::{Inherited, has_all};
use crate::ffi::interned::intern;
use crate::ffi::iter::Step;
use crate::ffi::make::Returned;
use crate::ffi::raise::finally;
use crate::ffi::refusal;

/// A flag that tasks can wait for.
#[pyclass(module = "ferrio", subclass, frozen, weakref, dict)]
pub(crate) struct Event {
    looop: LoopBound,
    is_set: AtomicBool,
    waiters: Waiters,
}

/// Is the method that `wait` calls still ours?
static OURS: Inherited =
    Inherited::new(|class| has_all(class, &class.py().get_type::<Event>(), &["_get_loop"]).into());

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refusal::add_class::<Event>(module)?;
    method::install::<Wait>(module.py())
}

impl Event {
    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }
}

#[pymethods]
impl Event {
    /// Takes whatever a subclass is made with; `__init__` says what an Event is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "()")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Event {
        let _ = (args, kwargs);
        Event {
            looop: LoopBound::new(),
            is_set: AtomicBool::new(false),
            waiters: Waiters::default(),
        }
    }

    /// A flag that is not set.
    fn __init__(&self, py: Python<'_>) {
        self.waiters.clear(py);
        self.clear();
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let this = slf.get();
        let mut extra = String::from(if this.is_set() { "set" } else { "unset" });
        this.waiters.describe(slf.py(), &mut extra)?;
        crate::aio::repr(slf, &extra)
    }

    /// True if the flag is set.
    #[pyo3(name = "is_set")]
    fn py_is_set(&self) -> bool {
        self.is_set()
    }

    /// Sets the flag, and wakes all who wait for it.
    pub(crate) fn set(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_set.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        for future in self.waiters.all(py)? {
            if !state::is_done(&future)? {
                state::set_result(&future, &PyBool::new(py, true))?;
            }
        }
        Ok(())
    }

    /// Takes the flag back: whoever waits from now on, waits until it is set again.
    pub(crate) fn clear(&self) {
        self.is_set.store(false, Ordering::Relaxed);
    }

    /// asyncio's name for the flag.
    #[getter]
    fn _value(&self) -> bool {
        self.is_set()
    }

    #[setter(_value)]
    fn set_value(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.is_set.store(value.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.looop.traverse(&visit)?;
        self.waiters.traverse(&visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        self.looop.clear(py);
        self.waiters.clear(py);
    }
}

loop_bound!(Event);
waiters_always!(Event);

/// `Event.wait()`.
struct Wait;

impl CoroutineMethod for Wait {
    type Class = Event;
    type Body = Waiting;
    const NAME: &'static CStr = c"wait";
    const DOC: &'static CStr =
        c"wait($self)\n--\n\nWaits until the flag is set, and returns True; at once if it is.";

    fn call<'py>(slf: &Bound<'py, Event>, arguments: &Arguments<'_, 'py>) -> PyResult<Waiting> {
        arguments.none("Event.wait")?;
        Ok(Waiting::new(slf))
    }

    const PLAIN: Option<method::Plain<Event, Waiting>> =
        Some(method::Plain::new(0, |slf| Some(Waiting::new(slf))));
}

/// The state of [`Wait`]'s coroutine.
pub(crate) struct Waiting {
    event: Py<Event>,
    /// None before it has to wait.
    waiter: Option<Waiter>,
}

impl Waiting {
    pub(crate) fn new(event: &Bound<'_, Event>) -> Waiting {
        Waiting { event: event.clone().unbind(), waiter: None }
    }

    fn get_loop<'py>(event: &Bound<'py, Event>) -> PyResult<Bound<'py, PyAny>> {
        if OURS.by(event) != 0 {
            return event.get().looop.get(event);
        }
        event.call_method0(intern!(event.py(), "_get_loop"))
    }
}

impl Body for Waiting {
    fn qualname(&self) -> &'static str {
        "Event.wait"
    }

    #[inline]
    fn at_once(&self, py: Python<'_>) -> Option<End> {
        self.event.bind(py).get().is_set().then_some(End::True)
    }

    #[inline]
    fn release(self, py: Python<'_>) {
        self.event.drop_ref(py);
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let event = self.event.bind(py);
        let waiters = &event.get().waiters;
        let is_true = || Ok(Step::Returned(PyBool::new(py, true).to_owned().into_any()));
        let waiter = match &mut self.waiter {
            Some(waiter) => waiter,
            None if event.get().is_set() => return is_true(),
            None => {
                let waiter = Waiter::new(&Waiting::get_loop(event)?)?;
                waiters.push(waiter.future(py))?;
                self.waiter.insert(waiter)
            }
        };
        let step = waiter.step(py, with);
        if let Ok(Step::Yielded(_)) = step {
            return step;
        }
        finally(py, step, || waiters.remove(waiter.future(py))).and_then(|_| is_true())
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
