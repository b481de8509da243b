//! How deep calls in Rust may be inside of each other: coroutines that await each other, TLS in TLS.
//!
//! A coroutine of a program's that awaits another one takes no room on the stack of the thread, and
//! CPython counts it against `sys.getrecursionlimit()`. One of ours takes a kilobyte and more: what
//! nests them without end (`wait_for(wait_for(...))`) is to end with a RecursionError, as in asyncio,
//! and not with the stack. So both are asked: how deep it is, and what is left of the stack, which
//! in a thread of the program's may have 32 KiB.

use std::cell::Cell;
use std::ffi::CStr;

use pyo3::exceptions::PyRecursionError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::error::WithText;
use crate::ffi::stack;

/// Levels, where it is not known how large the stack is: half of what 8 MiB were seen to hold, and
/// on Windows 1 MiB.
const MOST_UNSEEN: u32 = if cfg!(windows) { 300 } else { 2500 };

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// One level, until it is dropped.
pub(crate) struct Level(());

/// What is said of awaits.
pub(crate) const AWAITING: &CStr = c" while awaiting";

/// Goes one level deeper. `doing` is the end of the exception's text.
///
/// # Errors
/// RecursionError.
#[inline]
pub(crate) fn enter(py: Python<'_>, doing: &'static CStr) -> PyResult<Level> {
    // SAFETY: attached; the text is static. Left by Level's drop, on the same thread: a step of a
    // coroutine does not change it.
    if unsafe { ffi::Py_EnterRecursiveCall(doing.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let depth = DEPTH.get() + 1;
    DEPTH.set(depth);
    let level = Level(());
    let is_deep = match stack::has_room() {
        // From 3.12 on CPython counts calls in C apart, with a limit of its own.
        // SAFETY: attached.
        Some(has_room) => !has_room || depth as i32 > unsafe { ffi::Py_GetRecursionLimit() },
        None => depth > MOST_UNSEEN,
    };
    if is_deep { Err(too_deep(doing)) } else { Ok(level) }
}

#[cold]
fn too_deep(doing: &CStr) -> PyErr {
    let doing = doing.to_string_lossy();
    PyRecursionError::with_text(format!("maximum recursion depth exceeded{doing}"))
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        // SAFETY: entered by `enter`.
        unsafe { ffi::Py_LeaveRecursiveCall() };
    }
}
