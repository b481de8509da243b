//! `readuntil`, `readline` and `async for`: up to a separator.

use std::ffi::CStr;

use pyo3::exceptions::{PyStopAsyncIteration, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::StreamReader;
use super::borrowed::Borrowed;
use super::reader::{ATTRIBUTES, READLINE};
use super::reading::{Either, Read, Reading};
use crate::ffi::coroutine::{CoroutineMethod, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::raise::raised;
use crate::names;

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    method::install::<ReaduntilMethod>(py)?;
    method::install::<ReadlineMethod>(py)
}

/// What ends what is read. None is empty.
#[derive(Default)]
enum Separators {
    #[default]
    Newline,
    One(Py<PyBytes>),
    Any(Box<Several>),
}

/// Separators, at least one, the shortest first. (In a box, so that coroutines stay small.)
struct Several(Vec<Py<PyBytes>>);

const NEWLINE: &[u8] = b"\n";

impl Separators {
    /// None: not what we know to search for.
    fn from_arguments(arguments: &Arguments<'_, '_>) -> Option<Separators> {
        let mut keywords = arguments.keywords();
        let value = match (arguments.len(), keywords.next(), keywords.next()) {
            (0, None, _) => return Some(Separators::Newline),
            (1, None, _) => arguments.get(0)?,
            (0, Some((name, value)), None) if name == "separator" => value,
            (_, _, _) => return None,
        };
        let separator = |value: &Bound<'_, PyAny>| {
            let bytes = value.cast_exact::<PyBytes>().ok()?;
            (!bytes.as_bytes().is_empty()).then(|| bytes.clone().unbind())
        };
        match value.cast_exact::<PyTuple>() {
            // Since 3.13.
            Ok(tuple) if cfg!(Py_3_13) && !tuple.is_empty() => {
                let py = value.py();
                let mut all =
                    tuple.iter().map(|value| separator(&value)).collect::<Option<Vec<_>>>()?;
                all.sort_by_key(|separator| separator.as_bytes(py).len());
                Some(Separators::Any(Box::new(Several(all))))
            }
            Ok(_) | Err(_) => separator(&value).map(Separators::One),
        }
    }

    fn iter<'a>(&'a self, py: Python<'a>) -> impl Iterator<Item = &'a [u8]> {
        let (newline, some) = match self {
            Separators::Newline => (Some(NEWLINE), &[][..]),
            Separators::One(separator) => (None, std::slice::from_ref(separator)),
            Separators::Any(several) => (None, several.0.as_slice()),
        };
        newline.into_iter().chain(some.iter().map(move |separator| separator.as_bytes(py)))
    }

    fn shortest_len(&self, py: Python<'_>) -> usize {
        self.iter(py).next().map_or(0, <[u8]>::len)
    }

    fn longest_len(&self, py: Python<'_>) -> usize {
        self.iter(py).last().map_or(0, <[u8]>::len)
    }
}

struct ReaduntilMethod;

impl CoroutineMethod for ReaduntilMethod {
    type Class = StreamReader;
    type Body = Either<Until>;
    const NAME: &'static CStr = c"readuntil";
    const DOC: &'static CStr = c"readuntil($self, separator=b'\\n')\n--\n\nReads up to and with a \
        separator; from 3.13 on, with the first of a tuple of them.\n\nRaises IncompleteReadError, \
        with what there was, if the stream ends before, and LimitOverrunError if there\nare more \
        bytes before it than the limit: these are left to be read.";

    fn call<'py>(
        slf: &Bound<'py, StreamReader>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Either<Until>> {
        match Separators::from_arguments(arguments) {
            Some(separators) if slf.get().has_own(slf, ATTRIBUTES) => {
                Ok(Either::Ours(Read::new(slf, Until { separators, offset: 0 })))
            }
            Some(_) | None => {
                let class = names::stream_reader(slf.py())?;
                let borrowed = Borrowed::new(slf.as_any(), class, "readuntil", arguments)?;
                Ok(Either::Asyncios(Box::new(borrowed)))
            }
        }
    }

    const PLAIN: Option<method::Plain<StreamReader, Either<Until>>> =
        Some(method::Plain::new(0, |slf| Read::plain(slf, ATTRIBUTES, Until::default())));
}

/// Up to and with a separator.
#[derive(Default)]
pub(super) struct Until {
    separators: Separators,
    /// Before this many bytes none of them begins.
    offset: usize,
}

impl Until {
    /// Where the separator that ends first begins and ends.
    fn find(&self, py: Python<'_>, reader: &StreamReader) -> PyResult<Option<(usize, usize)>> {
        let mut first: Option<(usize, usize)> = None;
        for separator in self.separators.iter(py) {
            if let Some(start) = reader.buffer().find(py, separator, self.offset)? {
                let end = start + separator.len();
                if first.is_none_or(|(_, first)| end < first) {
                    first = Some((start, end));
                }
            }
        }
        Ok(first)
    }
}

fn overrun(py: Python<'_>, text: &str, consumed: usize) -> PyErr {
    let made = || {
        let (text, consumed) = (make::text(py, text)?, make::count(py, consumed)?);
        names::limit_overrun_error(py)?.call1((text, consumed))
    };
    match made() {
        Ok(error) => raised(error),
        Err(error) => error,
    }
}

