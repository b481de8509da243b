//! `TaskGroup` (Lib/asyncio/taskgroups.py).

mod create_task;
mod exit;

use std::ffi::{CStr, c_int};

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PySystemExit};
use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyModule, PySet, PyTuple};

use crate::aio::current::{current_task, running_loop};
use crate::aio::entering::{Enter, Entered};
use crate::aio::versions::Versions;
use crate::error::WithText;
use crate::ffi::call::python_of;
use crate::ffi::class::{self, chained};
use crate::ffi::coroutine::method;
use crate::ffi::done_callback::{DoneCallback, new_callback};
use crate::ffi::fastcall;
use crate::ffi::future::awaited_by;
use crate::ffi::future::state;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make::{self, Returned};
use crate::ffi::refusal;
use crate::names;

use create_task::{CreateTask, new_task};
use exit::Exit;

/// Asynchronous context manager for managing groups of tasks.
#[pyclass(module = "ferrio", subclass, frozen, weakref)]
pub(crate) struct TaskGroup {
    state: GilCell<State>,
}

#[derive(Default)]
struct State {
    entered: bool,
    exiting: bool,
    aborting: bool,
    parent_cancel_requested: bool,
    cancel_on_enter: bool,
    looop: Option<Py<PyAny>>,
    parent: Option<Py<PyAny>>,
    /// A Python set, as programs that look at it expect. None before the first task.
    tasks: Option<Py<PySet>>,
    errors: Errors,
    base_error: Option<Py<PyAny>>,
    /// Done when the last task is: what the end of the group waits for.
    on_completed: Option<Py<PyAny>>,
}

/// What tasks have raised.
#[derive(Default)]
enum Errors {
    #[default]
    None,
    List(Py<PyList>),
    /// Given up at the end of the group; to programs, None.
    Forgotten,
}

chained!(TaskGroup);

pub(in crate::aio) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    refusal::add_class::<TaskGroup>(module)?;
    class::chain::<TaskGroup>(module.py());
    fastcall::install::<CreateTask>(py)?;
    method::install::<Enter<TaskGroup>>(py)?;
    method::install::<Exit>(py)
}

