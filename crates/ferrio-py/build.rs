//! Gives this crate pyo3's `cfg(Py_3_14)` and `cfg(Py_GIL_DISABLED)`, and `build_info` its facts.

use std::env;
use std::process::Command;

fn main() {
    pyo3_build_config::use_pyo3_cfgs();

    // Cargo sets both for every build script.
    println!("cargo::rustc-env=FERRIO_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=FERRIO_RUSTC={}", rustc_version().unwrap_or_default());
}

/// Like "1.88.0 (6b00bc388 2025-06-23)".
fn rustc_version() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().trim_start_matches("rustc ").to_owned())
}
