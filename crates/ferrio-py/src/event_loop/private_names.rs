//! asyncio's private names that programs read: `_scheduled` and `_ready`.
//!
//! Test suites walk the timers of a loop to have them fire at once or to complain of those that were
//! left behind, and monitors count what is ready. Neither is kept as asyncio keeps it: what is given
//! is made when it is asked for, and changing it changes nothing. The handles in it are the loop's own.

use std::ffi::c_int;

use ferrio_engine::TimerKey;
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::{Loop, clock};
use crate::aio::Timeout;
use crate::ffi::Context;
use crate::ffi::deque::Deque;
use crate::ffi::done_callback::{DoneCallback, new_callback};
use crate::ffi::handle::{Handle, Kind, Parts};
use crate::ffi::make;
use crate::item::Item;
use crate::names;

/// What an item says of itself while the engine is lent.
enum Seen {
    Handle(Handle),
    SetResult {
        future: Py<PyAny>,
        value: Py<PyAny>,
    },
    Timeout(Py<Timeout>, u32),
    Call {
        callback: Py<PyAny>,
        argument: Option<Py<PyAny>>,
        context: Py<PyAny>,
    },
    /// A step of a task, whoever wakes it.
    Task(Py<PyAny>),
    /// What asyncio has a handle for, and we have none.
    Ours,
}

impl Seen {
    fn of(py: Python<'_>, item: &Item) -> Seen {
        match item {
            Item::Handle(handle) | Item::Timer(handle) => Seen::Handle(handle.clone_ref(py)),
            Item::SetResult { future, value } => {
                Seen::SetResult { future: future.clone_ref(py), value: value.clone_ref(py) }
            }
            Item::Timeout(timeout, serial) => Seen::Timeout(timeout.clone_ref(py), *serial),
            Item::Call { callback, argument, context } => Seen::Call {
                callback: callback.clone_ref(py),
                argument: argument.as_ref().map(|argument| argument.clone_ref(py)),
                context: context.clone_ref(py),
            },
            Item::Step { task, .. } | Item::Wakeup { task, .. } => {
                Seen::Task(task.object().clone_ref(py))
            }
            Item::Stream(..) | Item::Datagram(..) | Item::Native(_) => Seen::Ours,
        }
    }

    /// Its handle, which is made now if there is none.
    fn handle(self, looop: &Bound<'_, Loop>, when: Option<f64>) -> PyResult<Handle> {
        let py = looop.py();
        let (callback, args, context) = match self {
            Seen::Handle(handle) => return Ok(handle),
            Seen::SetResult { future, value } => {
                let set = names::set_result_unless_cancelled(py)?.clone();
                (set, make::tuple(py, [future.bind(py), value.bind(py)])?, None)
            }
            Seen::Timeout(timeout, serial) => {
                let due = new_callback(py, TimeoutDue { timeout, serial })?;
                (due, make::tuple(py, [looop.as_any()])?, None)
            }
            Seen::Call { callback, argument, context } => {
                let args = match argument {
                    Some(argument) => make::tuple(py, [argument.bind(py)])?,
                    None => PyTuple::empty(py),
                };
                (callback.into_bound(py), args, Some(Context::from_object(context)))
            }
            Seen::Task(task) => {
                let goes_on = new_callback(py, GoesOn(task))?;
                (goes_on, make::tuple(py, [looop.as_any()])?, None)
            }
            Seen::Ours => {
                let goes_on = new_callback(py, GoesOn(looop.clone().into_any().unbind()))?;
                (goes_on, make::tuple(py, [looop.as_any()])?, None)
            }
        };
        let context = match context {
            Some(context) => context,
            None => Context::copy_current(py)?,
        };
        let (kind, when) = match when {
            Some(when) => (Kind::Timer, Some(make::float(py, when)?.into_any())),
            None => (Kind::Soon, None),
        };
        let looop = looop.as_any();
        Handle::new(Parts { looop, callback, args, context, source_traceback: None }, kind, when)
    }
}

/// The deadline of a `timeout`, called by way of a handle.
struct TimeoutDue {
    timeout: Py<Timeout>,
    serial: u32,
}

impl DoneCallback for TimeoutDue {
    const QUALNAME: &'static str = "Timeout._on_timeout";

    fn call(&self, py: Python<'_>, looop: &Bound<'_, PyAny>) -> PyResult<()> {
        Timeout::due(self.timeout.bind(py), looop.cast::<Loop>()?, self.serial)
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        visit(self.timeout.as_ptr())
    }
}

/// What the loop itself will run: there is nothing to call for anybody else.
struct GoesOn(Py<PyAny>);

impl DoneCallback for GoesOn {
    const QUALNAME: &'static str = "Loop._goes_on";

    fn call(&self, _py: Python<'_>, _looop: &Bound<'_, PyAny>) -> PyResult<()> {
        Ok(())
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        visit(self.0.as_ptr())
    }
}

#[pymethods]
impl Loop {
    /// The handles of all timers that are pending, by time: a list of its own for each who asks.
    #[getter]
    fn _scheduled<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        let handles = make::list(py)?;
        let pending = slf.get().with_state(py, |state| state.engine.timers()).unwrap_or_default();
        for (key, deadline) in pending {
            let seen = slf
                .get()
                .with_state(py, |state| state.engine.timer_mut(key).map(|item| Seen::of(py, item)));
            // Nothing is cancelled meanwhile, but a finalizer may do anything.
            let Some(Some(seen)) = seen else { continue };
            let has_handle = matches!(seen, Seen::Handle(_));
            let handle = seen.handle(slf, Some(clock::seconds(deadline)))?;
            if !has_handle {
                slf.get().give_handle(py, key, &handle)?;
            }
            handles.append(handle.into_object())?;
        }
        Ok(handles)
    }

    /// What will run in the next turn, as a deque of handles. Steps of tasks have none until
    /// somebody asks.
    #[getter]
    fn _ready<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let seen = slf.get().with_state(py, |state| {
            state.engine.ready_items().map(|item| Seen::of(py, item)).collect::<Vec<_>>()
        });
        let handles = Deque::new(py)?;
        for seen in seen.unwrap_or_default() {
            handles.push(seen.handle(slf, None)?.into_object().bind(py))?;
        }
        Ok(handles.into_any())
    }
}

impl Loop {
    /// From now on a pending timer is this handle's: it can be run and cancelled by it.
    fn give_handle(&self, py: Python<'_>, key: TimerKey, handle: &Handle) -> PyResult<()> {
        let item = Item::Timer(handle.clone_ref(py));
        let old = self.with_state(py, |state| match state.engine.timer_mut(key) {
            Some(place) => std::mem::replace(place, item),
            None => item,
        });
        drop(old);
        handle.set_timer(py, key.to_bits())
    }
}
