//! CPython's wakeup descriptor: where its signal handler writes the numbers of signals.

use std::os::fd::RawFd;

use pyo3::prelude::*;

#[cfg(not(Py_3_13))]
use crate::ffi::make;

/// Sets it and returns what it was; -1 is none.
///
/// Only for the main thread, which alone handles signals.
#[cfg(Py_3_13)]
pub(crate) fn set_wakeup_fd(fd: RawFd) -> RawFd {
    unsafe extern "C" {
        // Public (Include/pyerrors.h), exported since 3.13, missing from pyo3-ffi.
        fn PySignal_SetWakeupFd(fd: std::ffi::c_int) -> std::ffi::c_int;
    }
    // SAFETY: swaps an integer. The signal handler writes to the descriptor, which the caller
    // keeps open while it is set.
    unsafe { PySignal_SetWakeupFd(fd) }
}

/// Sets it and returns what it was; -1 is none, which is also the answer where it cannot be set.
///
/// Only for the main thread, which alone handles signals. Up to 3.12 the interpreter does not
/// export the function behind `signal.set_wakeup_fd`, which asks the kernel about the descriptor.
#[cfg(not(Py_3_13))]
pub(crate) fn set_wakeup_fd(fd: RawFd) -> RawFd {
    Python::attach(|py| -> PyResult<RawFd> {
        let options = make::dict(py)?;
        options.set_item(pyo3::intern!(py, "warn_on_full_buffer"), fd != -1)?;
        crate::names::set_wakeup_fd(py)?.call((make::int(py, fd)?,), Some(&options))?.extract()
    })
    .unwrap_or(-1)
}

/// Has forked children begin without it: theirs is the parent's pipe, whose loop would run its
/// handlers for their signals. From 3.12 on asyncio does so (Lib/asyncio/events.py, `on_fork`).
pub(crate) fn forget_wakeup_in_children(py: Python<'_>) -> PyResult<()> {
    #[cfg(not(Py_3_12))]
    {
        use pyo3::sync::PyOnceLock;
        use pyo3::types::PyCFunction;

        static HOOK: PyOnceLock<()> = PyOnceLock::new();
        HOOK.get_or_try_init(py, || {
            let forget = PyCFunction::new_closure(py, None, None, |_, _| {
                set_wakeup_fd(-1);
            })?;
            let options = make::dict(py)?;
            options.set_item(pyo3::intern!(py, "after_in_child"), forget)?;
            let os = py.import(pyo3::intern!(py, "os"))?;
            os.call_method(pyo3::intern!(py, "register_at_fork"), (), Some(&options)).map(drop)
        })?;
    }
    #[cfg(Py_3_12)]
    let _asyncio_does = py;
    Ok(())
}
