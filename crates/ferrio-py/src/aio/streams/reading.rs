//! A coroutine that reads: it attempts to, and waits in between for more to come.

use std::ffi::c_int;

use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::StreamReader;
use super::borrowed::Borrowed;
use crate::aio::waiter::Waiter;
use crate::ffi::coroutine::{Body, Resume};
use crate::ffi::future::awaiting::{Awaiting, Begun};
use crate::ffi::iter::Step;
use crate::ffi::overrides::Names;

/// What is read, and how far that has come.
pub(super) trait Reading: Send + 'static {
    /// The coroutine's name: `"StreamReader.read"`.
    const QUALNAME: &'static str;
    /// As [`Body::inner`], while it waits.
    const INNER: &'static [&'static str] = &["StreamReader._wait_for_data"];

    /// [`INNER`](Self::INNER), where it depends on what is read.
    fn inner(&self) -> &'static [&'static str] {
        Self::INNER
    }
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
        reader: &Bound<'py, StreamReader>,
        has_waited: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>>;

    /// What comes of an error, wherever it was raised.
    fn fail<'py>(
        &mut self,
        py: Python<'py>,
        reader: &Bound<'py, StreamReader>,
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
    waiting: Option<Waiting>,
}

/// For more to come.
enum Waiting {
    /// `_wait_for_data`.
    Ours(Waiter),
    /// The same, of the program's own.
    Theirs(Box<Awaiting>),
}

impl<R: Reading> Read<R> {
    pub(super) fn new(reader: &Bound<'_, StreamReader>, reading: R) -> Read<R> {
        Read { reader: reader.clone().unbind(), reading, has_begun: false, waiting: None }
    }

    /// None if one of these is not what we take it for: the reader is not to be read by us.
    pub(super) fn plain(
        reader: &Bound<'_, StreamReader>,
        names: Names,
        reading: R,
    ) -> Option<Either<R>> {
        reader.get().has_own(reader, names).then(|| Either::Ours(Read::new(reader, reading)))
    }

    fn step<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let reader = self.reader.bind(py);
        let this = reader.get();
        let mut has_waited = false;
        if let Some(waiting) = &mut self.waiting {
            let stepped = match waiting {
                Waiting::Ours(waiter) => waiter.step(py, with),
                Waiting::Theirs(awaiting) => awaiting.resume(py, with),
            };
            if let Ok(Step::Yielded(object)) = stepped {
                return Ok(Step::Yielded(object));
            }
            if let Some(Waiting::Ours(_)) = self.waiting.take() {
                this.end_wait(py);
            }
            stepped?;
            has_waited = true;
        } else if !self.has_begun {
            self.has_begun = true;
            self.reading.check()?;
            this.check_exception(py)?;
        }
        loop {
            if let Some(value) = self.reading.attempt(py, reader, has_waited)? {
                return Ok(Step::Returned(value));
            }
            if let Some(awaitable) = StreamReader::own_wait(reader, R::WAITS_AS)? {
                if let Begun::Waiting(awaiting, yielded) = Awaiting::begin(&awaitable)? {
                    self.waiting = Some(Waiting::Theirs(Box::new(awaiting)));
                    return Ok(Step::Yielded(yielded));
                }
            } else {
                let mut waiter = this.begin_wait(py, R::WAITS_AS)?;
                match waiter.step(py, none(py)) {
                    Ok(Step::Yielded(object)) => {
                        self.waiting = Some(Waiting::Ours(waiter));
                        return Ok(Step::Yielded(object));
                    }
                    ended => {
                        this.end_wait(py);
                        ended?;
                    }
                }
            }
            has_waited = true;
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
            Err(error) => {
                let reader = self.reader.bind(py);
                self.reading.fail(py, reader, error).map(Step::Returned)
            }
        }
    }

    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        self.reading.inner()
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        // Whatever else is read with is bytes.
        let answer = visit(self.reader.as_ptr());
        match &self.waiting {
            Some(Waiting::Ours(waiter)) if answer == 0 => waiter.traverse(visit),
            Some(Waiting::Theirs(awaiting)) if answer == 0 => awaiting.traverse(visit),
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

    fn inner(&self, py: Python<'_>) -> &'static [&'static str] {
        match self {
            Either::Ours(read) => read.inner(py),
            Either::Asyncios(_) => &[],
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