impl Reading for Until {
    const QUALNAME: &'static str = "StreamReader.readuntil";
    const WAITS_AS: &'static str = "readuntil";

    fn attempt<'py>(
        &mut self,
        py: Python<'py>,
        slf: &Bound<'py, StreamReader>,
        _has_waited: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let reader = slf.get();
        let buffer = reader.buffer();
        let only = match &self.separators {
            Separators::Newline => Some(NEWLINE),
            Separators::One(separator) => Some(separator.as_bytes(py)),
            Separators::Any(_) => None,
        };
        if let Some(separator) = only
            && let Some(data) = buffer.take_until(py, separator, self.offset, reader.limit(py))
        {
            StreamReader::maybe_resume(slf)?;
            return Ok(Some(data.into_any()));
        }
        let len = buffer.len(py);
        if len >= self.offset + self.separators.shortest_len(py) {
            if let Some((start, end)) = self.find(py, reader)? {
                if start > reader.limit(py) {
                    let text = "Separator is found, but chunk is longer than limit";
                    return Err(overrun(py, text, start));
                }
                let data = buffer.take(py, end)?;
                StreamReader::maybe_resume(slf)?;
                return Ok(Some(data.into_any()));
            }
            // What is behind may be the beginning of one.
            self.offset = (len + 1).saturating_sub(self.separators.longest_len(py));
            if self.offset > reader.limit(py) {
                let text = "Separator is not found, and chunk exceed the limit";
                return Err(overrun(py, text, self.offset));
            }
        }
        if !reader.is_eof(py) {
            return Ok(None);
        }
        let partial = buffer.take(py, usize::MAX)?;
        let error = names::incomplete_read_error(py)?.call1((partial, py.None()))?;
        Err(raised(error))
    }
}

struct ReadlineMethod;

impl CoroutineMethod for ReadlineMethod {
    type Class = StreamReader;
    type Body = Either<Line>;
    const NAME: &'static CStr = c"readline";
    const DOC: &'static CStr = c"readline($self)\n--\n\nReads a line, with its newline; what is \
        left at the end of the stream, b'' if nothing is.\n\nRaises ValueError if it is longer \
        than the limit, and drops it.";

    fn call<'py>(
        slf: &Bound<'py, StreamReader>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Either<Line>> {
        let class = names::stream_reader(slf.py())?;
        let borrowed = Borrowed::new(slf.as_any(), class, "readline", arguments)?;
        Ok(Either::Asyncios(Box::new(borrowed)))
    }

    const PLAIN: Option<method::Plain<StreamReader, Either<Line>>> =
        Some(method::Plain::new(0, |slf| Read::plain(slf, READLINE, Line::default())));
}

/// A line.
#[derive(Default)]
pub(super) struct Line(Until);

impl Reading for Line {
    const QUALNAME: &'static str = "StreamReader.readline";
    const INNER: &'static [&'static str] =
        &["StreamReader.readuntil", "StreamReader._wait_for_data"];
    const WAITS_AS: &'static str = "readuntil";

    fn attempt<'py>(
        &mut self,
        py: Python<'py>,
        slf: &Bound<'py, StreamReader>,
        has_waited: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.attempt(py, slf, has_waited)
    }

    fn fail<'py>(
        &mut self,
        py: Python<'py>,
        slf: &Bound<'py, StreamReader>,
        error: PyErr,
    ) -> PyResult<Bound<'py, PyAny>> {
        let value = error.value(py);
        if value.is_instance(&names::incomplete_read_error(py)?)? {
            return value.getattr(intern!(py, "partial"));
        }
        if !value.is_instance(&names::limit_overrun_error(py)?)? {
            return Err(error);
        }
        let consumed: usize = value.getattr(intern!(py, "consumed"))?.extract()?;
        let buffer = slf.get().buffer();
        let is_whole = buffer.get(py, consumed)? == Some(NEWLINE[0]);
        buffer.discard(py, if is_whole { consumed + NEWLINE.len() } else { usize::MAX })?;
        StreamReader::maybe_resume(slf)?;
        let text = value.getattr(intern!(py, "args"))?.get_item(0)?.unbind();
        let line_error = PyValueError::new_err(text);
        line_error.value(py).setattr(intern!(py, "__context__"), value)?;
        Err(line_error)
    }
}

/// A line of `async for`.
#[derive(Default)]
pub(super) struct Next(Line);

fn not_the_end<'py>(line: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let is_end = line.cast_exact::<PyBytes>().is_ok_and(|line| line.as_bytes().is_empty());
    if is_end { Err(PyStopAsyncIteration::new_err(())) } else { Ok(line) }
}

impl Reading for Next {
    const QUALNAME: &'static str = "StreamReader.__anext__";
    const INNER: &'static [&'static str] =
        &["StreamReader.readline", "StreamReader.readuntil", "StreamReader._wait_for_data"];
    const WAITS_AS: &'static str = "readuntil";

    fn attempt<'py>(
        &mut self,
        py: Python<'py>,
        slf: &Bound<'py, StreamReader>,
        has_waited: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.attempt(py, slf, has_waited)
    }

    /// Only an error has nothing for a line.
    fn fail<'py>(
        &mut self,
        py: Python<'py>,
        slf: &Bound<'py, StreamReader>,
        error: PyErr,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.0.fail(py, slf, error).and_then(not_the_end)
    }
}
