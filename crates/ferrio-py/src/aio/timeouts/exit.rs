//! `Timeout.__aexit__`.

use std::ffi::{CStr, c_int};

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::Timeout;
use crate::aio::entering::exception;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::iter::Step;
use crate::ffi::signature::Signature;

/// `Timeout.__aexit__(exc_type, exc_val, exc_tb)`.
pub(super) struct Exit {
    timeout: Py<Timeout>,
    error: Option<Py<PyAny>>,
}

impl CoroutineMethod for Exit {
    type Class = Timeout;
    type Body = Exit;
    const NAME: &'static CStr = c"__aexit__";
    const DOC: &'static CStr = c"__aexit__($self, exc_type, exc_val, exc_tb)\n--\n\n\
        Ends it: raises TimeoutError in place of the CancelledError that it has caused.";

    fn call<'py>(slf: &Bound<'py, Timeout>, arguments: &Arguments<'_, 'py>) -> PyResult<Exit> {
        const SIGNATURE: Signature<3> = Signature {
            function: "Timeout.__aexit__",
            names: ["exc_type", "exc_val", "exc_tb"],
            positional: 3,
            required: 3,
            is_method: true,
        };
        let [class, error, _] = SIGNATURE.bind(arguments)?;
        Ok(Exit {
            timeout: slf.clone().unbind(),
            error: exception(class, error)?.map(Bound::unbind),
        })
    }

    const PLAIN: Option<method::Plain<Timeout, Exit>> = Some(method::Plain::without_error(|slf| {
        Some(Exit { timeout: slf.clone().unbind(), error: None })
    }));
}

impl Body for Exit {
    fn qualname(&self) -> &'static str {
        "Timeout.__aexit__"
    }

    fn resume<'py>(&mut self, py: Python<'py>, _with: Resume<'py>) -> PyResult<Step<'py>> {
        let error = self.error.as_ref().map(|error| error.bind(py));
        self.timeout.get().exit(py, error)?;
        Ok(Step::Returned(py.None().into_bound(py)))
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.timeout.as_ptr());
        match &self.error {
            Some(error) if answer == 0 => visit(error.as_ptr()),
            Some(_) | None => answer,
        }
    }
}
