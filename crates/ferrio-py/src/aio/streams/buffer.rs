//! What a reader has received and nobody has read.
//!
//! It is a list of the `bytes` objects that came, until somebody looks at `reader._buffer`, which in
//! asyncio is a bytearray, and which programs measure, search and cut. From then on it *is* a
//! bytearray, until that is empty and nobody else has it.

use ferrio_engine::{ReadBuffer, find_separator};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes};

use crate::ffi::buffer::{View, is_unshared};
use crate::ffi::bytes;
use crate::ffi::call::python_of;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make;

#[derive(Default)]
pub(super) struct Buffer(GilCell<Contents>);

#[derive(Default)]
struct Contents {
    /// Exactly `bytes`, no subclass: dropping them runs no Python code. Empty while there is a
    /// bytearray.
    pieces: ReadBuffer<PyBackedBytes>,
    exposed: Option<Py<PyByteArray>>,
}

/// What was taken of the pieces.
enum Taken<'py> {
    Piece(PyBackedBytes),
    Copy(PyResult<Bound<'py, PyBytes>>),
}

impl Buffer {
    /// The bytearray, if there is one.
    #[inline]
    fn exposed<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyByteArray>> {
        if self.0.with(py, |contents| contents.exposed.is_none()) {
            return None;
        }
        self.still_exposed(py)
    }

    #[cold]
    fn still_exposed<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyByteArray>> {
        let exposed = self.0.with(py, |contents| {
            let exposed = contents.exposed.as_ref()?;
            if !is_unshared(py, exposed) || exposed.bind(py).len() > 0 {
                return Some((exposed.clone_ref(py), true));
            }
            contents.exposed.take().map(|exposed| (exposed, false))
        });
        exposed.and_then(|(exposed, is_used)| is_used.then(|| exposed.into_bound(py)))
    }

    /// As a bytearray that stays the truth for as long as anybody has it.
    pub(super) fn expose<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyByteArray>> {
        if let Some(exposed) = self.exposed(py) {
            return Ok(exposed);
        }
        let flat = self.take(py, usize::MAX)?;
        let exposed = make::bytearray(py, flat.as_bytes())?;
        self.replace(py, exposed.clone());
        Ok(exposed)
    }

    /// Has this bytearray be the contents.
    pub(super) fn replace(&self, py: Python<'_>, bytearray: Bound<'_, PyByteArray>) {
        let bytearray = bytearray.unbind();
        let old = self.0.with(py, |contents| {
            contents.pieces.clear();
            contents.exposed.replace(bytearray)
        });
        drop(old);
    }

    /// How many bytes there are.
    #[inline]
    pub(super) fn len(&self, py: Python<'_>) -> usize {
        match self.exposed(py) {
            None => self.0.with(py, |contents| contents.pieces.len()),
            Some(exposed) => exposed.len(),
        }
    }

    /// Appends what was received; returns how many bytes there are now.
    #[inline]
    pub(super) fn push(&self, bytes: &Bound<'_, PyBytes>) -> PyResult<usize> {
        let py = bytes.py();
        if let Some(exposed) = self.exposed(py) {
            exposed.call_method1(intern!(py, "extend"), (bytes,))?;
            return Ok(exposed.len());
        }
        let piece = bytes.clone().into();
        Ok(self.0.with(py, |contents| {
            contents.pieces.push(piece);
            contents.pieces.len()
        }))
    }

    /// Where `separator` first begins, at or behind `from`.
    pub(super) fn find(
        &self,
        py: Python<'_>,
        separator: &[u8],
        from: usize,
    ) -> PyResult<Option<usize>> {
        match self.exposed(py) {
            None => Ok(self.0.with(py, |contents| contents.pieces.find(separator, from))),
            Some(exposed) => {
                let view = View::readable(&exposed)?;
                Ok(view.read(|bytes| find_separator(std::iter::once(bytes), separator, from)))
            }
        }
    }

    /// The byte at `index`.
    pub(super) fn get(&self, py: Python<'_>, index: usize) -> PyResult<Option<u8>> {
        match self.exposed(py) {
            None => {
                let byte = |contents: &mut Contents| {
                    contents.pieces.pieces().flatten().nth(index).copied()
                };
                Ok(self.0.with(py, byte))
            }
            Some(exposed) => Ok(View::readable(&exposed)?.read(|bytes| bytes.get(index).copied())),
        }
    }

    /// Takes the first `count` bytes, or all that there are. What came as exactly these bytes is
    /// given as it came.
    ///
    /// # Errors
    /// MemoryError; BufferError while somebody has a view of the bytearray.
    pub(super) fn take<'py>(&self, py: Python<'py>, count: usize) -> PyResult<Bound<'py, PyBytes>> {
        if let Some(exposed) = self.exposed(py) {
            let count = count.min(exposed.len());
            let taken = View::readable(&exposed)?
                .read(|bytes| bytes::joined(py, count, std::iter::once(bytes)))?;
            cut(&exposed, count)?;
            return Ok(taken);
        }
        let taken = self.0.with(py, |contents| {
            let pieces = &mut contents.pieces;
            let count = count.min(pieces.len());
            if let Some(piece) = pieces.take_piece(count) {
                return Taken::Piece(piece);
            }
            let copy = bytes::joined(py, count, pieces.pieces());
            if copy.is_ok() {
                pieces.advance(count);
            }
            Taken::Copy(copy)
        });
        match taken {
            Taken::Piece(piece) => Ok(piece.into_pyobject(py)?),
            Taken::Copy(copy) => copy,
        }
    }

    /// [`find`](Buffer::find) and [`take`](Buffer::take) with the separator, at one go, for the
    /// plain case: there is no bytearray, and it begins no later than at `limit`. None is for
    /// any other (bench: stream_readline).
    #[inline]
    pub(super) fn take_until<'py>(
        &self,
        py: Python<'py>,
        separator: &[u8],
        from: usize,
        limit: usize,
    ) -> Option<Bound<'py, PyBytes>> {
        let taken = self.0.with(py, |contents| {
            let pieces = &mut contents.pieces;
            let start = pieces.find(separator, from).filter(|&start| start <= limit)?;
            let count = start + separator.len();
            if let Some(piece) = pieces.take_piece(count) {
                return Some(Taken::Piece(piece));
            }
            // Without memory it is left for `take` to say so.
            let copy = bytes::joined(py, count, pieces.pieces()).ok()?;
            pieces.advance(count);
            Some(Taken::Copy(Ok(copy)))
        });
        match taken? {
            Taken::Piece(piece) => {
                let Ok(piece) = piece.into_pyobject(py);
                Some(piece)
            }
            Taken::Copy(copy) => copy.ok(),
        }
    }

    /// Drops the first `count` bytes, or all that there are.
    pub(super) fn discard(&self, py: Python<'_>, count: usize) -> PyResult<()> {
        match self.exposed(py) {
            None => {
                self.0.with(py, |contents| contents.pieces.advance(count));
                Ok(())
            }
            Some(exposed) => cut(&exposed, count.min(exposed.len())),
        }
    }

    /// Shows the collector what is held.
    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0
            .try_with(python_of(visit), |contents| visit.call(&contents.exposed))
            .unwrap_or(Ok(()))
    }

    /// Drops everything.
    pub(super) fn clear(&self, py: Python<'_>) {
        drop(self.0.with(py, std::mem::take));
    }
}

/// `del bytearray[:count]`.
fn cut(bytearray: &Bound<'_, PyByteArray>, count: usize) -> PyResult<()> {
    let end = isize::try_from(count)?;
    bytearray.as_any().del_item(make::slice(bytearray.py(), 0, end)?)
}
