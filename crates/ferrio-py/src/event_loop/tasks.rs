//! `create_future`, `create_task` and the task factory (Lib/asyncio/base_events.py).

use std::ffi::CStr;
use std::sync::atomic::Ordering;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::Loop;
use crate::error::WithText;
use crate::ffi::call::{call_with_keyword, is_context};
use crate::ffi::coroutine;
use crate::ffi::fastcall::{self, Arguments, FastMethod, wrong_arguments};
use crate::ffi::future::{self, Types};
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::task;
use crate::names;

/// Adds this file's raw method to the class.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    fastcall::install::<CreateTask>(py)
}

struct CreateTask;

impl FastMethod for CreateTask {
    type Class = Loop;
    const NAME: &'static CStr = c"create_task";
    const DOC: &'static CStr = c"create_task($self, coro, **kwargs)\n--\n\n\
        Schedules a coroutine and returns its task.\n\n\
        Keyword arguments (name, context; from 3.14 on eager_start and whatever Task takes) are\n\
        those of this version's asyncio.";

    fn call<'py>(
        slf: &Bound<'py, Loop>,
        arguments: Arguments<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        slf.get().check_closed()?;
        if let Some(task) = new_task(slf, &arguments)? {
            return Ok(task);
        }
        let mut coro = arguments.get(0);
        if arguments.len() > 1 {
            return Err(wrong_arguments());
        }
        let kwargs = make::dict(slf.py())?;
        for (name, value) in arguments.keywords() {
            if coro.is_none() && name == "coro" {
                coro = Some(value);
            } else {
                kwargs.set_item(name, value)?;
            }
        }
        let coro = coro.ok_or_else(wrong_arguments)?;
        task_by_class(slf, &coro, &kwargs)
    }
}

/// A task of ours for a coroutine, if nothing speaks against it (bench: create_task_await).
fn new_task<'py>(
    slf: &Bound<'py, Loop>,
    arguments: &Arguments<'_, 'py>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = slf.py();
    let Some(coro) = arguments.get(0).filter(|_| arguments.len() == 1) else { return Ok(None) };
    let (mut name, mut context) = (None, None);
    for (keyword, value) in arguments.keywords() {
        if keyword.is(intern!(py, "name")) {
            name = Some(value);
        } else if keyword.is(intern!(py, "context")) {
            context = Some(value);
        } else {
            return Ok(None);
        }
    }
    new_task_of(slf, &coro, name, context)
}

/// As [`new_task`], with its arguments taken apart.
fn new_task_of<'py>(
    slf: &Bound<'py, Loop>,
    coro: &Bound<'py, PyAny>,
    name: Option<Bound<'py, PyAny>>,
    context: Option<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = slf.py();
    let this = slf.get();
    let Some(types) = this.own_types(py) else { return Ok(None) };
    if this.is_debug() || this.has_task_factory(py) || !names::task(py)?.is(types.c_task_class(py))
    {
        return Ok(None);
    }
    let (name, context) =
        (name.filter(|name| !name.is_none()), context.filter(|context| !context.is_none()));
    // Whoever passes something else is told by asyncio what is wrong with it.
    if context.as_ref().is_some_and(|context| !is_context(context)) || !is_coroutine(coro)? {
        return Ok(None);
    }
    task::new_task(types, slf.as_any(), coro, name, context).map(Some)
}

/// `loop.create_task(coro)`, past its arguments, if the loop is one of ours and nothing speaks
/// against it; None where the method has to be called.
#[inline]
pub(crate) fn create_plain_task<'py>(
    looop: &Bound<'py, PyAny>,
    coro: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    match task::queue::direct_loop(looop) {
        Some(ours) => new_task_of(ours, coro, None, None),
        None => Ok(None),
    }
}

impl Loop {
    /// Has the program said what makes tasks?
    pub(crate) fn has_task_factory(&self, py: Python<'_>) -> bool {
        self.task_factory.with(py, |factory| factory.is_some())
    }
}

/// A task by way of its class, or of the factory.
fn task_by_class<'py>(
    slf: &Bound<'py, Loop>,
    coro: &Bound<'py, PyAny>,
    kwargs: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let this = slf.get();
    if this.has_task_factory(py) || !passes_keywords(py, kwargs)? {
        // Which arguments a factory gets, and which are refused, differs between patch
        // releases even: this interpreter's own function knows.
        return names::base_event_loop(py)?
            .getattr(intern!(py, "create_task"))?
            .call((slf, coro), Some(kwargs));
    }
    let mut class = names::task(py)?;
    if let Some(types) = this.own_types(py)
        && class.is(types.c_task_class(py))
    {
        class = types.task_class(py);
    }
    if kwargs.is_empty() {
        return call_with_keyword(&class, Some(coro), names::loop_keyword(py)?, slf.as_any());
    }
    kwargs.set_item(intern!(py, "loop"), slf)?;
    class.call((coro,), Some(kwargs))
}

