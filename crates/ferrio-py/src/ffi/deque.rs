//! `collections.deque`, without looking its methods up.
//!
//! Programs look at `queue._queue`, `queue._getters` and `lock._waiters`, and put things there: so
//! these are real deques, which have no API in C. Their methods are called as the builtins that
//! they are (bench: queue_put_get_nowait).
//!
//! What `collections.deque()` makes is the program's to say, and so is what it puts there: anything
//! that has the methods will do, as with asyncio. Theirs are called by name.

use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::call::{call_method1, call0};
use crate::ffi::interned::intern;
use crate::names;

/// What is used as a deque.
pub(crate) struct Deque<'py> {
    object: Bound<'py, PyAny>,
    /// The methods to be called without looking them up: of the real one only, for a subclass may
    /// have others.
    methods: Option<&'static Methods>,
}

/// The type and two of its methods, looked up once.
struct Methods {
    /// Always a type: ours to keep.
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
    // The type itself, and not what stands in `collections` by now.
    let class = names::c_deque(py)?.clone();
    let class = class.cast_into::<PyType>()?.into_ptr().cast::<ffi::PyTypeObject>();
    let methods = Box::leak(Box::new(Methods {
        class,
        // SAFETY: attached; a type, which is never given back.
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
    /// What `collections.deque()` makes now: a new one, empty, unless a program has put something
    /// else there.
    pub(crate) fn make(py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        call0(&names::deque(py)?)
    }

    /// The same, to be used.
    pub(crate) fn new(py: Python<'py>) -> PyResult<Deque<'py>> {
        Deque::make(py).map(Deque::from)
    }

    /// This object, if its type is exactly `collections.deque`.
    #[inline]
    pub(crate) fn of(object: Bound<'py, PyAny>) -> Result<Deque<'py>, Bound<'py, PyAny>> {
        let deque = Deque::from(object);
        if deque.methods.is_some() { Ok(deque) } else { Err(deque.object) }
    }

    pub(crate) fn as_any(&self) -> &Bound<'py, PyAny> {
        &self.object
    }

    pub(crate) fn into_any(self) -> Bound<'py, PyAny> {
        self.object
    }

    /// `len(deque)`.
    #[inline]
    pub(crate) fn len(&self) -> PyResult<usize> {
        self.object.len()
    }

    /// `not deque`.
    #[inline]
    pub(crate) fn is_empty(&self) -> PyResult<bool> {
        match self.methods {
            Some(_) => Ok(self.len()? == 0),
            None => Ok(!self.object.is_truthy()?),
        }
    }

    /// Is it known to be empty, without asking a method of the program's?
    #[inline]
    pub(crate) fn is_surely_empty(&self) -> bool {
        self.methods.is_some() && self.len().is_ok_and(|len| len == 0)
    }

    /// `append(item)`.
    ///
    /// # Errors
    /// MemoryError.
    #[inline]
    pub(crate) fn push(&self, item: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = self.object.py();
        let Some(append) = self.methods.and_then(|methods| methods.append) else {
            let name = intern!(py, "append");
            return call_method1(py, self.object.as_unbound(), name, item).map(drop);
        };
        // SAFETY: attached; the method's function, with an instance and its one argument.
        unsafe {
            let result = append(self.object.as_ptr(), item.as_ptr());
            Bound::from_owned_ptr_or_err(py, result).map(drop)
        }
    }

    /// `popleft()`.
    ///
    /// # Errors
    /// IndexError if there is nothing.
    #[inline]
    pub(crate) fn pop(&self) -> PyResult<Bound<'py, PyAny>> {
        let py = self.object.py();
        let Some(popleft) = self.methods.and_then(|methods| methods.popleft) else {
            return self.object.call_method0(intern!(py, "popleft"));
        };
        // SAFETY: attached; the method's function, with an instance and no argument.
        unsafe {
            let result = popleft(self.object.as_ptr(), std::ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, result)
        }
    }

    /// The item that has `index` before it.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.methods.is_none() {
            // asyncio goes through them by an iterator.
            return self.object.try_iter()?.nth(index).transpose();
        }
        if index >= self.len()? {
            return Ok(None);
        }
        // SAFETY: attached; a live deque.
        unsafe {
            let item = ffi::PySequence_GetItem(self.object.as_ptr(), index as ffi::Py_ssize_t);
            Bound::from_owned_ptr_or_err(self.object.py(), item).map(Some)
        }
    }

    /// `remove(item)`. Mostly it is the first.
    ///
    /// # Errors
    /// ValueError if it is not there; what comparing raises.
    pub(crate) fn remove(&self, item: &Bound<'py, PyAny>) -> PyResult<()> {
        if self.methods.is_some() && self.get(0)?.is_some_and(|first| first.is(item)) {
            return self.pop().map(drop);
        }
        let py = self.object.py();
        call_method1(py, self.object.as_unbound(), intern!(py, "remove"), item).map(drop)
    }

    /// All items, in order, as they are now: what is called on one may change what is in here.
    pub(crate) fn items(&self) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.object.try_iter()?.collect()
    }
}

impl<'py> From<Bound<'py, PyAny>> for Deque<'py> {
    #[inline]
    fn from(object: Bound<'py, PyAny>) -> Deque<'py> {
        let is_of = |methods: &&Methods| object.get_type_ptr() == methods.class;
        let methods = methods(object.py()).ok().filter(is_of);
        Deque { object, methods }
    }
}
