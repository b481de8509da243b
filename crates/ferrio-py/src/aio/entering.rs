//! `async with` of what is entered without waiting, and hands over itself.

use std::ffi::{CStr, c_int};

use pyo3::exceptions::PyBaseException;
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::{PyClass, PyTypeInfo};

use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::iter::Step;

/// A class with such an `__aenter__`.
pub(super) trait Entered: PyClass<Frozen = True> + PyTypeInfo + Sync + Send {
    /// The coroutine's name: `"Timeout.__aenter__"`.
    const QUALNAME: &'static str;
    const DOC: &'static CStr;

    /// What `__aenter__` does when it is awaited.
    fn enter(slf: &Bound<'_, Self>) -> PyResult<()>;
}

/// `__aenter__()`.
pub(super) struct Enter<C>(Py<C>);

impl<C: Entered> CoroutineMethod for Enter<C> {
    type Class = C;
    type Body = Enter<C>;
    const NAME: &'static CStr = c"__aenter__";
    const DOC: &'static CStr = <C as Entered>::DOC;

    fn call<'py>(slf: &Bound<'py, C>, arguments: &Arguments<'_, 'py>) -> PyResult<Enter<C>> {
        arguments.none(C::QUALNAME)?;
        Ok(Enter(slf.clone().unbind()))
    }

    const PLAIN: Option<method::Plain<C, Enter<C>>> =
        Some(method::Plain::new(0, |slf| Some(Enter(slf.clone().unbind()))));
}

impl<C: Entered> Body for Enter<C> {
    fn qualname(&self) -> &'static str {
        C::QUALNAME
    }

    fn resume<'py>(&mut self, py: Python<'py>, _with: Resume<'py>) -> PyResult<Step<'py>> {
        let entered = self.0.bind(py);
        C::enter(entered)?;
        Ok(Step::Returned(entered.clone().into_any()))
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        visit(self.0.as_ptr())
    }
}

/// The exception that an `__aexit__` is told of. By hand, it may be called with a class alone.
pub(super) fn exception<'py>(
    class: Option<Bound<'py, PyAny>>,
    error: Option<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let given = |value: Option<Bound<'py, PyAny>>| value.filter(|value| !value.is_none());
    match (given(class), given(error)) {
        (_, Some(error)) if error.is_instance_of::<PyBaseException>() => Ok(Some(error)),
        (Some(class), _) => class.call0().map(Some),
        (None, _) => Ok(None),
    }
}
