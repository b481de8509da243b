//! Gives this crate pyo3's `cfg(Py_3_14)` and `cfg(Py_GIL_DISABLED)`.
fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
