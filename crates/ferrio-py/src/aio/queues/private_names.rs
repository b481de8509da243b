//! asyncio's private names of what a Queue has: programs and tests look there.

#[cfg(Py_3_13)]
use std::sync::atomic::Ordering;

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;

use super::queue::Queue;
use crate::aio::count::Count;
use crate::aio::locks::Event;
use crate::error::WithText;
use crate::ffi::deque::Deque;
use crate::ffi::make::Returned;

#[pymethods]
impl Queue {
    /// asyncio's name for the container of the items.
    #[getter]
    fn _queue<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let container = slf
            .get()
            .container
            .with(py, |container| container.as_ref().map(|container| container.clone_ref(py)));
        container.map(|container| container.into_bound(py)).ok_or_else(|| {
            let class = slf.get_type();
            PyAttributeError::with_text(match class.name() {
                Ok(name) => format!("'{name}' object has no attribute '_queue'"),
                Err(_) => String::from("_queue"),
            })
        })
    }

    #[setter(_queue)]
    fn set_queue(&self, container: &Bound<'_, PyAny>) {
        self.set_container(container);
    }

    /// asyncio's name for those who wait for an item: a deque of their futures.
    #[getter]
    fn _getters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.getters.deque(py).map(Deque::into_any)
    }

    #[setter(_getters)]
    fn set_getters(&self, getters: &Bound<'_, PyAny>) {
        self.getters.replace(getters);
    }

    /// asyncio's name for those who wait for room: a deque of their futures.
    #[getter]
    fn _putters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.putters.deque(py).map(Deque::into_any)
    }

    #[setter(_putters)]
    fn set_putters(&self, putters: &Bound<'_, PyAny>) {
        self.putters.replace(putters);
    }

    #[getter]
    pub(super) fn _maxsize<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.maxsize.with(py, |maxsize| maxsize.clone_ref(py)).to_object(py)
    }

    #[setter(_maxsize)]
    fn set_maxsize(&self, maxsize: &Bound<'_, PyAny>) {
        let new = Count::of(maxsize);
        drop(self.maxsize.with(maxsize.py(), |maxsize| std::mem::replace(maxsize, new)));
    }

    /// asyncio's name for how many items were put in and not yet said to be done.
    #[getter]
    fn _unfinished_tasks(&self) -> Returned<i64> {
        Returned(self.unfinished.count())
    }

    #[setter(_unfinished_tasks)]
    fn set_unfinished_tasks(&self, unfinished: i64) {
        self.unfinished.set_count(unfinished);
    }

    /// asyncio's name for the event that is set while nothing is unfinished.
    #[getter]
    fn _finished<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Event>> {
        self.unfinished.event(py)
    }

    #[setter(_finished)]
    fn set_finished(&self, finished: Bound<'_, Event>) {
        self.unfinished.set_event(finished);
    }

    #[cfg(Py_3_13)]
    #[getter]
    fn _is_shutdown(&self) -> bool {
        self.is_shut_down()
    }

    #[cfg(Py_3_13)]
    #[setter(_is_shutdown)]
    fn set_is_shutdown(&self, is_shutdown: &Bound<'_, PyAny>) -> PyResult<()> {
        self.is_shut_down.store(is_shutdown.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }
}
