//! What programs call on a stream transport.

use std::os::fd::RawFd;

use ferrio_engine::{Readiness, Settled};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::StreamTransport;
use crate::error::{WithText, os_error};
use crate::event_loop::Loop;
use crate::ffi::make::{self, Returned};
use crate::item::Item;
use crate::transport::chunk::{Chunk, Written};
use crate::transport::limits::{self, Watermark};
use crate::transport::protocol::Protocol;
use crate::transport::telling;

#[pymethods]
impl StreamTransport {
    /// TLS can be begun on it.
    #[classattr]
    #[pyo3(name = "_start_tls_compatible")]
    const START_TLS_COMPATIBLE: bool = true;

    /// Sends data: bytes, bytearray or memoryview. Never blocks: the kernel has the bytes at once,
    /// and what it has no room for is sent when it has.
    pub(crate) fn write(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let this = slf.get();
        let written = Written::new(data)?;
        if this.with(slf.py(), |state| state.stream.is_write_ended()) {
            return Err(PyRuntimeError::with_text("Cannot call write() after write_eof()"));
        }
        this.check_sendfile(slf.py(), "write")?;
        if written.is_empty() { Ok(()) } else { this.write_now(slf, &written) }
    }

    /// Sends each of an iterable of buffers, in one system call where possible.
    fn writelines(slf: &Bound<'_, Self>, list_of_data: &Bound<'_, PyAny>) -> PyResult<()> {
        let this = slf.get();
        if this.with(slf.py(), |state| state.stream.is_write_ended()) {
            // Before 3.12 it is one write() of all together.
            let name = if cfg!(Py_3_12) { "writelines" } else { "write" };
            return Err(PyRuntimeError::with_text(format!(
                "Cannot call {name}() after write_eof()"
            )));
        }
        this.check_sendfile(slf.py(), if cfg!(Py_3_12) { "writelines" } else { "write" })?;
        let chunks = Chunk::from_lines(list_of_data)?;
        if chunks.is_empty() {
            return Ok(());
        }
        let added = match cfg!(Py_3_12) {
            // asyncio asks for room each time.
            true => usize::MAX,
            false => chunks.iter().map(Chunk::len).sum(),
        };
        this.write_all(slf, chunks, added)
    }

    /// Ends the sending side once all is sent; receiving goes on.
    fn write_eof(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        match this.with(py, |state| state.stream.shutdown_write()) {
            Ok(Settled::Unchanged | Settled::WriteShut | Settled::Closed) => Ok(()),
            Err(error) => {
                this.schedule_lost(slf, None)?;
                Err(os_error(error))
            }
        }
    }

    /// True: TCP can be closed one way.
    fn can_write_eof(&self) -> bool {
        true
    }

