//! What `write()` was given, as owned bytes.

use ferrio_engine::{Flow, Io, Stream, WriteError};
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use crate::error::WithText;
use crate::ffi::buffer;
use crate::ffi::interned::intern;
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

/// The argument of `write()`, lent for the moment of writing.
pub(crate) enum Written<'py> {
    Bytes(Bound<'py, PyBytes>),
    /// Anything else. Its owner may change it as soon as `write()` has returned.
    View(buffer::View<'py>),
}

impl<'py> Written<'py> {
    /// # Errors
    /// TypeError for anything but bytes, bytearray and memoryview, in this version's words.
    pub(crate) fn new(data: &Bound<'py, PyAny>) -> PyResult<Written<'py>> {
        if let Ok(bytes) = data.cast_exact::<PyBytes>() {
            return Ok(Written::Bytes(bytes.clone()));
        }
        if data.is_instance_of::<PyBytes>()
            || data.is_instance_of::<PyByteArray>()
            || data.is_instance_of::<PyMemoryView>()
        {
            return Written::from_buffer(data);
        }
        let kind = data.get_type().name()?;
        let expected = names::what_write_takes(data.py())?;
        Err(PyTypeError::with_text(format!("data argument must be {expected}, not '{kind}'")))
    }

    fn from_buffer(data: &Bound<'py, PyAny>) -> PyResult<Written<'py>> {
        let py = data.py();
        match buffer::View::readable(data) {
            Ok(view) => Ok(Written::View(view)),
            // Strided memory, which asyncio's socket refuses: `bytes()` knows how to walk it.
            Err(error) if error.is_instance_of::<PyBufferError>(py) => {
                let bytes = py.get_type::<PyBytes>().call1((data,))?;
                Ok(Written::Bytes(bytes.cast_into()?))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.read(<[u8]>::is_empty)
    }

    /// Lends the bytes; `body` runs no Python code.
    pub(crate) fn read<R>(&self, body: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Written::Bytes(bytes) => body(bytes.as_bytes()),
            Written::View(view) => view.read(body),
        }
    }

    /// Has the stream send it, and keep as a chunk what is left.
    ///
    /// # Errors
    /// Those of [`Stream::write`].
    #[inline]
    pub(crate) fn send<I: Io>(
        &self,
        stream: &mut Stream<Chunk, I>,
    ) -> Result<Option<Flow>, WriteError> {
        self.read(|data| stream.write(data, |sent| self.rest(data, sent)))
    }

    /// What is behind the first `start` bytes.
    fn rest(&self, data: &[u8], start: usize) -> Chunk {
        match self {
            Written::Bytes(bytes) => Chunk { start, ..Chunk::shared(bytes) },
            Written::View(_) => Chunk { bytes: Bytes::Copied(data[start..].into()), start: 0 },
        }
    }

    /// All of it, as a chunk.
    pub(crate) fn into_chunk(self) -> Chunk {
        self.read(|data| self.rest(data, 0))
    }
}

impl Chunk {
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
            return Ok(vec![Written::new(&joined)?.into_chunk()]);
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
                Ok(view) => chunks.push(Written::from_buffer(view.as_any())?.into_chunk()),
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

    pub(crate) fn len(&self) -> usize {
        self.as_ref().len()
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
