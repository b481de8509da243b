//! `Barrier`.

use std::ffi::{CStr, c_int};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule, PyTuple};

use super::condition::{self, Condition};
use super::context::{Acquiring, Guard};
use crate::aio::count::Count;
use crate::error::WithText;
use crate::ffi::call::python_of;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::awaiting::{Awaiting, Begun};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::inherited::{Inherited, has_all};
use crate::ffi::iter::Step;
use crate::ffi::make::{self, Returned};
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

/// Is the method that `__aenter__` calls still ours?
static OURS: Inherited =
    Inherited::new(|class| has_all(class, &class.py().get_type::<Barrier>(), &["wait"]).into());

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    theirs(py)?;
    module.add_class::<Barrier>()?;
    method::install::<Wait>(py)?;
    method::install::<Reset>(py)?;
    method::install::<Abort>(py)?;
    method::install::<Enter>(py)?;
    method::install::<Exit>(py)
}

/// asyncio's own class, whatever stands in its place later.
fn theirs(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CLASS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = CLASS.get_or_try_init(py, || {
        names::locks(py)?.getattr(intern!(py, "Barrier")).map(Bound::unbind)
    })?;
    Ok(class.bind(py))
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
    #[pyo3(signature = (*args, **kwargs))]
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
            theirs(py)?.call1((parties,))?;
            return Err(PyValueError::with_text("parties must be >= 1"));
        }
        let condition = names::condition(py)?.call0()?.cast_into::<Condition>()?.unbind();
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

    /// asyncio's name for how many have come and not gone.
    #[getter]
    fn _count(&self, py: Python<'_>) -> Returned<i64> {
        Returned(self.inner.with(py, |inner| inner.count))
    }

    /// asyncio's name for the phase: a member of its own enumeration.
    #[getter]
    fn _state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let states = names::locks(py)?.getattr(intern!(py, "_BarrierState"))?;
        states.getattr(make::text(py, self.phase(py).names().1)?)
    }

    /// asyncio's name for what is told of every change.
    #[getter]
    fn _cond(&self, py: Python<'_>) -> Option<Py<Condition>> {
        self.inner.with(py, |inner| inner.condition.as_ref().map(|cond| cond.clone_ref(py)))
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

/// `Barrier.wait()`.
struct Wait;

impl CoroutineMethod for Wait {
    type Class = Barrier;
    type Body = Waiting;
    const NAME: &'static CStr = c"wait";
    const DOC: &'static CStr = c"wait($self)\n--\n\n\
        Waits until as many wait as the barrier is for, and returns a number of one's own among\n\
        them, from 0 on.\n\n\
        BrokenBarrierError if the barrier is or gets broken, or is reset meanwhile.";

    fn call<'py>(slf: &Bound<'py, Barrier>, arguments: &Arguments<'_, 'py>) -> PyResult<Waiting> {
        arguments.none("Barrier.wait")?;
        Ok(Waiting::new(slf))
    }
}

/// The state of [`Wait`]'s coroutine.
struct Waiting {
    barrier: Py<Barrier>,
    stage: Stage,
}

enum Stage {
    Start,
    /// Waits for the condition's lock.
    Entering(Box<Acquiring<Condition>>),
    /// Waits, without having come, for those before to go.
    Blocked(Box<condition::Waiting>),
    /// Has come, as the one with this number, and waits for the others.
    Filling(i64, Box<condition::Waiting>),
}

/// What comes after a step of a [`Stage`].
enum Next {
    Stage(Stage),
    Done(i64),
}

impl Waiting {
    fn new(barrier: &Bound<'_, Barrier>) -> Waiting {
        Waiting { barrier: barrier.clone().unbind(), stage: Stage::Start }
    }

    /// With the lock held, before having come.
    fn block(&self, py: Python<'_>) -> PyResult<Next> {
        let this = self.barrier.get();
        match this.phase(py) {
            Phase::Draining | Phase::Resetting => {
                let waiting = condition::Waiting::new(&this.condition(py)?);
                Ok(Next::Stage(Stage::Blocked(Box::new(waiting))))
            }
            Phase::Broken => Err(broken(py, "Barrier aborted")?),
            Phase::Filling => {
                let index = this.inner.with(py, |inner| {
                    inner.count += 1;
                    inner.count - 1
                });
                self.left_if_over(py, self.come(py, index))
            }
        }
    }

