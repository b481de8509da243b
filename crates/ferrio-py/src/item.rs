//! What the ready queue of a loop carries, and what its sources are.

use std::ffi::c_int;

use ferrio_engine::Readiness;
use pyo3::ffi as raw;
use pyo3::prelude::*;

use crate::aio::Timeout;
use crate::event_loop::watch::Watch;
use crate::event_loop::{Loop, report};
use crate::ffi;
use crate::ffi::future::state;
use crate::ffi::handle::Handle;
use crate::ffi::task::{self, OwnTask};
use crate::transport::hold::Hold;
use crate::transport::{DatagramTransport, Listener, StreamTransport};

/// One entry of the ready queue.
pub(crate) enum Item {
    /// A callback whose handle somebody may hold.
    Handle(Handle),
    /// A timer's handle, when it is due.
    Timer(Handle),
    /// A step or wake-up of a C task: no handle was made, since the task throws it away.
    Call { callback: Py<PyAny>, argument: Option<Py<PyAny>>, context: Py<PyAny> },
    /// A step of a task of ours, which raises an error in its coroutine or just goes on.
    Step { task: OwnTask, error: Option<Py<PyAny>> },
    /// What a task of ours has waited for is done.
    Wakeup { task: OwnTask, future: Py<PyAny> },
    /// Sets the result of a future that is not done: the end of a `sleep`.
    SetResult { future: Py<PyAny>, value: Py<PyAny> },
    /// The deadline of an `asyncio.timeout`, as it was set the so-manieth time.
    Timeout(Py<Timeout>, u32),
    /// An event for a stream.
    Stream(Py<StreamTransport>, Readiness),
    /// An event for a datagram socket.
    Datagram(Py<DatagramTransport>, Readiness),
    /// Something of ours to run: a transport's other steps, a delivery from a thread.
    Native(Box<dyn Native>),
}

/// A ready item that is not a Python callback.
pub(crate) trait Native: Send {
    /// Runs it. `Err` is only for what must leave `run_forever` (SystemExit, KeyboardInterrupt);
    /// everything else goes to the exception handler or to whoever waits.
    fn run(self: Box<Self>, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()>;

    /// Calls `visit` on every Python object held; ends with its first non-zero answer.
    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int;
}

impl Item {
    /// Runs the item. `Err` leaves `run_forever`.
    pub(crate) fn run(self, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        // `Bound`s from here on: dropping a `Py` looks up whether this thread is attached.
        match self {
            Item::Step { task, error } => {
                let error = error.map(|error| error.into_bound(py));
                return task::run_step(looop, &task.into_bound(py), error);
            }
            Item::Wakeup { task, future } => {
                return task::run_wakeup(looop, &task.into_bound(py), &future.into_bound(py));
            }
            Item::SetResult { future, value } => {
                let future = future.into_bound(py);
                // Schedules callbacks, if it is a future that we know, and runs none.
                if !state::is_known(&future) {
                    looop.get().leave_task(looop);
                }
                return set_result(looop, &future, &value.into_bound(py));
            }
            Item::Handle(_)
            | Item::Timer(_)
            | Item::Timeout(..)
            | Item::Call { .. }
            | Item::Stream(..)
            | Item::Datagram(..)
            | Item::Native(_) => looop.get().leave_task(looop),
        }
        match self {
            Item::Step { .. } | Item::Wakeup { .. } | Item::SetResult { .. } => Ok(()),
            Item::Timeout(timeout, serial) => Timeout::due(&timeout.into_bound(py), looop, serial),
            Item::Handle(handle) => run_handle(py, looop, handle),
            Item::Timer(handle) => {
                handle.timer_fired(py)?;
                run_handle(py, looop, handle)
            }
            Item::Call { callback, argument, context } => {
                let callback = callback.into_bound(py);
                let context = context.into_bound(py);
                let argument = argument.map(|argument| argument.into_bound(py));
                let is_c_task = task::is_task_callback(&callback);
                if is_c_task {
                    looop.get().set_runs_c_task(true);
                }
                let called = ffi::call_in_context(&context, &callback, argument.as_ref());
                if is_c_task {
                    looop.get().set_runs_c_task(false);
                }
                match called {
                    Ok(()) => Ok(()),
                    Err(error) => {
                        let argument = argument.as_ref();
                        report::failed_call(looop, error, &callback, argument, context.unbind())
                    }
                }
            }
            Item::Stream(transport, readiness) => {
                StreamTransport::ready(&transport.into_bound(py), looop, readiness)
            }
            Item::Datagram(transport, readiness) => {
                DatagramTransport::ready(&transport.into_bound(py), looop, readiness)
            }
            Item::Native(native) => native.run(py, looop),
        }
    }

