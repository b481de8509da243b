//! Functions that return a coroutine of ours, and are seen as coroutine functions: `asyncio.sleep`.
//!
//! A builtin function cannot be marked as one. So these are objects of the class that
//! [`method`](super::method) has for methods, of no class: in a class of the program's they become
//! methods, as functions written in Python do.

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::impl_::trampoline::{MethodDef, fastcall_cfunction_with_keywords};
use pyo3::prelude::*;
use pyo3::types::PyModule;

use super::method::{document, new_descriptor};
use super::{Body, new_coroutine};
use crate::ffi::fastcall::Arguments;
use crate::ffi::make;

/// A function that returns a coroutine.
pub(crate) trait CoroutineFunction: 'static {
    type Body: Body;
    const NAME: &'static CStr;
    /// Signature and text, as builtins have them: `"sleep(delay, result=None)\n--\n\n..."`.
    const DOC: &'static CStr;

    /// What the coroutine will do. Only reads the arguments: nothing happens before it is awaited.
    fn call<'py>(py: Python<'py>, arguments: &Arguments<'_, 'py>) -> PyResult<Self::Body>;

    /// What is called in its place, if that is wanted now: a function that takes the same.
    #[inline]
    fn instead(_py: Python<'_>) -> Option<&Bound<'_, PyAny>> {
        None
    }
}

/// Adds the function to the module. Programs find it in `ferrio.aio`, and pickle looks there.
pub(crate) fn add_function<F: CoroutineFunction>(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let name = F::NAME.to_string_lossy();
    let attributes = make::dict(module.py())?;
    attributes.set_item("__name__", &*name)?;
    attributes.set_item("__qualname__", &*name)?;
    attributes.set_item("__module__", "ferrio.aio")?;
    document(&attributes, F::DOC)?;
    let function = new_descriptor(entry::<F>, None, attributes)?;
    module.add(&*name, function)
}

unsafe extern "C" fn entry<F: CoroutineFunction>(
    function: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with so many live arguments.
    unsafe {
        let nargs = ffi::PyVectorcall_NARGS(nargsf);
        fastcall_cfunction_with_keywords::<Raw<F>>(function, args, nargs, kwnames)
    }
}

/// PyO3's trampoline marks the thread as attached and stops panics; this is what it calls.
struct Raw<F>(std::marker::PhantomData<F>);

impl<F: CoroutineFunction> MethodDef<fastcall_cfunction_with_keywords::Func> for Raw<F> {
    const METH: fastcall_cfunction_with_keywords::Func = raw::<F>;
}

/// # Safety
/// Called by `entry`: attached, with a vector of `nargs` positional and `len(kwnames)` keyword
/// values.
unsafe fn raw<F: CoroutineFunction>(
    py: Python<'_>,
    _function: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    if let Some(function) = F::instead(py) {
        // SAFETY: attached; a vector of so many live arguments, passed on.
        return unsafe {
            let made = ffi::PyObject_Vectorcall(function.as_ptr(), args, nargs as usize, kwnames);
            Bound::from_owned_ptr_or_err(py, made).map(Bound::into_ptr)
        };
    }
    // SAFETY: passed on.
    let arguments = unsafe { Arguments::new(py, args, nargs as usize, kwnames) };
    let body = F::call(py, &arguments)?;
    Ok(new_coroutine(py, body)?.into_ptr())
}
