//! The buffer protocol, for memory that the kernel fills or that is copied out at once.

use std::ffi::c_int;
use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use crate::ffi::make;

/// A contiguous view of an object's memory; released when dropped.
pub(crate) struct View<'py> {
    raw: Box<ffi::Py_buffer>,
    py: Python<'py>,
}

impl<'py> View<'py> {
    /// A view to write to.
    ///
    /// # Errors
    /// TypeError or BufferError as the object says: no buffer, read-only, not contiguous.
    pub(crate) fn writable(object: &Bound<'py, PyAny>) -> PyResult<View<'py>> {
        View::new(object, ffi::PyBUF_WRITABLE)
    }

    /// A view to read from.
    ///
    /// # Errors
    /// As [`writable`](View::writable).
    pub(crate) fn readable(object: &Bound<'py, PyAny>) -> PyResult<View<'py>> {
        View::new(object, ffi::PyBUF_SIMPLE)
    }

    fn new(object: &Bound<'py, PyAny>, flags: c_int) -> PyResult<View<'py>> {
        let py = object.py();
        let mut raw = Box::new(MaybeUninit::<ffi::Py_buffer>::zeroed());
        // SAFETY: attached; the struct is ours to fill, and on success it is filled.
        unsafe {
            if ffi::PyObject_GetBuffer(object.as_ptr(), raw.as_mut_ptr(), flags) != 0 {
                return Err(PyErr::fetch(py));
            }
            Ok(View { raw: raw.assume_init(), py })
        }
    }

    /// Size in bytes.
    pub(crate) fn len(&self) -> usize {
        // Never negative for a buffer that was granted.
        self.raw.len as usize
    }

    /// Lends the memory for writing. `body` runs no Python code, so that nobody else touches the
    /// memory meanwhile (as far as the GIL can promise: other threads that hold a view of the
    /// same memory while detached are their program's own affair, as with `socket.recv_into`).
    pub(crate) fn fill<R>(&mut self, body: impl FnOnce(&mut [u8]) -> R) -> R {
        let len = self.len();
        if len == 0 {
            return body(&mut []);
        }
        // SAFETY: asked for as writable and contiguous; alive until the view is released.
        body(unsafe { std::slice::from_raw_parts_mut(self.raw.buf.cast(), len) })
    }

    /// Lends the memory for reading; as for [`fill`](View::fill).
    pub(crate) fn read<R>(&self, body: impl FnOnce(&[u8]) -> R) -> R {
        let len = self.len();
        if len == 0 {
            return body(&[]);
        }
        // SAFETY: contiguous; alive until the view is released.
        body(unsafe { std::slice::from_raw_parts(self.raw.buf.cast(), len) })
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        let _attached = self.py;
        // SAFETY: attached; the view was granted and is released once.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.raw) }
    }
}

/// Memory of ours for C code of CPython to read from and write to: a bytearray that nobody else
/// knows of, and a view of it, which keeps it from being resized.
pub(crate) struct Scratch {
    memory: Py<PyByteArray>,
    view: Py<PyMemoryView>,
    len: usize,
}

impl Scratch {
    /// So many bytes.
    pub(crate) fn new(py: Python<'_>, len: usize) -> PyResult<Scratch> {
        let memory = PyByteArray::new_with(py, len, |_zeroed| Ok(()))?;
        let view = PyMemoryView::from(memory.as_any())?.unbind();
        Ok(Scratch { memory: memory.unbind(), view, len })
    }

    /// Size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A memoryview of the whole.
    pub(crate) fn view(&self) -> &Py<PyMemoryView> {
        &self.view
    }

    /// A memoryview of a part.
    pub(crate) fn part<'py>(
        &self,
        py: Python<'py>,
        start: usize,
        end: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        if start == 0 && end == self.len {
            return Ok(self.view.bind(py).clone().into_any());
        }
        part(self.view.bind(py), start, end)
    }

    /// Lends the memory; `body` runs no Python code.
    pub(crate) fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&mut [u8]) -> R) -> R {
        let memory = self.memory.bind(py);
        // SAFETY: attached, and `body` lets nobody else run; the bytearray cannot be resized while
        // the view of it exists, and says its length itself should somebody have released that.
        body(unsafe { memory.as_bytes_mut() })
    }

    /// A copy of the first bytes.
    pub(crate) fn bytes<'py>(&self, py: Python<'py>, len: usize) -> PyResult<Bound<'py, PyBytes>> {
        let memory = self.memory.bind(py);
        // SAFETY: as in `with`. Making a bytes object runs no Python code: it is not tracked by
        // the collector.
        make::bytes(py, unsafe { memory.as_bytes().get(..len).unwrap_or_default() })
    }
}

/// Has nobody but the caller a reference to this object, as of now?
pub(crate) fn is_unshared<T>(_py: Python<'_>, object: &Py<T>) -> bool {
    // SAFETY: attached; a live object.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) == 1 }
}

/// A memoryview of a part of a memoryview of bytes.
pub(crate) fn part<'py>(
    view: &Bound<'py, PyMemoryView>,
    start: usize,
    end: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let (start, end) = (start as isize, end as isize);
    view.get_item(make::slice(view.py(), start, end)?)
}
