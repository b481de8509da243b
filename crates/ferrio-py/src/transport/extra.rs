//! `get_extra_info()` of a stream: the socket and its two names, made when first asked for.
//!
//! asyncio makes a `socket.socket` for each connection and asks the kernel for both names at
//! once. Most connections are never asked, so here an accepted descriptor stays one until then.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use ferrio_engine::net::{Address, local_address};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::socket;

/// What a stream transport reads and writes: the one owner of its descriptor.
pub(crate) enum Endpoint {
    /// A `socket.socket`, given by the program or made for it. Closed by its own `close()`.
    Python { socket: Py<PyAny>, fd: RawFd },
    /// A descriptor that no Python object knows of.
    Native { fd: OwnedFd, family: i32, kind: i32, proto: i32, peer: Address },
    /// Closed; the number is for the repr, the rest for who asks about it only now.
    Closed { fd: RawFd, past: Option<Box<Description>> },
}

impl Endpoint {
    /// Takes over a `socket.socket`.
    pub(crate) fn from_socket(socket: &Bound<'_, PyAny>) -> PyResult<Endpoint> {
        let fd: RawFd = socket.call_method0(intern!(socket.py(), "fileno"))?.extract()?;
        Ok(Endpoint::Python { socket: socket.clone().unbind(), fd })
    }

    pub(crate) fn fd(&self) -> RawFd {
        match self {
            Endpoint::Python { fd, .. } | Endpoint::Closed { fd, .. } => *fd,
            Endpoint::Native { fd, .. } => fd.as_raw_fd(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Endpoint::Closed { .. })
    }

    /// The `socket.socket` of an open endpoint, if one exists.
    pub(crate) fn socket(&self) -> Option<&Py<PyAny>> {
        match self {
            Endpoint::Python { socket, .. } => Some(socket),
            Endpoint::Native { .. } | Endpoint::Closed { .. } => None,
        }
    }

    /// What can be told of an endpoint that has no `socket.socket`.
    pub(crate) fn describe(&self) -> Option<Description> {
        match self {
            Endpoint::Native { fd, family, kind, proto, peer } => Some(Description {
                fd: Some(fd.as_raw_fd()),
                family: *family,
                kind: *kind,
                proto: *proto,
                local: local_address(fd).ok(),
                peer: peer.clone(),
            }),
            Endpoint::Closed { past, .. } => past.as_deref().cloned(),
            Endpoint::Python { .. } => None,
        }
    }

    /// Hands the descriptor of a native endpoint over to the `socket.socket` made for it.
    pub(crate) fn give_to(&mut self, socket: Py<PyAny>) {
        let open = std::mem::replace(self, Endpoint::Closed { fd: self.fd(), past: None });
        *self = match open {
            Endpoint::Native { fd, .. } => Endpoint::Python { socket, fd: fd.into_raw_fd() },
            Endpoint::Python { .. } | Endpoint::Closed { .. } => open,
        };
    }

    /// Leaves a closed endpoint here and gives the open one, for its owner to close.
    pub(crate) fn take(&mut self) -> Endpoint {
        let past = self.describe().map(|past| Box::new(Description { fd: None, ..past }));
        std::mem::replace(self, Endpoint::Closed { fd: self.fd(), past })
    }

    /// Closes the descriptor.
    ///
    /// # Errors
    /// Whatever a socket subclass's `close()` raises.
    pub(crate) fn close(self, py: Python<'_>) -> PyResult<()> {
        match self {
            Endpoint::Python { socket, .. } => {
                socket.call_method0(py, intern!(py, "close")).map(drop)
            }
            Endpoint::Native { fd, .. } => {
                drop(fd);
                Ok(())
            }
            Endpoint::Closed { .. } => Ok(()),
        }
    }
}

/// All that a native endpoint is.
#[derive(Clone)]
pub(crate) struct Description {
    /// None once closed.
    fd: Option<RawFd>,
    family: i32,
    kind: i32,
    proto: i32,
    /// None if the kernel did not tell.
    local: Option<Address>,
    peer: Address,
}

impl Description {
    /// A `socket.socket` over the same descriptor, which the caller hands over if this succeeds;
    /// a closed one for a closed endpoint.
    pub(crate) fn make_socket(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let number = |number| make::int(py, number);
        let arguments = (number(self.family)?, number(self.kind)?, number(self.proto)?);
        let Some(fd) = self.fd else {
            let socket = socket::own_class(py)?.call1(arguments)?;
            socket.call_method0(intern!(py, "close"))?;
            return Ok(socket.unbind());
        };
        let options = make::dict(py)?;
        options.set_item(intern!(py, "fileno"), make::int(py, fd)?)?;
        // With all four given, the constructor asks the kernel nothing.
        let socket = socket::own_class(py)?.call(arguments, Some(&options))?;
        if let Err(error) = socket.call_method1(intern!(py, "setblocking"), (false,)) {
            socket.call_method0(intern!(py, "detach"))?;
            return Err(error);
        }
        Ok(socket.unbind())
    }

    /// What `get_extra_info()` tells, given the socket from [`make_socket`](Self::make_socket) and
    /// the class of what is shown of it.
    pub(crate) fn extra(
        &self,
        py: Python<'_>,
        socket: &Py<PyAny>,
        class: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyDict>> {
        let name = |address: Option<&Address>| match address {
            Some(address) => socket::address_object(py, address).map(Bound::unbind),
            None => Ok(py.None()),
        };
        extra(socket.bind(py), class, name(self.local.as_ref())?, name(Some(&self.peer))?)
    }
}

/// What `get_extra_info()` tells of a socket, which is asked; a name that it cannot tell is None.
pub(crate) fn extra_of(
    socket: &Bound<'_, PyAny>,
    class: &Bound<'_, PyAny>,
) -> PyResult<Py<PyDict>> {
    let sockname = name_or_none(socket, intern!(socket.py(), "getsockname"))?;
    extra(socket, class, sockname, name_or_none(socket, intern!(socket.py(), "getpeername"))?)
}

/// The dict behind `get_extra_info()`, in asyncio's order.
fn extra(
    socket: &Bound<'_, PyAny>,
    class: &Bound<'_, PyAny>,
    sockname: Py<PyAny>,
    peername: Py<PyAny>,
) -> PyResult<Py<PyDict>> {
    let py = socket.py();
    let extra = make::dict(py)?;
    extra.set_item(intern!(py, "socket"), class.call1((socket,))?)?;
    extra.set_item(intern!(py, "sockname"), sockname)?;
    extra.set_item(intern!(py, "peername"), peername)?;
    Ok(extra.unbind())
}

fn name_or_none(socket: &Bound<'_, PyAny>, method: &Bound<'_, PyString>) -> PyResult<Py<PyAny>> {
    let py = socket.py();
    match socket.call_method0(method) {
        Ok(name) => Ok(name.unbind()),
        Err(error) if error.is_instance_of::<PyOSError>(py) => Ok(py.None()),
        Err(error) => Err(error),
    }
}
