//! `Condition`.

mod wait;
mod wait_for;

use pyo3::exceptions::{PyAttributeError, PyRuntimeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyModule, PyString, PyTuple};

use super::context::{self, Guard};
use super::lock::Lock;
use crate::aio::argument::Argument;
use crate::aio::loop_bound::{LoopBound, loop_bound};
use crate::aio::waiters::{Waiters, waiters_always};
use crate::error::WithText;
use crate::ffi::call::python_of;
use crate::ffi::class::{self, chained};
use crate::ffi::future::state;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::inherited::{Inherited, has_all};
use crate::ffi::interned::intern;
use crate::ffi::make::{self, Returned};
use crate::ffi::recursion;
use crate::ffi::refusal;
use crate::names;

pub(super) use wait::Waiting;

/// A lock whose holder can wait until another tells it of something.
#[pyclass(module = "ferrio", subclass, frozen, weakref, dict)]
pub(crate) struct Condition {
    looop: LoopBound,
    waiters: Waiters,
    lock: GilCell<Parts>,
}

/// The lock and its methods.
#[derive(Default)]
struct Parts {
    /// None before `__init__`.
    lock: Option<Py<PyAny>>,
    /// What `locked`, `acquire` and `release` are; None where they are those of a lock of ours.
    methods: [Option<Py<PyAny>>; 3],
}

/// What a condition has from its lock, in this order.
fn methods(py: Python<'_>) -> [&Bound<'_, PyString>; 3] {
    [intern!(py, "locked"), intern!(py, "acquire"), intern!(py, "release")]
}
const LOCKED: usize = 0;
const ACQUIRE: usize = 1;
const RELEASE: usize = 2;

/// Are the methods that the others call still ours?
static OURS: Inherited = Inherited::new(|class| {
    let names = ["locked", "acquire", "release", "wait", "notify", "_notify", "_get_loop"];
    has_all(class, &class.py().get_type::<Condition>(), &names).into()
});

chained!(Condition);

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refusal::add_class::<Condition>(module)?;
    class::chain::<Condition>(module.py());
    wait::install(module.py())?;
    wait_for::install(module.py())?;
    context::install::<Condition>(module.py())
}

impl Condition {
    #[inline]
    fn is_ours(slf: &Bound<'_, Condition>) -> bool {
        OURS.by(slf) != 0
    }

    /// The lock, if it is one of ours whose methods nobody has replaced, neither in it nor here.
    #[inline]
    fn own_lock<'py>(slf: &Bound<'py, Condition>) -> Option<Bound<'py, Lock>> {
        let py = slf.py();
        if !Condition::is_ours(slf) {
            return None;
        }
        let lock = slf.get().lock.with(py, |parts| {
            let has_own = parts.methods.iter().all(Option::is_none);
            parts.lock.as_ref().filter(|_| has_own).map(|lock| lock.clone_ref(py))
        })?;
        let lock = lock.into_bound(py).cast_into::<Lock>().ok()?;
        Lock::is_ours(&lock).then_some(lock)
    }

    /// `locked()`, whoever's method that is.
    fn is_locked(slf: &Bound<'_, Condition>) -> PyResult<bool> {
        match Condition::own_lock(slf) {
            Some(lock) => Ok(lock.get().is_locked()),
            None => slf.call_method0(intern!(slf.py(), "locked"))?.is_truthy(),
        }
    }

    fn get_loop<'py>(slf: &Bound<'py, Condition>) -> PyResult<Bound<'py, PyAny>> {
        if Condition::is_ours(slf) {
            return slf.get().looop.get(slf);
        }
        slf.call_method0(intern!(slf.py(), "_get_loop"))
    }

    /// One of the [`methods`].
    fn method<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        let (lock, method) = self.lock.with(py, |parts| {
            let clone = |object: &Py<PyAny>| object.clone_ref(py);
            (parts.lock.as_ref().map(clone), parts.methods[index].as_ref().map(clone))
        });
        match (method, lock) {
            (Some(method), _) => Ok(method.into_bound(py)),
            (None, Some(lock)) => {
                // The lock's class may have come to ask this condition.
                let _level = recursion::enter(py, recursion::AWAITING)?;
                lock.bind(py).getattr(methods(py)[index])
            }
            (None, None) => Err(PyAttributeError::with_text(format!(
                "'Condition' object has no attribute '{}'",
                methods(py)[index]
            ))),
        }
    }

    /// Has this lock and its methods.
    fn adopt(slf: &Bound<'_, Condition>, lock: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let has_own = lock.cast::<Lock>().is_ok_and(Lock::is_ours) && Condition::is_ours(slf);
        let found = match has_own {
            true => None,
            false => Some([
                lock.getattr(intern!(py, "locked"))?,
                lock.getattr(intern!(py, "acquire"))?,
                lock.getattr(intern!(py, "release"))?,
            ]),
        };
        let new = Parts { lock: Some(lock.clone().unbind()), methods: Default::default() };
        drop(slf.get().lock.with(py, |parts| std::mem::replace(parts, new)));
        // Attributes of the instance, as in asyncio: where a subclass has methods of these names,
        // the lock's are called all the same.
        for (name, method) in methods(py).into_iter().zip(found.into_iter().flatten()) {
            slf.setattr(name, method)?;
        }
        Ok(())
    }

    fn set_method(&self, method: &Bound<'_, PyAny>, index: usize) {
        let new = Some(method.clone().unbind());
        drop(
            self.lock.with(method.py(), |parts| std::mem::replace(&mut parts.methods[index], new)),
        );
    }

    /// Wakes so many of those who wait and have not been woken.
    fn tell(&self, count: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = count.py();
        let (mut index, mut told) = (0, 0_i64);
        // Asked before each, as asyncio does, whose loop ends with those who wait.
        let is_enough = |told: i64| match count.cast_exact::<PyInt>() {
            Ok(count) => match count.extract::<i64>() {
                Ok(count) => Ok(told >= count),
                // Of another size.
                Err(_) => count.lt(0),
            },
            Err(_) => count.le(told),
        };
        while let Some(future) = self.waiters.get(py, index)? {
            if is_enough(told)? {
                break;
            }
            if !state::is_done(&future)? {
                told += 1;
                state::set_result(&future, &PyBool::new(py, false))?;
            }
            index += 1;
        }
        Ok(())
    }

    /// `notify_all()`, whoever's `notify` that is.
    pub(super) fn tell_all(slf: &Bound<'_, Condition>) -> PyResult<()> {
        let py = slf.py();
        let count = make::count(py, slf.get().waiters.len(py)?)?.into_any();
        if Condition::is_ours(slf) {
            return Condition::notify(slf, Argument::Given(count));
        }
        slf.call_method1(intern!(py, "notify"), (count,)).map(drop)
    }
}

