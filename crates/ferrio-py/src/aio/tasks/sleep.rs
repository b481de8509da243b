//! `sleep`.

use std::ffi::{CStr, c_int};

use pyo3::exceptions::PyValueError;
use pyo3::ffi as raw;
use pyo3::prelude::*;

use crate::aio::current::running_loop;
use crate::aio::timer::{Timer, plain_number};
use crate::aio::versions::Versions;
use crate::aio::waiter::Waiter;
use crate::error::WithText;
use crate::event_loop::tasks::create_future;
use crate::ffi::coroutine::{Body, CoroutineFunction, Resume};
use crate::ffi::fastcall::Arguments;
use crate::ffi::iter::Step;
use crate::ffi::raise::finally;
use crate::ffi::signature::Signature;

/// `sleep(delay, result=None)`.
pub(super) enum Sleep {
    /// Not begun.
    New {
        delay: Py<PyAny>,
        result: Py<PyAny>,
    },
    /// Not begun, of a number that means one turn (bench: sleep0_100_tasks).
    Nothing {
        result: Py<PyAny>,
    },
    /// One turn of the loop.
    Turn {
        result: Py<PyAny>,
    },
    Waiting {
        waiter: Waiter,
        timer: Timer,
    },
}

impl CoroutineFunction for Sleep {
    type Body = Sleep;
    const NAME: &'static CStr = c"sleep";
    const DOC: &'static CStr = c"sleep(delay, result=None)\n--\n\n\
        Coroutine that completes after a given time (in seconds).";

    fn call<'py>(py: Python<'py>, arguments: &Arguments<'_, 'py>) -> PyResult<Sleep> {
        const SIGNATURE: Signature<2> = Signature {
            function: "sleep",
            names: ["delay", "result"],
            positional: 2,
            required: 1,
            is_method: false,
        };
        let (delay, result) = match arguments.get(0) {
            Some(delay) if arguments.len() == 1 && !arguments.has_keywords() => (delay, None),
            Some(_) | None => {
                let [delay, result] = SIGNATURE.bind(arguments)?;
                (delay.unwrap_or_else(|| py.None().into_bound(py)), result)
            }
        };
        let result = result.map_or_else(|| py.None(), Bound::unbind);
        match plain_number(&delay) {
            Some(seconds) if seconds <= 0.0 => Ok(Sleep::Nothing { result }),
            Some(_) | None => Ok(Sleep::New { delay: delay.unbind(), result }),
        }
    }
}

impl Body for Sleep {
    fn qualname(&self) -> &'static str {
        "sleep"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        match self {
            Sleep::New { delay, result } => {
                let (delay, result) = (delay.bind(py).clone(), result.clone_ref(py));
                self.begin(&delay, result)
            }
            Sleep::Nothing { result } => {
                *self = Sleep::Turn { result: result.clone_ref(py) };
                Ok(Step::Yielded(py.None().into_bound(py)))
            }
            Sleep::Turn { result } => match with {
                Resume::Value(_) => Ok(Step::Returned(result.bind(py).clone())),
                Resume::Error(error) => Err(error),
            },
            Sleep::Waiting { waiter, timer } => {
                let stepped = waiter.step(py, with);
                match stepped {
                    Ok(Step::Yielded(_)) => stepped,
                    stepped => finally(py, stepped, || timer.cancel(py)),
                }
            }
        }
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        match self {
            Sleep::New { delay, result } => {
                let answer = visit(delay.as_ptr());
                if answer == 0 { visit(result.as_ptr()) } else { answer }
            }
            Sleep::Nothing { result } | Sleep::Turn { result } => visit(result.as_ptr()),
            Sleep::Waiting { waiter, timer } => {
                let answer = waiter.traverse(visit);
                if answer == 0 { timer.traverse(visit) } else { answer }
            }
        }
    }
}

impl Sleep {
    fn begin<'py>(&mut self, delay: &Bound<'py, PyAny>, result: Py<PyAny>) -> PyResult<Step<'py>> {
        let py = delay.py();
        let number = plain_number(delay);
        let is_over = match number {
            Some(seconds) => seconds <= 0.0,
            None => delay.le(0)?,
        };
        if is_over {
            *self = Sleep::Turn { result };
            return Ok(Step::Yielded(py.None().into_bound(py)));
        }
        let is_nan = match number {
            Some(seconds) => seconds.is_nan(),
            None => false,
        };
        if is_nan && Versions::get(py)?.sleep_refuses_nan {
            return Err(PyValueError::with_text("Invalid delay: NaN (not a number)"));
        }
        let looop = running_loop(py)?;
        let future = create_future(&looop)?;
        let timer = Timer::set_result_later(&looop, delay, &future, result.bind(py))?;
        let mut waiter = Waiter::of(&future);
        let stepped = waiter.step(py, Resume::Value(py.None().into_bound(py)));
        if matches!(stepped, Ok(Step::Yielded(_))) {
            *self = Sleep::Waiting { waiter, timer };
        } else {
            timer.cancel(py)?;
        }
        stepped
    }
}
