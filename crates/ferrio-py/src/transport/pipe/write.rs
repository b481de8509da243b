//! `WritePipeTransport`: writes to a pipe as to a connection, and notices when its readers go.

use std::ffi::c_int;
use std::os::fd::RawFd;

use ferrio_engine::{FileKind, Flow, Interest, PushError, Readiness, Settled, WriteError};
use pyo3::exceptions::{PyAssertionError, PyBrokenPipeError, PyOSError};
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyMemoryView};

use super::{End, Shared};
use super::{begin, fatal_error, log, lost, register, schedule_lost};
use crate::error::os_error;
use crate::event_loop::Loop;
use crate::ffi::call::Context;
use crate::ffi::class::{Adopted, AsyncioTransport, Dealloc};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::make::Returned;
use crate::transport::chunk::Written;
use crate::transport::limits::{self, Watermark};
use crate::transport::telling;

/// The writing end of a pipe. Made by `connect_write_pipe`.
///
/// An `asyncio.Transport`, as asyncio's is, though it reads nothing.
#[pyclass(extends = AsyncioTransport, module = "ferrio", frozen, weakref, dict)]
pub(crate) struct WritePipeTransport {
    shared: Shared,
    writing: GilCell<Writing>,
}

struct Writing {
    /// In this context what is left of a write is sent.
    context: Option<Context>,
    /// Writes after the end, and the error that was the end (asyncio's `_conn_lost`).
    late_writes: u32,
    is_protocol_paused: bool,
}

#[pymethods]
impl Loop {
    /// asyncio's `connect_write_pipe` makes its transport here.
    #[pyo3(signature = (pipe, protocol, waiter=None, extra=None))]
    fn _make_write_pipe_transport(
        slf: &Bound<'_, Self>,
        pipe: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        waiter: Option<Py<PyAny>>,
        extra: Option<Bound<'_, PyDict>>,
    ) -> PyResult<Py<WritePipeTransport>> {
        let refusal = "Pipe transport is only for pipes, sockets and character devices";
        let shared = Shared::new(slf, pipe, protocol, refusal)?;
        let writing = Writing { context: None, late_writes: 0, is_protocol_paused: false };
        let transport = WritePipeTransport { shared, writing: GilCell::new(writing) };
        let interest = transport.interest(false);
        let py = slf.py();
        let transport = transport.make(py)?;
        begin(transport.bind(py), pipe, waiter, extra, interest)?;
        Ok(transport)
    }
}

impl End for WritePipeTransport {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn ready(slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>, readiness: Readiness) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let gone = Readiness::READABLE
            .with(Readiness::READ_CLOSED)
            .with(Readiness::HANGUP)
            .with(Readiness::ERROR);
        if this.watches_readers() && readiness.intersects(gone) {
            let context = this.shared.with(py, |state| state.context.clone_ref(py));
            return context.run(py, || this.readers_gone(slf));
        }
        let acting = this.shared.with(py, |state| state.stream.on_event(readiness));
        if acting.contains(Interest::WRITE) { this.send(slf, looop) } else { Ok(()) }
    }
}

impl WritePipeTransport {
    /// A terminal says of its readers nothing that could be told from what is typed there.
    fn watches_readers(&self) -> bool {
        matches!(self.shared.kind, FileKind::Fifo | FileKind::Socket)
    }

    /// Room is only asked for while something waits for it: an event that was collected before a
    /// write must not be taken for an answer to it.
    fn interest(&self, is_waiting: bool) -> Interest {
        let readers = if self.watches_readers() { Interest::READ } else { Interest::NONE };
        if is_waiting { readers.with(Interest::WRITE) } else { readers }
    }

    /// Asks for room, or no longer.
    fn watch_room(&self, slf: &Bound<'_, Self>, is_waiting: bool) -> PyResult<()> {
        let py = slf.py();
        let interest = self.interest(is_waiting);
        let Some(key) = self.shared.with(py, |state| state.key) else {
            return if is_waiting { register(slf, interest) } else { Ok(()) };
        };
        let looop = self.shared.looop.get();
        looop.open(py, |state| state.engine.set_interest(key, interest))?.map_err(os_error)
    }

    /// asyncio's `_read_ready`: nobody will read what was written.
    fn readers_gone(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        log(slf, "info", "%r was closed by peer")?;
        let is_unsent = self.shared.with(slf.py(), |state| state.stream.buffered_bytes() > 0);
        schedule_lost(slf, is_unsent.then(|| PyBrokenPipeError::new_err(())))
    }