impl TaskGroup {
    fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(py, body)
    }

    /// The set of tasks, made if there is none yet.
    fn tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        if let Some(tasks) = self.known_tasks(py) {
            return Ok(tasks);
        }
        let made = PySet::empty(py)?;
        let shared = made.clone().unbind();
        drop(self.with(py, |state| state.tasks.replace(shared)));
        Ok(made)
    }

    fn known_tasks<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PySet>> {
        self.with(py, |state| state.tasks.as_ref().map(|tasks| tasks.bind(py).clone()))
    }

    fn has_tasks(&self, py: Python<'_>) -> bool {
        self.known_tasks(py).is_some_and(|tasks| !tasks.is_empty())
    }

    /// The list of errors, made if there is none.
    fn errors<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        if let Some(errors) = self.known_errors(py) {
            return Ok(errors);
        }
        let made = make::list(py)?;
        let shared = Errors::List(made.clone().unbind());
        drop(self.with(py, |state| std::mem::replace(&mut state.errors, shared)));
        Ok(made)
    }

    fn known_errors<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyList>> {
        self.with(py, |state| match &state.errors {
            Errors::List(errors) => Some(errors.bind(py).clone()),
            Errors::None | Errors::Forgotten => None,
        })
    }

    fn error_count(&self, py: Python<'_>) -> usize {
        self.known_errors(py).map_or(0, |errors| errors.len())
    }

    fn looop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.with(py, |state| state.looop.as_ref().map(|looop| looop.bind(py).clone()))
    }

    fn parent<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.with(py, |state| state.parent.as_ref().map(|parent| parent.bind(py).clone()))
    }

    fn on_completed<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.with(py, |state| state.on_completed.as_ref().map(|future| future.bind(py).clone()))
    }

    fn is_aborting(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.aborting)
    }

    /// Is it exactly the class that programs know, of which no method is overridden?
    fn is_plain(slf: &Bound<'_, TaskGroup>) -> PyResult<bool> {
        Ok(slf.get_type().is(names::aio_task_group(slf.py())?))
    }

    /// `self._abort()`.
    fn abort(slf: &Bound<'_, TaskGroup>) -> PyResult<()> {
        if TaskGroup::is_plain(slf)? {
            return slf.get().cancel_tasks(slf.py());
        }
        slf.call_method0(intern!(slf.py(), "_abort")).map(drop)
    }

    fn cancel_tasks(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |state| state.aborting = true);
        let Some(tasks) = self.known_tasks(py) else { return Ok(()) };
        // What a cancellation runs may change the set.
        let tasks = tasks.as_any().try_iter()?.collect::<PyResult<Vec<_>>>()?;
        for task in tasks {
            if !state::is_done(&task)? {
                state::cancel(&task)?;
            }
        }
        Ok(())
    }

    /// What a task calls when it is done.
    fn task_done(slf: &Bound<'_, TaskGroup>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let tasks = this.tasks(py)?;
        tasks.discard(task)?;
        let parent = this.parent(py);
        if let Some(parent) = &parent {
            awaited_by::discard_by_name(task, parent)?;
        }
        if tasks.is_empty()
            && let Some(completed) = this.on_completed(py)
            && !state::is_done(&completed)?
        {
            state::set_result(&completed, pyo3::types::PyBool::new(py, true).as_any())?;
        }
        if state::is_cancelled(task)? {
            return Ok(());
        }
        let Some(error) = state::exception(task)? else { return Ok(()) };
        this.errors(py)?.append(&error)?;
        if is_base_error(&error) {
            let base = error.clone().unbind();
            let old = this.with(py, |state| match &state.base_error {
                None => state.base_error.replace(base),
                Some(_) => Some(base),
            });
            drop(old);
        }
        let Some(parent) = parent else { return Ok(()) };
        if state::is_done(&parent)? {
            return this.report_late(py, task, &parent, &error);
        }
        let is_first = this.with(py, |state| !state.aborting && !state.parent_cancel_requested);
        if is_first {
            // The parent is cancelled to end whatever it does in the body; the end of the group
            // knows that it was us.
            TaskGroup::abort(slf)?;
            this.with(py, |state| state.parent_cancel_requested = true);
            state::cancel(&parent)?;
        }
        Ok(())
    }

    /// A task has failed, and its parent is done already.
    fn report_late(
        &self,
        py: Python<'_>,
        task: &Bound<'_, PyAny>,
        parent: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let Some(looop) = self.looop(py) else { return Ok(()) };
        let context = make::dict(py)?;
        let message = format!(
            "Task {} has errored out but its parent task {} is already completed",
            task.repr()?,
            parent.str()?
        );
        context.set_item(intern!(py, "message"), make::text(py, message)?)?;
        context.set_item(intern!(py, "exception"), error)?;
        context.set_item(intern!(py, "task"), task)?;
        looop.call_method1(intern!(py, "call_exception_handler"), (context,)).map(drop)
    }

    fn begin(slf: &Bound<'_, TaskGroup>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if this.with(py, |state| state.entered) {
            let text = format!("TaskGroup {} has already been entered", slf.repr()?);
            return Err(PyRuntimeError::with_text(text));
        }
        let looop = match this.looop(py) {
            Some(looop) => looop,
            None => {
                let looop = running_loop(py)?;
                let shared = looop.clone().unbind();
                this.with(py, |state| state.looop = Some(shared));
                looop
            }
        };
        let Some(parent) = current_task(py, Some(&looop))? else {
            let text = format!("TaskGroup {} cannot determine the parent task", slf.repr()?);
            return Err(PyRuntimeError::with_text(text));
        };
        let parent = parent.unbind();
        let (old, cancels) = this.with(py, |state| {
            state.entered = true;
            (state.parent.replace(parent), state.cancel_on_enter)
        });
        drop(old);
        if cancels { TaskGroup::cancel_all(slf) } else { Ok(()) }
    }

    fn create<'py>(
        slf: &Bound<'py, TaskGroup>,
        coro: &Bound<'py, PyAny>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        let versions = &Versions::get(py)?.group;
        let has_tasks = this.has_tasks(py);
        let refused = this.with(py, |state| {
            if !state.entered {
                Some("has not been entered")
            } else if state.exiting && !has_tasks {
                Some("is finished")
            } else if state.aborting {
                Some("is shutting down")
            } else {
                None
            }
        });
        if let Some(reason) = refused {
            if versions.closes_refused {
                coro.call_method0(intern!(py, "close"))?;
            }
            let text = format!("TaskGroup {} {reason}", slf.repr()?);
            return Err(PyRuntimeError::with_text(text));
        }
        let Some(looop) = this.looop(py) else {
            return Err(PyRuntimeError::with_text("TaskGroup has no loop"));
        };
        let task = new_task(versions, &looop, coro, kwargs)?;
        if awaited_by::EXISTS
            && let Some(parent) = this.parent(py)
        {
            awaited_by::add_by_name(&task, &parent)?;
        }
        // Also one that is done when it is made. What asyncio did from 3.12 on, to notice it at once,
        // cancels a parent that still makes tasks, and was taken back (gh-128550, gh-128588).
        this.tasks(py)?.add(&task)?;
        let callback = match TaskGroup::is_plain(slf)? {
            true => new_callback(py, TaskDone(slf.clone().unbind()))?,
            false => slf.getattr(intern!(py, "_on_task_done"))?,
        };
        state::add_done_callback(&task, &callback, None)?;
        if versions.cancels_late_task && this.is_aborting(py) && !state::is_done(&task)? {
            state::cancel(&task)?;
        }
        Ok(task)
    }

    /// `cancel()`, from 3.15 on.
    fn cancel_all(slf: &Bound<'_, TaskGroup>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let has_tasks = this.has_tasks(py);
        let is_for_now = this.with(py, |state| {
            if !state.entered {
                state.cancel_on_enter = true;
                return false;
            }
            let is_over = state.exiting && !has_tasks;
            !is_over && !state.aborting
        });
        if !is_for_now {
            return Ok(());
        }
        TaskGroup::abort(slf)?;
        let Some(parent) = this.parent(py) else { return Ok(()) };
        let requests =
            this.with(py, |state| !std::mem::replace(&mut state.parent_cancel_requested, true));
        if requests { state::cancel(&parent).map(drop) } else { Ok(()) }
    }

    /// The request to cancel the parent is taken back; how many others are left.
    fn uncancel_parent(&self, py: Python<'_>) -> PyResult<Option<i64>> {
        if !self.with(py, |state| state.parent_cancel_requested) {
            return Ok(None);
        }
        match self.parent(py) {
            Some(parent) => state::uncancel(&parent).map(Some),
            None => Ok(None),
        }
    }
}

