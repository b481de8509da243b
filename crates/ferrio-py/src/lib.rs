//! asyncio's API over `ferrio-engine`.

use pyo3::prelude::*;

/// The native half of the package `ferrio`.
#[pymodule(gil_used = false)]
mod _ferrio {}
