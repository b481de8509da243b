//! `Condition.wait()`.

use std::ffi::{CStr, c_int};

use pyo3::exceptions::{PyBaseException, PyRuntimeError};
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBool;

use super::Condition;
use crate::aio::locks::context::{Acquiring, Guard};
use crate::aio::waiter::Waiter;
use crate::error::WithText;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::interned::intern;
use crate::ffi::iter::Step;
use crate::ffi::make;
use crate::ffi::raise::{finally, raised, raised_while, while_handling};
use crate::names;

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    Version::of(py)?;
    method::install::<Wait>(py)
}

/// How this version's `wait` ends; patch releases of 3.11 and 3.12 changed it.
#[derive(Clone, Copy)]
struct Version {
    /// One who was told, and then fails, tells the next. The future is made before the lock is
    /// released.
    tells_next: bool,
    /// The CancelledError that is raised is the last that came, not a new one.
    raises_again: bool,
}

impl Version {
    fn of(py: Python<'_>) -> PyResult<Version> {
        static ANSWER: PyOnceLock<Version> = PyOnceLock::new();
        ANSWER
            .get_or_try_init(py, || {
                let theirs = names::locks(py)?.getattr(intern!(py, "Condition"))?;
                let code = theirs.getattr(intern!(py, "wait"))?.getattr(intern!(py, "__code__"))?;
                Ok(Version {
                    tells_next: theirs.hasattr(intern!(py, "_notify"))?,
                    raises_again: code
                        .getattr(intern!(py, "co_varnames"))?
                        .contains(intern!(py, "err"))?,
                })
            })
            .copied()
    }
}

struct Wait;

impl CoroutineMethod for Wait {
    type Class = Condition;
    type Body = Waiting;
    const NAME: &'static CStr = c"wait";
    const DOC: &'static CStr = c"wait($self)\n--\n\n\
        Gives the lock back, waits until notified, takes the lock again and returns True.\n\n\
        RuntimeError if nobody has the lock. It may return without a notification.";

    fn call<'py>(slf: &Bound<'py, Condition>, arguments: &Arguments<'_, 'py>) -> PyResult<Waiting> {
        arguments.none("Condition.wait")?;
        Ok(Waiting::new(slf))
    }
}

/// The state of [`Wait`]'s coroutine.
pub(in crate::aio::locks) struct Waiting {
    condition: Py<Condition>,
    phase: Phase,
}

enum Phase {
    Start,
    /// The lock is given back.
    Untold(Waiter),
    /// Whatever happened: nobody leaves without the lock.
    Locking(Box<Locking>),
}

struct Locking {
    acquiring: Acquiring<Condition>,
    /// What the waiting for a notification ended with.
    error: Option<Py<PyBaseException>>,
    /// The last cancellation that came while waiting for the lock.
    cancelled: Option<Py<PyBaseException>>,
}

impl Waiting {
    pub(in crate::aio::locks) fn new(condition: &Bound<'_, Condition>) -> Waiting {
        Waiting { condition: condition.clone().unbind(), phase: Phase::Start }
    }

    /// Gives the lock back, and begins to wait.
    fn start(&mut self, py: Python<'_>) -> PyResult<()> {
        let condition = self.condition.bind(py);
        if !Condition::is_locked(condition)? {
            return Err(PyRuntimeError::with_text("cannot wait on un-acquired lock"));
        }
        let begin = || -> PyResult<Waiter> { Waiter::new(&Condition::get_loop(condition)?) };
        let waiter = if Version::of(py)?.tells_next {
            let waiter = begin()?;
            <Condition as Guard>::release(condition)?;
            Ok(waiter)
        } else {
            <Condition as Guard>::release(condition)?;
            begin()
        };
        let waiter = waiter.and_then(|waiter| {
            condition.get().waiters.push(waiter.future(py))?;
            Ok(waiter)
        });
        match waiter {
            Ok(waiter) => self.phase = Phase::Untold(waiter),
            Err(error) => self.lock_again(py, Err(error)),
        }
        Ok(())
    }

