//! CPython's wakeup descriptor: where its signal handler writes the numbers of signals.

use std::ffi::c_int;
use std::os::fd::RawFd;

use pyo3::prelude::*;

unsafe extern "C" {
    // Public since 3.1 (Include/pyerrors.h), missing from pyo3-ffi.
    fn PySignal_SetWakeupFd(fd: c_int) -> c_int;
}

/// Sets it and returns what it was; -1 is none. `signal.set_wakeup_fd` does the same, after asking
/// the kernel what it knows about the descriptor.
///
/// Only for the main thread, which alone handles signals.
pub(crate) fn set_wakeup_fd(fd: RawFd) -> RawFd {
    // SAFETY: swaps an integer. The signal handler writes to the descriptor, which the caller
    // keeps open while it is set.
    unsafe { PySignal_SetWakeupFd(fd) }
}

/// Has forked children begin without it: theirs is the parent's pipe, whose loop would run its
/// handlers for their signals. From 3.12 on asyncio does so (Lib/asyncio/events.py, `on_fork`).
pub(crate) fn forget_wakeup_in_children(py: Python<'_>) -> PyResult<()> {
    #[cfg(not(Py_3_12))]
    {
        use pyo3::sync::PyOnceLock;
        use pyo3::types::{PyCFunction, PyDict};

        static HOOK: PyOnceLock<()> = PyOnceLock::new();
        HOOK.get_or_try_init(py, || {
            let forget = PyCFunction::new_closure(py, None, None, |_, _| {
                set_wakeup_fd(-1);
            })?;
            let options = PyDict::new(py);
            options.set_item("after_in_child", forget)?;
            py.import("os")?.call_method("register_at_fork", (), Some(&options)).map(drop)
        })?;
    }
    #[cfg(Py_3_12)]
    let _asyncio_does = py;
    Ok(())
}
