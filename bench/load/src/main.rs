//! The program `ferrio-load`. Cargo follows a path to a library only: crates/ferrio-py/Cargo.toml.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrio_load::run_program()
}
