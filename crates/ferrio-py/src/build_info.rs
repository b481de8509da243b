//! For `ferrio info`: how this module was built.

use ferrio_engine::DriverKind;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::ffi::make;

/// What was fixed when this module was built, by name.
///
/// `profile` is "release" or "debug" (assertions on, much slower), `target` the Rust target triple,
/// `rustc` the compiler's version, `drivers` what loops can wait for events with, the default first.
#[pyfunction]
pub(crate) fn build_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let info = make::dict(py)?;
    info.set_item("profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    info.set_item("target", env!("FERRIO_TARGET"))?;
    info.set_item("rustc", env!("FERRIO_RUSTC"))?;
    let drivers: Vec<&str> = DriverKind::ALL.iter().map(|kind| kind.name()).collect();
    info.set_item("drivers", drivers.join(", "))?;
    Ok(info)
}
