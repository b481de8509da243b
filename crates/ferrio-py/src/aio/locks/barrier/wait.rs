//! `Barrier.wait()`.

use std::ffi::{CStr, c_int};

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::{Barrier, Phase};
use crate::aio::count::Count;
use crate::aio::locks::condition::{self, Condition};
use crate::aio::locks::context::{Acquiring, Guard};
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::iter::Step;
use crate::ffi::make;
use crate::ffi::raise::{finally, raised, while_handling};
use crate::names;

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    method::install::<Wait>(py)
}

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
pub(super) struct Waiting {
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
    pub(super) fn new(barrier: &Bound<'_, Barrier>) -> Waiting {
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
        match next {
            Ok(Next::Stage(stage)) => Ok(Next::Stage(stage)),
            next => finally(py, next, || self.barrier.get().leave(py)),
        }
    }
}

/// The exception, to be raised.
fn broken(py: Python<'_>, text: &str) -> PyResult<PyErr> {
    Ok(raised(names::broken_barrier_error(py)?.call1((make::text(py, text)?,))?))
}

impl Waiting {
    /// This coroutine and those that asyncio's would be awaiting.
    pub(super) fn names(&self) -> &'static [&'static str] {
        match self.stage {
            Stage::Start => &["Barrier.wait"],
            Stage::Entering(_) => {
                &["Barrier.wait", "_ContextManagerMixin.__aenter__", "Lock.acquire"]
            }
            Stage::Blocked(_) => {
                &["Barrier.wait", "Barrier._block", "Condition.wait_for", "Condition.wait"]
            }
            Stage::Filling(..) => {
                &["Barrier.wait", "Barrier._wait", "Condition.wait_for", "Condition.wait"]
            }
        }
    }
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
                    while_handling(py, &error, || {
                        <Condition as Guard>::release(&self.barrier.get().condition(py)?)
                    })?;
                    return Err(error);
                }
            }
            with = Resume::Value(py.None().into_bound(py));
        }
    }

    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        &self.names()[1..]
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
