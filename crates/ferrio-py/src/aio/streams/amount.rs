//! `read` and `readexactly`: so many bytes.

use std::ffi::CStr;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyInt};

use super::StreamReader;
use super::borrowed::Borrowed;
use super::reader::{ATTRIBUTES, READ_ALL};
use super::reading::{Either, Read, Reading};
use crate::error::WithText;
use crate::ffi::bytes;
use crate::ffi::coroutine::{CoroutineMethod, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::make;
use crate::ffi::overrides::Names;
use crate::ffi::raise::raised;
use crate::names;

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    method::install::<ReadMethod>(py)?;
    method::install::<ReadexactlyMethod>(py)
}

/// The argument, if there is one and it is an integer of ordinary size: `Some(None)` is no argument
/// at all. None: asyncio knows what to make of these arguments.
fn amount(arguments: &Arguments<'_, '_>) -> Option<Option<isize>> {
    let number = |value: Bound<'_, PyAny>| value.cast_exact::<PyInt>().ok()?.extract().ok();
    match (arguments.len(), arguments.has_keywords()) {
        (0, false) => Some(None),
        (1, false) => arguments.get(0).and_then(number).map(Some),
        (0, true) => {
            let mut keywords = arguments.keywords();
            match (keywords.next(), keywords.next()) {
                (Some((name, value)), None) if name == "n" => number(value).map(Some),
                (_, _) => None,
            }
        }
        (_, _) => None,
    }
}

struct ReadMethod;

impl CoroutineMethod for ReadMethod {
    type Class = StreamReader;
    type Body = Either<Amount>;
    const NAME: &'static CStr = c"read";
    const DOC: &'static CStr = c"read($self, n=-1)\n--\n\nReads at most n bytes, as soon as there \
        are any; b'' at the end.\n\nWith a negative n, all bytes until the end.";

    fn call<'py>(
        slf: &Bound<'py, StreamReader>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Either<Amount>> {
        match amount(arguments) {
            Some(count) if slf.get().has_own(slf, Amount::uses(count)) => {
                let amount = match usize::try_from(count.unwrap_or(-1)) {
                    Ok(count) => Amount::AtMost(count),
                    Err(_negative) => Amount::All(Vec::new()),
                };
                Ok(Either::Ours(Read::new(slf, amount)))
            }
            Some(_) | None => {
                let class = names::stream_reader(slf.py())?;
                let borrowed = Borrowed::new(slf.as_any(), class, "read", arguments)?;
                Ok(Either::Asyncios(Box::new(borrowed)))
            }
        }
    }
}

/// How much `read` reads.
pub(super) enum Amount {
    AtMost(usize),
    /// To the end; what was read so far.
    All(Vec<PyBackedBytes>),
}

impl Amount {
    /// What reading so much takes for ours.
    fn uses(count: Option<isize>) -> Names {
        if count.is_some_and(|count| count >= 0) { ATTRIBUTES } else { READ_ALL }
    }
}

impl Reading for Amount {
    const QUALNAME: &'static str = "StreamReader.read";
    const WAITS_AS: &'static str = "read";

    fn inner(&self) -> &'static [&'static str] {
        match self {
            Amount::AtMost(_) => Self::INNER,
            Amount::All(_) => &["StreamReader.read", "StreamReader._wait_for_data"],
        }
    }

    fn attempt<'py>(
        &mut self,
        py: Python<'py>,
        slf: &Bound<'py, StreamReader>,
        mut has_waited: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let reader = slf.get();
        let buffer = reader.buffer();
        loop {
            let count = match self {
                Amount::AtMost(0) => return Ok(Some(PyBytes::new(py, b"").into_any())),
                Amount::AtMost(count) => *count,
                Amount::All(_) => usize::MAX,
            };
            let data = buffer.take(py, count)?;
            let is_empty = data.as_bytes().is_empty();
            // Who has waited takes what there is, and if another was quicker, that is nothing: asyncio
            // does not look again.
            if is_empty && !has_waited && !reader.is_eof(py) {
                return Ok(None);
            }
            StreamReader::maybe_resume(slf)?;
            match self {
                Amount::AtMost(_) => return Ok(Some(data.into_any())),
                Amount::All(blocks) if is_empty => return joined(py, blocks).map(Some),
                Amount::All(blocks) => {
                    blocks.push(data.into());
                    // asyncio begins anew for every block.
                    reader.check_exception(py)?;
                    has_waited = false;
                }
            }
        }
    }
}

fn joined<'py>(py: Python<'py>, blocks: &mut Vec<PyBackedBytes>) -> PyResult<Bound<'py, PyAny>> {
    if blocks.len() == 1
        && let Some(block) = blocks.pop()
    {
        return Ok(block.into_pyobject(py)?.into_any());
    }
    let len = blocks.iter().map(|block| block.len()).sum();
    Ok(bytes::joined(py, len, blocks.iter().map(|block| &**block))?.into_any())
}

struct ReadexactlyMethod;

impl CoroutineMethod for ReadexactlyMethod {
    type Class = StreamReader;
    type Body = Either<Exactly>;
    const NAME: &'static CStr = c"readexactly";
    const DOC: &'static CStr = c"readexactly($self, n)\n--\n\nReads exactly n bytes.\n\n\
        Raises IncompleteReadError, with what there was, if the stream ends before.";

    fn call<'py>(
        slf: &Bound<'py, StreamReader>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Either<Exactly>> {
        match amount(arguments) {
            Some(Some(count)) if slf.get().has_own(slf, ATTRIBUTES) => {
                Ok(Either::Ours(Read::new(slf, Exactly(count))))
            }
            Some(_) | None => {
                let class = names::stream_reader(slf.py())?;
                let borrowed = Borrowed::new(slf.as_any(), class, "readexactly", arguments)?;
                Ok(Either::Asyncios(Box::new(borrowed)))
            }
        }
    }
}

/// So many bytes, no less.
pub(super) struct Exactly(isize);

impl Reading for Exactly {
    const QUALNAME: &'static str = "StreamReader.readexactly";
    const WAITS_AS: &'static str = "readexactly";

    fn check(&self) -> PyResult<()> {
        if self.0 < 0 {
            return Err(PyValueError::with_text("readexactly size can not be less than zero"));
        }
        Ok(())
    }

    fn attempt<'py>(
        &mut self,
        py: Python<'py>,
        slf: &Bound<'py, StreamReader>,
        _has_waited: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let reader = slf.get();
        let buffer = reader.buffer();
        let Exactly(count) = *self;
        let wanted = count.unsigned_abs();
        if wanted == 0 {
            return Ok(Some(PyBytes::new(py, b"").into_any()));
        }
        if buffer.len(py) >= wanted {
            let data = buffer.take(py, wanted)?;
            StreamReader::maybe_resume(slf)?;
            return Ok(Some(data.into_any()));
        }
        if !reader.is_eof(py) {
            return Ok(None);
        }
        let expected = make::int(py, count as i64)?;
        let partial = buffer.take(py, usize::MAX)?;
        let error = names::incomplete_read_error(py)?.call1((partial, expected))?;
        Err(raised(error))
    }
}
