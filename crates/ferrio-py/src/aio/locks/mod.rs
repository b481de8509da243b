//! What tasks wait for each other with (Lib/asyncio/locks.py).

mod event;
mod waiters;

use pyo3::prelude::*;
use pyo3::types::PyModule;

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    event::install(module)
}