    /// Drops an item that will not run.
    pub(crate) fn discard(self, py: Python<'_>) {
        if let Item::Handle(handle) | Item::Timer(handle) = self {
            handle.leave_queue(py);
            handle.drop_ref(py);
        }
    }

    /// Shows the collector what the item holds.
    pub(crate) fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        match self {
            Item::Handle(handle) | Item::Timer(handle) => handle.traverse(visit),
            Item::Call { callback, argument, context } => {
                let argument = argument.as_ref().map_or(std::ptr::null_mut(), Py::as_ptr);
                [callback.as_ptr(), argument, context.as_ptr()]
                    .into_iter()
                    .filter(|object| !object.is_null())
                    .map(visit)
                    .find(|&answer| answer != 0)
                    .unwrap_or(0)
            }
            Item::Step { task, error } => {
                let answer = visit(task.object().as_ptr());
                match error {
                    Some(error) if answer == 0 => visit(error.as_ptr()),
                    Some(_) | None => answer,
                }
            }
            Item::Wakeup { task, future } => {
                let answer = visit(task.object().as_ptr());
                if answer == 0 { visit(future.as_ptr()) } else { answer }
            }
            Item::SetResult { future, value } => {
                let answer = visit(future.as_ptr());
                if answer == 0 { visit(value.as_ptr()) } else { answer }
            }
            Item::Timeout(timeout, _) => visit(timeout.as_ptr()),
            Item::Stream(transport, _) => visit(transport.as_ptr()),
            Item::Datagram(transport, _) => visit(transport.as_ptr()),
            Item::Native(native) => native.traverse(visit),
        }
    }
}

/// Where a program has put a class of its own in the place of futures, its methods may raise: their
/// exceptions go where those of a timer's callback go.
fn set_result(
    looop: &Bound<'_, Loop>,
    future: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let set = state::is_done(future)
        .and_then(|done| if done { Ok(()) } else { state::set_result(future, value) });
    let Err(error) = set else { return Ok(()) };
    let py = looop.py();
    let callback = crate::names::set_result_unless_cancelled(py)?;
    let context = ffi::Context::copy_current(py)?.into_object();
    report::failed_call(looop, error, &callback, Some(future), context)
}

fn run_handle(py: Python<'_>, looop: &Bound<'_, Loop>, handle: Handle) -> PyResult<()> {
    let result = report::run_handle(py, looop, &handle);
    handle.drop_ref(py);
    result
}

/// Who gets the events of a registered descriptor.
pub(crate) enum Source {
    /// `add_reader`, `add_writer` and the `sock_*` coroutines.
    Watch(Watch),
    /// A connection.
    Stream(Hold<StreamTransport>),
    /// A datagram socket.
    Datagram(Hold<DatagramTransport>),
    /// A listening socket.
    Listener(Py<Listener>),
    /// Anything else of ours: the signal pipe.
    Native(Box<dyn NativeSource>),
}

/// A source of ours: says what an event puts on the ready queue.
pub(crate) trait NativeSource: Send {
    /// An item to run for this event, if any. Must not run Python code: the loop's state is lent.
    fn event(&mut self, py: Python<'_>, readiness: Readiness) -> Option<Item>;

    /// As [`Native::traverse`].
    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int;
}
