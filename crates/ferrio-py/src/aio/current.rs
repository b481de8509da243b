//! What runs: the loop and the task, as asyncio's functions answer at this moment.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::error::WithText;
use crate::ffi::call::call1;
use crate::names;

/// The running loop, None if none runs.
pub(super) fn running_loop_if_any(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let looop = names::get_running_loop(py)?.call0()?;
    if !looop.is_none() {
        return Ok(looop);
    }
    // Who has asyncio's code run by something else, as trio-asyncio does, puts functions of their
    // own into the module. Theirs are asked where asyncio knows of no loop.
    names::running_loop(py)?.call0()
}

/// The running loop.
///
/// # Errors
/// RuntimeError if none runs.
pub(super) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let looop = running_loop_if_any(py)?;
    if looop.is_none() {
        return Err(PyRuntimeError::with_text("no running event loop"));
    }
    Ok(looop)
}

/// `asyncio.tasks.current_task(loop)`: None outside of a task.
///
/// # Errors
/// RuntimeError if no loop is given and none runs.
pub(super) fn current_task<'py>(
    py: Python<'py>,
    looop: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    // As it is in the module now: tests put their own there.
    let function = names::tasks(py)?.getattr(intern!(py, "current_task"))?;
    let task = match looop {
        Some(looop) => call1(&function, looop)?,
        None => function.call0()?,
    };
    Ok(Some(task).filter(|task| !task.is_none()))
}