    /// With the lock held, having just come.
    fn come(&self, py: Python<'_>, index: i64) -> PyResult<Next> {
        let this = self.barrier.get();
        let is_last = match this.parties(py) {
            Count::Int(parties) => index + 1 == parties,
            Count::Other(parties) => parties.bind(py).eq(index + 1)?,
        };
        if is_last {
            this.enter(py, Phase::Draining)?;
            return Ok(Next::Done(index));
        }
        self.fill(py, index)
    }

    /// With the lock held, having come: are all the others here?
    fn fill(&self, py: Python<'_>, index: i64) -> PyResult<Next> {
        let this = self.barrier.get();
        match this.phase(py) {
            Phase::Filling => {
                let waiting = condition::Waiting::new(&this.condition(py)?);
                Ok(Next::Stage(Stage::Filling(index, Box::new(waiting))))
            }
            Phase::Draining => Ok(Next::Done(index)),
            Phase::Broken | Phase::Resetting => Err(broken(py, "Abort or reset of barrier")?),
        }
    }

    /// Whoever has come goes in the end, however that ends.
    fn left_if_over(&self, py: Python<'_>, next: PyResult<Next>) -> PyResult<Next> {
        if !matches!(next, Ok(Next::Stage(_))) {
            self.barrier.get().leave(py)?;
        }
        next
    }
}

/// The exception, to be raised.
fn broken(py: Python<'_>, text: &str) -> PyResult<PyErr> {
    Ok(PyErr::from_value(names::broken_barrier_error(py)?.call1((make::text(py, text)?,))?))
}

impl Body for Waiting {
    fn qualname(&self) -> &'static str {
        "Barrier.wait"
    }

    fn resume<'py>(&mut self, py: Python<'py>, mut with: Resume<'py>) -> PyResult<Step<'py>> {
        if matches!(self.stage, Stage::Start) {
            let condition = self.barrier.get().condition(py)?;
            self.stage = Stage::Entering(Box::new(Acquiring::new(&condition)));
        }
        loop {
            let step = match &mut self.stage {
                Stage::Start => return Ok(Step::Returned(py.None().into_bound(py))),
                Stage::Entering(acquiring) => acquiring.step(py, with),
                Stage::Blocked(waiting) | Stage::Filling(_, waiting) => waiting.resume(py, with),
            };
            let next = match (&self.stage, step) {
                (_, Ok(Step::Yielded(yielded))) => return Ok(Step::Yielded(yielded)),
                // Not even the lock is held.
                (Stage::Start | Stage::Entering(_), Err(error)) => return Err(error),
                (Stage::Blocked(_), Err(error)) => Err(error),
                (Stage::Filling(..), Err(error)) => self.left_if_over(py, Err(error)),
                (Stage::Start | Stage::Entering(_) | Stage::Blocked(_), Ok(_)) => self.block(py),
                (Stage::Filling(index, _), Ok(_)) => self.left_if_over(py, self.fill(py, *index)),
            };
            match next {
                Ok(Next::Stage(stage)) => self.stage = stage,
                Ok(Next::Done(index)) => {
                    <Condition as Guard>::release(&self.barrier.get().condition(py)?)?;
                    return Ok(Step::Returned(make::int(py, index)?.into_any()));
                }
                Err(error) => {
                    <Condition as Guard>::release(&self.barrier.get().condition(py)?)?;
                    return Err(error);
                }
            }
            with = Resume::Value(py.None().into_bound(py));
        }
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.barrier.as_ptr());
        match &self.stage {
            _ if answer != 0 => answer,
            Stage::Start => 0,
            Stage::Entering(acquiring) => acquiring.traverse(py, visit),
            Stage::Blocked(waiting) | Stage::Filling(_, waiting) => waiting.traverse(py, visit),
        }
    }
}

/// `Barrier.reset()` and `Barrier.abort()`: a change made with the lock held.
struct Changing {
    barrier: Py<Barrier>,
    aborts: bool,
    acquiring: Option<Acquiring<Condition>>,
}

impl Changing {
    fn new(barrier: &Bound<'_, Barrier>, aborts: bool) -> Changing {
        Changing { barrier: barrier.clone().unbind(), aborts, acquiring: None }
    }

    fn change(&self, py: Python<'_>) -> PyResult<()> {
        let this = self.barrier.get();
        let is_empty = this.inner.with(py, |inner| inner.count == 0);
        this.enter(
            py,
            match (self.aborts, is_empty) {
                (true, _) => Phase::Broken,
                (false, true) => Phase::Filling,
                (false, false) => Phase::Resetting,
            },
        )
    }
}

