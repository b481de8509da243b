//! The futures of those who wait, first come first.

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::ffi::call::python_of;
use crate::ffi::deque::Deque;
use crate::ffi::future::state;
use crate::ffi::gil_cell::GilCell;

/// A deque, made when it is first needed: programs look into asyncio's, and put futures of their own
/// there.
#[derive(Default)]
pub(super) struct Waiters(GilCell<Option<Py<PyAny>>>);

impl Waiters {
    /// The deque, if anybody has needed one yet.
    #[inline]
    pub(super) fn peek<'py>(&self, py: Python<'py>) -> Option<Deque<'py>> {
        let deque = self.0.with(py, |deque| deque.as_ref().map(|deque| deque.clone_ref(py)))?;
        Some(Deque::from(deque.into_bound(py)))
    }

    /// The deque.
    pub(super) fn deque<'py>(&self, py: Python<'py>) -> PyResult<Deque<'py>> {
        if let Some(deque) = self.peek(py) {
            return Ok(deque);
        }
        let deque = Deque::new(py)?;
        let new = deque.as_any().clone().unbind();
        drop(self.0.with(py, |deque| deque.replace(new)));
        Ok(deque)
    }

    /// Puts the program's own deque, or None, in its place.
    pub(super) fn replace(&self, deque: &Bound<'_, PyAny>) {
        let new = (!deque.is_none()).then(|| deque.clone().unbind());
        drop(self.0.with(deque.py(), |deque| std::mem::replace(deque, new)));
    }

    pub(super) fn push<'py>(&self, future: &Bound<'py, PyAny>) -> PyResult<()> {
        self.deque(future.py())?.push(future)
    }

    /// Takes this future out.
    ///
    /// # Errors
    /// ValueError if it is not there.
    pub(super) fn remove<'py>(&self, future: &Bound<'py, PyAny>) -> PyResult<()> {
        self.deque(future.py())?.remove(future)
    }

    /// Does nobody wait, not even one that has been cancelled? False where a method of the
    /// program's would have to be asked.
    #[inline]
    pub(super) fn is_surely_empty(&self, py: Python<'_>) -> bool {
        self.0.with(py, |deque| deque.is_none())
            || self.peek(py).is_some_and(|deque| deque.is_surely_empty())
    }

    #[inline]
    pub(super) fn len(&self, py: Python<'_>) -> PyResult<usize> {
        self.peek(py).map_or(Ok(0), |deque| deque.len())
    }

    /// The one that has `index` before it.
    #[inline]
    pub(super) fn get<'py>(
        &self,
        py: Python<'py>,
        index: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.peek(py).map_or(Ok(None), |deque| deque.get(index))
    }

    /// Is there one that has not been cancelled?
    #[inline]
    pub(super) fn any_is_waiting(&self, py: Python<'_>) -> PyResult<bool> {
        let mut index = 0;
        while let Some(future) = self.get(py, index)? {
            if !state::is_cancelled(&future)? {
                return Ok(true);
            }
            index += 1;
        }
        Ok(false)
    }

    /// Adds how many there are, if any, to what a repr says.
    pub(super) fn describe(&self, py: Python<'_>, text: &mut String) -> PyResult<()> {
        let count = self.len(py)?;
        if count > 0 {
            *text += &format!(", waiters:{count}");
        }
        Ok(())
    }

    /// All of them, in order, as they are now: their methods may change what is in here.
    pub(super) fn all<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.peek(py).map_or(Ok(Vec::new()), |deque| deque.items())
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.try_with(python_of(visit), |deque| visit.call(&*deque)).unwrap_or(Ok(()))
    }

    pub(super) fn clear(&self, py: Python<'_>) {
        drop(self.0.with(py, Option::take));
    }
}

/// asyncio's `_waiters` of a class that has [`Waiters`] named `waiters`, and has no deque before one
/// waits.
///
/// A macro for the reason that `loop_bound!` is one.
macro_rules! waiters_or_none {
    ($class:ident) => {
        #[pymethods]
        impl $class {
            /// asyncio's name for those who wait: a deque of their futures, None before the first.
            #[getter]
            fn _waiters<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
                self.waiters.peek(py).map(|deque| deque.into_any())
            }

            #[setter(_waiters)]
            fn set_waiters(&self, waiters: &Bound<'_, PyAny>) {
                self.waiters.replace(waiters);
            }
        }
    };
}
pub(super) use waiters_or_none;

/// `waiters_or_none!` of a class that always has a deque.
macro_rules! waiters_always {
    ($class:ident) => {
        #[pymethods]
        impl $class {
            /// asyncio's name for those who wait: a deque of their futures.
            #[getter]
            fn _waiters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.waiters.deque(py).map(|deque| deque.into_any())
            }

            #[setter(_waiters)]
            fn set_waiters(&self, waiters: &Bound<'_, PyAny>) {
                self.waiters.replace(waiters);
            }
        }
    };
}
pub(super) use waiters_always;
