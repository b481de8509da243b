//! `wait_for`: since 3.12 an await within a `timeout`, before that a task that is waited for.

use std::ffi::{CStr, c_int};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyFunction;

use super::cancel_and_wait::CancelAndWait;
use super::ensure::ensure_future;
use super::wait::Released;
use crate::aio::current::running_loop;
use crate::aio::timeouts::{Timeout, timeout_from};
use crate::aio::timer::Timer;
use crate::aio::versions::Versions;
use crate::aio::waiter::Waiter;
use crate::error::WithText;
use crate::ffi::coroutine::{Body, CoroutineFunction, Resume};
use crate::ffi::done_callback::new_callback;
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::awaiting::{Awaiting, Begun};
use crate::ffi::future::state;
use crate::ffi::interned::intern;
use crate::ffi::iter::Step;
use crate::ffi::raise::{finally, raised_while};
use crate::ffi::signature::Signature;
use crate::ffi::stack;
use crate::names;

/// `wait_for(fut, timeout)`.
pub(super) enum WaitFor {
    New {
        awaitable: Py<PyAny>,
        timeout: Py<PyAny>,
    },
    /// 3.11's, with no timeout at all.
    Awaiting(Awaiting),
    /// Since 3.12: awaits in a timeout.
    Within {
        timeout: Py<Timeout>,
        awaiting: Awaiting,
    },
    /// The time was over before it began.
    TooLate {
        future: Py<PyAny>,
        ending: Box<CancelAndWait>,
    },
    /// Up to 3.11.
    Task(Box<InTask>),
}

impl CoroutineFunction for WaitFor {
    type Body = WaitFor;
    const NAME: &'static CStr = c"wait_for";
    const DOC: &'static CStr = c"wait_for(fut, timeout)\n--\n\n\
        Wait for the single Future or coroutine to complete, with timeout.\n\n\
        Returns its result. When the timeout (in seconds, or None) is over, it is cancelled, and\n\
        TimeoutError raised; to avoid the cancellation, wrap it in shield(). If the wait is\n\
        cancelled, so is it.";

    fn call<'py>(py: Python<'py>, arguments: &Arguments<'_, 'py>) -> PyResult<WaitFor> {
        const SIGNATURE: Signature<2> = Signature {
            function: "wait_for",
            names: ["fut", "timeout"],
            positional: 2,
            required: 2,
            is_method: false,
        };
        let [awaitable, timeout] = SIGNATURE.bind(arguments)?;
        let given = |value: Option<Bound<'py, PyAny>>| value.map_or(py.None(), Bound::unbind);
        Ok(WaitFor::New { awaitable: given(awaitable), timeout: given(timeout) })
    }

    fn instead(py: Python<'_>) -> Option<&Bound<'_, PyAny>> {
        if !stack::is_small() {
            return None;
        }
        THEIRS.get(py).map(|theirs| theirs.bind(py))
    }
}

/// asyncio's own. One inside of the other takes no room on the stack of the thread, where ours takes
/// nearly two kilobytes: in a thread with a small one it is the one to be used.
static THEIRS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Notes asyncio's, before ours may stand in its place.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    let theirs = names::tasks(py)?.getattr(intern!(py, "wait_for"))?;
    if theirs.is_exact_instance_of::<PyFunction>() {
        THEIRS.get_or_init(py, || theirs.unbind());
    }
    Ok(())
}

