//! The future of a coroutine that waits for its transport.

use std::ffi::c_int;

use pyo3::ffi as raw;
use pyo3::prelude::*;

use crate::event_loop::{Loop, watch};
use crate::item::{Item, Native};

/// Completes a future in its turn, unless it was cancelled (`futures._set_result_unless_cancelled`).
pub(crate) struct Wake(Py<PyAny>);

impl Wake {
    pub(crate) fn item(future: Py<PyAny>) -> Item {
        Item::Native(Box::new(Wake(future)))
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