    fn lock_again(&mut self, py: Python<'_>, outcome: PyResult<()>) {
        self.phase = Phase::Locking(Box::new(Locking {
            acquiring: Acquiring::new(self.condition.bind(py)),
            error: outcome.err().map(|error| error.into_value(py)),
            cancelled: None,
        }));
    }

    pub(super) fn step<'py>(
        &mut self,
        py: Python<'py>,
        mut with: Resume<'py>,
    ) -> PyResult<Step<'py>> {
        if matches!(self.phase, Phase::Start) {
            self.start(py)?;
        }
        if let Phase::Untold(waiter) = &mut self.phase {
            let outcome = match waiter.step(py, with) {
                Ok(Step::Yielded(yielded)) => return Ok(Step::Yielded(yielded)),
                Ok(Step::Returned(_)) => Ok(()),
                Err(error) => Err(error),
            };
            let waiters = &self.condition.get().waiters;
            let outcome = finally(py, outcome, || waiters.remove(waiter.future(py)));
            self.lock_again(py, outcome);
            with = Resume::Value(py.None().into_bound(py));
        }
        let Phase::Locking(locking) = &mut self.phase else {
            return Err(PyRuntimeError::with_text("a wait goes from phase to phase"));
        };
        loop {
            match locking.acquiring.step(py, with) {
                Ok(Step::Yielded(yielded)) => return Ok(Step::Yielded(yielded)),
                Ok(Step::Returned(_)) => break,
                Err(error) if error.matches(py, &names::cancelled_error(py)?)? => {
                    locking.cancelled = Some(error.into_value(py));
                    locking.acquiring = Acquiring::new(self.condition.bind(py));
                    with = Resume::Value(py.None().into_bound(py));
                }
                Err(error) => {
                    let error = match locking.error.take() {
                        Some(first) => raised_while(py, error, first.bind(py).as_any()),
                        None => error,
                    };
                    return self.fail(py, error);
                }
            }
        }
        let first = locking.error.take().map(|error| error.into_bound(py).into_any());
        match (locking.cancelled.take(), first) {
            (Some(again), first) => {
                let error = match Version::of(py)?.raises_again {
                    true => again.into_bound(py).into_any(),
                    false => names::cancelled_error(py)?.call0()?,
                };
                let mut error = raised(error);
                if let Some(first) = first {
                    error = raised_while(py, error, &first);
                }
                self.fail(py, error)
            }
            (None, Some(error)) => self.fail(py, PyErr::from_value(error)),
            (None, None) => Ok(Step::Returned(PyBool::new(py, true).to_owned().into_any())),
        }
    }

    /// Ends with an error; a notification that may have been for this one goes to the next.
    fn fail<'py>(&self, py: Python<'py>, error: PyErr) -> PyResult<Step<'py>> {
        if Version::of(py)?.tells_next {
            let condition = self.condition.bind(py);
            let one = make::int(py, 1)?.into_any();
            while_handling(py, &error, || match Condition::is_ours(condition) {
                true => condition.get().tell(&one).map(drop),
                false => condition.call_method1(intern!(py, "_notify"), (one,)).map(drop),
            })?;
        }
        Err(error)
    }
}

impl Body for Waiting {
    fn qualname(&self) -> &'static str {
        "Condition.wait"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        self.step(py, with)
    }

    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        match self.phase {
            Phase::Locking(_) => &["Lock.acquire"],
            Phase::Start | Phase::Untold(_) => &[],
        }
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.condition.as_ptr());
        match &self.phase {
            _ if answer != 0 => answer,
            Phase::Start => 0,
            Phase::Untold(waiter) => waiter.traverse(visit),
            Phase::Locking(locking) => {
                let errors = [&locking.error, &locking.cancelled];
                let errors = errors.into_iter().flatten().map(|error| visit(error.as_ptr()));
                match errors.into_iter().find(|&answer| answer != 0) {
                    Some(answer) => answer,
                    None => locking.acquiring.traverse(py, visit),
                }
            }
        }
    }
}