impl Body for WaitFor {
    fn qualname(&self) -> &'static str {
        "wait_for"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        match self {
            WaitFor::New { awaitable, timeout } => {
                let (awaitable, timeout) = (awaitable.bind(py).clone(), timeout.bind(py).clone());
                self.begin(&awaitable, &timeout)
            }
            WaitFor::Awaiting(awaiting) => awaiting.resume(py, with),
            WaitFor::Within { timeout, awaiting } => {
                let stepped = awaiting.resume(py, with);
                leave(timeout.bind(py), stepped)
            }
            WaitFor::TooLate { future, ending } => {
                let stepped = ending.step(py, with)?;
                if let Step::Yielded(_) = stepped {
                    return Ok(stepped);
                }
                too_late(future.bind(py)).map(Step::Returned)
            }
            WaitFor::Task(task) => task.resume(py, with),
        }
    }

    fn awaited(&self) -> Option<&Awaiting> {
        match self {
            WaitFor::Awaiting(awaiting) | WaitFor::Within { awaiting, .. } => Some(awaiting),
            WaitFor::New { .. } | WaitFor::TooLate { .. } | WaitFor::Task(_) => None,
        }
    }

    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        match self {
            WaitFor::TooLate { .. } => &["_cancel_and_wait"],
            WaitFor::Task(task) if matches!(task.phase, Phase::Ending(..)) => &["_cancel_and_wait"],
            WaitFor::New { .. }
            | WaitFor::Awaiting(_)
            | WaitFor::Within { .. }
            | WaitFor::Task(_) => &[],
        }
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        match self {
            WaitFor::New { awaitable, timeout } => {
                let answer = visit(awaitable.as_ptr());
                if answer == 0 { visit(timeout.as_ptr()) } else { answer }
            }
            WaitFor::Awaiting(awaiting) => awaiting.traverse(visit),
            WaitFor::Within { timeout, awaiting } => {
                let answer = visit(timeout.as_ptr());
                if answer == 0 { awaiting.traverse(visit) } else { answer }
            }
            WaitFor::TooLate { future, ending } => {
                let answer = visit(future.as_ptr());
                if answer == 0 { ending.traverse(visit) } else { answer }
            }
            WaitFor::Task(task) => task.traverse(visit),
        }
    }
}

impl WaitFor {
    fn begin<'py>(
        &mut self,
        awaitable: &Bound<'py, PyAny>,
        timeout: &Bound<'py, PyAny>,
    ) -> PyResult<Step<'py>> {
        let py = awaitable.py();
        let makes_a_task = Versions::get(py)?.wait_for_makes_a_task;
        // Up to 3.11 a loop has to run even if none is needed.
        let looop = if makes_a_task { Some(running_loop(py)?) } else { None };
        if makes_a_task && timeout.is_none() {
            return match Awaiting::begin(awaitable)? {
                Begun::Done(value) => Ok(Step::Returned(value)),
                Begun::Waiting(awaiting, yielded) => {
                    *self = WaitFor::Awaiting(awaiting);
                    Ok(Step::Yielded(yielded))
                }
            };
        }
        if !timeout.is_none() && timeout.le(0)? {
            let future = ensure_future(awaitable, looop.as_ref())?;
            if state::is_done(&future)? {
                return state::result(&future).map(Step::Returned);
            }
            let mut ending = Box::new(CancelAndWait::begin(&future)?);
            let stepped = ending.step(py, Resume::Value(py.None().into_bound(py)))?;
            *self = WaitFor::TooLate { future: future.unbind(), ending };
            return Ok(stepped);
        }
        if let Some(looop) = looop {
            let mut task = Box::new(InTask::begin(awaitable, timeout, &looop)?);
            let stepped = task.resume(py, Resume::Value(py.None().into_bound(py)));
            *self = WaitFor::Task(task);
            return stepped;
        }
        if names::has_foreign_timeout(py)? {
            // asyncio's own function uses it.
            let theirs = names::wait_for(py)?.call1((awaitable, timeout))?;
            return match Awaiting::begin(&theirs)? {
                Begun::Done(value) => Ok(Step::Returned(value)),
                Begun::Waiting(awaiting, yielded) => {
                    *self = WaitFor::Awaiting(awaiting);
                    Ok(Step::Yielded(yielded))
                }
            };
        }
        let within = Timeout::unseen(&running_loop(py)?, timeout)?;
        Timeout::begin(&within)?;
        match Awaiting::begin(awaitable) {
            Ok(Begun::Done(value)) => leave(&within, Ok(Step::Returned(value))),
            Ok(Begun::Waiting(awaiting, yielded)) => {
                *self = WaitFor::Within { timeout: within.unbind(), awaiting };
                Ok(Step::Yielded(yielded))
            }
            Err(error) => leave(&within, Err(error)),
        }
    }
}

