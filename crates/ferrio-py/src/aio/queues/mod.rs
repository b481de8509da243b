//! What tasks hand things to each other through (Lib/asyncio/queues.py).

mod get;
mod items;
mod join;
mod put;
mod queue;

use pyo3::prelude::*;
use pyo3::types::PyModule;

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    queue::install(module)
}
