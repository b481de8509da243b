//! An argument as a future: `ensure_future`.

use pyo3::prelude::*;

use crate::event_loop::tasks::create_plain_task;
use crate::ffi::coroutine::is_coroutine;
use crate::ffi::future::state;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::names::{self, Place};

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
    ensure(argument, looop, names::places::ensure_future(argument.py())?)
}

/// The same for `gather` and `shield`, which call it by a name of its own on 3.11.
///
/// # Errors
/// Those of [`ensure_future`].
pub(super) fn ensure_inner<'py>(
    argument: &Bound<'py, PyAny>,
    looop: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    #[cfg(Py_3_12)]
    let place = names::places::ensure_future(argument.py())?;
    #[cfg(not(Py_3_12))]
    let place = names::places::inner_ensure_future(argument.py())?;
    ensure(argument, looop, place)
}

#[inline]
fn ensure<'py>(
    argument: &Bound<'py, PyAny>,
    looop: Option<&Bound<'py, PyAny>>,
    place: &Place,
) -> PyResult<Bound<'py, PyAny>> {
    let py = argument.py();
    if !place.is_original(py)? {
        return by_name(argument, looop, place);
    }
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
            None if !names::places::get_event_loop(py)?.is_original(py)? => {
                return by_name(argument, looop, place);
            }
            // Which is what the other one asks first.
            None => names::running_loop(py)?.call0()?,
        };
        if let Some(task) = create_plain_task(&running, argument)? {
            return Ok(task);
        }
    }
    by_name(argument, looop, place)
}

/// By its name in asyncio's module: a function of asyncio's own that calls it would have it so.
fn by_name<'py>(
    argument: &Bound<'py, PyAny>,
    looop: Option<&Bound<'py, PyAny>>,
    place: &Place,
) -> PyResult<Bound<'py, PyAny>> {
    let py = argument.py();
    let kwargs = make::dict(py)?;
    if let Some(looop) = looop {
        kwargs.set_item(intern!(py, "loop"), looop)?;
    }
    place.current(py)?.call((argument,), Some(&kwargs))
}
