//! Happy Eyeballs: attempts that overlap (RFC 8305, section 5).
//!
//! The race itself is this version's own `asyncio.staggered.staggered_race`; its runners are
//! attempts of ours.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;

use super::Loop;
use super::attempt::{Candidate, attempt};
use crate::coroutine::{self, await_object};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::make;
use crate::names;
use crate::transport::Endpoint;

/// Tries the candidates in order, a new one whenever the last has failed or `delay` seconds have
/// passed; the first connection made ends all other attempts. None if all failed.
///
/// The failures, attempt for attempt in the order of their starts, are added to `failures`.
pub(crate) async fn race(
    looop: &Py<Loop>,
    candidates: Vec<Candidate>,
    local: Option<Vec<Candidate>>,
    delay: Py<PyAny>,
    failures: &mut Vec<PyErr>,
) -> PyResult<Option<Endpoint>> {
    let shared = Arc::new(Race { local, failures: GilCell::new(Vec::new()) });
    let racing = Python::attach(|py| {
        let runners = candidates
            .into_iter()
            .map(|candidate| {
                let looop = looop.clone_ref(py);
                Py::new(py, Runner { looop, candidate: Arc::new(candidate), race: shared.clone() })
            })
            .collect::<PyResult<Vec<_>>>()?;
        let runners = make::list_of(py, runners.into_iter().map(|runner| runner.into_bound(py)))?;
        let options = make::dict(py)?;
        options.set_item(intern!(py, "loop"), looop)?;
        names::staggered(py)?
            .call_method(intern!(py, "staggered_race"), (runners, delay), Some(&options))
            .map(Bound::unbind)
    })?;
    let outcome = await_object(racing).await?;
    Python::attach(|py| {
        failures.extend(shared.failures.with(py, std::mem::take).into_iter().flatten());
        let winner = outcome.bind(py).get_item(0)?;
        match winner.cast::<Winner>() {
            Ok(winner) => Ok(winner.get().endpoint.with(py, Option::take)),
            Err(_) => Ok(None),
        }
    })
}

/// What the attempts have in common.
struct Race {
    local: Option<Vec<Candidate>>,
    /// A list for each attempt.
    failures: GilCell<Vec<Vec<PyErr>>>,
}

/// A coroutine function that attempts one address.
#[pyclass(frozen)]
struct Runner {
    looop: Py<Loop>,
    candidate: Arc<Candidate>,
    race: Arc<Race>,
}

#[pymethods]
impl Runner {
    fn __call__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let looop = self.looop.clone_ref(py);
        let (candidate, race) = (self.candidate.clone(), self.race.clone());
        coroutine::make(py, "Loop._connect_sock", async move {
            let place = Python::attach(|py| {
                race.failures.with(py, |failures| {
                    failures.push(Vec::new());
                    failures.len() - 1
                })
            });
            let mut failures = Vec::new();
            let connected = attempt(&looop, &candidate, race.local.as_deref(), &mut failures).await;
            Python::attach(|py| {
                race.failures.with(py, |all| {
                    if let Some(own) = all.get_mut(place) {
                        *own = failures;
                    }
                });
                let winner = Winner { endpoint: GilCell::new(Some(connected?)) };
                Ok(Py::new(py, winner)?.into_any())
            })
        })
    }
}

/// A connection made. One that nobody takes is closed: a second attempt may come in with the first.
#[pyclass(frozen)]
struct Winner {
    endpoint: GilCell<Option<Endpoint>>,
}
