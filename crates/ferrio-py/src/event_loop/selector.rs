//! Waiting by way of a selector of Python's.
//!
//! gevent and eventlet put functions of their own in the place of those that block, for other
//! greenlets to run meanwhile; asyncio's loops wait through them without knowing. Ours would block
//! the thread, and with it whoever is to end the wait. So a loop that was made while something else
//! stood there than system calls (`python/ferrio/_waiting.py` finds out) has the driver's descriptor
//! watched by a selector of that kind.

use std::ffi::c_int;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::Loop;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make;

/// `selectors.EVENT_READ`.
const READ: i64 = 1;

/// What a loop waits by, if not by itself.
pub(super) struct Selector {
    is_there: AtomicBool,
    state: GilCell<State>,
}

#[derive(Default)]
struct State {
    selector: Option<Py<PyAny>>,
    /// What is registered with it.
    watched: Option<RawFd>,
}

impl Selector {
    pub(super) const fn new() -> Selector {
        let state = State { selector: None, watched: None };
        Selector { is_there: AtomicBool::new(false), state: GilCell::new(state) }
    }

    #[inline]
    pub(super) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    /// Waits until the descriptor is readable, for at most so long. Anything may run meanwhile.
    pub(super) fn select(
        &self,
        py: Python<'_>,
        fd: Option<RawFd>,
        timeout: Option<Duration>,
    ) -> PyResult<()> {
        let Some(selector) = self.get(py) else { return Ok(()) };
        let selector = selector.bind(py);
        let watched = self.state.with(py, |state| std::mem::replace(&mut state.watched, fd));
        if watched != fd {
            if let Some(old) = watched {
                selector.call_method1(intern!(py, "unregister"), (old,))?;
            }
            if let Some(new) = fd {
                selector.call_method1(intern!(py, "register"), (new, READ))?;
            }
        }
        let seconds = match timeout {
            Some(timeout) => make::float(py, timeout.as_secs_f64())?.into_any(),
            None => py.None().into_bound(py),
        };
        selector.call_method1(intern!(py, "select"), (seconds,)).map(drop)
    }

    /// With the loop, before its descriptors are closed.
    pub(super) fn close(&self, py: Python<'_>) -> PyResult<()> {
        let selector = self.state.with(py, std::mem::take).selector;
        match selector {
            Some(selector) => selector.call_method0(py, intern!(py, "close")).map(drop),
            None => Ok(()),
        }
    }

    pub(super) fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) {
        self.state.try_with(py, |state| state.selector.as_ref().map(|it| visit(it.as_ptr())));
    }

    /// For the garbage collector: the selector goes with whoever refers to it.
    pub(super) fn clear(&self, py: Python<'_>) {
        drop(self.state.with(py, std::mem::take));
    }

    fn get(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.selector.as_ref().map(|it| it.clone_ref(py)))
    }
}

#[pymethods]
impl Loop {
    /// Has the loop wait by way of this selector, of which nobody else knows.
    fn _wait_by(&self, selector: Bound<'_, PyAny>) {
        let py = selector.py();
        let state = State { selector: Some(selector.unbind()), watched: None };
        drop(self.selector.state.with(py, |old| std::mem::replace(old, state)));
        self.selector.is_there.store(true, Ordering::Relaxed);
    }
}
