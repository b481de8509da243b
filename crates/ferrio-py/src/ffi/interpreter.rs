//! Which interpreter of the process this module belongs to.

use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::error::WithText;

/// Refuses all interpreters but the first one that imports the module: what is looked up once is
/// kept in statics, and objects of one interpreter must not get into another. CPython itself asks
/// only for interpreters with a GIL of their own.
///
/// # Errors
/// ImportError.
pub(crate) fn claim(_py: Python<'_>) -> PyResult<()> {
    static OWNER: AtomicI64 = AtomicI64::new(NOBODY);

    // SAFETY: attached, so there is a current interpreter.
    let ours = unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) };
    match OWNER.compare_exchange(NOBODY, ours, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => Ok(()),
        Err(owner) if owner == ours => Ok(()),
        Err(_) => Err(PyImportError::with_text(
            "ferrio is in use by another interpreter of this process, and can be by one only",
        )),
    }
}

const NOBODY: i64 = -1;

/// Has the interpreter begun to end? Objects of modules are taken apart then, in any order, and PyO3
/// refuses to attach.
pub(crate) fn is_ending(_py: Python<'_>) -> bool {
    // SAFETY: no precondition.
    unsafe { ffi::Py_IsInitialized() == 0 }
}

/// The RuntimeError for what cannot begin any more. PyO3's own constructors attach.
pub(crate) fn ending(py: Python<'_>) -> PyErr {
    // SAFETY: attached; the text is static.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_RuntimeError, c"the interpreter is ending".as_ptr()) };
    PyErr::fetch(py)
}
