//! Waking of those who wait for an item or for room.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::order::{Order, WAKEUP_NEXT};
use super::queue::Queue;
use crate::aio::waiters::Waiters;
use crate::ffi::deque::Deque;
use crate::ffi::future::state;
use crate::ffi::interned::intern;

impl Queue {
    /// `_wakeup_next(waiters)`, whoever's method that is.
    #[inline]
    pub(super) fn wake_up_next(slf: &Bound<'_, Queue>, waiters: &Waiters) -> PyResult<()> {
        Queue::wake_up_next_in(slf, waiters, Order::with(slf, WAKEUP_NEXT).is_some())
    }

    /// [`wake_up_next`](Queue::wake_up_next), where it is known whose method that is.
    #[inline]
    pub(super) fn wake_up_next_in(
        slf: &Bound<'_, Queue>,
        waiters: &Waiters,
        is_ours: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        if !is_ours {
            let waiters = waiters.deque(py)?;
            let name = intern!(py, "_wakeup_next");
            return slf.call_method1(name, (waiters.as_any(),)).map(drop);
        }
        match waiters.peek(py) {
            Some(waiters) => wake_up_next(&waiters),
            None => Ok(()),
        }
    }
}

#[pymethods]
impl Queue {
    /// asyncio's name for waking the first of these that has not been woken.
    fn _wakeup_next(&self, waiters: Bound<'_, PyAny>) -> PyResult<()> {
        let py = waiters.py();
        let waiters = match Deque::of(waiters) {
            Ok(waiters) => return wake_up_next(&waiters),
            Err(waiters) => waiters,
        };
        while waiters.is_truthy()? {
            let waiter = waiters.call_method0(intern!(py, "popleft"))?;
            if !state::is_done(&waiter)? {
                return state::set_result(&waiter, py.None().bind(py));
            }
        }
        Ok(())
    }
}

/// One who waited does not any more: if it had been woken to do what `is_possible`, the next is
/// woken in its place.
pub(super) fn give_up<'py>(
    queue: &Bound<'py, Queue>,
    waiters: &Waiters,
    future: &Bound<'py, PyAny>,
    is_possible: impl FnOnce() -> PyResult<bool>,
) -> PyResult<()> {
    let py = queue.py();
    state::cancel(future)?;
    match waiters.remove(future) {
        // Whoever woke it has taken it out.
        Err(error) if error.is_instance_of::<PyValueError>(py) => {}
        removed => removed?,
    }
    if is_possible()? && !state::is_cancelled(future)? {
        Queue::wake_up_next(queue, waiters)?;
    }
    Ok(())
}

/// Wakes the first that can be woken; takes it and all before it out.
fn wake_up_next(waiters: &Deque<'_>) -> PyResult<()> {
    while !waiters.is_empty()? {
        let waiter = waiters.pop()?;
        if !state::is_done(&waiter)? {
            return state::set_result(&waiter, waiter.py().None().bind(waiter.py()));
        }
    }
    Ok(())
}

/// Wakes all; takes them out.
#[cfg(Py_3_13)]
pub(super) fn wake_up_all(py: Python<'_>, waiters: &Waiters) -> PyResult<()> {
    let Some(waiters) = waiters.peek(py) else { return Ok(()) };
    while !waiters.is_empty()? {
        let waiter = waiters.pop()?;
        if !state::is_done(&waiter)? {
            state::set_result(&waiter, py.None().bind(py))?;
        }
    }
    Ok(())
}
