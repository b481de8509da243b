//! What `write()` was given, as owned bytes.

use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use crate::error::WithText;
use crate::ffi::buffer;
use crate::names;

/// Bytes to send. `bytes` objects are kept by reference: they cannot change. Everything else is
/// copied when it is written, for its owner may change it before it is sent.
#[derive(Debug)]
pub(crate) struct Chunk {
    bytes: Bytes,
    /// How much of the front was sent already.
    start: usize,
}

#[derive(Debug)]
enum Bytes {
    /// Exactly `bytes`, no subclass: dropping it runs no Python code, so it may be dropped while
    /// the loop's state is lent.
    Shared(PyBackedBytes),
    Copied(Box<[u8]>),
}

impl Chunk {
    /// The argument of `write()`.
    ///
    /// # Errors
    /// TypeError for anything but bytes, bytearray and memoryview, in this version's words.
    pub(crate) fn from_write(data: &Bound<'_, PyAny>) -> PyResult<Chunk> {
        if let Ok(bytes) = data.cast_exact::<PyBytes>() {
            return Ok(Chunk::shared(bytes));
        }
        if data.is_instance_of::<PyBytes>()
            || data.is_instance_of::<PyByteArray>()
            || data.is_instance_of::<PyMemoryView>()
        {
            return Chunk::copied(data);
        }
        let kind = data.get_type().name()?;
        let expected = names::what_write_takes(data.py())?;
        Err(PyTypeError::with_text(format!("data argument must be {expected}, not '{kind}'")))
    }

    /// The argument of `writelines()`: an iterable of objects with the buffer protocol. All are
    /// looked at before any is queued, so that a bad one leaves nothing behind.
    ///
    /// # Errors
    /// What the elements' iteration raises; TypeError for what is no buffer.
    pub(crate) fn from_lines(lines: &Bound<'_, PyAny>) -> PyResult<Vec<Chunk>> {
        let py = lines.py();
        if !cfg!(Py_3_12) {
            // asyncio joins them, and the errors are those of bytes.join.
            let joined = PyBytes::new(py, b"").call_method1(intern!(py, "join"), (lines,))?;
            return Ok(vec![Chunk::from_write(&joined)?]);
        }
        if !lines.is_truthy()? {
            return Ok(Vec::new());
        }
        let mut chunks = Vec::new();
        for line in lines.try_iter()? {
            let line = line?;
            if let Ok(bytes) = line.cast_exact::<PyBytes>() {
                chunks.push(Chunk::shared(bytes));
                continue;
            }
            match PyMemoryView::from(&line) {
                Ok(view) => chunks.push(Chunk::copied(view.as_any())?),
                Err(_) if names::writelines_skips_false(py)? && !line.is_truthy()? => {}
                Err(error) => return Err(error),
            }
        }
        Ok(chunks)
    }

    /// `bytes` to be sent, kept by reference.
    pub(crate) fn shared(bytes: &Bound<'_, PyBytes>) -> Chunk {
        Chunk { bytes: Bytes::Shared(bytes.clone().into()), start: 0 }
    }

    fn copied(data: &Bound<'_, PyAny>) -> PyResult<Chunk> {
        let py = data.py();
        let bytes = match buffer::View::readable(data) {
            Ok(view) => view.read(|bytes| bytes.into()),
            // Strided memory, which asyncio's socket refuses: `bytes()` knows how to walk it.
            Err(error) if error.is_instance_of::<PyBufferError>(py) => {
                let bytes = py.get_type::<PyBytes>().call1((data,))?;
                bytes.cast::<PyBytes>()?.as_bytes().into()
            }
            Err(error) => return Err(error),
        };
        Ok(Chunk { bytes: Bytes::Copied(bytes), start: 0 })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.as_ref().is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Forgets the first `count` bytes: they are on their way.
    pub(crate) fn advance(&mut self, count: usize) {
        self.start = (self.start + count).min(self.whole().len());
    }

    fn whole(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Shared(bytes) => bytes,
            Bytes::Copied(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.whole()[self.start..]
    }
}
