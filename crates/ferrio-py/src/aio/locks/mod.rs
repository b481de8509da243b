//! What tasks wait for each other with (Lib/asyncio/locks.py).

mod acquire;
mod barrier;
mod condition;
mod context;
mod event;
mod lock;
mod semaphore;

use pyo3::prelude::*;
use pyo3::types::PyModule;

pub(super) use event::{Event, Waiting};

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    lock::install(module)?;
    event::install(module)?;
    condition::install(module)?;
    semaphore::install(module)?;
    barrier::install(module)
}
