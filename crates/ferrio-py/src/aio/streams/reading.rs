//! A coroutine that reads: it attempts to, and waits in between for more to come.

use std::ffi::c_int;

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::StreamReader;
use super::borrowed::Borrowed;
use crate::aio::waiter::Waiter;
use crate::ffi::coroutine::{Body, Resume};
use crate::ffi::iter::Step;

/// What is read, and how far that has come.
pub(super) trait Reading: Send + 'static {
    /// The coroutine's name: `"StreamReader.read"`.
    const QUALNAME: &'static str;
    /// The method's name for one who is waiting already.
    const WAITS_AS: &'static str;

    /// Looks at the arguments, before anything else.
    fn check(&self) -> PyResult<()> {
        Ok(())
    }

    /// Reads, or says by None that there is not enough yet. Not called at the end of the stream
    /// without having an answer. `has_waited` says that it was waited just before.
    fn attempt<'py>(
        &mut self,
        py: Python<'py>,
        reader: &StreamReader,
        has_waited: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>>;

    /// What comes of an error, wherever it was raised.
    fn fail<'py>(
        &mut self,
        py: Python<'py>,
        reader: &StreamReader,
        error: PyErr,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = (py, reader);
        Err(error)
    }
}

/// The coroutine.
pub(super) struct Read<R> {
    reader: Py<StreamReader>,
    reading: R,
    has_begun: bool,
    waiter: Option<Waiter>,
}

impl<R: Reading> Read<R> {
    pub(super) fn new(reader: &Bound<'_, StreamReader>, reading: R) -> Read<R> {
        Read { reader: reader.clone().unbind(), reading, has_begun: false, waiter: None }
    }

    /// None if the reader is not to be read by us.
    pub(super) fn plain(reader: &Bound<'_, StreamReader>, reading: R) -> Option<Either<R>> {
        reader.get().is_plain(reader).then(|| Either::Ours(Read::new(reader, reading)))
    }

    fn step<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let reader = self.reader.get();
        let mut with = Some(with);
        loop {
            let has_waited = self.waiter.is_some();
            if let Some(waiter) = &mut self.waiter {
                let with = with.take().unwrap_or_else(|| none(py));
                match waiter.step(py, with) {
                    Ok(Step::Yielded(object)) => return Ok(Step::Yielded(object)),
                    ended => {
                        self.waiter = None;
                        reader.end_wait(py);
                        ended?;
                    }
                }
            } else if !self.has_begun {
                self.has_begun = true;
                self.reading.check()?;
                reader.check_exception(py)?;
            }
            if let Some(value) = self.reading.attempt(py, reader, has_waited)? {
                return Ok(Step::Returned(value));
            }
            self.waiter = Some(reader.begin_wait(py, R::WAITS_AS)?);
            with = None;
        }
    }
}

fn none(py: Python<'_>) -> Resume<'_> {
    Resume::Value(py.None().into_bound(py))
}

impl<R: Reading> Body for Read<R> {
    fn qualname(&self) -> &'static str {
        R::QUALNAME
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        match self.step(py, with) {
            Ok(step) => Ok(step),
            Err(error) => self.reading.fail(py, self.reader.get(), error).map(Step::Returned),
        }
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        // Whatever else is read with is bytes.
        let answer = visit(self.reader.as_ptr());
        match &self.waiter {
            Some(waiter) if answer == 0 => waiter.traverse(visit),
            Some(_) | None => answer,
        }
    }
}

/// A coroutine of ours, or asyncio's.
pub(super) enum Either<R> {
    Ours(Read<R>),
    Asyncios(Box<Borrowed>),
}

impl<R: Reading> Body for Either<R> {
    fn qualname(&self) -> &'static str {
        R::QUALNAME
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        match self {
            Either::Ours(read) => read.resume(py, with),
            Either::Asyncios(borrowed) => borrowed.step(py, with),
        }
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        match self {
            Either::Ours(read) => read.traverse(py, visit),
            Either::Asyncios(borrowed) => borrowed.traverse(visit),
        }
    }
}
