//! The future of a coroutine that waits for its transport.

use std::ffi::c_int;

use pyo3::ffi as raw;
use pyo3::prelude::*;

use crate::event_loop::{Loop, watch};
use crate::ffi::interned::intern;
use crate::item::{Item, Native};
use crate::names;

/// Completes a future in its turn, unless it was cancelled (`futures._set_result_unless_cancelled`).
pub(crate) struct Wake(Py<PyAny>);

impl Wake {
    /// `loop.call_soon(futures._set_result_unless_cancelled, future, None)`.
    pub(crate) fn schedule(looop: &Bound<'_, Loop>, future: Py<PyAny>) -> PyResult<()> {
        let py = looop.py();
        let place = names::places::set_result_unless_cancelled(py)?;
        let set = place.current(py)?;
        if !set.is(place.original(py)) {
            let arguments = (set, future, py.None());
            return looop.call_method1(intern!(py, "call_soon"), arguments).map(drop);
        }
        looop.get().push(py, Item::Native(Box::new(Wake(future))));
        Ok(())
    }
}

impl Native for Wake {
    fn run(self: Box<Self>, py: Python<'_>, _looop: &Bound<'_, Loop>) -> PyResult<()> {
        watch::wake(py, &self.0)
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        visit(self.0.as_ptr())
    }
}
