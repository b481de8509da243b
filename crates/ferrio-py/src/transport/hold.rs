//! How the loop holds a transport whose descriptor it has registered.
//!
//! In asyncio a transport is held by the selector, and only while it waits for something: paused,
//! with nothing to send, it belongs to whoever refers to it. Ours stays registered, for that saves
//! the system calls of pausing and resuming; what changes is the kind of reference.

use std::ffi::c_int;

use pyo3::PyClass;
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

/// A reference that can be weak for a time.
pub(crate) struct Hold<T> {
    /// While it waits for events.
    strong: Option<Py<T>>,
    /// Made when first needed, then kept.
    weak: Option<Py<PyWeakrefReference>>,
}

impl<T: PyClass> Hold<T> {
    /// Holds it fast.
    pub(crate) fn new(transport: &Bound<'_, T>) -> Hold<T> {
        Hold { strong: Some(transport.clone().unbind()), weak: None }
    }

    /// The transport, if it is still there.
    #[inline]
    pub(crate) fn get(&self, py: Python<'_>) -> Option<Py<T>> {
        match (&self.strong, &self.weak) {
            (Some(strong), _) => Some(strong.clone_ref(py)),
            (None, Some(weak)) => {
                let alive = weak.bind(py).upgrade()?;
                Some(alive.cast_into::<T>().ok()?.unbind())
            }
            (None, None) => None,
        }
    }

    /// Holds it fast again.
    pub(crate) fn fasten(&mut self, transport: &Bound<'_, T>) {
        self.strong = Some(transport.clone().unbind());
    }

    /// Only knows it from now on. `weak` is a reference to it, which is made outside of the loop's
    /// state, for it allocates; what was held is for the caller to drop, outside as well.
    #[must_use]
    pub(crate) fn loosen(&mut self, weak: Py<PyWeakrefReference>) -> Option<Py<T>> {
        self.weak = Some(weak);
        self.strong.take()
    }

    /// Shows the collector what is held.
    pub(crate) fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        let strong = self.strong.as_ref().map(Py::as_ptr);
        let weak = self.weak.as_ref().map(Py::as_ptr);
        strong.into_iter().chain(weak).map(visit).find(|&answer| answer != 0).unwrap_or(0)
    }
}
