//! What programs call on a datagram transport.

use std::os::fd::RawFd;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView};

use super::DatagramTransport;
use super::traffic::Sent;
use crate::error::WithText;
use crate::event_loop::Loop;
use crate::ffi::buffer::View;
use crate::ffi::make::Returned;
use crate::transport::chunk::Written;
use crate::transport::limits::{self, Watermark};
use crate::transport::telling;

#[pymethods]
impl DatagramTransport {
    /// Sends a datagram: bytes, bytearray or memoryview, to addr or, if that is None, to the
    /// remote address of the endpoint. Never blocks: what the kernel has no room for is queued.
    #[pyo3(signature = (data, addr=None))]
    fn sendto(
        slf: &Bound<'_, Self>,
        data: &Bound<'_, PyAny>,
        addr: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let is_bytes = data.is_exact_instance_of::<PyBytes>();
        if !is_bytes
            && !data.is_instance_of::<PyBytes>()
            && !data.is_instance_of::<PyByteArray>()
            && !data.is_instance_of::<PyMemoryView>()
        {
            return Err(PyTypeError::with_text(format!(
                "data argument must be a bytes-like object, not {}",
                data.get_type().name()?.repr()?
            )));
        }
        // From 3.13 on an empty datagram is one.
        if !cfg!(Py_3_13) && data.len()? == 0 {
            return Ok(());
        }
        let own =
            this.with(py, |state| state.address.as_ref().map(|address| address.clone_ref(py)));
        let address = match (own, addr) {
            (Some(own), Some(addr)) => {
                let own = own.into_bound(py);
                if !own.eq(&addr)? {
                    let text = format!("Invalid address: must be None or {}", own.str()?);
                    return Err(PyValueError::with_text(text));
                }
                own
            }
            (Some(own), None) => own.into_bound(py),
            (None, Some(addr)) => addr,
            (None, None) => py.None().into_bound(py),
        };
        // Until the socket is closed, who names an address each time may go on.
        if this.with(py, |state| state.socket.is_none() || state.is_lost && state.address.is_some())
        {
            return this.too_late(py);
        }
        let to = this.destination(&address)?;
        if this.with(py, |state| state.queue.is_empty()) {
            let sent = match data.cast_exact::<PyBytes>() {
                Ok(bytes) => this.send_one(bytes.as_bytes(), data, &to),
                Err(_) => View::readable(data)?.read(|bytes| this.send_one(bytes, data, &to)),
            };
            match sent {
                Sent::Whole => return Ok(()),
                Sent::Blocked => {}
                Sent::Failed(error) => return this.send_failed(slf, error),
            }
        }
        this.queue(slf, Written::new(data)?.into_chunk(), to)
    }

