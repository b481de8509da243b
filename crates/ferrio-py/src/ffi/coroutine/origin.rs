//! Where a coroutine was made, for those that nobody awaits: debug mode's coroutine origin tracking
//! (`sys.set_coroutine_origin_tracking_depth`).

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::names;

/// Does a loop in debug mode run, or has one run? Only then is the interpreter asked, for whom the
/// depth is a matter of each thread.
static IS_WANTED: AtomicBool = AtomicBool::new(false);

/// From now on coroutines ask how deep their origin is to be tracked.
#[pyfunction]
pub(crate) fn track_coroutine_origins() {
    IS_WANTED.store(true, Ordering::Relaxed);
}

/// `cr_origin` of a coroutine that is made now: a tuple of (file name, line, function), the innermost
/// first; NULL if it is not tracked.
#[inline]
pub(super) fn current(py: Python<'_>) -> *mut ffi::PyObject {
    if !IS_WANTED.load(Ordering::Relaxed) {
        return std::ptr::null_mut();
    }
    match frames(py) {
        Ok(Some(origin)) => origin.into_ptr(),
        Ok(None) => std::ptr::null_mut(),
        Err(error) => {
            // It would only have been shown in a warning.
            error.write_unraisable(py, None);
            std::ptr::null_mut()
        }
    }
}

#[cold]
fn frames(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let depth: usize = names::origin_tracking_depth(py)?.call0()?.extract()?;
    if depth == 0 {
        return Ok(None);
    }
    let mut origin = Vec::new();
    let mut frame = names::getframe(py)?.call1((0,))?;
    while origin.len() < depth && !frame.is_none() {
        let code = frame.getattr(intern!(py, "f_code"))?;
        let place = [
            code.getattr(intern!(py, "co_filename"))?,
            frame.getattr(intern!(py, "f_lineno"))?,
            code.getattr(intern!(py, "co_name"))?,
        ];
        origin.push(make::tuple(py, place)?);
        frame = frame.getattr(intern!(py, "f_back"))?;
    }
    make::tuple(py, origin).map(|origin| Some(origin.into_any()))
}
