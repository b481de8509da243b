//! What `as_completed` iterates by: futures in the order in which they are done.

use std::collections::VecDeque;
use std::ffi::{CStr, c_int};

use pyo3::exceptions::{PyStopAsyncIteration, PyTimeoutError};
use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyModule, PySet};

use super::ensure::ensure_future;
use crate::aio::current::{current_task, running_loop};
use crate::aio::timer::Timer;
use crate::aio::versions::Versions;
use crate::aio::waiter::Waiter;
use crate::ffi::call::python_of;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method, new_coroutine};
use crate::ffi::done_callback::{DoneCallback, new_callback};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::{awaited_by, state};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::iter::Step;
use crate::ffi::raise::while_handling;
use crate::ffi::refusal;
use crate::names;

/// What a future's repr calls [`Completion`], and a coroutine's [`WaitForOne`]: before 3.13
/// `as_completed` is a generator with functions in it.
const COMPLETION: &str = if cfg!(Py_3_13) {
    "_AsCompletedIterator._handle_completion"
} else {
    "as_completed.<locals>._on_completion"
};
const WAIT_FOR_ONE: &str = if cfg!(Py_3_13) {
    "_AsCompletedIterator._wait_for_one"
} else {
    "as_completed.<locals>._wait_for_one"
};

/// An iterator over awaitables, plain and asynchronous (Lib/asyncio/tasks.py,
/// `_AsCompletedIterator`). As a plain one it gives coroutines, each of which waits for the next
/// future and has its result; as an asynchronous one the futures themselves.
#[pyclass(module = "asyncio.tasks", name = "_AsCompletedIterator", frozen, weakref)]
pub(crate) struct AsCompleted {
    state: GilCell<State>,
}

#[derive(Default)]
struct State {
    /// Done and not given away yet. None is for one that the timeout came before.
    done: VecDeque<Option<Py<PyAny>>>,
    /// Who waits for one.
    waiters: VecDeque<Py<PyAny>>,
    /// Not done yet; a Python set.
    todo: Option<Py<PySet>>,
    /// How many the iterator has still to give.
    left: usize,
    timer: Option<Timer>,
    callback: Option<Py<PyAny>>,
    /// The task that waits, for the call graph.
    parent: Option<Py<PyAny>>,
}

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refusal::add_class::<AsCompleted>(module)?;
    method::install::<Next>(module.py())
}

#[pymethods]
impl AsCompleted {
    /// Over these awaitables; each becomes a future now.
    #[new]
    fn new<'py>(
        py: Python<'py>,
        aws: &Bound<'py, PyAny>,
        timeout: &Bound<'py, PyAny>,
    ) -> PyResult<Py<AsCompleted>> {
        let looop = loop_of_now(py)?;
        let parent = if awaited_by::EXISTS { current_task(py, None)? } else { None };
        let todo = PySet::empty(py)?;
        for awaitable in names::tasks_set(py)?.call1((aws,))?.try_iter()? {
            todo.add(ensure_future(&awaitable?, Some(&looop))?)?;
        }
        let this = Bound::new(py, AsCompleted { state: GilCell::default() })?;
        let callback = new_callback(py, Completion(this.clone().unbind()))?;
        let left = todo.len();
        // (PyO3's own iterator of a set panics where there is no memory for it.)
        for future in todo.as_any().try_iter()? {
            let future = future?;
            state::add_done_callback(&future, &callback, None)?;
            if let Some(parent) = &parent {
                awaited_by::add_by_name(&future, parent)?;
            }
        }
        let timer = if left > 0 && !timeout.is_none() {
            let expire = this.getattr(intern!(py, "_handle_timeout"))?;
            Some(Timer::call_later(&looop, timeout, &expire)?)
        } else {
            None
        };
        let (callback, parent) = (callback.unbind(), parent.map(Bound::unbind));
        this.get().state.with(py, |state| {
            state.todo = Some(todo.unbind());
            state.left = left;
            state.timer = timer;
            state.callback = Some(callback);
            state.parent = parent;
        });
        Ok(this.unbind())
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// A coroutine for the next one's result.
    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let is_left = slf.get().state.with(py, |state| {
            let is_left = state.left > 0;
            state.left = state.left.saturating_sub(1);
            is_left
        });
        if !is_left {
            return Ok(None);
        }
        new_coroutine(py, WaitForOne::new(slf, true)).map(Some)
    }

    /// How many there are, for a generator over them.
    fn __len__(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.left)
    }

    fn _handle_timeout(&self, py: Python<'_>) -> PyResult<()> {
        let (todo, callback, parent) = self.state.with(py, |state| {
            let clone = |object: &Py<PyAny>| object.clone_ref(py);
            (
                state.todo.as_ref().map(|todo| todo.clone_ref(py)),
                state.callback.as_ref().map(clone),
                state.parent.as_ref().map(clone),
            )
        });
        let (Some(todo), Some(callback)) = (todo, callback) else { return Ok(()) };
        let todo = todo.bind(py);
        for future in todo.as_any().try_iter()? {
            let future = future?;
            state::remove_done_callback(&future, callback.bind(py))?;
            if let Some(parent) = &parent {
                awaited_by::discard_by_name(&future, parent.bind(py))?;
            }
            self.put(py, None)?;
        }
        todo.clear();
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let all = self.state.try_with(python_of(&visit), |state| {
            state.done.iter().flatten().try_for_each(|future| visit.call(future))?;
            state.waiters.iter().try_for_each(|waiter| visit.call(waiter))?;
            visit.call(&state.todo)?;
            visit.call(&state.callback)?;
            visit.call(&state.parent)?;
            match &state.timer {
                Some(Timer::Handle(handle)) => visit.call(handle),
                Some(Timer::Engine { looop, .. }) => visit.call(looop),
                None => Ok(()),
            }
        });
        all.unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.state.with(py, std::mem::take));
    }
}

