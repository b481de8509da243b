//! `Protocol`: whom a transport gives its data to, and in which form.

use pyo3::prelude::*;

use super::tls::TlsProtocol;
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
}

impl Protocol {
    pub(crate) fn new(protocol: &Bound<'_, PyAny>) -> PyResult<Protocol> {
        let form = if protocol.is_instance_of::<TlsProtocol>() {
            Form::Tls
        } else if protocol.is_instance(names::buffered_protocol(protocol.py())?)? {
            Form::Buffered
        } else {
            Form::Bytes
        };
        Ok(Protocol { object: protocol.clone().unbind(), form })
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
            Form::Bytes | Form::Buffered => None,
        }
    }
}
