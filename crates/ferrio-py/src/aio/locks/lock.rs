//! `Lock`.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyModule, PyTuple};

use super::acquire::{Acquirable, Acquisition};
use super::context::{self, Guard};
use crate::aio::loop_bound::{LoopBound, loop_bound};
use crate::aio::waiters::{Waiters, waiters_or_none};
use crate::error::WithText;
use crate::ffi::coroutine::{CoroutineMethod, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::state;
use crate::ffi::inherited::{Inherited, has_all};
use crate::ffi::interned::intern;
use crate::ffi::make::Returned;
use crate::ffi::raise::while_handling;
use crate::ffi::refusal;
use crate::names;

/// What one task at a time can have.
#[pyclass(module = "ferrio", subclass, frozen, weakref, dict)]
pub(crate) struct Lock {
    looop: LoopBound,
    locked: AtomicBool,
    waiters: Waiters,
}

const ACQUIRE: u32 = 1;
const RELEASE: u32 = 2;
const WAKE_UP_FIRST: u32 = 4;
const GET_LOOP: u32 = 8;

/// Which of the methods that the others call are still ours.
static OURS: Inherited = Inherited::new(|class| {
    let lock = class.py().get_type::<Lock>();
    let methods = [
        ("acquire", ACQUIRE),
        ("release", RELEASE),
        ("_wake_up_first", WAKE_UP_FIRST),
        ("_get_loop", GET_LOOP),
    ];
    let ours = methods.iter().filter(|(name, _)| has_all(class, &lock, &[name]));
    ours.fold(0, |all, (_, method)| all | method)
});

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refusal::add_class::<Lock>(module)?;
    method::install::<Acquire>(module.py())?;
    context::install::<Lock>(module.py())
}

impl Lock {
    /// May its methods be called without looking them up?
    #[inline]
    pub(super) fn is_ours(slf: &Bound<'_, Lock>) -> bool {
        Lock::has(slf, ACQUIRE | RELEASE | WAKE_UP_FIRST | GET_LOOP)
    }

    /// Are all these methods ours?
    #[inline]
    fn has(slf: &Bound<'_, Lock>, methods: u32) -> bool {
        OURS.by(slf) & methods == methods
    }

    pub(super) fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Relaxed)
    }

    /// `_wake_up_first()`, whoever's method that is.
    fn wake_up(slf: &Bound<'_, Lock>) -> PyResult<()> {
        if Lock::has(slf, WAKE_UP_FIRST) {
            return slf.get()._wake_up_first(slf.py());
        }
        slf.call_method0(intern!(slf.py(), "_wake_up_first")).map(drop)
    }

    /// [`unlock`](Lock::unlock), if somebody has it and nobody waits.
    #[inline]
    pub(super) fn unlock_at_once(slf: &Bound<'_, Lock>) -> bool {
        let this = slf.get();
        let can = this.is_locked() && this.waiters.is_surely_empty(slf.py());
        if can {
            this.locked.store(false, Ordering::Relaxed);
        }
        can
    }

    /// [`release`](Lock::release), of a lock whose method that is.
    pub(super) fn unlock(slf: &Bound<'_, Lock>) -> PyResult<()> {
        if !slf.get().locked.swap(false, Ordering::Relaxed) {
            return Err(PyRuntimeError::with_text("Lock is not acquired."));
        }
        Lock::wake_up(slf)
    }
}