/// SystemExit and KeyboardInterrupt, which are raised as they are.
fn is_base_error(error: &Bound<'_, PyAny>) -> bool {
    error.is_instance_of::<PySystemExit>() || error.is_instance_of::<PyKeyboardInterrupt>()
}

#[pymethods]
impl TaskGroup {
    /// Takes whatever a subclass is made with; `__init__` says what a TaskGroup is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "()")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> TaskGroup {
        let _ = (args, kwargs);
        TaskGroup { state: GilCell::default() }
    }

    /// An empty group.
    fn __init__(&self) {}

    fn __repr__(&self, py: Python<'_>) -> Returned<String> {
        let mut info = String::new();
        let count = self.known_tasks(py).map_or(0, |tasks| tasks.len());
        if count > 0 {
            info += &format!(" tasks={count}");
        }
        let errors = self.error_count(py);
        if errors > 0 {
            info += &format!(" errors={errors}");
        }
        let (aborting, entered) = self.with(py, |state| (state.aborting, state.entered));
        if aborting {
            info += " cancelling";
        } else if entered {
            info += " entered";
        }
        Returned(format!("<TaskGroup{info}>"))
    }

    fn _is_base_error(&self, exc: &Bound<'_, PyAny>) -> bool {
        is_base_error(exc)
    }

    /// asyncio's name for cancelling all tasks; programs call it to end a group early.
    fn _abort(&self, py: Python<'_>) -> PyResult<()> {
        self.cancel_tasks(py)
    }

    /// asyncio's name for what a task calls when it is done.
    fn _on_task_done(slf: &Bound<'_, Self>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        TaskGroup::task_done(slf, task)
    }

    /// `cancel`, which has this name only in versions of asyncio that have it.
    fn _cancel(slf: &Bound<'_, Self>) -> PyResult<()> {
        TaskGroup::cancel_all(slf)
    }

    #[getter]
    fn _tasks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        self.tasks(py)
    }

    #[setter(_tasks)]
    fn set_tasks(&self, py: Python<'_>, tasks: Py<PySet>) {
        drop(self.with(py, |state| state.tasks.replace(tasks)));
    }

    #[getter]
    fn _errors<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let is_forgotten = self.with(py, |state| matches!(state.errors, Errors::Forgotten));
        if is_forgotten { Ok(None) } else { self.errors(py).map(Some) }
    }

    #[setter(_errors)]
    fn set_errors(&self, py: Python<'_>, errors: Option<Py<PyList>>) {
        let errors = errors.map_or(Errors::Forgotten, Errors::List);
        drop(self.with(py, |state| std::mem::replace(&mut state.errors, errors)));
    }

    #[getter]
    fn _entered(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.entered)
    }

    #[setter(_entered)]
    fn set_entered(&self, py: Python<'_>, entered: bool) {
        self.with(py, |state| state.entered = entered);
    }

    #[getter]
    fn _exiting(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.exiting)
    }

    #[setter(_exiting)]
    fn set_exiting(&self, py: Python<'_>, exiting: bool) {
        self.with(py, |state| state.exiting = exiting);
    }

    #[getter]
    fn _aborting(&self, py: Python<'_>) -> bool {
        self.is_aborting(py)
    }

    #[setter(_aborting)]
    fn set_aborting(&self, py: Python<'_>, aborting: bool) {
        self.with(py, |state| state.aborting = aborting);
    }

    #[getter]
    fn _parent_cancel_requested(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.parent_cancel_requested)
    }

    #[setter(_parent_cancel_requested)]
    fn set_parent_cancel_requested(&self, py: Python<'_>, requested: bool) {
        self.with(py, |state| state.parent_cancel_requested = requested);
    }

    #[getter]
    fn _cancel_on_enter(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.cancel_on_enter)
    }

    #[setter(_cancel_on_enter)]
    fn set_cancel_on_enter(&self, py: Python<'_>, cancels: bool) {
        self.with(py, |state| state.cancel_on_enter = cancels);
    }

    #[getter]
    fn _loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.looop(py)
    }

    #[setter(_loop)]
    fn set_loop(&self, py: Python<'_>, looop: Option<Py<PyAny>>) {
        drop(self.with(py, |state| std::mem::replace(&mut state.looop, looop)));
    }

    #[getter]
    fn _parent_task<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.parent(py)
    }

    #[setter(_parent_task)]
    fn set_parent(&self, py: Python<'_>, parent: Option<Py<PyAny>>) {
        drop(self.with(py, |state| std::mem::replace(&mut state.parent, parent)));
    }

    #[getter]
    fn _base_error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.with(py, |state| state.base_error.as_ref().map(|error| error.clone_ref(py)))
    }

    #[setter(_base_error)]
    fn set_base_error(&self, py: Python<'_>, error: Option<Py<PyAny>>) {
        drop(self.with(py, |state| std::mem::replace(&mut state.base_error, error)));
    }

    #[getter]
    fn _on_completed_fut<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.on_completed(py)
    }

    #[setter(_on_completed_fut)]
    fn set_on_completed(&self, py: Python<'_>, future: Option<Py<PyAny>>) {
        drop(self.with(py, |state| std::mem::replace(&mut state.on_completed, future)));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let all = self.state.try_with(python_of(&visit), |state| {
            visit.call(&state.looop)?;
            visit.call(&state.parent)?;
            visit.call(&state.tasks)?;
            visit.call(&state.base_error)?;
            visit.call(&state.on_completed)?;
            match &state.errors {
                Errors::List(errors) => visit.call(errors),
                Errors::None | Errors::Forgotten => Ok(()),
            }
        });
        all.unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.with(py, std::mem::take));
    }
}

/// What each task of a plain group calls.
struct TaskDone(Py<TaskGroup>);

impl DoneCallback for TaskDone {
    const QUALNAME: &'static str = "TaskGroup._on_task_done";

    fn call(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        TaskGroup::task_done(self.0.bind(py), task)
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        visit(self.0.as_ptr())
    }
}

impl Entered for TaskGroup {
    const QUALNAME: &'static str = "TaskGroup.__aenter__";
    const DOC: &'static CStr = c"__aenter__($self)\n--\n\nBegins the group.";

    fn enter(slf: &Bound<'_, TaskGroup>) -> PyResult<()> {
        TaskGroup::begin(slf)
    }
}