impl Body for Changing {
    fn qualname(&self) -> &'static str {
        if self.aborts { "Barrier.abort" } else { "Barrier.reset" }
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let condition = self.barrier.get().condition(py)?;
        let acquiring = self.acquiring.get_or_insert_with(|| Acquiring::new(&condition));
        if let Step::Yielded(yielded) = acquiring.step(py, with)? {
            return Ok(Step::Yielded(yielded));
        }
        let changed = self.change(py);
        <Condition as Guard>::release(&condition)?;
        changed.map(|()| Step::Returned(py.None().into_bound(py)))
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.barrier.as_ptr());
        match &self.acquiring {
            Some(acquiring) if answer == 0 => acquiring.traverse(py, visit),
            Some(_) | None => answer,
        }
    }
}

struct Reset;

impl CoroutineMethod for Reset {
    type Class = Barrier;
    type Body = Changing;
    const NAME: &'static CStr = c"reset";
    const DOC: &'static CStr = c"reset($self)\n--\n\n\
        Makes it as it was at first; those who wait get BrokenBarrierError.";

    fn call<'py>(slf: &Bound<'py, Barrier>, arguments: &Arguments<'_, 'py>) -> PyResult<Changing> {
        arguments.none("Barrier.reset")?;
        Ok(Changing::new(slf, false))
    }
}

struct Abort;

impl CoroutineMethod for Abort {
    type Class = Barrier;
    type Body = Changing;
    const NAME: &'static CStr = c"abort";
    const DOC: &'static CStr = c"abort($self)\n--\n\n\
        Breaks it: whoever waits now or later gets BrokenBarrierError.";

    fn call<'py>(slf: &Bound<'py, Barrier>, arguments: &Arguments<'_, 'py>) -> PyResult<Changing> {
        arguments.none("Barrier.abort")?;
        Ok(Changing::new(slf, true))
    }
}

/// `Barrier.__aenter__()`: `wait()`, whoever's method that is.
enum Enter {
    Start(Py<Barrier>),
    Ours(Waiting),
    Theirs(Awaiting),
}

impl CoroutineMethod for Enter {
    type Class = Barrier;
    type Body = Enter;
    const NAME: &'static CStr = c"__aenter__";
    const DOC: &'static CStr = c"__aenter__($self)\n--\n\nAs wait().";

    fn call<'py>(slf: &Bound<'py, Barrier>, arguments: &Arguments<'_, 'py>) -> PyResult<Enter> {
        arguments.none("Barrier.__aenter__")?;
        Ok(Enter::Start(slf.clone().unbind()))
    }
}

impl Body for Enter {
    fn qualname(&self) -> &'static str {
        "Barrier.__aenter__"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let barrier = match self {
            Enter::Start(barrier) => barrier.bind(py).clone(),
            Enter::Ours(waiting) => return waiting.resume(py, with),
            Enter::Theirs(awaiting) => return awaiting.resume(py, with),
        };
        if OURS.by(&barrier) != 0 {
            let mut waiting = Waiting::new(&barrier);
            let step = waiting.resume(py, with);
            *self = Enter::Ours(waiting);
            return step;
        }
        match Awaiting::begin(&barrier.call_method0(intern!(py, "wait"))?)? {
            Begun::Done(value) => Ok(Step::Returned(value)),
            Begun::Waiting(awaiting, yielded) => {
                *self = Enter::Theirs(awaiting);
                Ok(Step::Yielded(yielded))
            }
        }
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        match self {
            Enter::Start(barrier) => visit(barrier.as_ptr()),
            Enter::Ours(waiting) => waiting.traverse(py, visit),
            Enter::Theirs(awaiting) => awaiting.traverse(visit),
        }
    }
}

/// `Barrier.__aexit__()`.
struct Exit;

impl CoroutineMethod for Exit {
    type Class = Barrier;
    type Body = Exit;
    const NAME: &'static CStr = c"__aexit__";
    const DOC: &'static CStr = c"__aexit__($self, *args)\n--\n\nDoes nothing.";

    fn call<'py>(_slf: &Bound<'py, Barrier>, arguments: &Arguments<'_, 'py>) -> PyResult<Exit> {
        match arguments.keywords().next() {
            None => Ok(Exit),
            Some((name, _)) => Err(PyTypeError::with_text(format!(
                "Barrier.__aexit__() got an unexpected keyword argument '{name}'"
            ))),
        }
    }
}

impl Body for Exit {
    fn qualname(&self) -> &'static str {
        "Barrier.__aexit__"
    }

    fn resume<'py>(&mut self, py: Python<'py>, _with: Resume<'py>) -> PyResult<Step<'py>> {
        Ok(Step::Returned(py.None().into_bound(py)))
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        _visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        0
    }
}
