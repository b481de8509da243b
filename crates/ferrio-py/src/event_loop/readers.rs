//! `add_reader`, `add_writer` and their opposites (Lib/asyncio/selector_events.py).

use std::ffi::c_int;
use std::os::fd::RawFd;

use ferrio_engine::Key;
use pyo3::exceptions::{
    PyAttributeError, PyOverflowError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyTuple};

use super::Loop;
use super::scheduling::source_traceback;
use super::watch::Direction;
use crate::error::WithText;
use crate::ffi::Context;
use crate::ffi::handle::{Handle, Kind, Parts};
use crate::ffi::interned::intern;
use crate::ffi::raise::raised_while;
use crate::item::Native;

#[pymethods]
impl Loop {
    /// Calls callback(*args) in every turn in which fd, a number or an object with fileno(), can be
    /// read from. Replaces the callback that was there.
    #[pyo3(signature = (fd, callback, *args))]
    fn add_reader<'py>(
        slf: &Bound<'py, Self>,
        fd: &Bound<'py, PyAny>,
        callback: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
    ) -> PyResult<()> {
        ensure_no_transport(slf, fd)?;
        add(slf, fd, Direction::Read, callback, args, None).map(drop)
    }

    /// Takes the reader callback of fd away; True if there was one.
    fn remove_reader(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        ensure_no_transport(slf, fd)?;
        remove(slf, fd, Direction::Read)
    }

    /// Calls callback(*args) in every turn in which fd, a number or an object with fileno(), can be
    /// written to. Replaces the callback that was there.
    #[pyo3(signature = (fd, callback, *args))]
    fn add_writer<'py>(
        slf: &Bound<'py, Self>,
        fd: &Bound<'py, PyAny>,
        callback: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
    ) -> PyResult<()> {
        ensure_no_transport(slf, fd)?;
        add(slf, fd, Direction::Write, callback, args, None).map(drop)
    }

    /// Takes the writer callback of fd away; True if there was one.
    fn remove_writer(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        ensure_no_transport(slf, fd)?;
        remove(slf, fd, Direction::Write)
    }

    // asyncio's own code and some packages use these: no check for transports, and they return the
    // handle.

    #[pyo3(signature = (fd, callback, *args, context=None))]
    fn _add_reader<'py>(
        slf: &Bound<'py, Self>,
        fd: &Bound<'py, PyAny>,
        callback: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        add(slf, fd, Direction::Read, callback, args, context).map(Handle::into_object)
    }

    fn _remove_reader(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        remove(slf, fd, Direction::Read)
    }

    #[pyo3(signature = (fd, callback, *args, context=None))]
    fn _add_writer<'py>(
        slf: &Bound<'py, Self>,
        fd: &Bound<'py, PyAny>,
        callback: Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        context: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        add(slf, fd, Direction::Write, callback, args, context).map(Handle::into_object)
    }

    fn _remove_writer(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<bool> {
        remove(slf, fd, Direction::Write)
    }

    fn _ensure_fd_no_transport(slf: &Bound<'_, Self>, fd: &Bound<'_, PyAny>) -> PyResult<()> {
        ensure_no_transport(slf, fd)
    }
}

/// asyncio's `_add_reader` and `_add_writer`.
fn add<'py>(
    looop: &Bound<'py, Loop>,
    file: &Bound<'py, PyAny>,
    direction: Direction,
    callback: Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    context: Option<Bound<'py, PyAny>>,
) -> PyResult<Handle> {
    let py = looop.py();
    let this = looop.get();
    this.check_closed()?;
    let parts = Parts {
        looop: looop.as_any(),
        callback,
        args,
        context: Context::from_argument(context, py)?,
        source_traceback: source_traceback(looop)?,
    };
    let handle = Handle::new(parts, Kind::Soon, None)?;
    let fd = match number(file)? {
        Number::Fd(fd) => fd,
        Number::Invalid(error) => return Err(error),
        Number::Huge => {
            return Err(PyOverflowError::with_text("Python int too large to convert to C int"));
        }
    };
    let object = (!file.is_instance_of::<PyInt>()).then(|| file.clone().unbind());
    let ours = handle.clone_ref(py);
    let left = this.open(py, |state| state.set_callback(fd, direction, ours, object))?;
    left.settle(py)?;
    Ok(handle)
}

