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

/// Has every segment of the library begin at a page of its own, code among them: `ffi/page.rs` says
/// what for, and does it where `.text` is the first section of code. Linkers that do so anyway
/// ignore the option; zig, by which `make wheels` has a linker for every platform, refuses it.
fn unwindable() {
    println!("cargo::rerun-if-env-changed=ZIG_COMMAND");
    let by_zig = env::var_os("ZIG_COMMAND").is_some();
    if !by_zig && env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,separate-loadable-segments");
    }
}

/// Like "1.88.0 (6b00bc388 2025-06-23)".
fn rustc_version() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().trim_start_matches("rustc ").to_owned())
}
