//! The first and the last thing that a process does for a program: run its file, and die.

use std::ffi::CStr;
use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::types::PyDict;
use pyo3::{Bound, PyResult, Python, ffi};

use crate::error::WithText;

/// Runs the source file `path` in `globals`, as `python FILE` does.
///
/// `compile()` and `exec()` would be the same but for the errors of files that are not proper text:
/// the interpreter reads files and strings by two different readers, with different messages.
///
/// # Errors
/// What opening the file failed with, as OSError; else whatever the program raised.
pub(crate) fn run_file(path: &CStr, globals: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = globals.py();
    // SAFETY: two C strings that live across the call.
    let file = unsafe { libc::fopen(path.as_ptr(), c"rb".as_ptr()) };
    if file.is_null() {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: attached (`py`); `file` is open and given away (`closeit` is 1); `path` and `globals`
    // outlive the call; flags may be null. The result is a new reference or null with an exception.
    let result = unsafe {
        let (globals, file_input, closeit) = (globals.as_ptr(), ffi::Py_file_input, 1);
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyRun_FileExFlags(
                file,
                path.as_ptr(),
                file_input,
                globals,
                globals,
                closeit,
                std::ptr::null_mut(),
            ),
        )
    };
    result.map(drop)
}

/// Makes `signum` end the process after the interpreter's shutdown: exit handlers, non-daemon
/// threads, buffered output, all of it done.
///
/// What CPython does for an uncaught KeyboardInterrupt (`exit_sigint` in `Modules/main.c`), which it
/// offers for no other signal.
pub(crate) fn die_after_shutdown(_: Python<'_>, signum: i32) -> PyResult<()> {
    if FATAL_SIGNAL.swap(signum, Ordering::Relaxed) != 0 {
        return Ok(()); // registered before: the handler will find the new signal
    }
    // SAFETY: the thread is attached (`Python`), which `Py_AtExit` asks for; `die` lives as long as
    // the process, this module is never unloaded, and it calls nothing of the interpreter's state.
    if unsafe { ffi::Py_AtExit(Some(die)) } == 0 {
        Ok(())
    } else {
        Err(PyRuntimeError::with_text("no room for one more exit handler"))
    }
}

extern "C" fn die() {
    let signum = FATAL_SIGNAL.load(Ordering::Relaxed);
    // SAFETY: both are async-signal-safe C calls on integers. The program may have left the signal
    // ignored or handled, so its default action is restored before it is sent. If it is blocked, or
    // its default action is not to terminate, nothing happens and the exit status stands.
    unsafe {
        libc::signal(signum, libc::SIG_DFL);
        libc::raise(signum);
    }
}

/// The signal that ends the process once the interpreter has shut down; 0 for none.
static FATAL_SIGNAL: AtomicI32 = AtomicI32::new(0);