/// `asyncio.iscoroutine`, which knows more than coroutines.
fn is_coroutine(coro: &Bound<'_, PyAny>) -> PyResult<bool> {
    if coroutine::is_coroutine(coro) {
        return Ok(true);
    }
    names::c_is_coroutine(coro.py())?.call1((coro,))?.is_truthy()
}

impl Loop {
    /// The types that this loop makes tasks and futures of; None: asyncio's.
    #[inline]
    fn own_types(&self, py: Python<'_>) -> Option<&'static Types> {
        if self.c_tasks.load(Ordering::Relaxed) { None } else { future::types(py) }
    }
}

/// `loop.create_future()`, of any loop.
pub(crate) fn create_future<'py>(looop: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match task::queue::direct_loop(looop) {
        Some(ours) => Loop::create_future(ours),
        None => looop.call_method0(intern!(looop.py(), "create_future")),
    }
}

#[pymethods]
impl Loop {
    /// A new `asyncio.Future` of this loop.
    pub(crate) fn create_future<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        // bench: future_ping_pong
        let py = slf.py();
        let mut class = names::future(py)?;
        if let Some(types) = slf.get().own_types(py)
            && class.is(types.c_future_class(py))
        {
            if slf.get().runs_c_task.load(Ordering::Relaxed) {
                return call_with_keyword(&class, None, names::loop_keyword(py)?, slf);
            }
            if !slf.get().is_debug() {
                return future::new_future(types, slf.as_any());
            }
            class = types.future_class(py);
        }
        call_with_keyword(&class, None, names::loop_keyword(py)?, slf)
    }

    /// Are tasks and futures of this loop asyncio's own C types?
    #[getter]
    fn _c_tasks(&self, py: Python<'_>) -> bool {
        self.own_types(py).is_none()
    }

    #[setter(_c_tasks)]
    fn set_c_tasks(&self, c_tasks: bool) {
        self.c_tasks.store(c_tasks, Ordering::Relaxed);
    }

    /// Sets the callable `(loop, coro, **kwargs)` that makes tasks, or None for `asyncio.Task`.
    #[pyo3(signature = (factory))]
    fn set_task_factory(&self, py: Python<'_>, factory: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        if let Some(factory) = &factory
            && !factory.is_callable()
        {
            return Err(PyTypeError::with_text("task factory must be a callable or None"));
        }
        let new = factory.map(Bound::unbind);
        drop(self.task_factory.with(py, |factory| std::mem::replace(factory, new)));
        Ok(())
    }

    /// The task factory, None for the default one.
    fn get_task_factory(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.task_factory.with(py, |factory| factory.as_ref().map(|factory| factory.clone_ref(py)))
    }

    #[getter]
    fn _task_factory(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.get_task_factory(py)
    }
}

/// Does this version's `create_task` pass these on to `Task`, if there is no factory? All versions
/// know name and context; up to 3.13.2, `asyncio.create_task` never comes without one of them.
fn passes_keywords(py: Python<'_>, kwargs: &Bound<'_, PyDict>) -> PyResult<bool> {
    let is_known = |name: &str| name == "name" || name == "context";
    let all_known = kwargs.iter().all(|(name, _)| name.extract::<&str>().is_ok_and(is_known));
    Ok(all_known || passes_all_keywords(py)?)
}

/// Does this version's `BaseEventLoop.create_task` take `**kwargs`? (From 3.13.3 on.)
fn passes_all_keywords(py: Python<'_>) -> PyResult<bool> {
    const CO_VARKEYWORDS: u32 = 0x08; // Include/cpython/code.h
    static ANSWER: PyOnceLock<bool> = PyOnceLock::new();
    ANSWER
        .get_or_try_init(py, || {
            let code = names::base_event_loop(py)?
                .getattr(intern!(py, "create_task"))?
                .getattr(intern!(py, "__code__"))?;
            let flags: u32 = code.getattr(intern!(py, "co_flags"))?.extract()?;
            Ok(flags & CO_VARKEYWORDS != 0)
        })
        .copied()
}
