//! `acquire()`, of what one after the other may have: locks and semaphores.

use std::ffi::c_int;

use pyo3::PyClass;
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::types::PyBool;

use crate::aio::waiter::Waiter;
use crate::aio::waiters::Waiters;
use crate::ffi::coroutine::{Body, End, Resume};
use crate::ffi::iter::Step;
use crate::ffi::raise::finally;

/// What can be acquired.
pub(super) trait Acquirable: PyClass<Frozen = True> + Send + Sync {
    /// What repr calls the coroutine.
    const QUALNAME: &'static str;

    /// Acquires it, if nobody has to be waited for.
    fn try_acquire(slf: &Bound<'_, Self>) -> PyResult<bool>;

    /// The same, where it is seen without calling anything; False does not mean that it cannot be.
    fn acquire_at_once(slf: &Bound<'_, Self>) -> bool;

    /// The loop to wait on.
    fn get_loop<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>>;

    fn waiters(&self) -> &Waiters;

    /// Ends the waiting for this future, which is no longer among the waiters, and had this outcome.
    fn waited(
        slf: &Bound<'_, Self>,
        future: &Bound<'_, PyAny>,
        outcome: PyResult<()>,
    ) -> PyResult<()>;
}

/// The coroutine's state.
pub(super) struct Acquisition<L> {
    lock: Py<L>,
    /// None before it has to wait.
    waiter: Option<Waiter>,
}

impl<L: Acquirable> Acquisition<L> {
    pub(super) fn new(lock: &Bound<'_, L>) -> Acquisition<L> {
        Acquisition { lock: lock.clone().unbind(), waiter: None }
    }
}

impl<L: Acquirable> Body for Acquisition<L> {
    fn qualname(&self) -> &'static str {
        L::QUALNAME
    }

    #[inline]
    fn at_once(&self, py: Python<'_>) -> Option<End> {
        L::acquire_at_once(self.lock.bind(py)).then_some(End::True)
    }

    #[inline]
    fn release(self, py: Python<'_>) {
        self.lock.drop_ref(py);
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let lock = self.lock.bind(py);
        let waiters = lock.get().waiters();
        let is_true = || Ok(Step::Returned(PyBool::new(py, true).to_owned().into_any()));
        let waiter = match &mut self.waiter {
            Some(waiter) => waiter,
            None if L::try_acquire(lock)? => return is_true(),
            None => {
                let waiter = Waiter::new(&L::get_loop(lock)?)?;
                waiters.push(waiter.future(py))?;
                self.waiter.insert(waiter)
            }
        };
        let outcome = match waiter.step(py, with) {
            Ok(Step::Yielded(yielded)) => return Ok(Step::Yielded(yielded)),
            Ok(Step::Returned(_)) => Ok(()),
            Err(error) => Err(error),
        };
        let outcome = finally(py, outcome, || waiters.remove(waiter.future(py)));
        L::waited(lock, waiter.future(py), outcome)?;
        is_true()
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.lock.as_ptr());
        match &self.waiter {
            Some(waiter) if answer == 0 => waiter.traverse(visit),
            Some(_) | None => answer,
        }
    }
}
