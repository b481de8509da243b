//! Happy Eyeballs: attempts that overlap (RFC 8305, section 5).
//!
//! The race itself is this version's own `asyncio.staggered.staggered_race`; its runners are
//! attempts of ours.

use std::sync::Arc;

use pyo3::prelude::*;

use super::Loop;
use super::attempt::{Candidate, attempt};
use crate::coroutine::{self, await_object};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
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
    let (failed, made) = (GilCell::new(Vec::new()), GilCell::new(Some(Vec::new())));
    let shared = Arc::new(Race { local, failures: failed, made });
    let _over = Over(&shared);
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
        let Ok(winner) = winner.cast::<Winner>() else { return Ok(None) };
        let place = winner.get().place;
        Ok(shared.made.with(py, |made| made.as_mut()?.get_mut(place)?.take()))
    })
}

/// What the attempts have in common.
struct Race {
    local: Option<Vec<Candidate>>,
    /// A list for each attempt.
    failures: GilCell<Vec<Vec<PyErr>>>,
    /// The connections that were made, until somebody takes one; None once the race is over.
    made: GilCell<Option<Vec<Option<Endpoint>>>>,
}

impl Race {
    /// Keeps a connection for whoever waits for it. Nobody does any more: it is closed.
    fn keep(&self, py: Python<'_>, endpoint: Endpoint) -> Winner {
        let mut endpoint = Some(endpoint);
        let place = self.made.with(py, |made| {
            let Some(made) = made else { return 0 };
            made.push(endpoint.take());
            made.len() - 1
        });
        drop(endpoint);
        Winner { place }
    }
}

/// The end of a race, however it comes. What nobody has taken is closed: a second attempt may come
/// in with the first, and a race that is given up when it is won leaves its winner in a traceback,
/// which is a cycle.
struct Over<'a>(&'a Race);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        // At the end of the interpreter they are closed with the process.
        let _at_exit = Python::try_attach(|py| drop(self.0.made.with(py, Option::take)));
    }
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
                Ok(Py::new(py, race.keep(py, connected?))?.into_any())
            })
        })
    }
}

/// Stands for a connection made: its place in [`Race::made`].
#[pyclass(frozen)]
struct Winner {
    place: usize,
}
