//! `async with`: `__aenter__` and `__aexit__` of locks, conditions and semaphores.

use std::ffi::{CStr, c_int};

use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::{PyClass, PyTypeInfo, ffi as raw};

use super::acquire::{Acquirable, Acquisition};
use crate::ffi::coroutine::{Body, CoroutineMethod, End, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::awaiting::{Awaiting, Begun};
use crate::ffi::interned::intern;
use crate::ffi::iter::Step;

/// What guards a block.
pub(super) trait Guard: PyClass<Frozen = True> + PyTypeInfo + Send + Sync {
    type Lock: Acquirable;

    /// As [`Body::inner`], of what waits to enter.
    const ACQUIRE: &'static [&'static str];

    /// What has to be acquired, if `acquire` does nothing else.
    fn lock<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, Self::Lock>>;

    /// `release()`, whoever's method that is.
    fn release(slf: &Bound<'_, Self>) -> PyResult<()>;

    /// The same, where that calls nothing; False if it has to.
    fn release_at_once(slf: &Bound<'_, Self>) -> bool;
}

pub(super) fn install<G: Guard>(py: Python<'_>) -> PyResult<()> {
    method::install::<Enter<G>>(py)?;
    method::install::<Exit<G>>(py)
}

/// `await guard.acquire()`, whoever's method that is.
pub(super) enum Acquiring<G: Guard> {
    Start(Py<G>),
    Ours(Acquisition<G::Lock>),
    Theirs(Awaiting),
}

impl<G: Guard> Acquiring<G> {
    pub(super) fn new(guard: &Bound<'_, G>) -> Acquiring<G> {
        Acquiring::Start(guard.clone().unbind())
    }

    /// Goes on to the next await or to the end.
    pub(super) fn step<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let guard = match self {
            Acquiring::Start(guard) => guard.bind(py).clone(),
            Acquiring::Ours(acquisition) => return acquisition.resume(py, with),
            Acquiring::Theirs(awaiting) => return awaiting.resume(py, with),
        };
        if let Some(lock) = G::lock(&guard) {
            let mut acquisition = Acquisition::new(&lock);
            let step = acquisition.resume(py, with);
            *self = Acquiring::Ours(acquisition);
            return step;
        }
        match Awaiting::begin(&guard.as_any().call_method0(intern!(py, "acquire"))?)? {
            Begun::Done(value) => Ok(Step::Returned(value)),
            Begun::Waiting(awaiting, yielded) => {
                *self = Acquiring::Theirs(awaiting);
                Ok(Step::Yielded(yielded))
            }
        }
    }

    /// As [`Body::traverse`].
    pub(super) fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        match self {
            Acquiring::Start(guard) => visit(guard.as_ptr()),
            Acquiring::Ours(acquisition) => acquisition.traverse(py, visit),
            Acquiring::Theirs(awaiting) => awaiting.traverse(visit),
        }
    }
}

/// `__aenter__()`.
struct Enter<G: Guard>(Acquiring<G>);

impl<G: Guard> CoroutineMethod for Enter<G> {
    type Class = G;
    type Body = Enter<G>;
    const NAME: &'static CStr = c"__aenter__";
    const DOC: &'static CStr = c"__aenter__($self)\n--\n\nAcquires it; returns None.";

    fn call<'py>(slf: &Bound<'py, G>, arguments: &Arguments<'_, 'py>) -> PyResult<Enter<G>> {
        arguments.none("_ContextManagerMixin.__aenter__")?;
        Ok(Enter(Acquiring::new(slf)))
    }

    const PLAIN: Option<method::Plain<G, Enter<G>>> =
        Some(method::Plain::new(0, |slf| Some(Enter(Acquiring::new(slf)))));
}

impl<G: Guard> Body for Enter<G> {
    fn qualname(&self) -> &'static str {
        "_ContextManagerMixin.__aenter__"
    }

    #[inline]
    fn at_once(&self, py: Python<'_>) -> Option<End> {
        let Acquiring::Start(guard) = &self.0 else { return None };
        let lock = G::lock(guard.bind(py))?;
        G::Lock::acquire_at_once(&lock).then_some(End::None)
    }

    #[inline]
    fn release(self, py: Python<'_>) {
        match self.0 {
            Acquiring::Start(guard) => guard.drop_ref(py),
            begun @ (Acquiring::Ours(_) | Acquiring::Theirs(_)) => drop(begun),
        }
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        match self.0.step(py, with)? {
            Step::Returned(_) => Ok(Step::Returned(py.None().into_bound(py))),
            yielded @ Step::Yielded(_) => Ok(yielded),
        }
    }

    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        match self.0 {
            Acquiring::Start(_) | Acquiring::Theirs(_) => &[],
            Acquiring::Ours(_) => G::ACQUIRE,
        }
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        self.0.traverse(py, visit)
    }
}

/// `__aexit__()`.
struct Exit<G: Guard>(Py<G>);

impl<G: Guard> CoroutineMethod for Exit<G> {
    type Class = G;
    type Body = Exit<G>;
    const NAME: &'static CStr = c"__aexit__";
    const DOC: &'static CStr = c"__aexit__($self, exc_type, exc, tb)\n--\n\nReleases it.";

    fn call<'py>(slf: &Bound<'py, G>, arguments: &Arguments<'_, 'py>) -> PyResult<Exit<G>> {
        arguments.required("_ContextManagerMixin.__aexit__", ["exc_type", "exc", "tb"])?;
        Ok(Exit(slf.clone().unbind()))
    }

    const PLAIN: Option<method::Plain<G, Exit<G>>> =
        Some(method::Plain::new(3, |slf| Some(Exit(slf.clone().unbind()))));
}

impl<G: Guard> Body for Exit<G> {
    fn qualname(&self) -> &'static str {
        "_ContextManagerMixin.__aexit__"
    }

    #[inline]
    fn at_once(&self, py: Python<'_>) -> Option<End> {
        G::release_at_once(self.0.bind(py)).then_some(End::None)
    }

    #[inline]
    fn release(self, py: Python<'_>) {
        self.0.drop_ref(py);
    }

    fn resume<'py>(&mut self, py: Python<'py>, _with: Resume<'py>) -> PyResult<Step<'py>> {
        G::release(self.0.bind(py))?;
        Ok(Step::Returned(py.None().into_bound(py)))
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        visit(self.0.as_ptr())
    }
}