/// The loop that asyncio would take: the running one, or what `get_event_loop` says.
fn loop_of_now(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    match running_loop(py) {
        Ok(looop) => Ok(looop),
        Err(_) if cfg!(Py_3_12) => names::events(py)?.call_method0(intern!(py, "get_event_loop")),
        Err(_) => names::events(py)?.call_method0(intern!(py, "_get_event_loop")),
    }
}

impl AsCompleted {
    /// One more to give; wakes the first who waits.
    fn put(&self, py: Python<'_>, future: Option<Py<PyAny>>) -> PyResult<()> {
        self.state.with(py, |state| state.done.push_back(future));
        self.wake_next(py)
    }

    /// Who waited with this future does not any more. Perhaps it was both woken and cancelled: then
    /// the next one is to have it.
    fn give_up(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = future.py();
        state::cancel(future)?;
        let (gone, has_more) = self.state.with(py, |state| {
            let index = state.waiters.iter().position(|waiting| waiting.is(future));
            let gone = index.and_then(|index| state.waiters.remove(index));
            (gone, !state.done.is_empty())
        });
        drop(gone);
        if has_more && !state::is_cancelled(future)? {
            self.wake_next(py)?;
        }
        Ok(())
    }

    fn wake_next(&self, py: Python<'_>) -> PyResult<()> {
        while let Some(waiter) = self.state.with(py, |state| state.waiters.pop_front()) {
            let waiter = waiter.into_bound(py);
            if !state::is_done(&waiter)? {
                return state::set_result(&waiter, py.None().bind(py));
            }
        }
        Ok(())
    }

    fn completed(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        let (todo, parent) = self.state.with(py, |state| {
            let todo = state.todo.as_ref().map(|todo| todo.clone_ref(py));
            (todo, state.parent.as_ref().map(|parent| parent.clone_ref(py)))
        });
        let Some(todo) = todo else { return Ok(()) };
        let todo = todo.bind(py);
        if todo.is_empty() {
            // The timeout came first.
            return Ok(());
        }
        todo.discard(future)?;
        if let Some(parent) = &parent {
            awaited_by::discard_by_name(future, parent.bind(py))?;
        }
        self.put(py, Some(future.clone().unbind()))?;
        let timer = match todo.is_empty() {
            true => self.state.with(py, |state| state.timer.take()),
            false => None,
        };
        timer.map_or(Ok(()), |timer| timer.cancel(py))
    }
}

/// What each future calls.
struct Completion(Py<AsCompleted>);

