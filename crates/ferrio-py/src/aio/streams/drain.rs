//! The coroutines of a `StreamWriter`: `drain` and `wait_closed`.

use std::ffi::{CStr, c_int};

use pyo3::exceptions::PyConnectionResetError;
use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::{StreamReader, StreamReaderProtocol, StreamWriter, lower};
use crate::error::WithText;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::awaiting::{Awaiting, Begun};
use crate::ffi::interned::intern;
use crate::ffi::iter::Step;
use crate::ffi::raise::raised;
use crate::names;

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    method::install::<Drain>(py)?;
    method::install::<WaitClosed>(py)
}

/// `StreamWriter.drain()`.
pub(super) struct Drain {
    writer: Py<StreamWriter>,
    stage: Stage,
}

/// ```text
/// Created ── closing ──> Yielded ──> Waiting ──> returns, raises
///    └──────── open ────────────────────^
/// ```
enum Stage {
    Created,
    /// Once, for the loop to call `connection_lost` in.
    Yielded,
    /// Until the protocol says that writing goes on.
    Waiting(Awaiting),
}

impl CoroutineMethod for Drain {
    type Class = StreamWriter;
    type Body = Drain;
    const NAME: &'static CStr = c"drain";
    const DOC: &'static CStr =
        c"drain($self)\n--\n\nWaits until it is appropriate to write on.\n\n\
        Raises the reader's exception, if it has one, and ConnectionResetError if the\nconnection \
        is lost.";

    fn call<'py>(
        slf: &Bound<'py, StreamWriter>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Drain> {
        arguments.none("StreamWriter.drain")?;
        Ok(Drain::new(slf))
    }

    const PLAIN: Option<method::Plain<StreamWriter, Drain>> =
        Some(method::Plain::new(0, |slf| Some(Drain::new(slf))));
}

impl Drain {
    fn new(writer: &Bound<'_, StreamWriter>) -> Drain {
        Drain { writer: writer.clone().unbind(), stage: Stage::Created }
    }

    fn wait<'py>(&mut self, py: Python<'py>) -> PyResult<Step<'py>> {
        let protocol = StreamWriter::protocol(self.writer.bind(py))?;
        let helper = intern!(py, "_drain_helper");
        let coroutine = match StreamReaderProtocol::draining(&protocol) {
            Some(protocol) if protocol.get().is_lost() => {
                return Err(PyConnectionResetError::with_text("Connection lost"));
            }
            Some(protocol) if !protocol.get().is_paused() => {
                return Ok(Step::Returned(py.None().into_bound(py)));
            }
            Some(protocol) => {
                names::stream_reader_protocol(py)?.call_method1(helper, (protocol,))?
            }
            None => protocol.call_method0(helper)?,
        };
        match Awaiting::begin(&coroutine)? {
            Begun::Waiting(awaiting, yielded) => {
                self.stage = Stage::Waiting(awaiting);
                Ok(Step::Yielded(yielded))
            }
            Begun::Done(_) => Ok(Step::Returned(py.None().into_bound(py))),
        }
    }

    /// Raises the reader's exception.
    fn check_reader(&self, py: Python<'_>) -> PyResult<()> {
        let Some(reader) = StreamWriter::reader(self.writer.bind(py))? else { return Ok(()) };
        if let Ok(reader) = reader.cast::<StreamReader>()
            && reader.get().has_plain_exception(reader)
        {
            return reader.get().check_exception(py);
        }
        let error = reader.call_method0(intern!(py, "exception"))?;
        if error.is_none() { Ok(()) } else { Err(raised(error)) }
    }
}

impl Body for Drain {
    fn qualname(&self) -> &'static str {
        "StreamWriter.drain"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        match &self.stage {
            Stage::Created => {
                self.check_reader(py)?;
                if lower::is_closing(&StreamWriter::transport(self.writer.bind(py))?)? {
                    self.stage = Stage::Yielded;
                    return Ok(Step::Yielded(py.None().into_bound(py)));
                }
                self.wait(py)
            }
            Stage::Yielded => match with {
                Resume::Value(_) => self.wait(py),
                Resume::Error(error) => Err(error),
            },
            Stage::Waiting(awaiting) => match awaiting.resume(py, with)? {
                Step::Returned(_) => Ok(Step::Returned(py.None().into_bound(py))),
                yielded => Ok(yielded),
            },
        }
    }

    fn awaited(&self) -> Option<&Awaiting> {
        match &self.stage {
            Stage::Waiting(awaiting) => Some(awaiting),
            Stage::Created | Stage::Yielded => None,
        }
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.writer.as_ptr());
        match &self.stage {
            Stage::Waiting(awaiting) if answer == 0 => awaiting.traverse(visit),
            Stage::Waiting(_) | Stage::Created | Stage::Yielded => answer,
        }
    }
}

/// `StreamWriter.wait_closed()`.
pub(super) struct WaitClosed {
    writer: Py<StreamWriter>,
    awaiting: Option<Awaiting>,
}

impl CoroutineMethod for WaitClosed {
    type Class = StreamWriter;
    type Body = WaitClosed;
    const NAME: &'static CStr = c"wait_closed";
    const DOC: &'static CStr = c"wait_closed($self)\n--\n\nWaits until the connection is closed; \
        raises what it was lost by.";

    fn call<'py>(
        slf: &Bound<'py, StreamWriter>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<WaitClosed> {
        arguments.none("StreamWriter.wait_closed")?;
        Ok(WaitClosed { writer: slf.clone().unbind(), awaiting: None })
    }
}

impl Body for WaitClosed {
    fn qualname(&self) -> &'static str {
        "StreamWriter.wait_closed"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let returned = |_: Bound<'py, PyAny>| Ok(Step::Returned(py.None().into_bound(py)));
        if let Some(awaiting) = &self.awaiting {
            return match awaiting.resume(py, with)? {
                Step::Returned(value) => returned(value),
                yielded => Ok(yielded),
            };
        }
        let protocol = StreamWriter::protocol(self.writer.bind(py))?;
        let method = intern!(py, "_get_close_waiter");
        let closed = protocol.call_method1(method, (&self.writer,))?;
        match Awaiting::begin(&closed)? {
            Begun::Waiting(awaiting, yielded) => {
                self.awaiting = Some(awaiting);
                Ok(Step::Yielded(yielded))
            }
            Begun::Done(value) => returned(value),
        }
    }

    fn awaited(&self) -> Option<&Awaiting> {
        self.awaiting.as_ref()
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.writer.as_ptr());
        match &self.awaiting {
            Some(awaiting) if answer == 0 => awaiting.traverse(visit),
            Some(_) | None => answer,
        }
    }
}
