//! Reading and writing fields of futures and tasks by their offsets.

use pyo3::ffi;

/// A borrowed reference or NULL.
///
/// # Safety
/// There is a field for a reference at this offset.
#[inline(always)]
pub(crate) unsafe fn get(object: *mut ffi::PyObject, offset: usize) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe { *object.byte_add(offset).cast::<*mut ffi::PyObject>() }
}

/// Fills a field that holds nothing; takes the reference over.
///
/// # Safety
/// As [`get`].
#[inline(always)]
pub(crate) unsafe fn put(object: *mut ffi::PyObject, offset: usize, value: *mut ffi::PyObject) {
    // SAFETY: passed on.
    unsafe { *object.byte_add(offset).cast::<*mut ffi::PyObject>() = value }
}

/// Takes the reference out, or NULL.
///
/// # Safety
/// As [`get`].
#[inline(always)]
pub(crate) unsafe fn take(object: *mut ffi::PyObject, offset: usize) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe {
        let value = get(object, offset);
        put(object, offset, std::ptr::null_mut());
        value
    }
}

/// Drops the reference, if there is one. Anything may happen then.
///
/// # Safety
/// As [`get`]; attached.
#[inline(always)]
pub(crate) unsafe fn clear(object: *mut ffi::PyObject, offset: usize) {
    // SAFETY: passed on; the field no longer names the value when its destructor runs.
    unsafe { ffi::Py_XDECREF(take(object, offset)) }
}

/// The state of a future, see [`layout`](super::layout).
///
/// # Safety
/// As [`get`]: a future, and the offset of its state.
#[inline(always)]
pub(crate) unsafe fn state(object: *mut ffi::PyObject, offset: usize) -> u8 {
    // SAFETY: passed on.
    unsafe { *object.byte_add(offset).cast::<u8>() }
}

/// # Safety
/// As [`state`].
#[inline(always)]
pub(crate) unsafe fn set_state(object: *mut ffi::PyObject, offset: usize, state: u8) {
    // SAFETY: passed on.
    unsafe { *object.byte_add(offset).cast::<u8>() = state }
}
