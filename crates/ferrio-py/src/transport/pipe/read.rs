//! `ReadPipeTransport`: what is read from a pipe goes to the protocol, as from a connection.

use std::os::fd::RawFd;

use ferrio_engine::{Interest, Read, Readiness};
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{End, Scheduled, Shared, Step};
use super::{begin, call_soon, fatal_error, log, schedule_lost};
use crate::error::os_error;
use crate::event_loop::{Loop, report};
use crate::ffi::call::call_method1;
use crate::ffi::class::{Adopted, AsyncioReadTransport, Dealloc};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make::{self, Returned};
use crate::item::Item;

/// The reading end of a pipe. Made by `connect_read_pipe`.
#[pyclass(extends = AsyncioReadTransport, module = "ferrio", frozen, weakref, dict)]
pub(crate) struct ReadPipeTransport {
    shared: Shared,
    /// An event's remainder is on the ready queue: one at a time, or each new event would add one.
    goes_on: GilCell<bool>,
}

#[pymethods]
impl Loop {
    /// asyncio's `connect_read_pipe` makes its transport here.
    #[pyo3(signature = (pipe, protocol, waiter=None, extra=None))]
    fn _make_read_pipe_transport(
        slf: &Bound<'_, Self>,
        pipe: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        waiter: Option<Py<PyAny>>,
        extra: Option<Bound<'_, PyDict>>,
    ) -> PyResult<Py<ReadPipeTransport>> {
        let refusal = "Pipe transport is for pipes/sockets only.";
        let shared = Shared::new(slf, pipe, protocol, refusal)?;
        let py = slf.py();
        let transport = ReadPipeTransport { shared, goes_on: GilCell::new(false) }.make(py)?;
        begin(transport.bind(py), pipe, waiter, extra, Interest::READ)?;
        Ok(transport)
    }
}

impl End for ReadPipeTransport {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn ready(slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>, readiness: Readiness) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if readiness.is_none() {
            this.goes_on.with(py, |goes_on| *goes_on = false);
        }
        let Some(context) = this.shared.with(py, |state| {
            let acting = state.stream.on_event(readiness);
            acting.contains(Interest::READ).then(|| state.context.clone_ref(py))
        }) else {
            return Ok(());
        };
        let received = match context.run(py, || this.receive(slf, looop)) {
            Ok(()) => Ok(()),
            Err(error) => {
                let method = slf.getattr(intern!(py, "_read_ready"))?;
                report::failed_call(looop, error, &method, None, context.into_object())
            }
        };
        // Should the loop be run again after what has ended its run.
        this.go_on(slf);
        received
    }
}

impl ReadPipeTransport {
    /// Reads once. `Err` is what the protocol raised: asyncio reports it, and the pipe stays open.
    fn receive(&self, slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        let Some(protocol) = self.shared.protocol(py) else { return Ok(()) };
        let received = looop.get().with_read_buffer(py, |buffer| {
            match self.shared.with(py, |state| state.stream.read(buffer))? {
                Read::Data(count) => Ok(Some(Some(make::bytes(py, &buffer[..count])))),
                Read::Blocked => Ok(None),
                Read::Eof => std::io::Result::Ok(Some(None)),
            }
        });
        match received {
            Ok(Some(Some(data))) => {
                let data = data?;
                call_method1(py, &protocol, intern!(py, "data_received"), data.as_any()).map(drop)
            }
            Ok(Some(None)) => {
                log(slf, "info", "%r was closed by peer")?;
                self.shared.with(py, |state| state.stream.abort());
                self.shared.unregister(py);
                let eof = protocol.getattr(py, intern!(py, "eof_received"))?;
                call_soon(slf, eof, None)?;
                schedule_lost(slf, None)
            }
            Ok(None) => Ok(()),
            Err(error) => {
                // What a terminal's other side leaves behind.
                let is_usual = error.raw_os_error() == Some(libc::EIO);
                fatal_error(slf, os_error(error), "Fatal read error on pipe transport", is_usual)
            }
        }
    }

