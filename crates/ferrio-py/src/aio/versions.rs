//! What asyncio's functions do differently from release to release, patch releases included.
//!
//! Which change is in a release is not told by its number alone, for changes are backported: so the
//! code of the interpreter's own functions is asked, once, what it mentions. What is no function
//! written in Python any more when it is asked (a program has replaced it) counts as that of the
//! newest release of its series.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCode, PyTuple};

use crate::ffi::interned::intern;
use crate::names;

/// One field for each difference that can be seen.
pub(super) struct Versions {
    /// `sleep(nan)` is a ValueError.
    pub(super) sleep_refuses_nan: bool,
    /// `wait_for` waits in a task of its own; later, in a `timeout`.
    pub(super) wait_for_makes_a_task: bool,
    /// Who waits for a future that is being cancelled is part of the call graph.
    pub(super) cancel_and_wait_has_edges: bool,
    /// `gather` looks at what is done already at once, not in the next turn.
    pub(super) gather_is_eager: bool,
    /// A `gather` that has failed takes its children out of the call graph.
    pub(super) gather_forgets_children: bool,
    /// An exception of a shielded future nobody waits for any more counts as seen.
    pub(super) shield_marks_retrieved: bool,
    /// An `as_completed` of which an await fails has one more to give.
    pub(super) as_completed_counts_failures: bool,
    /// `timeout` notices cancellations that became the context of something else.
    pub(super) timeout_looks_into_exceptions: bool,
    pub(super) group: GroupVersions,
}

/// The same for `TaskGroup`.
pub(super) struct GroupVersions {
    /// It takes its request to cancel the parent back before it waits; later, after that.
    pub(super) uncancels_first: bool,
    /// Subclasses of CancelledError count as cancellations.
    pub(super) takes_subclasses: bool,
    /// A parent that somebody else has cancelled is cancelled once more, for the errors to pass.
    pub(super) recancels_parent: bool,
    /// `create_task` closes the coroutine that it refuses.
    pub(super) closes_refused: bool,
    /// It names a task by a call of `set_name`.
    pub(super) names_afterwards: bool,
    /// It passes whatever keywords it is given on to the loop.
    pub(super) passes_keywords: bool,
    /// A task that cancels the group while it starts is cancelled.
    pub(super) cancels_late_task: bool,
    /// Afterwards it forgets its parent and its errors.
    pub(super) forgets: bool,
    /// A cancellation from outside while its own is pending is not lost.
    pub(super) keeps_cancellation: bool,
    /// A GeneratorExit of the body alone is raised as it is.
    pub(super) raises_generator_exit: bool,
    /// There is a method `cancel`, and whatever is left is suppressed.
    pub(super) has_cancel: bool,
}

