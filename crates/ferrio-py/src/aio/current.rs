//! What runs: the loop and the task, as asyncio's functions answer at this moment.

use pyo3::prelude::*;

use crate::ffi::call::call1;
use crate::names;

/// The running loop, None if none runs.
pub(super) fn running_loop_if_any(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    names::running_loop(py)?.call0()
}

/// The running loop.
///
/// # Errors
/// RuntimeError if none runs.
pub(super) fn running_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    names::get_running_loop(py)?.call0()
}

/// `asyncio.tasks.current_task(loop)`: None outside of a task.
///
/// # Errors
/// RuntimeError if no loop is given and none runs.
pub(super) fn current_task<'py>(
    py: Python<'py>,
    looop: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let function = names::current_task(py)?;
    let task = match looop {
        Some(looop) => call1(&function, looop)?,
        None => function.call0()?,
    };
    Ok(Some(task).filter(|task| !task.is_none()))
}