/// Leaves the timeout, unless the await goes on.
fn leave<'py>(timeout: &Bound<'py, Timeout>, stepped: PyResult<Step<'py>>) -> PyResult<Step<'py>> {
    let py = timeout.py();
    match stepped {
        Ok(Step::Yielded(_)) => stepped,
        Ok(Step::Returned(_)) => timeout.get().exit(py, None).and(stepped),
        Err(error) => {
            let value = error.value(py).clone().into_any();
            timeout.get().exit(py, Some(&value))?;
            Err(error)
        }
    }
}

/// The result of a future that was cancelled for being late: it need not have listened.
fn too_late<'py>(future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = future.py();
    state::result(future).map_err(|error| {
        let is_cancellation =
            names::cancelled_error(py).is_ok_and(|class| error.is_instance(py, &class));
        if !is_cancellation {
            return error;
        }
        timeout_from(error.value(py).as_any()).unwrap_or_else(|error| error)
    })
}

/// 3.11's way: what is awaited runs in a task of its own, and a future of ours is done when the task
/// is, or the time is over.
pub(super) struct InTask {
    future: Py<PyAny>,
    callback: Py<PyAny>,
    timer: Timer,
    phase: Phase,
}

enum Phase {
    Waiting(Waiter),
    /// The time was over, or the wait was cancelled by this error.
    Ending(CancelAndWait, Option<PyErr>),
}

impl InTask {
    fn begin(
        awaitable: &Bound<'_, PyAny>,
        timeout: &Bound<'_, PyAny>,
        looop: &Bound<'_, PyAny>,
    ) -> PyResult<InTask> {
        let py = awaitable.py();
        let waiter = Waiter::new(looop)?;
        let released = waiter.future(py).clone();
        let timer = Timer::release_later(looop, timeout, &released)?;
        let callback = new_callback(py, Released { waiter: released.unbind() })?;
        let future = ensure_future(awaitable, Some(looop))?;
        state::add_done_callback(&future, &callback, None)?;
        Ok(InTask {
            future: future.unbind(),
            callback: callback.unbind(),
            timer,
            phase: Phase::Waiting(waiter),
        })
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let stepped = self.step(py, with);
        match stepped {
            Ok(Step::Yielded(_)) => stepped,
            stepped => finally(py, stepped, || self.timer.cancel(py)),
        }
    }

    fn step<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let future = self.future.bind(py);
        let with = match &mut self.phase {
            Phase::Ending(..) => with,
            Phase::Waiting(waiter) => {
                let cancellation = match waiter.step(py, with) {
                    Ok(Step::Yielded(yielded)) => return Ok(Step::Yielded(yielded)),
                    Ok(Step::Returned(_)) => None,
                    Err(error) if error.is_instance(py, &names::cancelled_error(py)?) => {
                        Some(error)
                    }
                    Err(error) => return Err(error),
                };
                if state::is_done(future)? {
                    let result = state::result(future).map(Step::Returned);
                    return result.map_err(|error| match &cancellation {
                        Some(first) => raised_while(py, error, first.value(py).as_any()),
                        None => error,
                    });
                }
                // It must not run any more when this returns.
                state::remove_done_callback(future, self.callback.bind(py))?;
                self.phase = Phase::Ending(CancelAndWait::begin(future)?, cancellation);
                Resume::Value(py.None().into_bound(py))
            }
        };
        let Phase::Ending(ending, cancellation) = &mut self.phase else {
            return Err(PyTypeError::with_text("wait_for waits for nothing"));
        };
        let stepped = ending.step(py, with)?;
        if let Step::Yielded(_) = stepped {
            return Ok(stepped);
        }
        match cancellation.take() {
            Some(error) => Err(error),
            None => too_late(future).map(Step::Returned),
        }
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        let answer = match &self.phase {
            Phase::Waiting(waiter) => waiter.traverse(visit),
            Phase::Ending(ending, _) => ending.traverse(visit),
        };
        if answer != 0 {
            return answer;
        }
        let answer = self.timer.traverse(visit);
        if answer != 0 {
            return answer;
        }
        let answer = visit(self.future.as_ptr());
        if answer == 0 { visit(self.callback.as_ptr()) } else { answer }
    }
}
