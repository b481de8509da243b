//! `async with` of a barrier: `__aenter__` and `__aexit__`.

use std::ffi::{CStr, c_int};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::Barrier;
use super::wait::Waiting;
use crate::error::WithText;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::awaiting::{Awaiting, Begun};
use crate::ffi::inherited::{Inherited, has_all};
use crate::ffi::interned::intern;
use crate::ffi::iter::Step;

/// Is the method that `__aenter__` calls still ours?
static OURS: Inherited =
    Inherited::new(|class| has_all(class, &class.py().get_type::<Barrier>(), &["wait"]).into());

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    method::install::<Enter>(py)?;
    method::install::<Exit>(py)
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

    fn awaited(&self) -> Option<&Awaiting> {
        match self {
            Enter::Theirs(awaiting) => Some(awaiting),
            Enter::Start(_) | Enter::Ours(_) => None,
        }
    }

    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        match self {
            Enter::Ours(waiting) => waiting.names(),
            Enter::Start(_) | Enter::Theirs(_) => &[],
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
