//! How many items of a queue are not done with yet, and the event that none is left.

use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use crate::aio::locks::Event;
use crate::ffi::call::python_of;
use crate::ffi::gil_cell::GilCell;
use crate::names;

/// Items put in whose `task_done` has not been called.
pub(super) struct Unfinished {
    count: AtomicI64,
    finished: GilCell<Finished>,
}

/// Are there no unfinished items? An Event once anybody has asked for it.
struct Finished {
    event: Option<Py<Event>>,
    /// While there is no event.
    is_set: bool,
}

impl Unfinished {
    pub(super) const fn new() -> Unfinished {
        Unfinished { count: AtomicI64::new(0), finished: GilCell::new(Finished::new()) }
    }

    /// Makes it as it was at first.
    pub(super) fn reset(&self, py: Python<'_>) {
        self.set_count(0);
        drop(self.finished.with(py, |finished| std::mem::replace(finished, Finished::new())));
    }

    #[inline]
    pub(super) fn count(&self) -> i64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Changes the number alone; the event follows by [`finish`](Unfinished::finish).
    #[inline]
    pub(super) fn set_count(&self, count: i64) {
        self.count.store(count, Ordering::Relaxed);
    }

    /// One more has been put in.
    #[inline]
    pub(super) fn add(&self, py: Python<'_>) {
        self.set_count(self.count() + 1);
        let event = self.finished.with(py, |finished| {
            finished.is_set = false;
            finished.event.as_ref().map(|event| event.clone_ref(py))
        });
        if let Some(event) = event {
            event.into_bound(py).get().clear();
        }
    }

    /// Nothing is unfinished any more.
    pub(super) fn finish(&self, py: Python<'_>) -> PyResult<()> {
        let event = self.finished.with(py, |finished| {
            finished.is_set = true;
            finished.event.as_ref().map(|event| event.clone_ref(py))
        });
        event.map_or(Ok(()), |event| event.into_bound(py).get().set(py))
    }

    /// The event that is set while nothing is unfinished.
    pub(super) fn event<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Event>> {
        let event = |finished: &mut Finished| finished.event.as_ref().map(|e| e.clone_ref(py));
        if let Some(event) = self.finished.with(py, event) {
            return Ok(event.into_bound(py));
        }
        let new = match names::event(py)?.call0()?.cast_into::<Event>() {
            Ok(event) => event,
            // Of a class that somebody has put there and that is not derived from ours.
            Err(_) => names::aio_event(py)?.call0()?.cast_into::<Event>()?,
        };
        let kept = new.clone().unbind();
        let (is_set, old) =
            self.finished.with(py, |finished| (finished.is_set, finished.event.replace(kept)));
        drop(old);
        if is_set {
            new.get().set(py)?;
        }
        Ok(new)
    }

    /// Has another event, whatever the number is.
    pub(super) fn set_event(&self, event: Bound<'_, Event>) {
        let (py, is_set) = (event.py(), event.get().is_set());
        let new = Finished { event: Some(event.unbind()), is_set };
        drop(self.finished.with(py, |finished| std::mem::replace(finished, new)));
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.finished
            .try_with(python_of(visit), |finished| visit.call(&finished.event))
            .unwrap_or(Ok(()))
    }

    pub(super) fn clear(&self, py: Python<'_>) {
        drop(self.finished.with(py, |finished| finished.event.take()));
    }
}

impl Finished {
    const fn new() -> Finished {
        Finished { event: None, is_set: true }
    }
}