    /// Closes the connection once all is sent; nothing more is received. `connection_lost(None)`
    /// follows in a later turn.
    pub(crate) fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if this.with(py, |state| state.stream.is_closing()) {
            return Ok(());
        }
        let is_closed = this.with(py, |state| state.stream.close());
        if is_closed { this.schedule_lost(slf, None) } else { Ok(()) }
    }

    /// Closes the connection at once; what the kernel has not taken by then is dropped.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().force_close(slf, None)
    }

    /// True once `close()` or `abort()` was called or the connection was lost.
    pub(crate) fn is_closing(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.stream.is_closing() && !state.is_finalized)
    }

    /// True while data are given to the protocol.
    fn is_reading(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.stream.is_reading())
    }

    /// Gives the protocol no data until `resume_reading()`.
    pub(crate) fn pause_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        if this.with(slf.py(), |state| state.stream.pause_reading()) {
            this.hold(slf)?;
            telling::log(this.looop.bind(slf.py()), slf.as_any(), "debug", "%r pauses reading")?;
        }
        Ok(())
    }

    /// Takes `pause_reading()` back. Unlike asyncio's, it leaves the context as it is in which the
    /// protocol is called: whoever resumes, a task of some request perhaps, is not who made the
    /// connection.
    pub(crate) fn resume_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if !this.with(py, |state| state.stream.resume_reading()) {
            return Ok(());
        }
        this.hold(slf)?;
        if this.with(py, |state| state.key.is_some() && state.stream.is_readable()) {
            let item = Item::Stream(slf.clone().unbind(), Readiness::NONE);
            this.looop.bind(py).get().push(py, item);
        }
        telling::log(this.looop.bind(slf.py()), slf.as_any(), "debug", "%r resumes reading")
    }

    /// Bytes written and not yet taken by the kernel.
    fn get_write_buffer_size(&self, py: Python<'_>) -> Returned<usize> {
        Returned(self.with(py, |state| state.stream.buffered_bytes()))
    }

    /// The watermarks in bytes: `(low, high)`.
    fn get_write_buffer_limits(&self, py: Python<'_>) -> Returned<(usize, usize)> {
        let limits = self.with(py, |state| state.stream.limits());
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
        let py = slf.py();
        let this = slf.get();
        let limits = limits::from_arguments(high, low, limits::DEFAULT_HIGH)?;
        let flow = this.with(py, |state| state.stream.set_limits(limits));
        this.tell_flow(slf, this.looop.bind(py), flow, false)
    }

    /// The protocol; None once the connection is lost.
    fn get_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.protocol(py)
    }

    /// Gives the connection to another protocol, from the next event on.
    fn set_protocol(&self, py: Python<'_>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let protocol = Protocol::new(protocol)?;
        let new = protocol.clone_ref(py);
        let (old, is_paused) =
            self.with(py, |state| (state.protocol.replace(protocol), state.is_protocol_paused));
        if is_paused && let Some(tls) = new.as_tls(py) {
            tls.get().take_pause_over(py, old.as_ref().map(|old| &old.object));
        }
        Ok(())
    }

    /// What `get_extra_info()` of asyncio's base class looks into: `socket` (an asyncio
    /// TransportSocket), `sockname`, `peername`.
    #[getter]
    fn _extra(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        self.extra(py)?.map_or_else(|| make::dict(py).map(Bound::unbind), Ok)
    }

    /// Programs put their own there, with what a proxy has told of the peer.
    #[setter(_extra)]
    fn set_extra(&self, py: Python<'_>, extra: Py<PyDict>) -> PyResult<()> {
        // The socket in it is made with it, and is the transport's from then on.
        self.extra(py)?;
        drop(self.with(py, |state| state.extra.replace(extra)));
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let py = slf.py();
        let this = slf.get();
        let name = slf.get_type().name()?.to_string();
        let is_loop_closed = this.looop.bind(py).get().is_closed();
        Ok(Returned(this.with(py, |state| {
            let mut text = format!("<{name}");
            if state.endpoint.is_closed() {
                text.push_str(" closed");
            } else if state.stream.is_closing() {
                text.push_str(" closing");
            }
            text.push_str(&format!(" fd={}", state.endpoint.fd()));
            if !state.endpoint.is_closed() && !is_loop_closed {
                let polls =
                    state.key.is_some() && state.stream.is_reading() && !state.stream.is_eof();
                text.push_str(if polls { " read=polling" } else { " read=idle" });
                let size = state.stream.buffered_bytes();
                let writes = if size > 0 { "polling" } else { "idle" };
                text.push_str(&format!(" write=<{writes}, bufsize={size}>"));
            }
            text.push('>');
            text
        })))
    }

    /// asyncio's name for the call that a failing `connection_lost` is reported with.
    fn _call_connection_lost(slf: &Bound<'_, Self>, exc: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let error = exc.map(PyErr::from_value);
        slf.get().force_close(slf, error)
    }

    fn _force_close(slf: &Bound<'_, Self>, exc: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let error = exc.map(PyErr::from_value);
        slf.get().force_close(slf, error)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Py<Loop> {
        self.looop.clone_ref(py)
    }

    #[getter]
    fn _protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.protocol(py)
    }

    /// asyncio's attribute, by which programs get past `set_protocol()`.
    #[setter(_protocol)]
    fn replace_protocol(
        &self,
        py: Python<'_>,
        protocol: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let protocol = protocol.map(Protocol::new).transpose()?;
        drop(self.with(py, |state| std::mem::replace(&mut state.protocol, protocol)));
        Ok(())
    }

    #[getter]
    fn _protocol_paused(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.is_protocol_paused)
    }

    /// asyncio's names for what `is_closing()` and `is_reading()` say, which programs look at.
    #[getter]
    fn _closing(&self, py: Python<'_>) -> bool {
        self.is_closing(py)
    }

    #[getter]
    fn _paused(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.stream.is_reading_paused())
    }

    /// Not zero once the connection is lost, which programs ask before they write.
    #[getter]
    fn _conn_lost(&self, py: Python<'_>) -> Returned<u32> {
        Returned(self.with(py, |state| u32::from(state.is_lost).saturating_add(state.late_writes)))
    }

    /// `write_eof()` was called.
    #[getter]
    fn _eof(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.stream.is_write_ended())
    }

    #[getter]
    fn _low_water(&self, py: Python<'_>) -> Returned<usize> {
        Returned(self.with(py, |state| state.stream.limits().low()))
    }

    #[getter]
    fn _high_water(&self, py: Python<'_>) -> Returned<usize> {
        Returned(self.with(py, |state| state.stream.limits().high()))
    }

    /// The `socket.socket` behind the transport, None once closed.
    #[getter]
    fn _sock(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.extra(py)?;
        Ok(self.with(py, |state| state.endpoint.socket().map(|socket| socket.clone_ref(py))))
    }

    #[getter]
    fn _sock_fd(&self, py: Python<'_>) -> Returned<RawFd> {
        Returned(self.with(py, |state| state.endpoint.fd()))
    }
}
