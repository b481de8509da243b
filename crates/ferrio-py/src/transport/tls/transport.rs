//! `TlsTransport`: what a program gets for a TLS connection (Lib/asyncio/sslproto.py,
//! `_SSLProtocolTransport`).

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyNotImplementedError, PyTypeError};
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use super::TlsProtocol;
use crate::error::WithText;
use crate::event_loop::{Loop, report};
use crate::ffi::class::{Adopted, AsyncioTransport, Dealloc};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::make::Returned;
use crate::names;
use crate::transport::limits::{self, Watermark};
use crate::transport::protocol::Protocol;

/// A TLS connection. Made by `create_connection`, `create_server` and their like with `ssl=`, and by
/// `start_tls`.
#[pyclass(extends = AsyncioTransport, module = "ferrio", name = "SSLTransport", frozen, weakref,
          dict)]
pub(crate) struct TlsTransport {
    looop: Py<Loop>,
    /// None once the connection is lost and the program was done with it before.
    tls: GilCell<Option<Py<TlsProtocol>>>,
    /// `close()` or `abort()` was called, or the connection was lost.
    is_closed: AtomicBool,
    /// `close()` was called after that.
    is_done: AtomicBool,
}

impl TlsTransport {
    pub(super) fn new(tls: &Bound<'_, TlsProtocol>) -> TlsTransport {
        TlsTransport {
            looop: tls.get().looop.clone_ref(tls.py()),
            tls: GilCell::new(Some(tls.clone().unbind())),
            is_closed: AtomicBool::new(false),
            is_done: AtomicBool::new(false),
        }
    }

