//! Gives this crate pyo3's `cfg(Py_3_14)` and `cfg(Py_GIL_DISABLED)`, and `build_info` its facts.

use std::env;
use std::process::Command;

fn main() {
    pyo3_build_config::use_pyo3_cfgs();

    unwindable();

    // Cargo sets both for every build script.
    println!("cargo::rustc-env=FERRIO_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=FERRIO_RUSTC={}", rustc_version().unwrap_or_default());
}

/// Has every segment of the library begin at a page of its own. By default LLD, which rustc links
/// with, lets the end of one and the beginning of the next share a page of the file, so that code
/// begins in the middle of a page. The libunwind in `py-spy --native` takes the beginning of the
/// mapping for that of the code, finds nothing where it looks, and gives up on the whole process.
/// Linkers that do so anyway ignore the option.
fn unwindable() {
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,separate-loadable-segments");
    }
}

/// Like "1.88.0 (6b00bc388 2025-06-23)".
fn rustc_version() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().trim_start_matches("rustc ").to_owned())
}