    /// There is room: sends what is left, tells the protocol, and ends what waited for it.
    fn send(&self, slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        let flow = match self.shared.with(py, |state| state.stream.flush()) {
            Ok(flushed) => flushed.flow,
            Err(error) => return self.failed(slf, os_error(error)),
        };
        if self.shared.with(py, |state| state.stream.buffered_bytes() == 0) {
            // To be told of room that is not needed costs a turn, once. (ENOMEM is said only when
            // asking for more.)
            if let Err(error) = self.watch_room(slf, false) {
                return self.failed(slf, error);
            }
        }
        let context = match self
            .writing
            .with(py, |writing| writing.context.as_ref().map(|context| context.clone_ref(py)))
        {
            Some(context) => context,
            None => Context::copy_current(py)?,
        };
        if let Some(flow) = flow {
            context.run(py, || self.tell_flow(slf, flow))?;
        }
        match self.shared.with(py, |state| state.stream.settle()) {
            Ok(Settled::Closed) => {
                self.shared.unregister(py);
                lost(slf, looop, None, context)
            }
            // A pipe's settling makes no call that could fail.
            Ok(Settled::Unchanged | Settled::WriteShut) | Err(_) => Ok(()),
        }
    }

    fn failed(&self, slf: &Bound<'_, Self>, error: PyErr) -> PyResult<()> {
        let py = slf.py();
        self.writing.with(py, |writing| writing.late_writes += 1);
        let is_usual = error.is_instance_of::<PyOSError>(py);
        fatal_error(slf, error, "Fatal write error on pipe transport", is_usual)
    }

    /// Calls `pause_writing` or `resume_writing`.
    fn tell_flow(&self, slf: &Bound<'_, Self>, flow: Flow) -> PyResult<()> {
        let py = slf.py();
        let is_pause = flow == Flow::Pause;
        let was = self
            .writing
            .with(py, |writing| std::mem::replace(&mut writing.is_protocol_paused, is_pause));
        let Some(protocol) = self.shared.protocol(py).filter(|_| was != is_pause) else {
            return Ok(());
        };
        telling::flow(self.shared.looop.bind(py), slf.as_any(), &protocol, flow, None)
    }
}

#[pymethods]
impl WritePipeTransport {
    /// Writes data: bytes, bytearray or memoryview. Never blocks: what the pipe has no room for is
    /// written when there is.
    fn write(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let is_bytes = data.is_instance_of::<PyBytes>()
            || data.is_instance_of::<PyByteArray>()
            || data.is_instance_of::<PyMemoryView>();
        if !is_bytes {
            return Err(PyAssertionError::new_err(data.repr()?.unbind()));
        }
        let written = Written::new(data)?;
        if written.is_empty() {
            return Ok(());
        }
        let late = this.writing.with(py, |writing| writing.late_writes);
        if late > 0 || this.shared.with(py, |state| state.is_lost || state.stream.is_closing()) {
            this.writing.with(py, |writing| writing.late_writes += 1);
            let text = "pipe closed by peer or os.write(pipe, data) raised exception.";
            return telling::warn_of_late_write_by(
                crate::names::unix_events_logger,
                py,
                late,
                text,
            );
        }
        let is_first = this.shared.with(py, |state| state.stream.buffered_bytes() == 0);
        let flow = match this.shared.with(py, |state| written.send(&mut state.stream)) {
            Ok(flow) => flow,
            // Refused is only what comes after the end, and that was looked for.
            Err(WriteError::Refused(PushError::AfterShutdown | PushError::Closed)) => None,
            Err(WriteError::Failed(error)) => return this.failed(slf, os_error(error)),
        };
        if is_first && this.shared.with(py, |state| state.stream.buffered_bytes() > 0) {
            let context = Context::copy_current(py)?;
            drop(this.writing.with(py, |writing| writing.context.replace(context)));
            if let Err(error) = this.watch_room(slf, true) {
                // Nobody would ever send what is queued: asyncio raises, and the pipe stays open.
                return this.failed(slf, error);
            }
        }
        flow.map_or(Ok(()), |flow| this.tell_flow(slf, flow))
    }

    /// True: `write_eof()` closes the pipe.
    fn can_write_eof(&self) -> bool {
        true
    }

    /// Closes the pipe once all is written.
    fn write_eof(slf: &Bound<'_, Self>) -> PyResult<()> {
        let is_over = slf.get().shared.with(slf.py(), |state| {
            !state.stream.is_closing() && state.pipe.is_some() && state.stream.close()
        });
        if is_over { schedule_lost(slf, None) } else { Ok(()) }
    }

