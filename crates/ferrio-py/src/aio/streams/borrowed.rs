//! asyncio's own methods, in the place of ours: for subclasses that override a step of theirs, and
//! for arguments that ours do not know.

use std::ffi::c_int;

use pyo3::call::PyCallArgs;
use pyo3::ffi as raw;
use pyo3::prelude::*;

use crate::ffi::coroutine::Resume;
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::awaiting::{Awaiting, Begun};
use crate::ffi::interned::intern;
use crate::ffi::iter::Step;
use crate::ffi::make;

/// `class.method(*args)`, for what it does.
pub(super) fn call<'py>(
    class: &Bound<'py, PyAny>,
    method: &str,
    args: impl PyCallArgs<'py>,
) -> PyResult<()> {
    class.call_method1(make::text(class.py(), method)?, args).map(drop)
}

/// A coroutine of asyncio's.
pub(super) struct Borrowed {
    coroutine: Py<PyAny>,
    awaiting: Option<Awaiting>,
}

impl Borrowed {
    /// Calls `class.method(slf, ...)`, which does nothing yet but to look at the arguments.
    pub(super) fn new<'py>(
        slf: &Bound<'py, PyAny>,
        class: &Bound<'py, PyAny>,
        method: &str,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Borrowed> {
        let py = slf.py();
        let rest = arguments.rest(0)?;
        let all = std::iter::once(slf.clone()).chain(rest.iter()).collect::<Vec<_>>();
        let keywords = make::dict(py)?;
        for (name, value) in arguments.keywords() {
            keywords.set_item(name, value)?;
        }
        let coroutine = class
            .getattr(make::text(py, method)?)?
            .call(make::tuple(py, all)?, Some(&keywords))?
            .unbind();
        Ok(Borrowed { coroutine, awaiting: None })
    }

    pub(super) fn step<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        if let Some(awaiting) = &self.awaiting {
            return awaiting.resume(py, with);
        }
        match Awaiting::begin(self.coroutine.bind(py))? {
            Begun::Waiting(awaiting, yielded) => {
                self.awaiting = Some(awaiting);
                Ok(Step::Yielded(yielded))
            }
            Begun::Done(value) => Ok(Step::Returned(value)),
        }
    }

    pub(super) fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        let answer = visit(self.coroutine.as_ptr());
        match &self.awaiting {
            Some(awaiting) if answer == 0 => awaiting.traverse(visit),
            Some(_) | None => answer,
        }
    }
}

impl Drop for Borrowed {
    /// The coroutine around it says that it was never awaited, or is being closed: once is enough.
    fn drop(&mut self) {
        let _closed = Python::try_attach(|py| {
            if let Err(error) = self.coroutine.call_method0(py, intern!(py, "close")) {
                error.write_unraisable(py, None);
            }
        });
    }
}