impl Versions {
    /// Asks at the first call, for which `ferrio.aio` cares when it is imported.
    pub(super) fn get(py: Python<'_>) -> PyResult<&'static Versions> {
        static VERSIONS: PyOnceLock<Versions> = PyOnceLock::new();
        VERSIONS.get_or_try_init(py, || Versions::ask(py))
    }

    fn ask(py: Python<'_>) -> PyResult<Versions> {
        let tasks = names::tasks(py)?;
        let since_312 = cfg!(Py_3_12);
        let since_313 = cfg!(Py_3_13);
        let since_314 = cfg!(Py_3_14);
        let asked = |name: &str, word: &str, default: bool| mentions(tasks, name, word, default);
        let shield = |word: &str| {
            let inner = nested(tasks, "shield", "_inner_done_callback");
            inner.and_then(|code| position(&code, word))
        };
        let timeout = py.import("asyncio.timeouts")?.getattr("Timeout")?;
        Ok(Versions {
            sleep_refuses_nan: asked("sleep", "isnan", since_313)?,
            wait_for_makes_a_task: !asked("wait_for", "timeouts", since_312)?,
            cancel_and_wait_has_edges: asked(
                "_cancel_and_wait",
                "future_add_to_awaited_by",
                since_314,
            )?,
            gather_is_eager: asked("gather", "done_futs", since_312)?,
            gather_forgets_children: asked("gather", "_discard_awaited_by", since_314)?,
            // Of the inner future the exception is asked for before anything is cancelled.
            shield_marks_retrieved: match (shield("exception"), shield("cancel")) {
                (Some(exception), Some(cancel)) => exception < cancel,
                (None, _) | (_, None) => !since_314,
            },
            as_completed_counts_failures: match tasks.getattr_opt("_AsCompletedIterator")? {
                Some(class) => mentions(&class, "_wait_for_one", "_todo_left", since_314)?,
                None => false,
            },
            timeout_looks_into_exceptions: timeout.hasattr("_insert_timeout_error")?,
            group: GroupVersions::ask(py)?,
        })
    }
}

impl GroupVersions {
    fn ask(py: Python<'_>) -> PyResult<GroupVersions> {
        let group = py.import("asyncio.taskgroups")?.getattr("TaskGroup")?;
        let exit = if group.hasattr("_aexit")? { "_aexit" } else { "__aexit__" };
        let since_313 = cfg!(Py_3_13);
        let since_314 = cfg!(Py_3_14);
        let has_cancel = group.hasattr("cancel")?;
        let exits = |word: &str, default: bool| mentions(&group, exit, word, default);
        let creates = |word: &str, default: bool| mentions(&group, "create_task", word, default);
        let place = |method: &str, word: &str| {
            code_of(&group, method).and_then(|code| position(&code, word))
        };
        Ok(GroupVersions {
            uncancels_first: match (place(exit, "uncancel"), place(exit, "_abort")) {
                (Some(uncancel), Some(abort)) => uncancel < abort,
                (None, _) | (_, None) => !since_313,
            },
            takes_subclasses: exits("issubclass", since_313)?,
            recancels_parent: exits("cancelling", since_313)?,
            closes_refused: creates("close", since_313)?,
            names_afterwards: creates("_set_task_name", !since_313)?,
            passes_keywords: creates("kwargs", since_314)?,
            cancels_late_task: creates("cancel", false)?,
            forgets: exit == "_aexit",
            keeps_cancellation: exits("pending_cancellation_error", false)?,
            raises_generator_exit: exits("GeneratorExit", false)?,
            has_cancel,
        })
    }
}

/// The code of a function or method written in Python.
fn code_of<'py>(owner: &Bound<'py, PyAny>, name: &str) -> Option<Bound<'py, PyAny>> {
    owner.getattr(name).ok()?.getattr(intern!(owner.py(), "__code__")).ok()
}

/// Does the function use this name, anywhere in it? `default` where it is not written in Python.
fn mentions(owner: &Bound<'_, PyAny>, function: &str, word: &str, default: bool) -> PyResult<bool> {
    match code_of(owner, function) {
        Some(code) => code_mentions(&code, word),
        None => Ok(default),
    }
}

fn code_mentions(code: &Bound<'_, PyAny>, word: &str) -> PyResult<bool> {
    for attribute in ["co_names", "co_varnames", "co_cellvars", "co_freevars"] {
        if code.getattr(attribute)?.contains(word)? {
            return Ok(true);
        }
    }
    let constants = code.getattr("co_consts")?.cast_into::<PyTuple>()?;
    for constant in constants.iter().filter(|constant| constant.is_instance_of::<PyCode>()) {
        if code_mentions(&constant, word)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The code of a function within a function.
fn nested<'py>(owner: &Bound<'py, PyAny>, outer: &str, name: &str) -> Option<Bound<'py, PyAny>> {
    let constants = code_of(owner, outer)?.getattr("co_consts").ok()?;
    let constants = constants.cast_into::<PyTuple>().ok()?;
    constants.iter().find(|constant| {
        let found = constant.getattr("co_name").ok().and_then(|name| name.extract::<String>().ok());
        found.as_deref() == Some(name)
    })
}

/// At which place among a function's names this one first stands.
fn position(code: &Bound<'_, PyAny>, word: &str) -> Option<usize> {
    let names = code.getattr("co_names").ok()?.cast_into::<PyTuple>().ok()?;
    names.iter().position(|name| name.extract::<String>().is_ok_and(|name| name == word))
}
