//! `wait`.

use std::ffi::{CStr, c_int};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::PySet;

use crate::aio::current::{current_task, running_loop};
use crate::aio::timer::Timer;
use crate::aio::waiter::Waiter;
use crate::error::WithText;
use crate::ffi::Context;
use crate::ffi::coroutine::{Body, CoroutineFunction, Resume};
use crate::ffi::done_callback::{DoneCallback, new_callback};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::{awaited_by, state};
use crate::ffi::iter::Step;
use crate::ffi::make;
use crate::ffi::raise::finally;
use crate::ffi::signature::Signature;
use crate::names;

/// `wait(fs, *, timeout=None, return_when=ALL_COMPLETED)`.
pub(super) enum Wait {
    New { fs: Py<PyAny>, timeout: Option<Py<PyAny>>, return_when: Option<Py<PyAny>> },
    Waiting(Box<Waiting>),
}

/// What ends it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReturnWhen {
    FirstCompleted,
    FirstException,
    AllCompleted,
}

impl CoroutineFunction for Wait {
    type Body = Wait;
    const NAME: &'static CStr = c"wait";
    const DOC: &'static CStr = c"wait(fs, *, timeout=None, return_when='ALL_COMPLETED')\n--\n\n\
        Wait for the Futures or Tasks given by fs to complete.\n\n\
        Returns two sets of them: (done, pending). When the timeout (in seconds) is over, it returns\n\
        as well. return_when is FIRST_COMPLETED, FIRST_EXCEPTION or ALL_COMPLETED.";

    fn call<'py>(_py: Python<'py>, arguments: &Arguments<'_, 'py>) -> PyResult<Wait> {
        const SIGNATURE: Signature<3> = Signature {
            function: "wait",
            names: ["fs", "timeout", "return_when"],
            positional: 1,
            required: 1,
            is_method: false,
        };
        let [fs, timeout, return_when] = SIGNATURE.bind(arguments)?;
        let fs = fs.ok_or_else(|| PyTypeError::with_text("wait() needs futures"))?.unbind();
        let timeout = timeout.filter(|timeout| !timeout.is_none()).map(Bound::unbind);
        Ok(Wait::New { fs, timeout, return_when: return_when.map(Bound::unbind) })
    }
}

impl Body for Wait {
    fn qualname(&self) -> &'static str {
        "wait"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        if let Wait::New { fs, timeout, return_when } = self {
            let timeout = timeout.as_ref().map(|timeout| timeout.bind(py));
            let return_when = return_when.as_ref().map(|when| when.bind(py));
            let waiting = Waiting::begin(fs.bind(py), timeout, return_when)?;
            *self = Wait::Waiting(Box::new(waiting));
        }
        let Wait::Waiting(waiting) = self else {
            return Err(PyTypeError::with_text("wait waits for nothing"));
        };
        let stepped = waiting.waiter.step(py, with);
        if let Ok(Step::Yielded(_)) = stepped {
            return stepped;
        }
        finally(py, stepped, || waiting.end(py))?;
        waiting.outcome(py).map(Step::Returned)
    }

    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        &["_wait"]
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        match self {
            Wait::New { fs, timeout, return_when } => {
                [Some(fs), timeout.as_ref(), return_when.as_ref()]
                    .into_iter()
                    .flatten()
                    .map(|object| visit(object.as_ptr()))
                    .find(|&answer| answer != 0)
                    .unwrap_or(0)
            }
            Wait::Waiting(waiting) => waiting.traverse(visit),
        }
    }
}

/// The await has begun.
pub(super) struct Waiting {
    futures: Vec<Py<PyAny>>,
    waiter: Waiter,
    /// The callback of all of them.
    callback: Py<PyAny>,
    timer: Option<Arc<Timer>>,
    /// The task that waits, for the call graph.
    parent: Option<Py<PyAny>>,
}

