//! `shield`.

use std::ffi::c_int;

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::ensure::ensure_inner;
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
    let inner = ensure_inner(arg, None)?;
    if state::is_done(&inner)? {
        return Ok(inner);
    }
    let looop = state::loop_of(&inner)?;
    let outer = create_future(&looop)?;
    let parent = if awaited_by::EXISTS { current_task(py, Some(&looop))? } else { None };
    if let Some(parent) = &parent {
        awaited_by::add_by_name(&inner, parent)?;
    }
    let edge = match parent {
        Some(parent) => {
            let parent = parent.unbind();
            let clear = new_callback(py, ClearAwaitedBy { parent: parent.clone_ref(py) })?;
            state::add_done_callback(&inner, &clear, None)?;
            Some(Edge { parent, clear: clear.unbind() })
        }
        None => None,
    };
    let inner_done = new_callback(py, InnerDone { outer: outer.clone().unbind() })?;
    state::add_done_callback(&inner, &inner_done, None)?;
    let outer_done =
        Box::new(OuterDone { inner: inner.unbind(), inner_done: inner_done.unbind(), edge });
    state::add_done_callback(&outer, &new_callback(py, outer_done)?, None)?;
    Ok(outer)
}

/// What the argument calls first: the task does not wait for it any more.
struct ClearAwaitedBy {
    parent: Py<PyAny>,
}

impl DoneCallback for ClearAwaitedBy {
    const QUALNAME: &'static str = "shield.<locals>._clear_awaited_by_callback";

    fn call(&self, py: Python<'_>, inner: &Bound<'_, PyAny>) -> PyResult<()> {
        awaited_by::discard_by_name(inner, self.parent.bind(py))
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        visit(self.parent.as_ptr())
    }
}

/// What the argument calls.
struct InnerDone {
    outer: Py<PyAny>,
}

impl DoneCallback for InnerDone {
    const QUALNAME: &'static str = "shield.<locals>._inner_done_callback";

    fn call(&self, py: Python<'_>, inner: &Bound<'_, PyAny>) -> PyResult<()> {
        let outer = self.outer.bind(py);
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
        visit(self.outer.as_ptr())
    }
}

/// What the returned future calls.
struct OuterDone {
    inner: Py<PyAny>,
    inner_done: Py<PyAny>,
    edge: Option<Edge>,
}

/// The edge of the call graph, where there is one.
struct Edge {
    /// The task that waits.
    parent: Py<PyAny>,
    /// The callback that takes the edge away.
    clear: Py<PyAny>,
}

impl DoneCallback for Box<OuterDone> {
    const QUALNAME: &'static str = "shield.<locals>._outer_done_callback";

    fn call(&self, py: Python<'_>, _outer: &Bound<'_, PyAny>) -> PyResult<()> {
        let inner = self.inner.bind(py);
        if state::is_done(inner)? {
            return Ok(());
        }
        state::remove_done_callback(inner, self.inner_done.bind(py))?;
        let Some(edge) = &self.edge else { return Ok(()) };
        state::remove_done_callback(inner, edge.clear.bind(py))?;
        awaited_by::discard_by_name(inner, edge.parent.bind(py))
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        [&self.inner, &self.inner_done]
            .into_iter()
            .chain(self.edge.iter().flat_map(|edge| [&edge.parent, &edge.clear]))
            .map(|object| visit(object.as_ptr()))
            .find(|&answer| answer != 0)
            .unwrap_or(0)
    }
}
