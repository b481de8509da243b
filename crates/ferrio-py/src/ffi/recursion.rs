//! How deep coroutines in Rust may await each other.
//!
//! A coroutine of a program's that awaits another one takes no room on the stack of the thread, and
//! CPython counts it against `sys.getrecursionlimit()`. One of ours takes a kilobyte and more: what
//! nests them without end (`wait_for(wait_for(...))`) is to end with a RecursionError, as in asyncio,
//! and not with the stack.

use std::cell::Cell;

use pyo3::exceptions::PyRecursionError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::error::WithText;

/// Half of what a main thread's stack of 8 MiB was seen to hold. CPython counts calls in C as well, in
/// 3.12 and 3.13 up to 10,000, which is too many for ours; from 3.14 on it looks at the stack itself.
const MOST: u32 = 2500;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// One level, until it is dropped.
pub(crate) struct Level(());

/// Goes one level deeper.
///
/// # Errors
/// RecursionError.
pub(crate) fn enter(py: Python<'_>) -> PyResult<Level> {
    // SAFETY: attached; the text is static. Left by Level's drop, on the same thread: a step of a
    // coroutine does not change it.
    if unsafe { ffi::Py_EnterRecursiveCall(c" while awaiting".as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let depth = DEPTH.get() + 1;
    DEPTH.set(depth);
    let level = Level(());
    if depth > MOST {
        return Err(PyRecursionError::with_text("maximum recursion depth exceeded while awaiting"));
    }
    Ok(level)
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        // SAFETY: entered by `enter`.
        unsafe { ffi::Py_LeaveRecursiveCall() };
    }
}
