//! Calling Python: vectorcall with borrowed arguments, inside a `contextvars.Context`.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// A `contextvars.Context`.
///
/// A newtype, so that what is entered is known to be a context: `PyContext_Enter` refuses
/// anything else with a TypeError, but a caller who mixes up arguments should not compile.
pub(crate) struct Context(Py<PyAny>);

impl Context {
    /// A copy of the current context, as `contextvars.copy_context()` makes it.
    pub(crate) fn copy_current(py: Python<'_>) -> PyResult<Context> {
        // SAFETY: attached to the interpreter; the call returns a new reference or sets an error.
        let context = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent())? };
        Ok(Context(context.unbind()))
    }

    /// A copy of this context, as its method `copy()` makes it.
    pub(crate) fn copy(&self, py: Python<'_>) -> PyResult<Context> {
        // SAFETY: attached; PyContext_Copy checks the type of its argument and returns a new
        // reference or sets an error.
        let context =
            unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_Copy(self.0.as_ptr()))? };
        Ok(Context(context.unbind()))
    }

    /// What the caller passed as `context=`: `None` means a copy of the current one.
    ///
    /// Like asyncio, anything else is taken as it comes: its first use tells whether it is one.
    pub(crate) fn from_argument(
        context: Option<Bound<'_, PyAny>>,
        py: Python<'_>,
    ) -> PyResult<Self> {
        match context {
            Some(context) if !context.is_none() => Ok(Context(context.unbind())),
            Some(_) | None => Context::copy_current(py),
        }
    }

    pub(crate) fn from_object(context: Py<PyAny>) -> Context {
        Context(context)
    }

    pub(crate) fn as_object(&self) -> &Py<PyAny> {
        &self.0
    }

    pub(crate) fn into_object(self) -> Py<PyAny> {
        self.0
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Context {
        Context(self.0.clone_ref(py))
    }

    /// Runs `body` inside this context. Fails as `Context.run` does if it is already entered or
    /// is no context at all.
    pub(crate) fn run<R>(&self, py: Python<'_>, body: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
        run_in(self.0.bind(py), body)
    }
}

/// Is it a `contextvars.Context`?
pub(crate) fn is_context(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: only looks at the type.
    unsafe { ffi::PyContext_CheckExact(object.as_ptr()) != 0 }
}

/// [`Context::run`] for a context that is held as a plain object. What `body` returns is the
/// caller's to drop, outside of the context: a callback's result may have a finalizer that looks.
pub(crate) fn run_in<R>(
    context: &Bound<'_, PyAny>,
    body: impl FnOnce() -> PyResult<R>,
) -> PyResult<R> {
    let py = context.py();
    let context = context.as_ptr();
    // SAFETY: attached; PyContext_Enter checks its argument's type and reports by exception.
    if unsafe { ffi::PyContext_Enter(context) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let result = body();
    // An error raised by `body` is out of the interpreter's error indicator by now (PyErr owns
    // it), so PyContext_Exit runs with none set, as it must.
    // SAFETY: as above; the context was entered on this thread a moment ago.
    if unsafe { ffi::PyContext_Exit(context) } != 0 {
        let exit_error = PyErr::fetch(py);
        // Only possible if `body` left another context entered; its own error tells more.
        return result.and(Err(exit_error));
    }
    result
}

/// What `object.__setattr__` and `object.__delattr__` do, for a class that has its own.
pub(crate) fn set_attribute(
    object: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    value: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let value = value.map_or(std::ptr::null_mut(), Bound::as_ptr);
    // SAFETY: attached; live objects, and NULL means to delete.
    if unsafe { ffi::PyObject_GenericSetAttr(object.as_ptr(), name.as_ptr(), value) } < 0 {
        return Err(PyErr::fetch(object.py()));
    }
    Ok(())
}

/// `callable()`.
pub(crate) fn call0<'py>(callable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; `callable` is a live object; returns a new reference or sets an error.
    unsafe {
        Bound::from_owned_ptr_or_err(callable.py(), ffi::PyObject_CallNoArgs(callable.as_ptr()))
    }
}

/// `callable(argument)`, through vectorcall.
pub(crate) fn call1<'py>(
    callable: &Bound<'py, PyAny>,
    argument: &Bound<'_, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = callable.py();
    let mut slots = [std::ptr::null_mut(), argument.as_ptr()];
    // SAFETY: attached; the argument vector holds one live object behind one spare slot, which is
    // what PY_VECTORCALL_ARGUMENTS_OFFSET announces.
    unsafe {
        let result = ffi::PyObject_Vectorcall(
            callable.as_ptr(),
            slots.as_mut_ptr().add(1),
            1 | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET,
            std::ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(py, result)
    }
}

