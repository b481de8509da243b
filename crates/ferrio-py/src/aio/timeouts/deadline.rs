//! When a timeout is due, and what makes it happen.

use pyo3::prelude::*;
use pyo3::types::PyFloat;

use crate::event_loop::Loop;
use crate::ffi::interned::intern;
use crate::ffi::make;

/// A deadline, in the loop's time.
pub(super) enum When {
    Never,
    At(f64),
    /// What is no plain float, as it was given.
    Object(Py<PyAny>),
}

/// What makes it happen.
pub(super) enum Timer {
    None,
    /// A timer of a loop of ours.
    Engine {
        looop: Py<Loop>,
        key: u64,
    },
    /// On the ready queue of a loop of ours, from where nothing can be taken back.
    Ready,
    /// What `call_at` or `call_soon` has returned.
    Handle(Py<PyAny>),
}

impl When {
    pub(super) fn of(value: Option<Bound<'_, PyAny>>) -> When {
        match value {
            None => When::Never,
            Some(value) if value.is_none() => When::Never,
            Some(value) => match value.cast_exact::<PyFloat>() {
                Ok(float) => When::At(float.value()),
                Err(_) => When::Object(value.unbind()),
            },
        }
    }

    pub(super) fn clone_ref(&self, py: Python<'_>) -> When {
        match self {
            When::Never => When::Never,
            When::At(seconds) => When::At(*seconds),
            When::Object(object) => When::Object(object.clone_ref(py)),
        }
    }

    pub(super) fn object<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self {
            When::Never => None,
            When::At(seconds) => Some(make::float(py, *seconds)?.into_any()),
            When::Object(object) => Some(object.bind(py).clone()),
        })
    }
}

impl Timer {
    pub(super) fn cancel(self, py: Python<'_>) -> PyResult<()> {
        match self {
            Timer::None | Timer::Ready => Ok(()),
            Timer::Engine { looop, key } => {
                looop.get().forget_timer(py, key);
                looop.drop_ref(py);
                Ok(())
            }
            Timer::Handle(handle) => handle.call_method0(py, intern!(py, "cancel")).map(drop),
        }
    }
}
