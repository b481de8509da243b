//! The loop that an object is used on: `asyncio.mixins._LoopBoundMixin` (Lib/asyncio/mixins.py).

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::current::running_loop_if_any;
use crate::error::WithText;
use crate::ffi::call::python_of;
use crate::ffi::gil_cell::GilCell;

/// The loop on which an object first had to wait, and on which alone it can.
pub(super) struct LoopBound(GilCell<Option<Py<PyAny>>>);

impl LoopBound {
    pub(super) const fn new() -> LoopBound {
        LoopBound(GilCell::new(None))
    }

    /// The running loop.
    ///
    /// # Errors
    /// RuntimeError where `owner` has been used on another one. Like asyncio, an object that was
    /// never used on any is bound to None if no loop runs.
    pub(super) fn get<'py>(&self, owner: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = owner.py();
        let running = running_loop_if_any(py)?;
        let bound = self.0.with(py, |bound| match bound {
            Some(bound) => bound.is(&running),
            None => {
                *bound = Some(running.clone().unbind());
                true
            }
        });
        if bound {
            return Ok(running);
        }
        Err(PyRuntimeError::with_text(format!(
            "{} is bound to a different event loop",
            owner.repr()?
        )))
    }

    /// The loop, None before there is one.
    pub(super) fn peek(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.0.with(py, |bound| bound.as_ref().map(|bound| bound.clone_ref(py)))
    }

    /// Binds the owner to another loop, or to none: programs and tests write `_loop`.
    pub(super) fn replace(&self, looop: &Bound<'_, PyAny>) {
        let new = (!looop.is_none()).then(|| looop.clone().unbind());
        drop(self.0.with(looop.py(), |bound| std::mem::replace(bound, new)));
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.try_with(python_of(visit), |bound| visit.call(&*bound)).unwrap_or(Ok(()))
    }

    pub(super) fn clear(&self, py: Python<'_>) {
        drop(self.0.with(py, Option::take));
    }
}

/// asyncio's `_loop` and `_get_loop` of a class that has a [`LoopBound`] named `looop`.
///
/// A macro, since PyO3 collects the methods of each class by its name. A base class of them all could
/// have these once, but would add its part to the layout of every instance, and a class to their MRO.
macro_rules! loop_bound {
    ($class:ident) => {
        #[pymethods]
        impl $class {
            #[getter]
            fn _loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
                self.looop.peek(py)
            }

            #[setter(_loop)]
            fn set_loop(&self, looop: &Bound<'_, PyAny>) {
                self.looop.replace(looop);
            }

            fn _get_loop<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                slf.get().looop.get(slf)
            }
        }
    };
}
pub(super) use loop_bound;
