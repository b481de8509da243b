//! `create_future`, `create_task` and the task factory (Lib/asyncio/base_events.py).

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::Loop;
use crate::ffi::call::call_with_keyword;
use crate::names;

#[pymethods]
impl Loop {
    /// A new `asyncio.Future` of this loop.
    pub(crate) fn create_future<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        // bench: future_ping_pong
        call_with_keyword(&names::future(slf.py())?, None, names::loop_keyword(slf.py())?, slf)
    }

    /// Schedules a coroutine and returns its task.
    ///
    /// Keyword arguments (name, context; from 3.14 on eager_start and whatever Task takes) are
    /// those of this version's asyncio.
    #[pyo3(signature = (coro, **kwargs))]
    fn create_task<'py>(
        slf: &Bound<'py, Self>,
        coro: Bound<'py, PyAny>,
        kwargs: Option<Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        this.check_closed()?;
        let has_factory = this.task_factory.with(py, |factory| factory.is_some());
        if has_factory || !passes_keywords(py, kwargs.as_ref())? {
            // Which arguments a factory gets, and which are refused, differs between patch
            // releases even: this interpreter's own function knows.
            return names::base_event_loop(py)?
                .getattr(intern!(py, "create_task"))?
                .call((slf, coro), kwargs.as_ref());
        }
        let Some(kwargs) = kwargs else {
            // bench: create_task_await
            return call_with_keyword(
                &names::task(py)?,
                Some(&coro),
                names::loop_keyword(py)?,
                slf.as_any(),
            );
        };
        kwargs.set_item(intern!(py, "loop"), slf)?;
        names::task(py)?.call((coro,), Some(&kwargs))
    }

    /// Sets the callable `(loop, coro, **kwargs)` that makes tasks, or None for `asyncio.Task`.
    #[pyo3(signature = (factory))]
    fn set_task_factory(&self, py: Python<'_>, factory: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        if let Some(factory) = &factory
            && !factory.is_callable()
        {
            return Err(PyTypeError::new_err("task factory must be a callable or None"));
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
fn passes_keywords(py: Python<'_>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<bool> {
    let Some(kwargs) = kwargs else { return Ok(true) };
    let is_known = |name: &str| name == "name" || name == "context";
    let all_known = kwargs.keys().iter().all(|name| name.extract::<&str>().is_ok_and(is_known));
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
