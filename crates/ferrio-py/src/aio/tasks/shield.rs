//! `shield`.

use std::ffi::c_int;

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::ensure::ensure_future;
use crate::aio::current::current_task;
use crate::aio::versions::Versions;
use crate::event_loop::tasks::create_future;
use crate::ffi::done_callback::{DoneCallback, new_callback};
use crate::ffi::future::{awaited_by, state};

/// Wait for a future, shielding it from cancellation.
///
/// What is returned can be cancelled, and the argument goes on; apart from that it ends as that
/// does. Keep a reference to a task that is passed: the event loop has only a weak one.
#[pyfunction]
pub(super) fn shield<'py>(arg: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = arg.py();
    let inner = ensure_future(arg, None)?;
    if state::is_done(&inner)? {
        return Ok(inner);
    }
    let looop = state::loop_of(&inner)?;
    let outer = create_future(&looop)?;
    let parent = if awaited_by::EXISTS { current_task(py, Some(&looop))? } else { None };
    if let Some(parent) = &parent {
        awaited_by::add_by_name(&inner, parent)?;
    }
    let parent = parent.map(Bound::unbind);
    let shared = parent.as_ref().map(|parent| parent.clone_ref(py));
    let inner_done = InnerDone { outer: outer.clone().unbind(), parent: shared };
    let inner_done = new_callback(py, inner_done)?;
    state::add_done_callback(&inner, &inner_done, None)?;
    let outer_done =
        Box::new(OuterDone { inner: inner.unbind(), inner_done: inner_done.unbind(), parent });
    state::add_done_callback(&outer, &new_callback(py, outer_done)?, None)?;
    Ok(outer)
}

/// What the argument calls.
struct InnerDone {
    outer: Py<PyAny>,
    /// The task that waits, for the call graph.
    parent: Option<Py<PyAny>>,
}

impl DoneCallback for InnerDone {
    const QUALNAME: &'static str = "shield.<locals>._inner_done_callback";

    fn call(&self, py: Python<'_>, inner: &Bound<'_, PyAny>) -> PyResult<()> {
        let outer = self.outer.bind(py);
        if let Some(parent) = &self.parent {
            awaited_by::discard_by_name(inner, parent.bind(py))?;
        }
        if state::is_cancelled(outer)? {
            if Versions::get(py)?.shield_marks_retrieved && !state::is_cancelled(inner)? {
                state::exception(inner)?;
            }
            return Ok(());
        }
        if state::is_cancelled(inner)? {
            return state::cancel(outer).map(drop);
        }
        match state::exception(inner)? {
            Some(error) => state::set_exception(outer, &error),
            None => state::set_result(outer, &state::result(inner)?),
        }
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.outer.as_ptr());
        match &self.parent {
            Some(parent) if answer == 0 => visit(parent.as_ptr()),
            Some(_) | None => answer,
        }
    }
}

/// What the returned future calls.
struct OuterDone {
    inner: Py<PyAny>,
    inner_done: Py<PyAny>,
    parent: Option<Py<PyAny>>,
}

impl DoneCallback for Box<OuterDone> {
    const QUALNAME: &'static str = "shield.<locals>._outer_done_callback";

    fn call(&self, py: Python<'_>, _outer: &Bound<'_, PyAny>) -> PyResult<()> {
        let inner = self.inner.bind(py);
        if state::is_done(inner)? {
            return Ok(());
        }
        state::remove_done_callback(inner, self.inner_done.bind(py))?;
        match &self.parent {
            Some(parent) => awaited_by::discard_by_name(inner, parent.bind(py)),
            None => Ok(()),
        }
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        [Some(&self.inner), Some(&self.inner_done), self.parent.as_ref()]
            .into_iter()
            .flatten()
            .map(|object| visit(object.as_ptr()))
            .find(|&answer| answer != 0)
            .unwrap_or(0)
    }
}
