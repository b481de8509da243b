//! `time.monotonic`, which asyncio's `loop.time()` looks up at each call: programs replace it, to have
//! what takes hours happen in a moment, and expect timers to follow.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule};

use crate::ffi::interned::intern;

/// The namespace of `time`, and the builtin in it.
struct Clock {
    names: Py<PyDict>,
    builtin: Option<Py<PyAny>>,
}

fn clock(py: Python<'_>) -> PyResult<&'static Clock> {
    static CLOCK: PyOnceLock<Clock> = PyOnceLock::new();
    CLOCK.get_or_try_init(py, || {
        let module = py.import(intern!(py, "time"))?.cast_into::<PyModule>()?;
        let found = module.getattr_opt(intern!(py, "monotonic"))?;
        // SAFETY: only looks at the type.
        let builtin = found.filter(|found| unsafe { ffi::PyCFunction_Check(found.as_ptr()) } != 0);
        Ok(Clock { names: module.dict().unbind(), builtin: builtin.map(Bound::unbind) })
    })
}

/// Has the program put something else in its place?
pub(crate) fn is_replaced(py: Python<'_>) -> bool {
    let Ok(Clock { names, builtin }) = clock(py) else { return false };
    // SAFETY: attached; a dict and a string that are alive. The reference is borrowed and compared
    // before anything can run; a failed look-up leaves no error, for strings are hashed already.
    let found = unsafe { ffi::PyDict_GetItem(names.as_ptr(), intern!(py, "monotonic").as_ptr()) };
    builtin.as_ref().is_none_or(|builtin| builtin.as_ptr() != found)
}

/// `time.monotonic()`, whoever's that is.
pub(crate) fn monotonic<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
    py.import(intern!(py, "time"))?.getattr(intern!(py, "monotonic"))?.call0()
}
