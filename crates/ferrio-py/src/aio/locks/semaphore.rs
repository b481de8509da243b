//! `Semaphore` and `BoundedSemaphore`.

use std::ffi::CStr;

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyModule, PyTuple};

use super::acquire::{Acquirable, Acquisition};
use super::context::{self, Guard};
use crate::aio::argument::Argument;
use crate::aio::count::Count;
use crate::aio::loop_bound::{LoopBound, loop_bound};
use crate::aio::waiters::{Waiters, waiters_or_none};
use crate::error::WithText;
use crate::ffi::call::python_of;
use crate::ffi::class::{self, chained};
use crate::ffi::coroutine::{CoroutineMethod, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::state;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::inherited::{Inherited, has_all};
use crate::ffi::interned::intern;
use crate::ffi::make::Returned;
use crate::ffi::raise::finally;
use crate::ffi::refusal;
use crate::names;

/// What so many tasks at a time can have.
#[pyclass(module = "ferrio", subclass, frozen, weakref, dict)]
pub(crate) struct Semaphore {
    looop: LoopBound,
    value: GilCell<Count>,
    /// A BoundedSemaphore's first value.
    bound: GilCell<Option<Count>>,
    waiters: Waiters,
}

/// One that cannot be released more often than it was acquired.
#[pyclass(module = "ferrio", subclass, frozen, extends = Semaphore)]
pub(crate) struct BoundedSemaphore;

/// Are the methods that the others call still ours?
static OURS: Inherited = Inherited::new(|class| {
    let py = class.py();
    let base = py.get_type::<Semaphore>();
    let names = ["acquire", "locked", "_wake_up_next", "_get_loop"];
    let has_release = has_all(class, &base, &["release"])
        || has_all(class, &py.get_type::<BoundedSemaphore>(), &["release"]);
    (has_release && has_all(class, &base, &names)).into()
});

chained!(Semaphore);
chained!(BoundedSemaphore);

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    wakes_many(module.py())?;
    refusal::add_class::<Semaphore>(module)?;
    class::chain::<Semaphore>(module.py());
    refusal::add_class::<BoundedSemaphore>(module)?;
    class::chain::<BoundedSemaphore>(module.py());
    method::install::<Acquire>(module.py())?;
    context::install::<Semaphore>(module.py())
}

/// Does this version's `acquire`, once it has waited, wake as many as there is room for? (Patch
/// releases of 3.11 and 3.12 brought it.) Only then does `_wake_up_next` say whether it woke one.
fn wakes_many(py: Python<'_>) -> PyResult<bool> {
    static ANSWER: PyOnceLock<bool> = PyOnceLock::new();
    ANSWER
        .get_or_try_init(py, || {
            let theirs = names::locks(py)?.getattr(intern!(py, "Semaphore"))?.call1((0,))?;
            Ok(!theirs.call_method0(intern!(py, "_wake_up_next"))?.is_none())
        })
        .copied()
}

impl Semaphore {
    #[inline]
    fn is_ours(slf: &Bound<'_, Semaphore>) -> bool {
        OURS.by(slf) != 0
    }

    fn count(&self, py: Python<'_>) -> Count {
        self.value.with(py, |value| value.clone_ref(py))
    }

    /// `self._value += more`.
    #[inline]
    fn add(&self, py: Python<'_>, more: i64) -> PyResult<()> {
        let new = self.count(py).plus(py, more)?;
        drop(self.value.with(py, |value| std::mem::replace(value, new)));
        Ok(())
    }

