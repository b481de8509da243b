//! What tasks hand things to each other through (Lib/asyncio/queues.py).

mod get;
mod items;
mod join;
mod order;
mod ordered;
mod private_names;
mod put;
mod queue;
mod unfinished;
mod waking;

use pyo3::prelude::*;
use pyo3::types::PyModule;

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    queue::install(module)?;
    ordered::install(module)
}