impl DoneCallback for Completion {
    const QUALNAME: &'static str = COMPLETION;

    fn call(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.get().completed(py, future)
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        visit(self.0.as_ptr())
    }
}

/// Waits for the next one.
pub(super) struct WaitForOne {
    iterator: Py<AsCompleted>,
    waiter: Option<Waiter>,
    /// Its result, not itself.
    resolves: bool,
}

impl WaitForOne {
    fn new(iterator: &Bound<'_, AsCompleted>, resolves: bool) -> WaitForOne {
        WaitForOne { iterator: iterator.clone().unbind(), waiter: None, resolves }
    }

    /// Waits until there is one: `Queue.get` of asyncio's.
    fn next<'py>(&mut self, py: Python<'py>, mut with: Resume<'py>) -> PyResult<Found<'py>> {
        let this = self.iterator.get();
        loop {
            let Some(waiter) = &mut self.waiter else {
                let next = this.state.with(py, |state| state.done.pop_front());
                if let Some(future) = next {
                    return Ok(Found::Future(future.map(|future| future.into_bound(py))));
                }
                let waiter = Waiter::new(&running_loop(py)?)?;
                let future = waiter.future(py).clone().unbind();
                this.state.with(py, |state| state.waiters.push_back(future));
                self.waiter = Some(waiter);
                with = Resume::Value(py.None().into_bound(py));
                continue;
            };
            let stepped = waiter.step(py, with);
            if let Ok(Step::Yielded(yielded)) = stepped {
                return Ok(Found::Yielded(yielded));
            }
            let future = waiter.future(py).clone();
            self.waiter = None;
            if let Err(error) = stepped {
                while_handling(py, &error, || this.give_up(&future))?;
                if Versions::get(py)?.as_completed_counts_failures {
                    this.state.with(py, |state| state.left += 1);
                }
                return Err(error);
            }
            with = Resume::Value(py.None().into_bound(py));
        }
    }
}

/// What [`WaitForOne::next`] gives.
enum Found<'py> {
    Yielded(Bound<'py, PyAny>),
    /// None: the timeout.
    Future(Option<Bound<'py, PyAny>>),
}

impl Body for WaitForOne {
    fn qualname(&self) -> &'static str {
        WAIT_FOR_ONE
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        match self.next(py, with)? {
            Found::Yielded(yielded) => Ok(Step::Yielded(yielded)),
            Found::Future(None) => Err(PyTimeoutError::new_err(())),
            Found::Future(Some(future)) if self.resolves => {
                state::result(&future).map(Step::Returned)
            }
            Found::Future(Some(future)) => Ok(Step::Returned(future)),
        }
    }

    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        &["Queue.get"]
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.iterator.as_ptr());
        match &self.waiter {
            Some(waiter) if answer == 0 => waiter.traverse(visit),
            Some(_) | None => answer,
        }
    }
}

/// `__anext__()`.
pub(super) struct Next {
    waiting: WaitForOne,
    has_begun: bool,
}

impl CoroutineMethod for Next {
    type Class = AsCompleted;
    type Body = Next;
    const NAME: &'static CStr = c"__anext__";
    const DOC: &'static CStr = c"__anext__($self)\n--\n\nWaits for the next future that is done.";

    fn call<'py>(slf: &Bound<'py, AsCompleted>, arguments: &Arguments<'_, 'py>) -> PyResult<Next> {
        arguments.none("_AsCompletedIterator.__anext__")?;
        Ok(Next { waiting: WaitForOne::new(slf, false), has_begun: false })
    }
}

impl Body for Next {
    fn qualname(&self) -> &'static str {
        "_AsCompletedIterator.__anext__"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        if !std::mem::replace(&mut self.has_begun, true) {
            let is_left = self.waiting.iterator.get().state.with(py, |state| {
                let is_left = state.left > 0;
                state.left = state.left.saturating_sub(1);
                is_left
            });
            if !is_left {
                return Err(PyStopAsyncIteration::new_err(()));
            }
        }
        self.waiting.resume(py, with)
    }

    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        &["_AsCompletedIterator._wait_for_one", "Queue.get"]
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        self.waiting.traverse(py, visit)
    }
}