    fn is_locked(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.count(py).is_zero(py)? || self.waiters.any_is_waiting(py)?)
    }

    /// `_wake_up_next()`, whoever's method that is: was there somebody to be woken?
    fn wake_up(slf: &Bound<'_, Semaphore>) -> PyResult<bool> {
        if Semaphore::is_ours(slf) {
            return slf.get().wake_up_next(slf.py());
        }
        slf.call_method0(intern!(slf.py(), "_wake_up_next"))?.is_truthy()
    }

    /// Gives the first who waits what there is for him.
    fn wake_up_next(&self, py: Python<'_>) -> PyResult<bool> {
        let mut index = 0;
        while let Some(future) = self.waiters.get(py, index)? {
            if !state::is_done(&future)? {
                self.add(py, -1)?;
                state::set_result(&future, &PyBool::new(py, true))?;
                return Ok(true);
            }
            index += 1;
        }
        Ok(false)
    }

    /// [`release`](Semaphore::release), of whichever class.
    #[inline]
    fn give_back(slf: &Bound<'_, Semaphore>) -> PyResult<()> {
        slf.get().add(slf.py(), 1)?;
        Semaphore::wake_up(slf).map(drop)
    }

    /// Refuses, if it has been released as often as acquired.
    #[inline]
    fn check_bound(&self, py: Python<'_>) -> PyResult<()> {
        let bound = self.bound.with(py, |bound| bound.as_ref().map(|bound| bound.clone_ref(py)));
        match bound {
            Some(bound) if self.count(py).reaches(py, &bound)? => {
                Err(PyValueError::with_text("BoundedSemaphore released too many times"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn set_bound(&self, bound: &Bound<'_, PyAny>) {
        let new = Some(Count::of(bound));
        drop(self.bound.with(bound.py(), |bound| std::mem::replace(bound, new)));
    }
}

#[pymethods]
impl Semaphore {
    /// Takes whatever a subclass is made with; `__init__` says what a Semaphore is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(value=1)")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Semaphore {
        let _ = (args, kwargs);
        Semaphore {
            looop: LoopBound::new(),
            value: GilCell::new(Count::Int(1)),
            bound: GilCell::new(None),
            waiters: Waiters::default(),
        }
    }

    /// A semaphore that `value` tasks can have.
    #[pyo3(signature = (value=Argument::Missing))]
    fn __init__(&self, py: Python<'_>, value: Argument<'_>) -> PyResult<()> {
        let value = value.or(py, 1)?;
        if value.lt(0)? {
            return Err(PyValueError::with_text("Semaphore initial value must be >= 0"));
        }
        let new = Count::of(&value);
        self.waiters.clear(py);
        drop(self.value.with(py, |value| std::mem::replace(value, new)));
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let (py, this) = (slf.py(), slf.get());
        let mut extra = if slf.call_method0(intern!(py, "locked"))?.is_truthy()? {
            String::from("locked")
        } else {
            format!("unlocked, value:{}", this.count(py).to_object(py)?.str()?)
        };
        this.waiters.describe(py, &mut extra)?;
        crate::aio::repr(slf, &extra)
    }

    /// True if it cannot be acquired at once: all have been given out, or others come first.
    fn locked(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_locked(py)
    }

    /// Gives one back, and wakes the first who waits for one.
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        Semaphore::give_back(slf)
    }

    /// asyncio's name for waking the first who waits and has not been woken.
    fn _wake_up_next(&self, py: Python<'_>) -> PyResult<Option<bool>> {
        let woken = self.wake_up_next(py)?;
        Ok(wakes_many(py)?.then_some(woken))
    }

    /// asyncio's name for how many can have it now.
    #[getter]
    fn _value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.count(py).to_object(py)
    }

    #[setter(_value)]
    fn set_value(&self, value: &Bound<'_, PyAny>) {
        let new = Count::of(value);
        drop(self.value.with(value.py(), |value| std::mem::replace(value, new)));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.looop.traverse(&visit)?;
        self.waiters.traverse(&visit)?;
        let py = python_of(&visit);
        self.value.try_with(py, |value| value.traverse(&visit)).unwrap_or(Ok(()))?;
        let bound = |bound: &mut Option<Count>| match bound {
            Some(bound) => bound.traverse(&visit),
            None => Ok(()),
        };
        self.bound.try_with(py, bound).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        self.looop.clear(py);
        self.waiters.clear(py);
        drop(self.value.with(py, |value| std::mem::replace(value, Count::Int(0))));
        drop(self.bound.with(py, Option::take));
    }
}

loop_bound!(Semaphore);
waiters_or_none!(Semaphore);

#[pymethods]
impl BoundedSemaphore {
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(value=1)")]
    fn new(
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<BoundedSemaphore> {
        PyClassInitializer::from(Semaphore::new(args, kwargs)).add_subclass(BoundedSemaphore)
    }

    /// A semaphore that `value` tasks can have.
    #[pyo3(signature = (value=Argument::Missing))]
    fn __init__(slf: &Bound<'_, Self>, value: Argument<'_>) -> PyResult<()> {
        let value = value.or(slf.py(), 1)?;
        let semaphore = slf.as_super().get();
        semaphore.set_bound(&value);
        semaphore.__init__(slf.py(), Argument::Given(value))
    }

    /// Gives one back, and wakes the first who waits for one. ValueError if nobody has one.
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.as_super().get().check_bound(slf.py())?;
        Semaphore::give_back(slf.as_super())
    }

    /// asyncio's name for the value that it was made with.
    #[getter]
    fn _bound_value<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let semaphore = slf.as_super().get();
        let bound =
            semaphore.bound.with(py, |bound| bound.as_ref().map(|bound| bound.clone_ref(py)));
        bound.map(|bound| bound.to_object(py)).transpose()
    }

    #[setter(_bound_value)]
    fn replace_bound_value(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) {
        slf.as_super().get().set_bound(value);
    }
}

