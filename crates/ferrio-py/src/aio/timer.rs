//! A timer that finishes a future, or does nothing if that is done by then: what `sleep`, `wait` and
//! their like set.

use std::ffi::c_int;

use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};

use crate::event_loop::Loop;
use crate::ffi::interned::intern;
use crate::ffi::task::queue::direct_loop;
use crate::item::Item;
use crate::names;

/// A pending timer. Forgotten it still fires.
pub(super) enum Timer {
    /// Of a loop of ours: no handle was made.
    Engine { looop: Py<Loop>, key: u64 },
    /// What `call_later` has returned.
    Handle(Py<PyAny>),
}

impl Timer {
    /// Sets the future's result to `value` after so many seconds.
    ///
    /// # Errors
    /// TypeError where `delay` is no number; what a `call_later` of the program's own raises.
    pub(super) fn set_result_later(
        looop: &Bound<'_, PyAny>,
        delay: &Bound<'_, PyAny>,
        future: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<Timer> {
        let py = looop.py();
        let place = names::places::set_result_unless_cancelled(py)?;
        let set = place.current(py)?;
        if set.is(place.original(py))
            && let Some(timer) = Timer::direct(looop, delay, future, value)?
        {
            return Ok(timer);
        }
        Timer::by_method(looop, (delay, set, future, value))
    }

    /// Sets the future's result to None after so many seconds, unless it is done.
    ///
    /// # Errors
    /// As above.
    pub(super) fn release_later(
        looop: &Bound<'_, PyAny>,
        delay: &Bound<'_, PyAny>,
        waiter: &Bound<'_, PyAny>,
    ) -> PyResult<Timer> {
        let py = looop.py();
        let place = names::places::release_waiter(py)?;
        let release = place.current(py)?;
        if release.is(place.original(py))
            && let Some(timer) = Timer::direct(looop, delay, waiter, py.None().bind(py))?
        {
            return Ok(timer);
        }
        Timer::by_method(looop, (delay, release, waiter))
    }

    /// `call_later(delay, callback)`.
    pub(super) fn call_later(
        looop: &Bound<'_, PyAny>,
        delay: &Bound<'_, PyAny>,
        callback: &Bound<'_, PyAny>,
    ) -> PyResult<Timer> {
        Timer::by_method(looop, (delay, callback))
    }

    fn by_method<'py>(
        looop: &Bound<'py, PyAny>,
        arguments: impl pyo3::call::PyCallArgs<'py>,
    ) -> PyResult<Timer> {
        let name = intern!(looop.py(), "call_later");
        Ok(Timer::Handle(looop.call_method1(name, arguments)?.unbind()))
    }

    /// On a loop of ours that has our clock, for a delay that is a plain number (bench: sleep_10us).
    fn direct(
        looop: &Bound<'_, PyAny>,
        delay: &Bound<'_, PyAny>,
        future: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Timer>> {
        let py = looop.py();
        let Some(ours) = direct_loop(looop) else { return Ok(None) };
        let Some(seconds) = plain_number(delay) else { return Ok(None) };
        let Some(deadline) = ours.get().deadline_after(py, seconds) else { return Ok(None) };
        let item =
            Item::SetResult { future: future.clone().unbind(), value: value.clone().unbind() };
        let key = ours.get().add_timer(py, deadline, item)?;
        Ok(Some(Timer::Engine { looop: ours.clone().unbind(), key }))
    }

    /// Takes it back, if it has not fired.
    pub(super) fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Timer::Engine { looop, key } => {
                looop.get().forget_timer(py, *key);
                Ok(())
            }
            Timer::Handle(handle) => handle.call_method0(py, intern!(py, "cancel")).map(drop),
        }
    }

    /// As [`Body::traverse`](crate::ffi::coroutine::Body::traverse).
    pub(super) fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        match self {
            Timer::Engine { looop, .. } => visit(looop.as_ptr()),
            Timer::Handle(handle) => visit(handle.as_ptr()),
        }
    }
}

/// A float or an int, nothing that has arithmetic of its own.
pub(super) fn plain_number(value: &Bound<'_, PyAny>) -> Option<f64> {
    if let Ok(float) = value.cast_exact::<PyFloat>() {
        return Some(float.value());
    }
    if !value.is_exact_instance_of::<PyInt>() {
        return None;
    }
    match value.extract::<i32>() {
        // Without a float object in between.
        Ok(small) => Some(small.into()),
        Err(_) => value.extract().ok(),
    }
}
