//! `BaseServer`: who is connected to a server, and who waits for its end.
//!
//! `ferrio.Server` is a Python class over this one and `asyncio.Server`. What is asked of a server
//! a few times in its life (`close`, `wait_closed`, `serve_forever`, and what they do exactly in
//! this version of asyncio) is asyncio's own; it keeps its list of sockets and of waiters here,
//! under asyncio's names, because every connection that ends has to look at them.
//!
//! ```text
//!   sockets, any clients ── close() ──> no sockets, clients ── last detach ──> no waiters
//!                               └─────── (no clients) ─────────────────────────^
//! ```

use std::collections::HashMap;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyWeakrefMethods, PyWeakrefReference};

use crate::ffi::call::python_of;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make::{self, Returned};
use crate::names;

/// The native half of `ferrio.Server`.
#[pyclass(module = "ferrio._ferrio", name = "BaseServer", frozen, subclass)]
pub(crate) struct Server {
    state: GilCell<State>,
}

struct State {
    /// The list of listening sockets; None once the server is closed.
    sockets: Option<Py<PyAny>>,
    /// The list of futures that wait for the end of the server; None once it has come.
    waiters: Option<Py<PyAny>>,
    /// The open transports by address. Weak, as in asyncio, so that a transport that a program
    /// lost is still collected, which detaches it.
    clients: HashMap<usize, Py<PyWeakrefReference>>,
    /// Connections counted without a transport, as asyncio 3.11 and 3.12 do.
    anonymous: usize,
}

/// `server._attach(transport)`: a connection more. Any class of server will do.
pub(crate) fn attach(server: &Bound<'_, PyAny>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    match server.cast::<Server>() {
        Ok(server) => server.get().attach(transport),
        Err(_) => call(server, intern!(server.py(), "_attach"), transport),
    }
}

/// `server._detach(transport)`: one less.
pub(crate) fn detach(server: &Bound<'_, PyAny>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
    match server.cast::<Server>() {
        Ok(server) => server.get().detach(transport),
        Err(_) => call(server, intern!(server.py(), "_detach"), transport),
    }
}

/// As the interpreter's asyncio would call it: a server is told which transport it is since 3.13.
fn call(
    server: &Bound<'_, PyAny>,
    method: &Bound<'_, PyString>,
    transport: &Bound<'_, PyAny>,
) -> PyResult<()> {
    if cfg!(Py_3_13) {
        server.call_method1(method, (transport,)).map(drop)
    } else {
        server.call_method0(method).map(drop)
    }
}

impl State {
    fn active_count(&self) -> usize {
        self.clients.len() + self.anonymous
    }
}

impl Server {
    /// Counts a connection in.
    fn attach(&self, transport: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = transport.py();
        let reference = PyWeakrefReference::new(transport)?.unbind();
        let address = transport.as_ptr() as usize;
        let old = self.state.with(py, |state| state.clients.insert(address, reference));
        drop(old);
        Ok(())
    }

    /// Counts a connection out. The last one to leave a closed server ends it.
    fn detach(&self, transport: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = transport.py();
        let address = transport.as_ptr() as usize;
        let old = self.state.with(py, |state| state.clients.remove(&address));
        drop(old);
        self.end_if_deserted(py)
    }

    /// True once `close()` was called.
    pub(crate) fn is_closed(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.sockets.is_none())
    }

    fn end_if_deserted(&self, py: Python<'_>) -> PyResult<()> {
        let is_over =
            self.state.with(py, |state| state.sockets.is_none() && state.active_count() == 0);
        if is_over { self._wakeup(py) } else { Ok(()) }
    }

    /// The transports that are open.
    fn transports<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyAny>> {
        let references: Vec<_> = self.state.with(py, |state| {
            state.clients.values().map(|reference| reference.clone_ref(py)).collect()
        });
        references.iter().filter_map(|reference| reference.bind(py).upgrade()).collect()
    }
}

#[pymethods]
impl Server {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Server {
        let state = State { sockets: None, waiters: None, clients: HashMap::new(), anonymous: 0 };
        Server { state: GilCell::new(state) }
    }

    /// Closes every connection, once what was written to it is sent.
    fn close_clients(&self, py: Python<'_>) -> PyResult<()> {
        for transport in self.transports(py) {
            transport.call_method0(intern!(py, "close"))?;
        }
        Ok(())
    }

    /// Closes every connection at once; what was not sent is dropped.
    fn abort_clients(&self, py: Python<'_>) -> PyResult<()> {
        for transport in self.transports(py) {
            transport.call_method0(intern!(py, "abort"))?;
        }
        Ok(())
    }

    // ------------------------------------------------------------- asyncio's own names for it all

    #[pyo3(signature = (transport=None))]
    fn _attach(&self, py: Python<'_>, transport: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        match transport {
            Some(transport) => self.attach(transport),
            None => {
                self.state.with(py, |state| state.anonymous += 1);
                Ok(())
            }
        }
    }

    #[pyo3(signature = (transport=None))]
    fn _detach(&self, py: Python<'_>, transport: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        match transport {
            Some(transport) => self.detach(transport),
            None => {
                self.state.with(py, |state| state.anonymous = state.anonymous.saturating_sub(1));
                self.end_if_deserted(py)
            }
        }
    }

    /// The server has ended: whoever waits for it goes on.
    fn _wakeup(&self, py: Python<'_>) -> PyResult<()> {
        let Some(waiters) = self.state.with(py, |state| state.waiters.take()) else {
            return Ok(());
        };
        for waiter in waiters.bind(py).try_iter()? {
            let waiter = waiter?;
            if !waiter.call_method0(intern!(py, "done"))?.is_truthy()? {
                waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        Ok(())
    }

    #[getter]
    fn _sockets(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.sockets.as_ref().map(|sockets| sockets.clone_ref(py)))
    }

    #[setter(_sockets)]
    fn set_sockets(&self, py: Python<'_>, sockets: Option<Py<PyAny>>) {
        drop(self.state.with(py, |state| std::mem::replace(&mut state.sockets, sockets)));
    }

    #[getter]
    fn _waiters(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.waiters.as_ref().map(|waiters| waiters.clone_ref(py)))
    }

    #[setter(_waiters)]
    fn set_waiters(&self, py: Python<'_>, waiters: Option<Py<PyAny>>) {
        drop(self.state.with(py, |state| std::mem::replace(&mut state.waiters, waiters)));
    }

    /// The open transports, as a WeakSet of its own: a copy.
    #[getter]
    fn _clients<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        names::weak_set(py)?.call1((make::list_of(py, self.transports(py))?,))
    }

    /// asyncio's constructor sets an empty one.
    #[setter(_clients)]
    fn set_clients(&self, _clients: &Bound<'_, PyAny>) {}

    /// How many connections are open.
    #[getter]
    fn _active_count(&self, py: Python<'_>) -> Returned<usize> {
        Returned(self.state.with(py, |state| state.active_count()))
    }

    /// asyncio's constructor sets zero.
    #[setter(_active_count)]
    fn set_active_count(&self, _count: usize) {}

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state
            .try_with(python_of(&visit), |state| {
                visit.call(&state.sockets)?;
                visit.call(&state.waiters)?;
                state.clients.values().try_for_each(|reference| visit.call(reference))
            })
            .unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        let held = self.state.with(py, |state| {
            (state.sockets.take(), state.waiters.take(), std::mem::take(&mut state.clients))
        });
        drop(held);
    }
}