#[pymethods]
impl Lock {
    /// Takes whatever a subclass is made with; `__init__` says what a Lock is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "()")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Lock {
        let _ = (args, kwargs);
        Lock {
            looop: LoopBound::new(),
            locked: AtomicBool::new(false),
            waiters: Waiters::default(),
        }
    }

    /// A lock that nobody has.
    fn __init__(&self, py: Python<'_>) {
        self.locked.store(false, Ordering::Relaxed);
        self.waiters.clear(py);
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let this = slf.get();
        let mut extra = String::from(if this.is_locked() { "locked" } else { "unlocked" });
        this.waiters.describe(slf.py(), &mut extra)?;
        crate::aio::repr(slf, &extra)
    }

    /// True if somebody has the lock.
    #[pyo3(name = "locked")]
    fn py_locked(&self) -> bool {
        self.is_locked()
    }

    /// Gives the lock back, and wakes the first who waits for it. RuntimeError if nobody has it.
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        Lock::unlock(slf)
    }

    /// asyncio's name for waking the first who waits, unless that has happened already.
    fn _wake_up_first(&self, py: Python<'_>) -> PyResult<()> {
        match self.waiters.get(py, 0)? {
            Some(future) if !state::is_done(&future)? => {
                state::set_result(&future, &PyBool::new(py, true))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// asyncio's name for whether somebody has the lock.
    #[getter]
    fn _locked(&self) -> bool {
        self.is_locked()
    }

    #[setter(_locked)]
    fn set_locked(&self, locked: &Bound<'_, PyAny>) -> PyResult<()> {
        self.locked.store(locked.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.looop.traverse(&visit)?;
        self.waiters.traverse(&visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        self.looop.clear(py);
        self.waiters.clear(py);
    }
}

loop_bound!(Lock);
waiters_or_none!(Lock);

impl Acquirable for Lock {
    const QUALNAME: &'static str = "Lock.acquire";

    /// Jumping the queue is fair where all in it have been cancelled.
    #[inline]
    fn try_acquire(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let this = slf.get();
        if this.is_locked() || this.waiters.any_is_waiting(slf.py())? {
            return Ok(false);
        }
        this.locked.store(true, Ordering::Relaxed);
        Ok(true)
    }

    #[inline]
    fn acquire_at_once(slf: &Bound<'_, Self>) -> bool {
        let this = slf.get();
        let can = !this.is_locked() && this.waiters.is_surely_empty(slf.py());
        if can {
            this.locked.store(true, Ordering::Relaxed);
        }
        can
    }

    fn get_loop<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if Lock::has(slf, GET_LOOP) {
            return slf.get().looop.get(slf);
        }
        slf.call_method0(intern!(slf.py(), "_get_loop"))
    }

    fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    fn waited(
        slf: &Bound<'_, Self>,
        _future: &Bound<'_, PyAny>,
        outcome: PyResult<()>,
    ) -> PyResult<()> {
        let py = slf.py();
        match outcome {
            Ok(()) => slf.get().locked.store(true, Ordering::Relaxed),
            Err(error) => {
                // It may have been woken to take the lock, and now does not.
                if error.matches(py, &names::cancelled_error(py)?)? && !slf.get().is_locked() {
                    while_handling(py, &error, || Lock::wake_up(slf))?;
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Guard for Lock {
    type Lock = Lock;
    const ACQUIRE: &'static [&'static str] = &["Lock.acquire"];

    #[inline]
    fn lock<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, Lock>> {
        Lock::has(slf, ACQUIRE).then(|| slf.clone())
    }

    #[inline]
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        if Lock::has(slf, RELEASE) {
            return Lock::unlock(slf);
        }
        slf.call_method0(intern!(slf.py(), "release")).map(drop)
    }

    #[inline]
    fn release_at_once(slf: &Bound<'_, Self>) -> bool {
        Lock::has(slf, RELEASE | WAKE_UP_FIRST) && Lock::unlock_at_once(slf)
    }
}

/// `Lock.acquire()`.
struct Acquire;

impl CoroutineMethod for Acquire {
    type Class = Lock;
    type Body = Acquisition<Lock>;
    const NAME: &'static CStr = c"acquire";
    const DOC: &'static CStr =
        c"acquire($self)\n--\n\nWaits until the lock is free, takes it and returns True.";

    fn call<'py>(
        slf: &Bound<'py, Lock>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Acquisition<Lock>> {
        arguments.none("Lock.acquire")?;
        Ok(Acquisition::new(slf))
    }

    const PLAIN: Option<method::Plain<Lock, Acquisition<Lock>>> =
        Some(method::Plain::new(0, |slf| Some(Acquisition::new(slf))));
}
