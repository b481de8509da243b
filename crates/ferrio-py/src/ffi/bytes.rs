//! A `bytes` object that the kernel writes to before anybody else sees it.

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::ptr;

use ferrio_engine::{Read, Stream};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A new `bytes` of which only the first `len` bytes are initialised.
pub(crate) struct Receiving<'py> {
    /// Owned; NULL once given away.
    object: *mut ffi::PyObject,
    capacity: usize,
    len: usize,
    py: Python<'py>,
}

impl<'py> Receiving<'py> {
    /// # Errors
    /// MemoryError.
    pub(crate) fn new(py: Python<'py>, capacity: usize) -> PyResult<Receiving<'py>> {
        let size = ffi::Py_ssize_t::try_from(capacity)?;
        // SAFETY: attached; without a source the contents are left for us to write.
        let object = unsafe { ffi::PyBytes_FromStringAndSize(ptr::null(), size) };
        if object.is_null() {
            return Err(PyErr::fetch(py));
        }
        Ok(Receiving { object, capacity, len: 0, py })
    }

    /// [`Stream::read`] into the object. Neither allocates nor calls Python.
    pub(crate) fn read<B: AsRef<[u8]>, F: AsFd>(
        &mut self,
        stream: &mut Stream<B, F>,
    ) -> io::Result<Read> {
        // SAFETY: the only reference to an object of that many bytes is ours.
        let memory = unsafe {
            std::slice::from_raw_parts_mut(
                ffi::PyBytes_AsString(self.object).cast::<MaybeUninit<u8>>(),
                self.capacity,
            )
        };
        let read = stream.read_uninit(memory)?;
        if let Read::Data(count) = read {
            self.len = count;
        }
        Ok(read)
    }

    /// What was read, as an object for everybody.
    ///
    /// # Errors
    /// MemoryError.
    pub(crate) fn finish(mut self) -> PyResult<Bound<'py, PyBytes>> {
        let size = ffi::Py_ssize_t::try_from(self.len)?;
        // SAFETY: attached; nobody else knows the object, and so much of it is initialised. On
        // failure it is freed and replaced by NULL, which `drop` passes over.
        unsafe {
            if self.len < self.capacity && _PyBytes_Resize(&raw mut self.object, size) != 0 {
                return Err(PyErr::fetch(self.py));
            }
            let object = std::mem::replace(&mut self.object, ptr::null_mut());
            Ok(Bound::from_owned_ptr(self.py, object).cast_into_unchecked())
        }
    }
}

/// The first `len` bytes of these pieces in a new object; what is missing is zero.
///
/// Runs no Python code: `bytes` are unknown to the collector. So the pieces may be what a
/// [`GilCell`](super::gil_cell::GilCell) lends.
///
/// # Errors
/// MemoryError.
pub(crate) fn joined<'py, 'a>(
    py: Python<'py>,
    len: usize,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> PyResult<Bound<'py, PyBytes>> {
    let size = ffi::Py_ssize_t::try_from(len)?;
    // SAFETY: attached; the object is nobody else's until it is returned, and all of its `len` bytes
    // are written before: each piece as far as there is room, then zeros.
    unsafe {
        let object = ffi::PyBytes_FromStringAndSize(ptr::null(), size);
        let object = Bound::from_owned_ptr_or_err(py, object)?;
        let start = ffi::PyBytes_AsString(object.as_ptr()).cast::<u8>();
        let mut written = 0;
        for piece in pieces {
            let count = piece.len().min(len - written);
            ptr::copy_nonoverlapping(piece.as_ptr(), start.add(written), count);
            written += count;
            if written == len {
                break;
            }
        }
        ptr::write_bytes(start.add(written), 0, len - written);
        Ok(object.cast_into_unchecked())
    }
}

unsafe extern "C" {
    // In the stable ABI of every CPython; pyo3-ffi has not got it.
    fn _PyBytes_Resize(bytes: *mut *mut ffi::PyObject, size: ffi::Py_ssize_t) -> c_int;
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        // SAFETY: attached, as `py` shows; NULL or owned.
        unsafe { ffi::Py_XDECREF(self.object) }
    }
}
