//! The watermarks of a buffer, as programs set them (`_FlowControlMixin`,
//! Lib/asyncio/transports.py; `add_flowcontrol_defaults`, Lib/asyncio/sslproto.py).

use ferrio_engine::Limits;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::WithText;

/// The arguments of `set_write_buffer_limits`. `default_high` is what a program that names neither gets, in bytes.
///
/// # Errors
/// ValueError unless high >= low >= 0.
pub(crate) fn from_arguments(
    high: Option<isize>,
    low: Option<isize>,
    default_high: isize,
) -> PyResult<Limits> {
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
