//! The watermarks of a buffer, as programs set them (`_FlowControlMixin`,
//! Lib/asyncio/transports.py; `add_flowcontrol_defaults`, Lib/asyncio/sslproto.py).

use ferrio_engine::Limits;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::WithText;

/// An argument of `set_write_buffer_limits`: a number of bytes. Programs also divide, and then it is as
/// many whole bytes as there are in it.
#[derive(Clone, Copy)]
pub(crate) struct Watermark(isize);

impl<'py> FromPyObject<'_, 'py> for Watermark {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Watermark> {
        match object.extract::<isize>() {
            Ok(bytes) => Ok(Watermark(bytes)),
            // Rounds towards the bounds of the type what is beyond them, infinity included.
            Err(_) => Ok(Watermark(object.extract::<f64>()?.floor() as isize)),
        }
    }
}

/// The arguments of `set_write_buffer_limits`. `default_high` is what a program that names neither gets, in bytes.
///
/// # Errors
/// ValueError unless high >= low >= 0.
pub(crate) fn from_arguments(
    high: Option<Watermark>,
    low: Option<Watermark>,
    default_high: isize,
) -> PyResult<Limits> {
    let (high, low) = (high.map(|Watermark(high)| high), low.map(|Watermark(low)| low));
    let high = match (high, low) {
        (Some(high), _) => high,
        (None, Some(low)) => low.saturating_mul(4),
        (None, None) => default_high,
    };
    let low = low.unwrap_or_else(|| high.div_euclid(4));
    let limits = match (usize::try_from(low), usize::try_from(high)) {
        (Ok(low), Ok(high)) => Limits::new(low, high),
        (Err(_), _) | (_, Err(_)) => None,
    };
    limits.ok_or_else(|| {
        let text = format!("high ({high}) must be >= low ({low}) must be >= 0");
        PyValueError::with_text(text)
    })
}

/// Of most transports.
pub(crate) const DEFAULT_HIGH: isize = 64 * 1024;
