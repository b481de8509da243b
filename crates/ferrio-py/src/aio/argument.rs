//! An argument with a default that is not None.

use pyo3::prelude::*;

use crate::ffi::make;

/// The argument; `None` in Python is an argument like any other.
pub(super) enum Argument<'py> {
    Missing,
    Given(Bound<'py, PyAny>),
}

impl<'py> Argument<'py> {
    /// The argument, or this number.
    pub(super) fn or(self, py: Python<'py>, default: i64) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Argument::Given(object) => Ok(object),
            Argument::Missing => Ok(make::int(py, default)?.into_any()),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Argument<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Argument<'py>> {
        Ok(Argument::Given(object.to_owned()))
    }
}
