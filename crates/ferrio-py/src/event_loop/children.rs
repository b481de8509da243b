//! Waiting for the ends of child processes: what asyncio has a child watcher for.
//!
//! Each child is a descriptor registered with the loop that started it, so any number of loops in
//! any threads may have children, and neither SIGCHLD nor the policy's watcher is touched. Where
//! there are no such descriptors, `python/ferrio/_subprocess.py` has asyncio's threads wait.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use ferrio_engine::{Child, DriverKind, Exit, Interest, Key, Readiness, Trigger};
use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::{Loop, report};
use crate::error::os_error;
use crate::ffi::Context;
use crate::ffi::call::python_of;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::make;
use crate::item::{Item, Native, NativeSource, Source};

/// A child process whose end a loop waits for.
#[pyclass(module = "ferrio._ferrio", name = "ChildWatch", frozen)]
pub(crate) struct ChildWatch {
    child: Child,
    state: GilCell<Option<Waiting>>,
}

struct Waiting {
    key: Key,
    callback: Py<PyAny>,
    context: Context,
}

#[pymethods]
impl Loop {
    /// Calls `callback(returncode)` when the child has ended, with None if somebody else has
    /// waited for it. Nobody may have done so yet.
    ///
    /// # Errors
    /// OSError where children cannot be waited for by descriptor, as with the portable driver.
    fn _watch_child(
        slf: &Bound<'_, Self>,
        pid: i32,
        callback: Py<PyAny>,
    ) -> PyResult<Py<ChildWatch>> {
        let py = slf.py();
        // Like everything else that other systems do not have, whatever this one is.
        if slf.get().driver == DriverKind::Portable {
            return Err(os_error(io::ErrorKind::Unsupported.into()));
        }
        let child = Child::open(pid).map_err(os_error)?;
        let fd = child.as_raw_fd();
        let watch = Py::new(py, ChildWatch { child, state: GilCell::new(None) })?;
        let context = Context::copy_current(py)?;
        let source = Source::Native(Box::new(ChildSource { watch: watch.clone_ref(py) }));
        match slf.get().register(py, fd, Interest::READ, Trigger::Level, source)? {
            Ok(key) => {
                let waiting = Waiting { key, callback, context };
                watch.get().state.with(py, |state| *state = Some(waiting));
                Ok(watch)
            }
            Err(refused) => {
                drop(refused.source);
                Err(os_error(refused.error))
            }
        }
    }
}

#[pymethods]
impl ChildWatch {
    /// The descriptor that stands for the process, whatever becomes of its number.
    fn fileno(&self) -> RawFd {
        self.child.as_raw_fd()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state
            .try_with(python_of(&visit), |state| match state {
                Some(waiting) => {
                    visit.call(&waiting.callback)?;
                    visit.call(waiting.context.as_object())
                }
                None => Ok(()),
            })
            .unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.state.with(py, Option::take));
    }
}

impl ChildWatch {
    /// The process may have ended. It is waited for and its end told in one step: nobody sees a
    /// process as alive whose number is free for another.
    fn ready(&self, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let returncode = match self.child.try_wait() {
            Ok(Exit::Running) => return Ok(()),
            Ok(Exit::Status(status)) => Some(status),
            Ok(Exit::Signal(signal)) => Some(-signal),
            Ok(Exit::Unknown) | Err(_) => None,
        };
        let Some(waiting) = self.state.with(py, Option::take) else { return Ok(()) };
        let source = looop.get().with_state(py, |state| state.engine.deregister(waiting.key));
        drop(source);
        let Waiting { callback, context, .. } = waiting;
        let callback = callback.into_bound(py);
        let returncode = match returncode {
            Some(code) => make::int(py, code)?.into_any(),
            None => py.None().into_bound(py),
        };
        match context.run(py, || callback.call1((&returncode,)).map(drop)) {
            Ok(()) => Ok(()),
            Err(error) => {
                let context = context.into_object();
                report::failed_call(looop, error, &callback, Some(&returncode), context)
            }
        }
    }
}

/// The registered child.
struct ChildSource {
    watch: Py<ChildWatch>,
}

impl NativeSource for ChildSource {
    fn event(&mut self, py: Python<'_>, _readiness: Readiness) -> Option<Item> {
        Some(Item::Native(Box::new(Ended { watch: self.watch.clone_ref(py) })))
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        visit(self.watch.as_ptr())
    }
}

/// An event of a child.
struct Ended {
    watch: Py<ChildWatch>,
}

impl Native for Ended {
    fn run(self: Box<Self>, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        self.watch.get().ready(py, looop)
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        visit(self.watch.as_ptr())
    }
}
