//! The futures of those who wait, first come first.

use std::collections::VecDeque;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

/// Lives in a [`GilCell`](crate::ffi::gil_cell::GilCell): no method runs Python code, and what is
/// taken out is dropped by the caller.
#[derive(Default)]
pub(super) struct Waiters(VecDeque<Py<PyAny>>);

impl Waiters {
    pub(super) fn push(&mut self, future: Py<PyAny>) {
        self.0.push_back(future);
    }

    /// Takes this very future out, if it is there. Mostly it is the first.
    pub(super) fn remove(&mut self, future: &Bound<'_, PyAny>) -> Option<Py<PyAny>> {
        let index = self.0.iter().position(|waiting| waiting.is(future))?;
        self.0.remove(index)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in order, as they are now: their methods may change what is in here.
    pub(super) fn all(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        self.0.iter().map(|future| future.clone_ref(py)).collect()
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> VecDeque<Py<PyAny>> {
        std::mem::take(&mut self.0)
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.iter().try_for_each(|future| visit.call(future))
    }
}