#[pymethods]
impl Condition {
    /// Takes whatever a subclass is made with; `__init__` says what a Condition is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(lock=None)")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Condition {
        let _ = (args, kwargs);
        Condition { looop: LoopBound::new(), waiters: Waiters::default(), lock: GilCell::default() }
    }

    /// A condition of this lock, or of one of its own.
    #[pyo3(signature = (lock=None))]
    fn __init__(slf: &Bound<'_, Self>, lock: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let lock = match lock {
            Some(lock) => lock,
            None => names::lock(py)?.call0()?,
        };
        this.waiters.clear(py);
        Condition::adopt(slf, &lock)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let mut extra =
            String::from(if Condition::is_locked(slf)? { "locked" } else { "unlocked" });
        slf.get().waiters.describe(slf.py(), &mut extra)?;
        crate::aio::repr(slf, &extra)
    }

    /// Wakes up to `n` of those who wait. RuntimeError if nobody has the lock.
    #[pyo3(signature = (n=Argument::Missing), text_signature = "($self, n=1)")]
    fn notify(slf: &Bound<'_, Self>, n: Argument<'_>) -> PyResult<()> {
        let py = slf.py();
        if !Condition::is_locked(slf)? {
            return Err(PyRuntimeError::with_text("cannot notify on un-acquired lock"));
        }
        let n = n.or(py, 1)?;
        if Condition::is_ours(slf) {
            return slf.get().tell(&n);
        }
        slf.call_method1(intern!(py, "_notify"), (n,)).map(drop)
    }

    /// asyncio's name for `notify` by one who need not have the lock.
    fn _notify(&self, n: &Bound<'_, PyAny>) -> PyResult<()> {
        self.tell(n)
    }

    /// Wakes all who wait. RuntimeError if nobody has the lock.
    fn notify_all(slf: &Bound<'_, Self>) -> PyResult<()> {
        Condition::tell_all(slf)
    }

    /// The lock's `locked`.
    #[getter]
    fn locked<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.method(py, LOCKED)
    }

    #[setter]
    fn set_locked(&self, method: &Bound<'_, PyAny>) {
        self.set_method(method, LOCKED);
    }

    /// The lock's `acquire`.
    #[getter]
    fn acquire<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.method(py, ACQUIRE)
    }

    #[setter]
    fn set_acquire(&self, method: &Bound<'_, PyAny>) {
        self.set_method(method, ACQUIRE);
    }

    /// The lock's `release`.
    #[getter]
    fn release<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.method(py, RELEASE)
    }

    #[setter]
    fn set_release(&self, method: &Bound<'_, PyAny>) {
        self.set_method(method, RELEASE);
    }

    /// asyncio's name for the lock.
    #[getter]
    fn _lock(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.lock.with(py, |parts| parts.lock.as_ref().map(|lock| lock.clone_ref(py)))
    }

    /// Has another object under this name. The methods stay those of the lock that it was made
    /// with; a copy, which was made with none, has the new one's.
    #[setter(_lock)]
    fn set_lock(slf: &Bound<'_, Self>, lock: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this._lock(py).is_none() {
            return Condition::adopt(slf, lock);
        }
        for (index, name) in methods(py).into_iter().enumerate() {
            if this.lock.with(py, |parts| parts.methods[index].is_none()) {
                let method = this.method(py, index)?;
                slf.setattr(name, method)?;
            }
        }
        let new = Some(lock.clone().unbind());
        drop(this.lock.with(py, |parts| std::mem::replace(&mut parts.lock, new)));
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.looop.traverse(&visit)?;
        self.waiters.traverse(&visit)?;
        let parts = |parts: &mut Parts| {
            visit.call(&parts.lock)?;
            parts.methods.iter().try_for_each(|method| visit.call(method))
        };
        self.lock.try_with(python_of(&visit), parts).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        self.looop.clear(py);
        self.waiters.clear(py);
        drop(self.lock.with(py, std::mem::take));
    }
}

loop_bound!(Condition);
waiters_always!(Condition);

impl Guard for Condition {
    type Lock = Lock;
    const ACQUIRE: &'static [&'static str] = &["Lock.acquire"];

    #[inline]
    fn lock<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, Lock>> {
        Condition::own_lock(slf)
    }

    #[inline]
    fn release(slf: &Bound<'_, Self>) -> PyResult<()> {
        match Condition::own_lock(slf) {
            Some(lock) => Lock::unlock(&lock),
            None => slf.call_method0(intern!(slf.py(), "release")).map(drop),
        }
    }

    #[inline]
    fn release_at_once(slf: &Bound<'_, Self>) -> bool {
        Condition::own_lock(slf).is_some_and(|lock| Lock::unlock_at_once(&lock))
    }
}
