//! `Barrier`.

mod change;
mod context;
mod wait;

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyString, PyTuple};

use super::condition::Condition;
use crate::aio::count::Count;
use crate::error::WithText;
use crate::ffi::call::python_of;
use crate::ffi::class::{self, chained};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make::{self, Returned};
use crate::ffi::refusal;
use crate::names;

/// Where so many tasks wait for each other, and then go on together.
///
/// ```text
///              the last has come            all have gone
///   Filling ----------------------> Draining ----------> Filling
///      | reset while some wait                               ^
///      +----------------------> Resetting -------------------+
///                                   all have gone
///   abort, in any state: Broken; reset while nobody waits: Filling
/// ```
#[pyclass(module = "ferrio", subclass, frozen, weakref, dict)]
pub(crate) struct Barrier {
    inner: GilCell<Inner>,
}

struct Inner {
    /// Held by whoever looks at the rest; told of every change of the phase. None before
    /// `__init__`.
    condition: Option<Py<Condition>>,
    parties: Count,
    phase: Phase,
    /// How many have come and not gone.
    count: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Filling,
    Draining,
    Resetting,
    Broken,
}

impl Phase {
    const ALL: [Phase; 4] = [Phase::Filling, Phase::Draining, Phase::Resetting, Phase::Broken];

    /// asyncio's name for it, in lower case and in upper case.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Phase::Filling => ("filling", "FILLING"),
            Phase::Draining => ("draining", "DRAINING"),
            Phase::Resetting => ("resetting", "RESETTING"),
            Phase::Broken => ("broken", "BROKEN"),
        }
    }
}

chained!(Barrier);

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    refusal::add_class::<Barrier>(module)?;
    class::chain::<Barrier>(module.py());
    wait::install(py)?;
    change::install(py)?;
    context::install(py)
}

impl Barrier {
    fn condition<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Condition>> {
        let condition = self
            .inner
            .with(py, |inner| inner.condition.as_ref().map(|condition| condition.clone_ref(py)));
        match condition {
            Some(condition) => Ok(condition.into_bound(py)),
            None => Err(PyValueError::with_text("the barrier has not been initialised")),
        }
    }

    fn phase(&self, py: Python<'_>) -> Phase {
        self.inner.with(py, |inner| inner.phase)
    }

    fn parties(&self, py: Python<'_>) -> Count {
        self.inner.with(py, |inner| inner.parties.clone_ref(py))
    }

    /// Changes the phase, and tells all who wait.
    fn enter(&self, py: Python<'_>, phase: Phase) -> PyResult<()> {
        self.inner.with(py, |inner| inner.phase = phase);
        Condition::tell_all(&self.condition(py)?)
    }

    /// One who had come goes.
    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        let is_last = self.inner.with(py, |inner| {
            inner.count -= 1;
            if inner.count == 0 && matches!(inner.phase, Phase::Resetting | Phase::Draining) {
                inner.phase = Phase::Filling;
            }
            inner.count == 0
        });
        if is_last { Condition::tell_all(&self.condition(py)?) } else { Ok(()) }
    }
}

#[pymethods]
impl Barrier {
    /// Takes whatever a subclass is made with; `__init__` says what a Barrier is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(parties)")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Barrier {
        let _ = (args, kwargs);
        let parties = Count::Int(0);
        Barrier {
            inner: GilCell::new(Inner {
                condition: None,
                parties,
                phase: Phase::Filling,
                count: 0,
            }),
        }
    }

    /// A barrier for `parties` tasks.
    fn __init__(&self, parties: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = parties.py();
        if parties.lt(1)? {
            // In the words of this version.
            names::barrier(py)?.call1((parties,))?;
            return Err(PyValueError::with_text("parties must be >= 1"));
        }
        let condition = match names::condition(py)?.call0()?.cast_into::<Condition>() {
            Ok(condition) => condition,
            // Of a class that somebody has put there and that is not derived from ours.
            Err(_) => names::aio_condition(py)?.call0()?.cast_into::<Condition>()?,
        };
        let condition = condition.unbind();
        let new = Inner {
            condition: Some(condition),
            parties: Count::of(parties),
            phase: Phase::Filling,
            count: 0,
        };
        drop(self.inner.with(py, |inner| std::mem::replace(inner, new)));
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let (py, this) = (slf.py(), slf.get());
        let mut extra = String::from(this.phase(py).names().0);
        if !slf.getattr(intern!(py, "broken"))?.is_truthy()? {
            let waiting = slf.getattr(intern!(py, "n_waiting"))?;
            extra += &format!(", waiters:{waiting}/{}", slf.getattr(intern!(py, "parties"))?);
        }
        crate::aio::repr(slf, &extra)
    }

    /// How many tasks it waits for.
    #[getter(parties)]
    fn py_parties<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.parties(py).to_object(py)
    }

    /// How many tasks wait now for the others to come.
    #[getter]
    fn n_waiting(&self, py: Python<'_>) -> Returned<i64> {
        let count = |inner: &mut Inner| if inner.phase == Phase::Filling { inner.count } else { 0 };
        Returned(self.inner.with(py, count))
    }

    /// True if it has been aborted.
    #[getter]
    fn broken(&self, py: Python<'_>) -> bool {
        self.phase(py) == Phase::Broken
    }

    /// asyncio's name for `parties`.
    #[getter]
    fn _parties<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.parties(py).to_object(py)
    }

    #[setter(_parties)]
    fn set_parties(&self, parties: &Bound<'_, PyAny>) {
        let new = Count::of(parties);
        drop(self.inner.with(parties.py(), |inner| std::mem::replace(&mut inner.parties, new)));
    }

    /// asyncio's name for how many have come and not gone.
    #[getter]
    fn _count(&self, py: Python<'_>) -> Returned<i64> {
        Returned(self.inner.with(py, |inner| inner.count))
    }

    #[setter(_count)]
    fn set_count(&self, py: Python<'_>, count: i64) {
        self.inner.with(py, |inner| inner.count = count);
    }

    /// asyncio's name for the phase: a member of its own enumeration.
    #[getter]
    fn _state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let states = names::locks(py)?.getattr(intern!(py, "_BarrierState"))?;
        states.getattr(make::text(py, self.phase(py).names().1)?)
    }

    #[setter(_state)]
    fn set_state(&self, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = state.py();
        let name = state.getattr(intern!(py, "name"))?;
        let name = name.cast::<PyString>()?.to_str()?;
        match Phase::ALL.into_iter().find(|phase| phase.names().1 == name) {
            Some(phase) => self.inner.with(py, |inner| inner.phase = phase),
            None => return Err(PyValueError::with_text(format!("no state of a barrier: {name}"))),
        }
        Ok(())
    }

    /// asyncio's name for what is told of every change.
    #[getter]
    fn _cond(&self, py: Python<'_>) -> Option<Py<Condition>> {
        self.inner.with(py, |inner| inner.condition.as_ref().map(|cond| cond.clone_ref(py)))
    }

    #[setter(_cond)]
    fn set_cond(&self, condition: Bound<'_, Condition>) {
        let py = condition.py();
        let new = Some(condition.unbind());
        drop(self.inner.with(py, |inner| std::mem::replace(&mut inner.condition, new)));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let inner = |inner: &mut Inner| {
            visit.call(&inner.condition)?;
            inner.parties.traverse(&visit)
        };
        self.inner.try_with(python_of(&visit), inner).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.inner.with(py, |inner| {
            (inner.condition.take(), std::mem::replace(&mut inner.parties, Count::Int(0)))
        }));
    }
}
