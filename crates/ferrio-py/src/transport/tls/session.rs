//! `Session`: the program's `ssl.SSLContext` at work on two memory BIOs. OpenSSL decides
//! everything; nothing here knows what it does.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::ffi::call::call_method1;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::overrides::Methods;
use crate::names;

/// What is called past an `ssl.SSLObject`, unless a program has put something else there.
static METHODS: Methods = Methods::new(&["do_handshake", "unwrap", "read", "write"]);

/// Looks up what a program may replace later; at import.
///
/// # Errors
/// Where there is no `ssl`.
pub(crate) fn look_up(py: Python<'_>) -> PyResult<()> {
    METHODS.remember(py, &[names::ssl_object(py)?])
}

/// One end of a TLS connection.
pub(crate) struct Session {
    /// What `wrap_bio` gave, which is what the program sees.
    object: Py<PyAny>,
    /// What is called: the C object inside of an `ssl.SSLObject`, which hands each call on to it;
    /// of any other class, the object itself.
    direct: Py<PyAny>,
    is_inner: bool,
    incoming: Py<PyAny>,
    outgoing: Py<PyAny>,
}

/// What came of an operation that needs more input than there is: nothing so far.
pub(crate) enum Progress<T> {
    Done(T),
    /// `SSLWantReadError`, `SSLSyscallError`.
    Again,
}

impl Session {
    pub(crate) fn new(
        context: &Bound<'_, PyAny>,
        server_side: bool,
        server_hostname: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Session> {
        let py = context.py();
        let bio = names::memory_bio(py)?;
        let (incoming, outgoing) = (bio.call0()?, bio.call0()?);
        let options = make::dict(py)?;
        options.set_item(intern!(py, "server_side"), server_side)?;
        options.set_item(intern!(py, "server_hostname"), server_hostname)?;
        let arguments = (&incoming, &outgoing);
        let object = context.call_method(intern!(py, "wrap_bio"), arguments, Some(&options))?;
        let is_inner = object.get_type().is(names::ssl_object(py)?) && METHODS.are_of(&object);
        let direct =
            if is_inner { object.getattr(intern!(py, "_sslobj"))? } else { object.clone() };
        Ok(Session {
            object: object.unbind(),
            direct: direct.unbind(),
            is_inner,
            incoming: incoming.unbind(),
            outgoing: outgoing.unbind(),
        })
    }

    pub(crate) fn object<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        self.object.bind(py)
    }

    pub(crate) fn incoming(&self) -> &Py<PyAny> {
        &self.incoming
    }

    pub(crate) fn outgoing(&self) -> &Py<PyAny> {
        &self.outgoing
    }

    /// Takes received ciphertext.
    pub(crate) fn feed(&self, ciphertext: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = ciphertext.py();
        call_method1(py, &self.incoming, intern!(py, "write"), ciphertext).map(drop)
    }

    /// Received ciphertext that was not decrypted yet, in bytes.
    pub(crate) fn incoming_len(&self, py: Python<'_>) -> PyResult<usize> {
        self.incoming.bind(py).getattr(intern!(py, "pending"))?.extract()
    }

    /// Ciphertext that is to be sent, in bytes.
    pub(crate) fn outgoing_len(&self, py: Python<'_>) -> PyResult<usize> {
        self.outgoing.bind(py).getattr(intern!(py, "pending"))?.extract()
    }

    /// Gives out what is to be sent.
    pub(crate) fn take_outgoing<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.outgoing.bind(py).call_method0(intern!(py, "read"))?;
        Ok(bytes.cast_into::<PyBytes>()?)
    }

    pub(crate) fn do_handshake(&self, py: Python<'_>) -> PyResult<Progress<()>> {
        self.simple(intern!(py, "do_handshake"))
    }

    /// Sends close_notify, and is done when the peer's has come.
    pub(crate) fn unwrap(&self, py: Python<'_>) -> PyResult<Progress<()>> {
        let name = if self.is_inner { intern!(py, "shutdown") } else { intern!(py, "unwrap") };
        self.simple(name)
    }

    fn simple(&self, name: &Bound<'_, PyString>) -> PyResult<Progress<()>> {
        let py = name.py();
        progress(py, self.direct.bind(py).call_method0(name).map(drop))
    }

    /// Decrypts up to `len` bytes into a buffer; 0 is the peer's close_notify.
    pub(crate) fn read_into(
        &self,
        len: usize,
        buffer: &Bound<'_, PyAny>,
    ) -> PyResult<Progress<usize>> {
        let py = buffer.py();
        let len = make::count(py, len)?;
        let count = self.direct.bind(py).call_method1(intern!(py, "read"), (len, buffer));
        progress(py, count.and_then(|count| count.extract()))
    }

    /// Encrypts; returns how much of the plaintext was taken.
    pub(crate) fn write(&self, plaintext: &Bound<'_, PyAny>) -> PyResult<Progress<usize>> {
        let py = plaintext.py();
        let count = call_method1(py, &self.direct, intern!(py, "write"), plaintext);
        progress(py, count.and_then(|count| count.extract()))
    }

    /// Shows the collector what is held.
    pub(crate) fn objects(&self) -> [&Py<PyAny>; 4] {
        [&self.object, &self.direct, &self.incoming, &self.outgoing]
    }
}

fn progress<T>(py: Python<'_>, result: PyResult<T>) -> PyResult<Progress<T>> {
    match result {
        Ok(value) => Ok(Progress::Done(value)),
        Err(error) => {
            if error.matches(py, names::ssl_again(py)?)? {
                Ok(Progress::Again)
            } else {
                Err(error)
            }
        }
    }
}
