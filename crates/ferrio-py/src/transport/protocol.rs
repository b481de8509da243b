//! `Protocol`: whom a transport gives its data to, and in which form.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::tls::TlsProtocol;
use crate::aio::StreamReaderProtocol;
use crate::ffi::call::call_method1;
use crate::ffi::interned::intern;
use crate::names;

/// The protocol of a transport.
pub(crate) struct Protocol {
    pub(crate) object: Py<PyAny>,
    pub(crate) form: Form,
}

/// The way a protocol wants its data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `data_received(bytes)`.
    Bytes,
    /// `get_buffer()` and `buffer_updated()`.
    Buffered,
    /// Ours for TLS, which takes it without a call of Python.
    Tls,
    /// Ours for streams, which does so too as long as nobody has overridden anything.
    Streams,
}

impl Protocol {
    pub(crate) fn new(protocol: &Bound<'_, PyAny>) -> PyResult<Protocol> {
        let form = if protocol.is_instance_of::<TlsProtocol>() {
            Form::Tls
        } else if protocol.is_instance_of::<StreamReaderProtocol>() {
            Form::Streams
        } else if protocol.is_instance(&names::buffered_protocol(protocol.py())?)? {
            Form::Buffered
        } else {
            Form::Bytes
        };
        Ok(Protocol { object: protocol.clone().unbind(), form })
    }

    /// That it can be told of its connection, before there is one: asyncio looks the method up when it
    /// makes the transport, and a factory that has returned None fails there.
    ///
    /// # Errors
    /// AttributeError.
    pub(crate) fn check(&self, py: Python<'_>) -> PyResult<()> {
        match self.form {
            Form::Bytes | Form::Buffered => {
                self.object.getattr(py, intern!(py, "connection_made")).map(drop)
            }
            Form::Tls | Form::Streams => Ok(()),
        }
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Protocol {
        Protocol { object: self.object.clone_ref(py), form: self.form }
    }

    /// The protocol, if it is ours for TLS.
    pub(crate) fn as_tls<'a, 'py>(
        &'a self,
        py: Python<'py>,
    ) -> Option<&'a Bound<'py, TlsProtocol>> {
        match self.form {
            Form::Tls => self.object.bind(py).cast().ok(),
            Form::Bytes | Form::Buffered | Form::Streams => None,
        }
    }

    /// The protocol, if it is ours for streams and what it does is known.
    pub(crate) fn as_streams<'a, 'py>(
        &'a self,
        py: Python<'py>,
    ) -> Option<&'a Bound<'py, StreamReaderProtocol>> {
        match self.form {
            Form::Streams => StreamReaderProtocol::plain(self.object.bind(py)),
            Form::Bytes | Form::Buffered | Form::Tls => None,
        }
    }

    /// Gives it what was received: calls `data_received`, or does what that would do.
    pub(crate) fn receive(&self, data: &Bound<'_, PyBytes>) -> PyResult<()> {
        let py = data.py();
        match self.as_streams(py) {
            Some(streams) => StreamReaderProtocol::feed(streams, data),
            None => {
                let method = intern!(py, "data_received");
                call_method1(py, &self.object, method, data.as_any()).map(drop)
            }
        }
    }
}
