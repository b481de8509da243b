//! A number that the program gave: how many may enter, how long a queue may become.
//!
//! It is an int nearly always, and infinity now and then; asyncio takes whatever can be compared
//! and added to, and so do its classes here.

use pyo3::exceptions::PyOverflowError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyInt;

use crate::error::WithText;
use crate::ffi::make;

/// The number.
pub(super) enum Count {
    /// Exactly an int, of this size.
    Int(i64),
    /// Anything else: its own operators say.
    Other(Py<PyAny>),
}

impl Count {
    #[inline]
    pub(super) fn of(number: &Bound<'_, PyAny>) -> Count {
        match number.cast_exact::<PyInt>().ok().and_then(|number| number.extract().ok()) {
            Some(number) => Count::Int(number),
            None => Count::Other(number.clone().unbind()),
        }
    }

    pub(super) fn clone_ref(&self, py: Python<'_>) -> Count {
        match self {
            Count::Int(number) => Count::Int(*number),
            Count::Other(number) => Count::Other(number.clone_ref(py)),
        }
    }

    pub(super) fn to_object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Count::Int(number) => Ok(make::int(py, *number)?.into_any()),
            Count::Other(number) => Ok(number.bind(py).clone()),
        }
    }

    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Count::Int(_) => Ok(()),
            Count::Other(number) => visit.call(number),
        }
    }

    /// The number and one more, or one less.
    pub(super) fn plus(&self, py: Python<'_>, more: i64) -> PyResult<Count> {
        match self {
            Count::Int(number) => number
                .checked_add(more)
                .map(Count::Int)
                .ok_or_else(|| PyOverflowError::with_text("too many")),
            // As asyncio's statements do, whose operators a class may tell apart.
            Count::Other(number) if more < 0 => Ok(Count::of(&number.bind(py).sub(-more)?)),
            Count::Other(number) => Ok(Count::of(&number.bind(py).add(more)?)),
        }
    }

    /// Makes it one less, if it is an int above zero.
    #[inline]
    pub(super) fn take_one(&mut self) -> bool {
        match self {
            Count::Int(number) if *number > 0 => {
                *number -= 1;
                true
            }
            Count::Int(_) | Count::Other(_) => false,
        }
    }

    /// Makes it one more, if it is an int, and remains so, and is below `bound`.
    #[inline]
    pub(super) fn put_one(&mut self, bound: Option<&Count>) -> bool {
        match (self, bound) {
            (Count::Int(number), None) if *number < i64::MAX => {
                *number += 1;
                true
            }
            (Count::Int(number), Some(Count::Int(bound))) if *number < *bound => {
                *number += 1;
                true
            }
            (Count::Int(_) | Count::Other(_), _) => false,
        }
    }

    pub(super) fn is_zero(&self, py: Python<'_>) -> PyResult<bool> {
        match self {
            Count::Int(number) => Ok(*number == 0),
            Count::Other(number) => number.bind(py).eq(0),
        }
    }

    pub(super) fn is_positive(&self, py: Python<'_>) -> PyResult<bool> {
        match self {
            Count::Int(number) => Ok(*number > 0),
            Count::Other(number) => number.bind(py).gt(0),
        }
    }

    /// Is it zero or less?
    pub(super) fn is_nothing(&self, py: Python<'_>) -> PyResult<bool> {
        match self {
            Count::Int(number) => Ok(*number <= 0),
            Count::Other(number) => number.bind(py).le(0),
        }
    }

    /// `self >= other`.
    pub(super) fn reaches(&self, py: Python<'_>, other: &Count) -> PyResult<bool> {
        match (self, other) {
            (Count::Int(number), Count::Int(other)) => Ok(number >= other),
            (Count::Int(_) | Count::Other(_), _) => self.to_object(py)?.ge(other.to_object(py)?),
        }
    }
}
