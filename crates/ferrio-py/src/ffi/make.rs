//! New objects of Python's own types, or Python's MemoryError.
//!
//! PyO3's constructors of these, and its conversions of numbers, texts and tuples, panic where
//! CPython has no memory for the object. The program would see a PanicException then, which passes
//! by every `except Exception`, in place of the MemoryError that it has with asyncio. What cannot
//! fail stays PyO3's: the empty tuple, the empty text, small literal numbers, interned names.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{
    PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PySlice, PyString, PyTuple,
};

/// What is an object already. Not PyO3's `IntoPyObject`, which numbers and texts implement, too.
pub(crate) trait Object<'py> {
    fn owned(self) -> Bound<'py, PyAny>;
}

impl<'py, T> Object<'py> for Bound<'py, T> {
    fn owned(self) -> Bound<'py, PyAny> {
        self.into_any()
    }
}

impl<'py, T> Object<'py> for &Bound<'py, T> {
    fn owned(self) -> Bound<'py, PyAny> {
        self.clone().into_any()
    }
}

/// `{}`.
pub(crate) fn dict(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    // SAFETY: attached; a new reference to a dictionary, or NULL with an error set.
    unsafe { owned(py, ffi::PyDict_New()) }
}

/// `[]`.
pub(crate) fn list(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    // SAFETY: attached; a new reference to a list, or NULL with an error set.
    unsafe { owned(py, ffi::PyList_New(0)) }
}

/// The list of these.
pub(crate) fn list_of<'py>(
    py: Python<'py>,
    items: impl IntoIterator<Item = impl Object<'py>>,
) -> PyResult<Bound<'py, PyList>> {
    let list = list(py)?;
    for item in items {
        list.append(item.owned())?;
    }
    Ok(list)
}

/// The tuple of these.
pub(crate) fn tuple<'py, I>(py: Python<'py>, items: I) -> PyResult<Bound<'py, PyTuple>>
where
    I: IntoIterator<IntoIter: ExactSizeIterator, Item: Object<'py>>,
{
    let items = items.into_iter();
    let len = items.len();
    // SAFETY: attached; a new reference to a tuple, or NULL with an error set. Nobody sees it
    // before it is filled, with references of its own, no more of them than it has room for; a
    // place that is left empty is NULL, which a tuple may be dropped with.
    unsafe {
        let tuple: Bound<'_, PyTuple> = owned(py, ffi::PyTuple_New(len as ffi::Py_ssize_t))?;
        for (place, item) in (0..len as ffi::Py_ssize_t).zip(items) {
            ffi::PyTuple_SET_ITEM(tuple.as_ptr(), place, item.owned().into_ptr());
        }
        Ok(tuple)
    }
}

/// The float of this value.
pub(crate) fn float(py: Python<'_>, value: f64) -> PyResult<Bound<'_, PyFloat>> {
    // SAFETY: attached; a new reference to a float, or NULL with an error set.
    unsafe { owned(py, ffi::PyFloat_FromDouble(value)) }
}

/// The int of this value.
pub(crate) fn int(py: Python<'_>, value: impl Into<i64>) -> PyResult<Bound<'_, PyInt>> {
    // SAFETY: attached; a new reference to an int, or NULL with an error set.
    unsafe { owned(py, ffi::PyLong_FromLongLong(value.into())) }
}

/// The int of a number of things.
pub(crate) fn count(py: Python<'_>, value: usize) -> PyResult<Bound<'_, PyInt>> {
    // SAFETY: attached; a new reference to an int, or NULL with an error set.
    unsafe { owned(py, ffi::PyLong_FromSize_t(value)) }
}

/// The str of this text.
pub(crate) fn text(py: Python<'_>, value: impl AsRef<str>) -> PyResult<Bound<'_, PyString>> {
    let value = value.as_ref();
    let (start, len) = (value.as_ptr().cast(), value.len() as ffi::Py_ssize_t);
    // SAFETY: attached; so many bytes of UTF-8. A new reference to a str, or NULL with an error
    // set.
    unsafe { owned(py, ffi::PyUnicode_FromStringAndSize(start, len)) }
}

/// The one str of this text that attributes are looked up by.
pub(crate) fn interned<'py>(py: Python<'py>, value: &str) -> PyResult<Bound<'py, PyString>> {
    let mut object = text(py, value)?.into_ptr();
    // SAFETY: attached; an owned reference to a str, which is replaced by another one.
    unsafe {
        ffi::PyUnicode_InternInPlace(&raw mut object);
        owned(py, object)
    }
}

/// The str of these bytes of the system, in the file system's encoding, with surrogates for what it
/// cannot say.
pub(crate) fn path<'py>(py: Python<'py>, value: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let (start, len) = (value.as_ptr().cast(), value.len() as ffi::Py_ssize_t);
    // SAFETY: attached; so many bytes. A new reference to a str, or NULL with an error set.
    unsafe { owned(py, ffi::PyUnicode_DecodeFSDefaultAndSize(start, len)) }
}

/// A copy of these bytes, as bytes.
pub(crate) fn bytes<'py>(py: Python<'py>, value: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let (start, len) = (value.as_ptr().cast(), value.len() as ffi::Py_ssize_t);
    // SAFETY: attached; so many bytes. A new reference to bytes, or NULL with an error set.
    unsafe { owned(py, ffi::PyBytes_FromStringAndSize(start, len)) }
}

/// A copy of these bytes, as a bytearray.
pub(crate) fn bytearray<'py>(py: Python<'py>, value: &[u8]) -> PyResult<Bound<'py, PyByteArray>> {
    let (start, len) = (value.as_ptr().cast(), value.len() as ffi::Py_ssize_t);
    // SAFETY: attached; so many bytes. A new reference to a bytearray, or NULL with an error set.
    unsafe { owned(py, ffi::PyByteArray_FromStringAndSize(start, len)) }
}

/// `slice(start, end)`.
pub(crate) fn slice(py: Python<'_>, start: isize, end: isize) -> PyResult<Bound<'_, PySlice>> {
    let (start, end) = (int(py, start as i64)?, int(py, end as i64)?);
    // SAFETY: attached; a new reference to a slice, or NULL with an error set.
    unsafe { owned(py, ffi::PySlice_New(start.as_ptr(), end.as_ptr(), std::ptr::null_mut())) }
}

/// What a `#[pymethods]` method returns, for PyO3 to make an object of.
pub(crate) struct Returned<T>(pub(crate) T);

macro_rules! returned {
    ($value:ty, $class:ty, $make:expr) => {
        impl<'py> IntoPyObject<'py> for Returned<$value> {
            type Target = $class;
            type Output = Bound<'py, $class>;
            type Error = PyErr;

            fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, $class>> {
                $make(py, self.0)
            }
        }
    };
}

returned!(f64, PyFloat, float);
returned!(String, PyString, text);
returned!(usize, PyInt, count);
// A thread's ident, which C has as an unsigned long.
returned!(u64, PyInt, |py, value| count(py, value as usize));
returned!(i32, PyInt, int);
returned!(u32, PyInt, int);
returned!(i64, PyInt, int);
returned!((usize, usize), PyTuple, |py, (one, other)| {
    tuple(py, [count(py, one)?, count(py, other)?])
});

/// # Safety
/// Attached; a new reference to an object of this very type, or NULL with an error set.
unsafe fn owned<T>(py: Python<'_>, object: *mut ffi::PyObject) -> PyResult<Bound<'_, T>> {
    // SAFETY: passed on.
    unsafe { Ok(Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked()) }
}
