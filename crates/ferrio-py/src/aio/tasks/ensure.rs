//! An argument as a future: `ensure_future`.

use pyo3::intern;
use pyo3::prelude::*;

use crate::event_loop::tasks::create_plain_task;
use crate::ffi::coroutine::is_coroutine;
use crate::ffi::future::state;
use crate::ffi::make;
use crate::names;

/// What is awaited for `argument`, on this loop or on the running one: itself if it is a future, a
/// new task otherwise.
///
/// # Errors
/// ValueError for a future of another loop, TypeError for what cannot be awaited, RuntimeError where
/// no loop is given and none runs.
pub(super) fn ensure_future<'py>(
    argument: &Bound<'py, PyAny>,
    looop: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = argument.py();
    if state::is_known(argument) {
        let is_of_loop = match looop {
            Some(looop) => state::loop_of(argument)?.is(looop),
            None => true,
        };
        if is_of_loop {
            return Ok(argument.clone());
        }
    } else if is_coroutine(argument) {
        let running = match looop {
            Some(looop) => looop.clone(),
            None => names::get_running_loop(py)?.call0()?,
        };
        if let Some(task) = create_plain_task(&running, argument)? {
            return Ok(task);
        }
    }
    // By its name in the module: a function of asyncio's own that calls it would have it so.
    let kwargs = make::dict(py)?;
    if let Some(looop) = looop {
        kwargs.set_item(intern!(py, "loop"), looop)?;
    }
    names::tasks(py)?.getattr(intern!(py, "ensure_future"))?.call((argument,), Some(&kwargs))
}
