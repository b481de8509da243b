//! `Barrier.reset()` and `Barrier.abort()`.

use std::ffi::{CStr, c_int};

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::{Barrier, Phase};
use crate::aio::locks::condition::Condition;
use crate::aio::locks::context::{Acquiring, Guard};
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::iter::Step;

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    method::install::<Reset>(py)?;
    method::install::<Abort>(py)
}

/// A change made with the lock held.
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
