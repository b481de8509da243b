//! The functions over tasks and futures (Lib/asyncio/tasks.py).
//!
//! | file | noun |
//! |---|---|
//! | `sleep.rs` | `sleep` |
//! | `ensure.rs` | an argument as a future |
//! | `gather.rs` | `gather` |
//! | `shield.rs` | `shield` |
//! | `wait.rs` | `wait` |
//! | `wait_for.rs` | `wait_for` |
//! | `cancel_and_wait.rs` | a future that is cancelled and waited for |
//! | `as_completed.rs` | what `as_completed` iterates by |
//!
//! `create_task`, `ensure_future`, `to_thread`, `run_coroutine_threadsafe`, `iscoroutine` and their
//! like stay asyncio's: they call methods of the loop, which are ours, and do nothing for each await.

mod as_completed;
mod cancel_and_wait;
mod ensure;
mod gather;
mod shield;
mod sleep;
mod wait;
mod wait_for;

use pyo3::prelude::*;
use pyo3::types::PyModule;

use crate::ffi::coroutine::add_function;
use crate::ffi::refusal;

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_function::<sleep::Sleep>(module)?;
    add_function::<wait::Wait>(module)?;
    wait_for::install(module.py())?;
    add_function::<wait_for::WaitFor>(module)?;
    refusal::add_function(module, &wrap_pyfunction!(gather::gather, module)?)?;
    refusal::add_function(module, &wrap_pyfunction!(gather::adopt_gathering_future, module)?)?;
    refusal::add_function(module, &wrap_pyfunction!(shield::shield, module)?)?;
    as_completed::install(module)
}