impl Waiting {
    fn begin(
        fs: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
        return_when: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Waiting> {
        let py = fs.py();
        let is_coroutine = |object: &Bound<'_, PyAny>| -> PyResult<bool> {
            names::is_coroutine(py)?.call1((object,))?.is_truthy()
        };
        if names::is_future(py)?.call1((fs,))?.is_truthy()? || is_coroutine(fs)? {
            let name = fs.get_type().name()?;
            return Err(PyTypeError::with_text(format!("expect a list of futures, not {name}")));
        }
        if !fs.is_truthy()? {
            return Err(PyValueError::with_text("Set of Tasks/Futures is empty."));
        }
        let when = match return_when {
            None => ReturnWhen::AllCompleted,
            Some(when) if when.eq("FIRST_COMPLETED")? => ReturnWhen::FirstCompleted,
            Some(when) if when.eq("FIRST_EXCEPTION")? => ReturnWhen::FirstException,
            Some(when) if when.eq("ALL_COMPLETED")? => ReturnWhen::AllCompleted,
            Some(when) => {
                let text = format!("Invalid return_when value: {}", when.str()?);
                return Err(PyValueError::with_text(text));
            }
        };
        let set = names::tasks_set(py)?.call1((fs,))?;
        let mut futures = Vec::with_capacity(set.len()?);
        for future in set.try_iter()? {
            let future = future?;
            if !state::is_known(&future) && is_coroutine(&future)? {
                let text = "Passing coroutines is forbidden, use tasks explicitly.";
                return Err(PyTypeError::with_text(text));
            }
            futures.push(future.unbind());
        }
        let looop = running_loop(py)?;
        let waiter = Waiter::new(&looop)?;
        let released = waiter.future(py).clone();
        let timer = match timeout {
            Some(timeout) => Some(Arc::new(Timer::release_later(&looop, timeout, &released)?)),
            None => None,
        };
        let parent = if awaited_by::EXISTS { current_task(py, None)? } else { None };
        let completion = Completion {
            left: AtomicUsize::new(futures.len()),
            when,
            waiter: released.unbind(),
            timer: timer.clone(),
            parent: parent.as_ref().map(|parent| parent.clone().unbind()),
        };
        let callback = new_callback(py, Box::new(completion))?;
        let context = Context::copy_current(py)?;
        for future in &futures {
            let future = future.bind(py);
            state::add_done_callback(future, &callback, Some(&context))?;
            if let Some(parent) = &parent {
                awaited_by::add_by_name(future, parent)?;
            }
        }
        let parent = parent.map(Bound::unbind);
        Ok(Waiting { futures, waiter, callback: callback.unbind(), timer, parent })
    }

    /// However the await ends.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(timer) = &self.timer {
            timer.cancel(py)?;
        }
        for future in &self.futures {
            let future = future.bind(py);
            state::remove_done_callback(future, self.callback.bind(py))?;
            if let Some(parent) = &self.parent {
                awaited_by::discard_by_name(future, parent.bind(py))?;
            }
        }
        Ok(())
    }

    /// The two sets.
    fn outcome<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (done, pending) = (PySet::empty(py)?, PySet::empty(py)?);
        for future in &self.futures {
            let future = future.bind(py);
            if state::is_done(future)? { done.add(future)? } else { pending.add(future)? }
        }
        Ok(make::tuple(py, [done, pending])?.into_any())
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        let answer = self.waiter.traverse(visit);
        if answer != 0 {
            return answer;
        }
        // The timer is the callback's to show.
        self.futures
            .iter()
            .chain([&self.callback])
            .chain(self.parent.as_ref())
            .map(|object| visit(object.as_ptr()))
            .find(|&answer| answer != 0)
            .unwrap_or(0)
    }
}

/// What each future calls: one object for all of them.
struct Completion {
    left: AtomicUsize,
    when: ReturnWhen,
    waiter: Py<PyAny>,
    timer: Option<Arc<Timer>>,
    parent: Option<Py<PyAny>>,
}

impl DoneCallback for Box<Completion> {
    const QUALNAME: &'static str = "_wait.<locals>._on_completion";

    fn call(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        // A load and a store: the GIL, or the one thread of the loop, is the lock.
        let left = self.left.load(Ordering::Relaxed).saturating_sub(1);
        self.left.store(left, Ordering::Relaxed);
        let is_over = left == 0
            || match self.when {
                ReturnWhen::FirstCompleted => true,
                ReturnWhen::FirstException => {
                    !state::is_cancelled(future)? && state::exception(future)?.is_some()
                }
                ReturnWhen::AllCompleted => false,
            };
        if is_over {
            if let Some(timer) = &self.timer {
                timer.cancel(py)?;
            }
            release(self.waiter.bind(py))?;
        }
        match &self.parent {
            Some(parent) => awaited_by::discard_by_name(future, parent.bind(py)),
            None => Ok(()),
        }
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = self.timer.as_ref().map_or(0, |timer| timer.traverse(visit));
        if answer != 0 {
            return answer;
        }
        [Some(&self.waiter), self.parent.as_ref()]
            .into_iter()
            .flatten()
            .map(|object| visit(object.as_ptr()))
            .find(|&answer| answer != 0)
            .unwrap_or(0)
    }
}

/// Ends the wait for this future, unless that has ended.
pub(super) fn release(waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    if state::is_done(waiter)? {
        return Ok(());
    }
    state::set_result(waiter, waiter.py().None().bind(waiter.py()))
}

/// Ends the wait for this future when another one is done.
pub(super) struct Released {
    pub(super) waiter: Py<PyAny>,
}

impl DoneCallback for Released {
    const QUALNAME: &'static str = "_release_waiter";

    fn call(&self, py: Python<'_>, _future: &Bound<'_, PyAny>) -> PyResult<()> {
        release(self.waiter.bind(py))
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        visit(self.waiter.as_ptr())
    }
}
