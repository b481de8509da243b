//! `collections.deque`, without looking its methods up.
//!
//! Programs look at `queue._queue`, `queue._getters` and `lock._waiters`, and put things there: so
//! these are real deques, which have no API in C. Their methods are called as the builtins that
//! they are (bench: queue_put_get_nowait).

use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

use super::call::{call_method1, call0};
use crate::names;

/// An object whose type is exactly `collections.deque`.
pub(crate) struct Deque<'py>(Bound<'py, PyAny>);

/// The type and two of its methods, looked up once.
struct Methods {
    class: *mut ffi::PyTypeObject,
    /// None where the method does not take exactly one argument.
    append: Option<ffi::PyCFunction>,
    /// None where the method takes arguments.
    popleft: Option<ffi::PyCFunction>,
}

/// NULL before the first use; never freed.
static METHODS: AtomicPtr<Methods> = AtomicPtr::new(std::ptr::null_mut());

#[inline]
fn methods(py: Python<'_>) -> PyResult<&'static Methods> {
    // SAFETY: NULL or leaked by `look_up`, and never changed.
    match unsafe { METHODS.load(Ordering::Relaxed).as_ref() } {
        Some(methods) => Ok(methods),
        None => look_up(py),
    }
}

#[cold]
fn look_up(py: Python<'_>) -> PyResult<&'static Methods> {
    let class: *mut ffi::PyTypeObject = names::deque(py)?.as_ptr().cast();
    let methods = Box::leak(Box::new(Methods {
        class,
        // SAFETY: attached; a live type.
        append: unsafe { method(class, c"append", ffi::METH_O) },
        // SAFETY: as above.
        popleft: unsafe { method(class, c"popleft", ffi::METH_NOARGS) },
    }));
    METHODS.store(methods, Ordering::Relaxed);
    Ok(methods)
}

/// The function behind a method of a type that was written in C, if it is called in this way.
///
/// # Safety
/// Attached; `class` is a live type.
unsafe fn method(
    class: *mut ffi::PyTypeObject,
    name: &std::ffi::CStr,
    flags: std::ffi::c_int,
) -> Option<ffi::PyCFunction> {
    // SAFETY: passed on; the definitions of a type live as long as it, and end with one that has no
    // name. What the flags say is which member of the union is there.
    unsafe {
        let mut definition = (*class).tp_methods;
        while !definition.is_null() && !(*definition).ml_name.is_null() {
            if std::ffi::CStr::from_ptr((*definition).ml_name) == name {
                return ((*definition).ml_flags == flags)
                    .then(|| (*definition).ml_meth.PyCFunction);
            }
            definition = definition.add(1);
        }
    }
    None
}

impl<'py> Deque<'py> {
    /// A new one, empty.
    pub(crate) fn new(py: Python<'py>) -> PyResult<Deque<'py>> {
        call0(names::deque(py)?).map(Deque)
    }

    /// This object, if it is one; a subclass may have other methods.
    #[inline]
    pub(crate) fn of(object: Bound<'py, PyAny>) -> Result<Deque<'py>, Bound<'py, PyAny>> {
        let class = methods(object.py()).map_or(std::ptr::null_mut(), |methods| methods.class);
        // SAFETY: only looks at the type.
        if unsafe { ffi::Py_TYPE(object.as_ptr()) } == class {
            Ok(Deque(object))
        } else {
            Err(object)
        }
    }

    pub(crate) fn as_any(&self) -> &Bound<'py, PyAny> {
        &self.0
    }

    pub(crate) fn into_any(self) -> Bound<'py, PyAny> {
        self.0
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: attached; a live deque, whose length cannot fail.
        unsafe { ffi::PySequence_Size(self.0.as_ptr()) as usize }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `append(item)`.
    ///
    /// # Errors
    /// MemoryError.
    #[inline]
    pub(crate) fn push(&self, item: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = self.0.py();
        let Some(append) = methods(py)?.append else {
            let name = intern!(py, "append");
            return call_method1(py, self.0.as_unbound(), name, item).map(drop);
        };
        // SAFETY: attached; the method's function, with an instance and its one argument.
        unsafe {
            let result = append(self.0.as_ptr(), item.as_ptr());
            Bound::from_owned_ptr_or_err(py, result).map(drop)
        }
    }

    /// `popleft()`.
    ///
    /// # Errors
    /// IndexError if there is nothing.
    #[inline]
    pub(crate) fn pop(&self) -> PyResult<Bound<'py, PyAny>> {
        let py = self.0.py();
        let Some(popleft) = methods(py)?.popleft else {
            return self.0.call_method0(intern!(py, "popleft"));
        };
        // SAFETY: attached; the method's function, with an instance and no argument.
        unsafe {
            let result = popleft(self.0.as_ptr(), std::ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, result)
        }
    }

    /// The item that has `index` before it.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        if index >= self.len() {
            return Ok(None);
        }
        // SAFETY: attached; a live deque.
        unsafe {
            let item = ffi::PySequence_GetItem(self.0.as_ptr(), index as ffi::Py_ssize_t);
            Bound::from_owned_ptr_or_err(self.0.py(), item).map(Some)
        }
    }

    /// `remove(item)`. Mostly it is the first.
    ///
    /// # Errors
    /// ValueError if it is not there; what comparing raises.
    pub(crate) fn remove(&self, item: &Bound<'py, PyAny>) -> PyResult<()> {
        if self.get(0)?.is_some_and(|first| first.is(item)) {
            return self.pop().map(drop);
        }
        let py = self.0.py();
        call_method1(py, self.0.as_unbound(), intern!(py, "remove"), item).map(drop)
    }

    /// All items, in order, as they are now: what is called on one may change what is in here.
    pub(crate) fn items(&self) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.0.try_iter()?.collect()
    }
}