    /// As `write_eof()`.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        WritePipeTransport::write_eof(slf)
    }

    /// Closes the pipe now; what was not written is dropped.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        schedule_lost(slf, None)
    }

    /// True once the transport was told to close or the readers have gone.
    fn is_closing(&self, py: Python<'_>) -> bool {
        self.shared.with(py, |state| state.stream.is_closing())
    }

    /// Bytes written and not yet taken by the kernel.
    fn get_write_buffer_size(&self, py: Python<'_>) -> Returned<usize> {
        Returned(self.shared.with(py, |state| state.stream.buffered_bytes()))
    }

    /// The watermarks in bytes: `(low, high)`.
    fn get_write_buffer_limits(&self, py: Python<'_>) -> Returned<(usize, usize)> {
        let limits = self.shared.with(py, |state| state.stream.limits());
        Returned((limits.low(), limits.high()))
    }

    /// Sets the watermarks in bytes: above high, the protocol's writing is paused; at or below
    /// low, it is resumed. low defaults to a quarter of high, high to four times low or 64 KiB.
    #[pyo3(signature = (high=None, low=None))]
    fn set_write_buffer_limits(
        slf: &Bound<'_, Self>,
        high: Option<Watermark>,
        low: Option<Watermark>,
    ) -> PyResult<()> {
        let limits = limits::from_arguments(high, low, limits::DEFAULT_HIGH)?;
        let flow = slf.get().shared.with(slf.py(), |state| state.stream.set_limits(limits));
        flow.map_or(Ok(()), |flow| slf.get().tell_flow(slf, flow))
    }

    /// The protocol; None once the connection is lost.
    fn get_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.shared.protocol(py)
    }

    /// Tells another protocol of what happens from now on.
    fn set_protocol(&self, py: Python<'_>, protocol: Py<PyAny>) {
        self.shared.set_protocol(py, Some(protocol));
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let py = slf.py();
        let shared = &slf.get().shared;
        let text = shared.describe(slf.as_any())?;
        Ok(Returned(shared.with(py, |state| {
            if state.pipe.is_none() {
                return format!("<{text} closed>");
            }
            if shared.looop.get().is_closed() {
                return format!("<{text} open>");
            }
            let size = state.stream.buffered_bytes();
            let polls = if size > 0 { "polling" } else { "idle" };
            format!("<{text} {polls} bufsize={size}>")
        })))
    }

    /// Begins to watch.
    fn _start(slf: &Bound<'_, Self>) -> PyResult<()> {
        register(slf, slf.get().interest(false))
    }

    /// asyncio's name for the call that a failing `connection_lost` is reported with.
    fn _call_connection_lost(slf: &Bound<'_, Self>, exc: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        schedule_lost(slf, exc.map(PyErr::from_value))
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Py<Loop> {
        self.shared.looop.clone_ref(py)
    }

    #[getter]
    fn _fileno(&self, py: Python<'_>) -> Returned<RawFd> {
        Returned(self.shared.with(py, |state| state.fd))
    }

    /// asyncio's name for what `is_closing()` says.
    #[getter]
    fn _closing(&self, py: Python<'_>) -> bool {
        self.is_closing(py)
    }

    /// Not zero once a write was in vain, which programs ask before the next.
    #[getter]
    fn _conn_lost(&self, py: Python<'_>) -> Returned<u32> {
        Returned(self.writing.with(py, |writing| writing.late_writes))
    }

    #[getter]
    fn _protocol_paused(&self, py: Python<'_>) -> bool {
        self.writing.with(py, |writing| writing.is_protocol_paused)
    }

    /// asyncio's attribute behind `get_protocol()` and `set_protocol()`.
    #[getter]
    fn _protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.shared.protocol(py)
    }

    #[setter(_protocol)]
    fn replace_protocol(&self, py: Python<'_>, protocol: Option<Py<PyAny>>) {
        self.shared.set_protocol(py, protocol);
    }

    /// The file object; None once closed.
    #[getter]
    fn _pipe(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.shared.with(py, |state| state.pipe.as_ref().map(|pipe| pipe.clone_ref(py)))
    }

    /// None disowns the file: whoever sets it closes it.
    #[setter(_pipe)]
    fn set_pipe(&self, py: Python<'_>, pipe: Option<Py<PyAny>>) {
        drop(self.shared.with(py, |state| std::mem::replace(&mut state.pipe, pipe)));
    }
}

impl Adopted for WritePipeTransport {
    fn inherited_dealloc() -> &'static Dealloc {
        static DEALLOC: Dealloc = Dealloc::new();
        &DEALLOC
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = self.shared.traverse(py, visit);
        if answer != 0 {
            return answer;
        }
        let context = self.writing.try_with(py, |writing| {
            writing.context.as_ref().map(|context| visit(context.as_object().as_ptr()))
        });
        context.flatten().unwrap_or(0)
    }

    fn clear(slf: &Bound<'_, Self>) {
        slf.get().shared.clear(slf.py());
    }

    fn finalize(slf: &Bound<'_, Self>) {
        slf.get().shared.finalize(slf.as_any());
    }
}