    /// What is left of an event is for the next turn.
    fn go_on(&self, slf: &Bound<'_, Self>) {
        let py = slf.py();
        let has_more =
            self.shared.with(py, |state| state.key.is_some() && state.stream.is_readable());
        if has_more && !self.goes_on.with(py, |goes_on| std::mem::replace(goes_on, true)) {
            let transport = slf.clone().unbind();
            let step = Step::Event(Readiness::NONE);
            let item = Item::Native(Box::new(Scheduled { transport, step }));
            self.shared.looop.get().push(py, item);
        }
    }
}

#[pymethods]
impl ReadPipeTransport {
    /// True while data are given to the protocol.
    fn is_reading(&self, py: Python<'_>) -> bool {
        self.shared.with(py, |state| state.stream.is_reading())
    }

    /// Gives the protocol no data until `resume_reading()`.
    fn pause_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let shared = &slf.get().shared;
        if shared.with(slf.py(), |state| state.stream.pause_reading()) {
            // As in asyncio; a paused pipe is the program's alone, and dies with its last reference.
            shared.unregister(slf.py());
            log(slf, "debug", "%r pauses reading")?;
        }
        Ok(())
    }

    /// Takes `pause_reading()` back; what is received then is received in the context that it was
    /// received in before, not in that of the caller, as in asyncio.
    fn resume_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if !this.shared.with(py, |state| state.stream.resume_reading()) {
            return Ok(());
        }
        super::register(slf, Interest::READ)?;
        this.go_on(slf);
        log(slf, "debug", "%r resumes reading")
    }

    /// The protocol; None once the connection is lost.
    fn get_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.shared.protocol(py)
    }

    /// Gives the data to another protocol, from the next event on.
    fn set_protocol(&self, py: Python<'_>, protocol: Py<PyAny>) {
        self.shared.set_protocol(py, Some(protocol));
    }

    /// True once `close()` was called or the writers have gone.
    fn is_closing(&self, py: Python<'_>) -> bool {
        self.shared.with(py, |state| state.stream.is_closing())
    }

    /// Reads nothing more and closes the pipe; `connection_lost(None)` follows in a later turn.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        if slf.get().shared.with(slf.py(), |state| state.stream.is_closing()) {
            return Ok(());
        }
        schedule_lost(slf, None)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let py = slf.py();
        let shared = &slf.get().shared;
        let text = shared.describe(slf.as_any())?;
        let state = shared.with(py, |state| {
            if state.pipe.is_none() {
                "closed"
            } else if shared.looop.get().is_closed() {
                "open"
            } else if state.key.is_some() && state.stream.is_reading() {
                "polling"
            } else {
                "idle"
            }
        });
        Ok(Returned(format!("<{text} {state}>")))
    }

    /// asyncio's name for the call that an error of the protocol's is reported with.
    fn _read_ready(slf: &Bound<'_, Self>) -> PyResult<()> {
        let looop = slf.get().shared.looop.bind(slf.py());
        ReadPipeTransport::ready(slf, looop, Readiness::READABLE)
    }

    /// Begins to read.
    fn _start(slf: &Bound<'_, Self>) -> PyResult<()> {
        super::register(slf, Interest::READ)
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

    #[getter]
    fn _paused(&self, py: Python<'_>) -> bool {
        self.shared.with(py, |state| state.stream.is_reading_paused())
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

impl Adopted for ReadPipeTransport {
    fn inherited_dealloc() -> &'static Dealloc {
        static DEALLOC: Dealloc = Dealloc::new();
        &DEALLOC
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> std::ffi::c_int,
    ) -> std::ffi::c_int {
        self.shared.traverse(py, visit)
    }

    fn clear(slf: &Bound<'_, Self>) {
        slf.get().shared.clear(slf.py());
    }

    fn finalize(slf: &Bound<'_, Self>) {
        slf.get().shared.finalize(slf.as_any());
    }
}