    fn tls<'py>(&self, py: Python<'py>) -> Option<Bound<'py, TlsProtocol>> {
        let tls = self.tls.with(py, |tls| tls.as_ref().map(|tls| tls.clone_ref(py)))?;
        Some(tls.into_bound(py))
    }

    /// The connection is lost. A protocol that keeps its transport would keep all of it, if the
    /// transport kept us. (asyncio lets go when `close()` is called a second time.)
    pub(super) fn connection_lost(&self, py: Python<'_>) {
        self.mark_closed();
        if self.is_done.load(Ordering::Relaxed) {
            drop(self.tls.with(py, Option::take));
        }
    }

    pub(super) fn mark_closed(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

#[pymethods]
impl TlsTransport {
    /// TLS can be begun on it once more.
    #[classattr]
    #[pyo3(name = "_start_tls_compatible")]
    const START_TLS_COMPATIBLE: bool = true;

    /// `sendfile()` reads the file and writes it.
    #[classattr]
    fn _sendfile_compatible(py: Python<'_>) -> PyResult<Py<PyAny>> {
        let modes = py.import("asyncio.constants")?.getattr("_SendfileMode")?;
        Ok(modes.getattr("FALLBACK")?.unbind())
    }

    /// Encrypts and sends data: bytes, bytearray or memoryview. Never blocks.
    fn write(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = data.py();
        let is_buffer = data.is_instance_of::<PyBytes>()
            || data.is_instance_of::<PyByteArray>()
            || data.is_instance_of::<PyMemoryView>();
        if !is_buffer {
            let kind = data.get_type().name()?;
            let text = format!("data: expecting a bytes-like instance, got {kind}");
            return Err(PyTypeError::with_text(text));
        }
        let is_empty = match data.cast_exact::<PyBytes>() {
            Ok(bytes) => bytes.as_bytes().is_empty(),
            Err(_) => !data.is_truthy()?,
        };
        if is_empty {
            return Ok(());
        }
        match self.tls(py) {
            Some(tls) => tls.get().write(&tls, data),
            None => Ok(()),
        }
    }

    /// Encrypts and sends each of an iterable of buffers.
    fn writelines(&self, list_of_data: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.tls(list_of_data.py()) {
            Some(tls) => tls.get().write_lines(&tls, list_of_data),
            None => Ok(()),
        }
    }

    /// Raises NotImplementedError: TLS is closed both ways at once.
    fn write_eof(&self) -> PyResult<()> {
        Err(PyNotImplementedError::new_err(()))
    }

    /// False.
    fn can_write_eof(&self) -> bool {
        false
    }

    /// Closes the connection once all is sent and the peer has agreed. `connection_lost(None)`
    /// follows.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let was_closed = self.is_closed.swap(true, Ordering::Relaxed);
        let Some(tls) = self.tls(py) else { return Ok(()) };
        if !was_closed {
            return tls.get().start_shutdown(&tls);
        }
        self.is_done.store(true, Ordering::Relaxed);
        if tls.get().is_lost(py) {
            self.connection_lost(py);
        }
        Ok(())
    }

    /// Closes the connection at once; what was not sent is dropped.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        self._force_close(py, None)
    }

    /// True once `close()` or `abort()` was called or the connection was lost.
    fn is_closing(&self, py: Python<'_>) -> PyResult<bool> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Ok(true);
        }
        self.tls(py).map_or(Ok(true), |tls| tls.get().is_lower_closing(py))
    }

    /// True while data are given to the protocol.
    fn is_reading(&self, py: Python<'_>) -> bool {
        self.tls(py).is_some_and(|tls| tls.get().is_reading(py))
    }

    /// Gives the protocol no data until `resume_reading()`.
    fn pause_reading(&self, py: Python<'_>) {
        if let Some(tls) = self.tls(py) {
            tls.get().pause_app_reading(py);
        }
    }

    /// Takes `pause_reading()` back.
    fn resume_reading(&self, py: Python<'_>) -> PyResult<()> {
        match self.tls(py) {
            Some(tls) => tls.get().resume_app_reading(&tls),
            None => Ok(()),
        }
    }

    /// Bytes written and not yet taken by the transport below.
    fn get_write_buffer_size(&self, py: Python<'_>) -> PyResult<Returned<usize>> {
        self.tls(py).map_or(Ok(0), |tls| tls.get().write_buffer_size(py)).map(Returned)
    }

    /// The watermarks in bytes: `(low, high)`.
    fn get_write_buffer_limits(&self, py: Python<'_>) -> Returned<(usize, usize)> {
        Returned(self.tls(py).map_or((0, 0), |tls| tls.get().write_buffer_limits(py)))
    }

    /// Sets the watermarks in bytes: from high on, the protocol's writing is paused; at or below
    /// low, it is resumed. low defaults to a quarter of high, high to four times low or 512 KiB.
    #[pyo3(signature = (high=None, low=None))]
    fn set_write_buffer_limits(
        &self,
        py: Python<'_>,
        high: Option<Watermark>,
        low: Option<Watermark>,
    ) -> PyResult<()> {
        match self.tls(py) {
            Some(tls) => tls.get().set_write_buffer_limits(&tls, high, low),
            None => Ok(()),
        }
    }

    /// Bytes received and not yet decrypted, because reading is paused.
    fn get_read_buffer_size(&self, py: Python<'_>) -> PyResult<Returned<usize>> {
        self.tls(py).map_or(Ok(0), |tls| tls.get().read_buffer_size(py)).map(Returned)
    }

    /// The watermarks in bytes: `(low, high)`.
    fn get_read_buffer_limits(&self, py: Python<'_>) -> Returned<(usize, usize)> {
        Returned(self.tls(py).map_or((0, 0), |tls| tls.get().read_buffer_limits(py)))
    }

    /// Sets the watermarks in bytes: from high on, the transport below is paused; at or below low,
    /// it is resumed. low defaults to a quarter of high, high to four times low or 256 KiB.
    #[pyo3(signature = (high=None, low=None))]
    fn set_read_buffer_limits(
        &self,
        py: Python<'_>,
        high: Option<Watermark>,
        low: Option<Watermark>,
    ) -> PyResult<()> {
        self.tls(py).map_or(Ok(()), |tls| tls.get().set_read_buffer_limits(py, high, low))
    }

    /// The protocol; None once the connection is lost.
    fn get_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.tls(py)?.get().protocol(py).map(|protocol| protocol.object)
    }

    /// Gives the connection to another protocol.
    fn set_protocol(&self, py: Python<'_>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let protocol = Protocol::new(protocol)?;
        if let Some(tls) = self.tls(py) {
            tls.get().set_protocol(py, protocol);
        }
        Ok(())
    }

    /// `sslcontext`; after the handshake `peercert`, `cipher`, `compression` and `ssl_object`; else
    /// what the transport below says.
    #[pyo3(signature = (name, default=None))]
    fn get_extra_info(
        &self,
        name: &Bound<'_, PyAny>,
        default: Option<Py<PyAny>>,
    ) -> PyResult<Option<Py<PyAny>>> {
        match self.tls(name.py()) {
            Some(tls) => tls.get().extra_info(name, default),
            None => Ok(default),
        }
    }

    #[pyo3(signature = (exc))]
    fn _force_close(&self, py: Python<'_>, exc: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        self.mark_closed();
        let error = exc.map(PyErr::from_value);
        match self.tls(py) {
            Some(tls) => tls.get().abort(&tls, error.as_ref()),
            None => Ok(()),
        }
    }

    #[getter]
    fn _ssl_protocol<'py>(&self, py: Python<'py>) -> Option<Bound<'py, TlsProtocol>> {
        self.tls(py)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Py<Loop> {
        self.looop.clone_ref(py)
    }

    #[getter]
    fn _closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    #[getter]
    fn _protocol_paused(&self, py: Python<'_>) -> bool {
        self.tls(py).is_some_and(|tls| tls.get().is_app_writing_paused(py))
    }

    /// asyncio's tests call this.
    #[pyo3(name = "_test__append_write_backlog")]
    fn append_write_backlog(&self, data: &Bound<'_, PyBytes>) {
        if let Some(tls) = self.tls(data.py()) {
            tls.get().wait(data.py(), data, 0);
        }
    }
}

