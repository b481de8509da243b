//! System calls that fail on purpose, for `make soak`: only in builds with the cargo feature
//! `faults`, which are made for that and installed nowhere.

use std::sync::{Mutex, PoisonError};

use ferrio_engine::faults::{Faults, Injection, inject};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::ffi::make;

static CURRENT: Mutex<Option<Injection>> = Mutex::new(None);

/// From now on one of the engine's system calls in `one_in` has a fault; with 0, none. Only such
/// faults that no program may notice, or others, too.
#[pyfunction]
pub(crate) fn inject_faults(seed: u64, one_in: u32, harmless: bool) {
    let faults = if harmless { Faults::Harmless } else { Faults::All };
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    // Not in one step: the end of the old one would end the new one, too.
    drop(current.take());
    *current = Some(inject(seed, one_in, faults));
}

/// How many calls there were since, and how often each fault: `(8000, {"recv EINTR": 50})`.
#[pyfunction]
pub(crate) fn injected_faults(py: Python<'_>) -> PyResult<(u64, Bound<'_, PyDict>)> {
    let counts = make::dict(py)?;
    let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(injection) = &*current else { return Ok((0, counts)) };
    for injected in injection.injected() {
        counts.set_item(format!("{} {}", injected.call, injected.fault), injected.count)?;
    }
    Ok((injection.calls(), counts))
}