impl Acquirable for Semaphore {
    const QUALNAME: &'static str = "Semaphore.acquire";

    #[inline]
    fn try_acquire(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let is_locked = if Semaphore::is_ours(slf) {
            this.is_locked(py)?
        } else {
            slf.call_method0(intern!(py, "locked"))?.is_truthy()?
        };
        if !is_locked {
            this.add(py, -1)?;
        }
        Ok(!is_locked)
    }

    #[inline]
    fn acquire_at_once(slf: &Bound<'_, Self>) -> bool {
        let (py, this) = (slf.py(), slf.get());
        Semaphore::is_ours(slf)
            && this.waiters.is_surely_empty(py)
            && this.value.with(py, |value| value.take_one())
    }

    fn get_loop<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if Semaphore::is_ours(slf) {
            return slf.get().looop.get(slf);
        }
        slf.call_method0(intern!(slf.py(), "_get_loop"))
    }

    fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    fn waited(
        slf: &Bound<'_, Self>,
        future: &Bound<'_, PyAny>,
        outcome: PyResult<()>,
    ) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let wakes_many = wakes_many(py)?;
        let was_cancelled = match &outcome {
            Err(error) => error.matches(py, &names::cancelled_error(py)?)?,
            Ok(()) => false,
        };
        let is_taken = outcome.is_ok();
        finally(py, outcome, || {
            // It may have been woken to take what there is, and now does not.
            if was_cancelled
                && !state::is_cancelled(future)?
                && (!wakes_many || state::is_done(future)?)
            {
                this.add(py, 1)?;
                if !wakes_many {
                    Semaphore::wake_up(slf)?;
                }
            }
            if wakes_many {
                // Others may have come meanwhile, and have waited although there was room.
                while this.count(py).is_positive(py)? && Semaphore::wake_up(slf)? {}
            } else if is_taken && this.count(py).is_positive(py)? {
                Semaphore::wake_up(slf)?;
            }
            Ok(())
        })
    }
}

impl Guard for Semaphore {
    type Lock = Semaphore;
    const ACQUIRE: &'static [&'static str] = &["Semaphore.acquire"];

    #[inline]
    fn lock<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, Semaphore>> {
        Semaphore::is_ours(slf).then(|| slf.clone())
    }

    #[inline]
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !Semaphore::is_ours(slf) {
            return slf.call_method0(intern!(slf.py(), "release")).map(drop);
        }
        slf.get().check_bound(slf.py())?;
        Semaphore::give_back(slf)
    }

    #[inline]
    fn release_at_once(slf: &Bound<'_, Self>) -> bool {
        let (py, this) = (slf.py(), slf.get());
        Semaphore::is_ours(slf)
            && this.waiters.is_surely_empty(py)
            && this
                .bound
                .with(py, |bound| this.value.with(py, |value| value.put_one(bound.as_ref())))
    }
}

/// `Semaphore.acquire()`.
struct Acquire;

impl CoroutineMethod for Acquire {
    type Class = Semaphore;
    type Body = Acquisition<Semaphore>;
    const NAME: &'static CStr = c"acquire";
    const DOC: &'static CStr = c"acquire($self)\n--\n\n\
        Waits until fewer have it than can, and until all who came before have it; returns True.";

    fn call<'py>(
        slf: &Bound<'py, Semaphore>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Acquisition<Semaphore>> {
        arguments.none("Semaphore.acquire")?;
        Ok(Acquisition::new(slf))
    }

    const PLAIN: Option<method::Plain<Semaphore, Acquisition<Semaphore>>> =
        Some(method::Plain::new(0, |slf| Some(Acquisition::new(slf))));
}
