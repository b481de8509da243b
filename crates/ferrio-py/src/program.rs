//! For `ferrio run`: what the interpreter does for its main program, where Python code cannot.

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;

/// Report an exception that nobody caught, as the interpreter does.
///
/// Sets `sys.last_exc` and its kin, calls `sys.excepthook`, and copes with a hook that is missing or
/// fails. All of it is CPython's own code, so that the output is its own to the byte.
#[pyfunction]
pub(crate) fn report_uncaught(exception: Bound<'_, PyBaseException>) {
    let py = exception.py();
    PyErr::from_value(exception.into_any()).print_and_set_sys_last_vars(py);
}

#[cfg(unix)]
mod unix {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;

    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    use crate::ffi::process;

    /// Run a source file in the namespace `globals`, read by the interpreter's reader of files.
    #[pyfunction]
    pub(crate) fn run_file(path: PathBuf, globals: &Bound<'_, PyDict>) -> PyResult<()> {
        process::run_file(&CString::new(path.into_os_string().into_vec())?, globals)
    }

    /// Have `signum` end this process, after the interpreter has shut down in the ordinary way.
    ///
    /// To be followed by an ordinary exit. Whoever waits for the process is then told that the
    /// signal killed it, as shells and supervisors expect of Ctrl-C and SIGTERM.
    #[pyfunction]
    pub(crate) fn die_after_shutdown(py: Python<'_>, signum: i32) -> PyResult<()> {
        process::die_after_shutdown(py, signum)
    }
}

#[cfg(unix)]
pub(crate) use unix::{die_after_shutdown, run_file};