/// What the transport's methods need to know of the protocol's state.
impl TlsProtocol {
    fn is_lost(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.is_lost)
    }

    fn is_lower_closing(&self, py: Python<'_>) -> PyResult<bool> {
        if !names::tls_closes_with_its_transport(py)? {
            return Ok(false);
        }
        self.lower(py).map_or(Ok(false), |lower| lower.is_closing(py))
    }

    fn is_reading(&self, py: Python<'_>) -> bool {
        self.with(py, |state| !state.is_app_reading_paused)
    }

    fn is_app_writing_paused(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.is_app_writing_paused)
    }

    fn set_protocol(&self, py: Python<'_>, protocol: Protocol) {
        drop(self.with(py, |state| state.protocol.replace(protocol)));
    }

    fn extra_info(
        &self,
        name: &Bound<'_, PyAny>,
        default: Option<Py<PyAny>>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let py = name.py();
        if let Some(value) = self.extra.bind(py).get_item(name)? {
            return Ok(Some(value.unbind()));
        }
        match self.lower(py) {
            Some(lower) => lower.extra_info(py, name, default),
            None => Ok(default),
        }
    }

    fn write_buffer_limits(&self, py: Python<'_>) -> (usize, usize) {
        let limits = self.with(py, |state| state.outgoing_limits);
        (limits.low(), limits.high())
    }

    fn set_write_buffer_limits(
        &self,
        slf: &Bound<'_, Self>,
        high: Option<Watermark>,
        low: Option<Watermark>,
    ) -> PyResult<()> {
        let default = super::high_water(names::ssl_high_water_for_writing(slf.py()))?;
        let limits = limits::from_arguments(high, low, default)?;
        self.with(slf.py(), |state| state.outgoing_limits = limits);
        self.control_app_writing(slf)
    }

    fn read_buffer_size(&self, py: Python<'_>) -> PyResult<usize> {
        self.session.incoming_len(py)
    }

    fn read_buffer_limits(&self, py: Python<'_>) -> (usize, usize) {
        let limits = self.with(py, |state| state.incoming_limits);
        (limits.low(), limits.high())
    }

    fn set_read_buffer_limits(
        &self,
        py: Python<'_>,
        high: Option<Watermark>,
        low: Option<Watermark>,
    ) -> PyResult<()> {
        let default = super::high_water(names::ssl_high_water_for_reading(py))?;
        let limits = limits::from_arguments(high, low, default)?;
        self.with(py, |state| state.incoming_limits = limits);
        self.control_lower_reading(py)
    }
}

impl Adopted for TlsTransport {
    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let tls = self.tls.try_with(py, |tls| tls.as_ref().map_or(0, |tls| visit(tls.as_ptr())));
        match tls.unwrap_or(0) {
            0 => visit(self.looop.as_ptr()),
            answer => answer,
        }
    }

    fn clear(slf: &Bound<'_, Self>) {
        drop(slf.get().tls.with(slf.py(), Option::take));
    }

    fn inherited_dealloc() -> &'static Dealloc {
        static DEALLOC: Dealloc = Dealloc::new();
        &DEALLOC
    }

    fn finalize(slf: &Bound<'_, Self>) {
        if slf.get().is_closed.swap(true, Ordering::Relaxed) {
            return;
        }
        let text = "unclosed transport <asyncio._SSLProtocolTransport object>";
        if let Err(error) = report::resource_warning(slf.as_any(), text) {
            error.write_unraisable(slf.py(), Some(slf.as_any()));
        }
    }
}