    /// Closes the socket once all is sent; nothing more is received. `connection_lost(None)`
    /// follows in a later turn.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let is_over = this.with(py, |state| {
            let is_news = !std::mem::replace(&mut state.is_closing, true);
            is_news.then(|| state.queue.is_empty())
        });
        match is_over {
            None => Ok(()),
            Some(true) => this.schedule_lost(slf, None),
            Some(false) => this.watch(slf),
        }
    }

    /// Closes the socket at once; what is queued is dropped.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().force_close(slf, None)
    }

    /// True once `close()` or `abort()` was called.
    fn is_closing(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.is_closing)
    }

    /// True while datagrams are given to the protocol.
    fn is_reading(&self, py: Python<'_>) -> bool {
        self.with(py, |state| !state.is_closing && !state.is_paused)
    }

    /// Leaves datagrams in the kernel until `resume_reading()`.
    fn pause_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let pauses = this.with(slf.py(), |state| {
            !state.is_closing && !std::mem::replace(&mut state.is_paused, true)
        });
        if !pauses {
            return Ok(());
        }
        this.watch(slf)?;
        telling::log(this.looop.bind(slf.py()), slf.as_any(), "debug", "%r pauses reading")
    }

    /// Takes `pause_reading()` back. Unlike asyncio's, it leaves the context as it is in which datagrams
    /// are received: whoever resumes, a task of some request perhaps, is not who made the transport.
    fn resume_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let resumes = this
            .with(py, |state| !state.is_closing && std::mem::replace(&mut state.is_paused, false));
        if !resumes {
            return Ok(());
        }
        this.watch(slf)?;
        telling::log(this.looop.bind(slf.py()), slf.as_any(), "debug", "%r resumes reading")
    }

    /// Bytes queued, from 3.13 on with eight for each datagram.
    fn get_write_buffer_size(&self, py: Python<'_>) -> Returned<usize> {
        Returned(self.with(py, |state| state.queue.len_bytes()))
    }

    /// The watermarks in bytes: `(low, high)`.
    fn get_write_buffer_limits(&self, py: Python<'_>) -> Returned<(usize, usize)> {
        let limits = self.with(py, |state| state.queue.limits());
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
        let flow = slf.get().with(slf.py(), |state| state.queue.set_limits(limits));
        flow.map_or(Ok(()), |flow| slf.get().tell_flow(slf, flow))
    }

    /// The protocol; None once the connection is lost.
    fn get_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.protocol(py)
    }

    /// Gives the datagrams to another protocol, from the next one on.
    fn set_protocol(&self, py: Python<'_>, protocol: Py<PyAny>) {
        drop(self.with(py, |state| state.protocol.replace(protocol)));
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let py = slf.py();
        let this = slf.get();
        let name = slf.get_type().name()?.to_string();
        let is_loop_closed = this.looop.get().is_closed();
        Ok(Returned(this.with(py, |state| {
            let life = match (&state.socket, state.is_closing) {
                (None, _) => " closed",
                (Some(_), true) => " closing",
                (Some(_), false) => "",
            };
            let mut text = format!("<{name}{life} fd={}", this.number);
            if state.socket.is_some() && !is_loop_closed {
                let reads = state.has_started && !state.is_paused && !state.is_closing;
                let writes = if state.queue.is_empty() { "idle" } else { "polling" };
                let size = state.queue.len_bytes();
                text.push_str(if reads { " read=polling" } else { " read=idle" });
                text.push_str(&format!(" write=<{writes}, bufsize={size}>"));
            }
            text.push('>');
            text
        })))
    }

    /// asyncio's name for the call that an error of the protocol's is reported with.
    fn _read_ready(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().receive(slf, slf.get().looop.bind(slf.py())).map(drop)
    }

    /// The same for sending.
    fn _sendto_ready(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().send_queued(slf, slf.get().looop.bind(slf.py()))
    }

    /// asyncio's name for the call that a failing `connection_lost` is reported with.
    fn _call_connection_lost(slf: &Bound<'_, Self>, exc: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        slf.get().force_close(slf, exc.map(PyErr::from_value))
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Py<Loop> {
        self.looop.clone_ref(py)
    }

    /// asyncio's attribute behind `get_protocol()` and `set_protocol()`.
    #[getter]
    fn _protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.protocol(py)
    }

    #[setter(_protocol)]
    fn replace_protocol(&self, py: Python<'_>, protocol: Option<Py<PyAny>>) {
        drop(self.with(py, |state| std::mem::replace(&mut state.protocol, protocol)));
    }

    #[getter]
    fn _protocol_paused(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.is_protocol_paused)
    }

    #[getter]
    fn _closing(&self, py: Python<'_>) -> bool {
        self.is_closing(py)
    }

    /// Not zero once the transport is closed for good.
    #[getter]
    fn _conn_lost(&self, py: Python<'_>) -> Returned<u32> {
        Returned(self.with(py, |state| u32::from(state.is_lost).saturating_add(state.late_sends)))
    }

    /// asyncio's name for the only address that may be sent to. Programs that connect a socket
    /// themselves say here where to.
    #[getter]
    fn _address(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.with(py, |state| state.address.as_ref().map(|address| address.clone_ref(py)))
    }

    #[setter(_address)]
    fn set_address(&self, address: &Bound<'_, PyAny>) -> PyResult<()> {
        let new = address.is_truthy()?.then(|| address.clone().unbind());
        drop(self.with(address.py(), |state| std::mem::replace(&mut state.address, new)));
        Ok(())
    }

    /// The `socket.socket`; None once closed.
    #[getter]
    fn _sock(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.with(py, |state| state.socket.as_ref().map(|socket| socket.clone_ref(py)))
    }

    #[getter]
    fn _sock_fd(&self) -> Returned<RawFd> {
        Returned(self.number)
    }
}

impl DatagramTransport {
    /// The connection is lost. Who keeps sending to the one peer is warned.
    fn too_late(&self, py: Python<'_>) -> PyResult<()> {
        let count = self.with(py, |state| {
            state.late_sends += 1;
            state.late_sends
        });
        telling::warn_of_late_write(py, count, "socket.send() raised exception.")
    }
}
