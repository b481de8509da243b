//! Which of the engine's drivers a loop waits with.

use ferrio_engine::DriverKind;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::Loop;
use crate::error::WithText;
use crate::ffi::interned::intern;

/// What loops wait with for which nobody has said it: for test suites that make loops by themselves.
const VARIABLE: &str = "FERRIO_DRIVER";

/// What was asked for: by the argument `driver` of the loop's class, else by the environment, else
/// the system's best.
///
/// # Errors
/// ValueError for a name that no driver of this system has.
pub(super) fn asked_for(arguments: Option<&Bound<'_, PyDict>>) -> PyResult<DriverKind> {
    let argument = match arguments {
        Some(arguments) => arguments.get_item(intern!(arguments.py(), "driver"))?,
        None => None,
    };
    if let Some(argument) = argument.filter(|argument| !argument.is_none()) {
        let name = argument.cast::<PyString>().ok().and_then(|name| name.to_str().ok());
        let found = name.and_then(DriverKind::named);
        return match found {
            Some(kind) => Ok(kind),
            None => Err(unknown("", argument.repr()?.to_str().unwrap_or("like that"))),
        };
    }
    match std::env::var(VARIABLE) {
        Ok(name) if !name.is_empty() => DriverKind::named(&name)
            .ok_or_else(|| unknown(&format!("{VARIABLE}: "), &format!("'{name}'"))),
        Ok(_) | Err(_) => Ok(DriverKind::default()),
    }
}

fn unknown(place: &str, name: &str) -> PyErr {
    let known: Vec<String> = DriverKind::ALL
        .iter()
        .map(|kind| {
            let note = if *kind == DriverKind::default() { " (the default)" } else { "" };
            format!("'{}'{note}", kind.name())
        })
        .collect();
    PyValueError::with_text(format!(
        "{place}there is no driver {name} on this system: choose {}",
        known.join(" or ")
    ))
}

#[pymethods]
impl Loop {
    /// The name of the driver that this loop waits with.
    #[getter]
    fn _driver(&self) -> &'static str {
        self.driver.name()
    }
}