/// asyncio's `_remove_reader` and `_remove_writer`.
fn remove(
    looop: &Bound<'_, Loop>,
    file: &Bound<'_, PyAny>,
    direction: Direction,
) -> PyResult<bool> {
    let py = looop.py();
    let this = looop.get();
    if this.is_closed() {
        return Ok(false);
    }
    let left = match number(file)? {
        Number::Fd(fd) => this.open(py, |state| state.take_callback_of(fd, direction))?,
        // No descriptor has that number.
        Number::Huge => return Ok(false),
        Number::Invalid(error) => {
            // Closed by now, but registered as this object (selectors.py, `_fileobj_lookup`).
            match this.open(py, |state| state.find_file(file))? {
                Some(key) => this.open(py, |state| state.take_callback(key, direction))?,
                None => return Err(error),
            }
        }
    };
    left.settle(py)
}

/// What an argument `fd` stands for.
enum Number {
    Fd(RawFd),
    /// An int beyond any descriptor's number.
    Huge,
    /// Neither a descriptor nor an object that has one. The ValueError says so.
    Invalid(PyErr),
}

/// `selectors._fileobj_to_fd`.
fn number(file: &Bound<'_, PyAny>) -> PyResult<Number> {
    let number = match file.cast::<PyInt>() {
        Ok(number) => number.clone(),
        Err(_) => match fileno(file)? {
            Ok(number) => number,
            Err(error) => return Ok(Number::Invalid(error)),
        },
    };
    if number.lt(0)? {
        let text = format!("Invalid file descriptor: {number}");
        return Ok(Number::Invalid(PyValueError::with_text(text)));
    }
    Ok(number.extract::<RawFd>().map_or(Number::Huge, Number::Fd))
}

/// `int(file.fileno())`; the inner error is the ValueError for something that is no file.
fn fileno<'py>(file: &Bound<'py, PyAny>) -> PyResult<Result<Bound<'py, PyInt>, PyErr>> {
    let py = file.py();
    let number = file
        .call_method0(intern!(py, "fileno"))
        .and_then(|number| py.get_type::<PyInt>().call1((number,)));
    match number {
        Ok(number) => Ok(Ok(number.cast_into::<PyInt>()?)),
        Err(error)
            if error.is_instance_of::<PyAttributeError>(py)
                || error.is_instance_of::<PyTypeError>(py)
                || error.is_instance_of::<PyValueError>(py) =>
        {
            let text = format!("Invalid file object: {}", file.repr()?);
            let invalid = raised_while(py, PyValueError::with_text(text), error.value(py).as_any());
            invalid.set_cause(py, None);
            Ok(Err(invalid))
        }
        Err(error) => Err(error),
    }
}

/// Refuses a descriptor that an open transport owns: events would go to whoever comes last.
pub(super) fn ensure_no_transport(
    looop: &Bound<'_, Loop>,
    file: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let number = match file.cast::<PyInt>() {
        Ok(number) => number.clone(),
        Err(_) => fileno(file)??,
    };
    match number.extract::<RawFd>() {
        Ok(fd) => ensure_not_owned(looop, fd, file),
        Err(_) => Ok(()),
    }
}

/// [`ensure_no_transport`] for a number that is known; `shown` is what the caller was given.
pub(super) fn ensure_not_owned(
    looop: &Bound<'_, Loop>,
    fd: RawFd,
    shown: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = looop.py();
    let owner = looop.get().with_state(py, |state| state.owner(py, fd)).flatten();
    let Some(owner) = owner else { return Ok(()) };
    let owner = owner.bind(py);
    if owner.call_method0(intern!(py, "is_closing"))?.is_truthy()? {
        return Ok(());
    }
    Err(PyRuntimeError::with_text(format!(
        "File descriptor {} is used by transport {}",
        shown.repr()?,
        owner.repr()?
    )))
}

/// Removes a callback whose handle was cancelled (`_process_events`).
pub(crate) struct Unwatch {
    pub(crate) key: Key,
    pub(crate) direction: Direction,
}

impl Native for Unwatch {
    fn run(self: Box<Self>, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let left =
            looop.get().with_state(py, |state| state.take_callback(self.key, self.direction));
        match left {
            Some(left) => left.settle(py).map(drop),
            None => Ok(()),
        }
    }

    fn traverse(&self, _visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        0
    }
}