/// `callable(first, second)`, through vectorcall.
pub(crate) fn call2<'py>(
    callable: &Bound<'py, PyAny>,
    first: &Bound<'_, PyAny>,
    second: &Bound<'_, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: both are alive.
    unsafe { vectorcall(callable, &[first.as_ptr(), second.as_ptr()]) }
}

/// `callable(*values)`, through vectorcall.
///
/// # Safety
/// The values are live objects.
pub(crate) unsafe fn vectorcall<'py>(
    callable: &Bound<'py, PyAny>,
    values: &[*mut ffi::PyObject],
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: attached; passed on; no spare slot is promised.
    unsafe {
        let result = ffi::PyObject_Vectorcall(
            callable.as_ptr(),
            values.as_ptr(),
            values.len(),
            std::ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

/// `object.name(argument)`, without making a bound method.
pub(crate) fn call_method1<'py>(
    py: Python<'py>,
    object: &Py<PyAny>,
    name: &Bound<'py, PyString>,
    argument: &Bound<'_, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let slots = [object.as_ptr(), argument.as_ptr()];
    // SAFETY: attached; a vector of the object and one argument, both alive; no spare slot is
    // promised.
    unsafe {
        let result = ffi::PyObject_VectorcallMethod(
            name.as_ptr(),
            slots.as_ptr(),
            slots.len(),
            std::ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(py, result)
    }
}

/// `callable(name=value)` or `callable(argument, name=value)`; `names` is the tuple of the one
/// keyword's name.
pub(crate) fn call_with_keyword<'py>(
    callable: &Bound<'py, PyAny>,
    argument: Option<&Bound<'py, PyAny>>,
    names: &Bound<'py, PyTuple>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let values = match argument {
        Some(argument) => [std::ptr::null_mut(), argument.as_ptr(), value.as_ptr()],
        None => [std::ptr::null_mut(), value.as_ptr(), std::ptr::null_mut()],
    };
    let positional = usize::from(argument.is_some());
    // SAFETY: attached (Bound); the vector holds the positional argument, if any, and the one
    // keyword's value, behind one spare slot; all are alive for the time of the call.
    unsafe {
        let result = ffi::PyObject_Vectorcall(
            callable.as_ptr(),
            values.as_ptr().add(1),
            positional | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET,
            names.as_ptr(),
        );
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

/// `context.run(callable)` or `context.run(callable, argument)` without the call of `run`.
pub(crate) fn call_in_context(
    context: &Bound<'_, PyAny>,
    callable: &Bound<'_, PyAny>,
    argument: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    run_in(context, || match argument {
        None => call0(callable),
        Some(argument) => call1(callable, argument),
    })
    .map(drop)
}

/// Runs the Python handlers of signals that have arrived, if this is the main thread: where no
/// bytecode has run for a while, nobody else has done so.
pub(crate) fn check_signals(py: Python<'_>) -> PyResult<()> {
    py.check_signals()
}

/// The identifier of the running thread, as `threading.get_ident()` gives it.
pub(crate) fn thread_ident() -> u64 {
    // SAFETY: no precondition.
    unsafe { PyThread_get_thread_ident() }
}

unsafe extern "C" {
    // Public since 3.3 (Include/pythread.h), missing from pyo3-ffi.
    fn PyThread_get_thread_ident() -> std::ffi::c_ulong;
}

/// [`PyVisit::call`](pyo3::gc::PyVisit::call) for a borrowed pointer; NULL is nothing to visit.
pub(crate) fn visit_pointer(
    visit: &pyo3::gc::PyVisit<'_>,
    object: *mut ffi::PyObject,
) -> Result<(), pyo3::gc::PyTraverseError> {
    if object.is_null() {
        return Ok(());
    }
    // SAFETY: a live object's pointer, seen as a reference that is never dropped: the collector
    // must not touch reference counts.
    let object = unsafe { Borrowed::from_ptr(python_of(visit), object) };
    // A `Bound` and a `Py` are both one pointer to the object; `call` only reads it.
    visit.call(object.as_unbound())
}

/// The token of a garbage collector's visit, which is made attached but hands out none.
pub(crate) fn python_of<'a>(visit: &'a pyo3::gc::PyVisit<'_>) -> Python<'a> {
    let _during = visit;
    // SAFETY: a PyVisit exists only while `tp_traverse` runs, which CPython calls attached. The
    // token must not be used to touch a reference count; those who ask for it only borrow.
    unsafe { Python::assume_attached() }
}
