//! One attempt of `create_connection`: a socket to one address (Lib/asyncio/base_events.py,
//! `_connect_sock`).
//!
//! Where the address is a plain one, which is what name resolution gives, no `socket.socket` is
//! made: the descriptor goes from connect(2) to the transport. Anything else goes through a
//! `socket.socket` and `sock_connect`, as in asyncio: another family, a name that a replaced
//! `getaddrinfo` left in, and whatever a program does that has replaced `socket.socket` or the
//! loop's `sock_connect`, or added an audit hook.

use std::ffi::c_int;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use ferrio_engine::net::{Address, Connecting};
use ferrio_engine::{Interest, Key, Readiness, Trigger};
use pyo3::exceptions::PyOSError;
use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::{Loop, watch};
use crate::coroutine::await_object;
use crate::error::{WithText, numbered, os_error};
use crate::ffi::audit;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::overrides::Methods;
use crate::item::{Item, Native, NativeSource, Source};
use crate::transport::Endpoint;
use crate::{names, socket};

/// One of the addresses that a host stands for: an entry of `getaddrinfo`'s list.
pub(crate) struct Candidate {
    pub(crate) family: i32,
    pub(crate) kind: i32,
    pub(crate) proto: i32,
    address: Target,
}

enum Target {
    Inet(SocketAddr),
    /// What only the `socket` module understands.
    Object(Py<PyAny>),
}

impl Candidate {
    /// A TCP address.
    pub(crate) fn tcp(address: SocketAddr) -> Candidate {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        Candidate {
            family,
            kind: libc::SOCK_STREAM,
            proto: libc::IPPROTO_TCP,
            address: Target::Inet(address),
        }
    }

    /// From `(family, type, proto, canonname, address)`.
    pub(crate) fn from_info(info: &Bound<'_, PyAny>) -> PyResult<Candidate> {
        let (family, kind, proto, _, address): (i32, i32, i32, Bound<'_, PyAny>, Bound<'_, PyAny>) =
            info.extract()?;
        let address = match socket::literal_address(family, &address)? {
            Some(inet) => Target::Inet(inet),
            None => Target::Object(address.unbind()),
        };
        Ok(Candidate { family, kind, proto, address })
    }

    fn inet(&self) -> Option<SocketAddr> {
        match self.address {
            Target::Inet(inet) => Some(inet),
            Target::Object(_) => None,
        }
    }

    /// The address as the `socket` module takes and shows it.
    fn object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.address {
            Target::Inet(inet) => socket::address_object(py, &Address::Inet(*inet)),
            Target::Object(object) => Ok(object.bind(py).clone()),
        }
    }
}

/// Connects a new socket to `candidate`, from one of the `local` addresses if any are given.
///
/// # Errors
/// An OSError is in `failures` too, behind those of local addresses that could not be had.
/// Anything else, a cancellation above all, is not. The socket is closed in either case.
pub(crate) async fn attempt(
    looop: &Py<Loop>,
    candidate: &Candidate,
    local: Option<&[Candidate]>,
    failures: &mut Vec<PyErr>,
) -> PyResult<Endpoint> {
    let connected = connect(looop, candidate, local, failures).await;
    if let Err(error) = &connected {
        Python::attach(|py| {
            if error.is_instance_of::<PyOSError>(py) {
                failures.push(error.clone_ref(py));
            }
        });
    }
    connected
}

async fn connect(
    looop: &Py<Loop>,
    candidate: &Candidate,
    local: Option<&[Candidate]>,
    failures: &mut Vec<PyErr>,
) -> PyResult<Endpoint> {
    let socket = Python::attach(|py| {
        let local = local.map(|local| {
            local.iter().filter(|local| local.family == candidate.family).collect::<Vec<_>>()
        });
        let socket = Socket::open(py, looop, candidate, local.as_deref().unwrap_or_default())?;
        if let Some(local) = local {
            socket.bind(py, candidate, &local, failures)?;
        }
        PyResult::Ok(socket)
    })?;
    socket.connect(candidate).await
}

/// A socket that is not connected yet. Closed when dropped.
struct Socket<'a> {
    looop: &'a Py<Loop>,
    means: Means,
}

enum Means {
    Native(Connecting, SocketAddr),
    Python(PythonSocket),
}

impl<'a> Socket<'a> {
    fn open(
        py: Python<'_>,
        looop: &'a Py<Loop>,
        candidate: &Candidate,
        local: &[&Candidate],
    ) -> PyResult<Socket<'a>> {
        let is_plain =
            local.iter().all(|local| local.inet().is_some()) && !is_replaced(looop.bind(py))?;
        let Candidate { family, kind, proto, .. } = *candidate;
        let means = match candidate.inet().filter(|_| is_plain) {
            Some(peer) => {
                Means::Native(Connecting::open(family, kind, proto).map_err(os_error)?, peer)
            }
            None => Means::Python(PythonSocket::open(py, (family, kind, proto))?),
        };
        Ok(Socket { looop, means })
    }

    /// Binds to the first local address that can be had.
    fn bind(
        &self,
        py: Python<'_>,
        candidate: &Candidate,
        local: &[&Candidate],
        failures: &mut Vec<PyErr>,
    ) -> PyResult<()> {
        let before = failures.len();
        for &address in local {
            match self.bind_to(py, address) {
                Ok(()) => return Ok(()),
                Err(error) if error.is_instance_of::<PyOSError>(py) => {
                    failures.push(bind_error(py, address, &error)?);
                }
                Err(error) => return Err(error),
            }
        }
        if failures.len() > before
            && let Some(last) = failures.pop()
        {
            return Err(last);
        }
        let family = names::address_family(py)?.call1((candidate.family,))?.repr()?;
        Err(PyOSError::with_text(format!("no matching local address with family={family} found")))
    }

    fn bind_to(&self, py: Python<'_>, local: &Candidate) -> PyResult<()> {
        match (&self.means, local.inet()) {
            (Means::Native(connecting, _), Some(inet)) => connecting.bind(inet).map_err(os_error),
            // `open` has looked at all of them.
            (Means::Native(..), None) => Err(PyOSError::new_err(libc::EINVAL)),
            (Means::Python(socket), _) => {
                let address = local.object(py)?;
                socket.socket.call_method1(py, intern!(py, "bind"), (address,)).map(drop)
            }
        }
    }

    async fn connect(self, candidate: &Candidate) -> PyResult<Endpoint> {
        match self.means {
            Means::Native(connecting, peer) => {
                if !connecting.connect(peer).map_err(os_error)? {
                    wait_until_writable(self.looop, connecting.as_raw_fd()).await?;
                    if let Err(error) = connecting.outcome() {
                        return Err(Python::attach(|py| connect_error(py, candidate, &error)));
                    }
                }
                let Candidate { family, kind, proto, .. } = *candidate;
                let fd = connecting.into_socket();
                Ok(Endpoint::Native { fd, family, kind, proto, peer: Address::Inet(peer) })
            }
            Means::Python(socket) => {
                let connecting = Python::attach(|py| {
                    let arguments = (&socket.socket, candidate.object(py)?);
                    self.looop.call_method1(py, intern!(py, "sock_connect"), arguments)
                })?;
                await_object(connecting).await?;
                Python::attach(|py| Endpoint::from_socket(socket.keep(py).bind(py)))
            }
        }
    }
}

/// What the short cut leaves out of the loop.
static CONNECT: Methods = Methods::new(&["sock_connect"]);

/// Notes which `sock_connect` is ours; once, at import.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    CONNECT.remember(py, &[py.get_type::<Loop>().as_any()])
}

/// Does the program want its own way of connecting?
fn is_replaced(looop: &Bound<'_, Loop>) -> PyResult<bool> {
    let py = looop.py();
    if audit::is_listening(py) || !CONNECT.are_of(looop.as_any()) {
        return Ok(true);
    }
    if let Some(own) = looop.getattr_opt(intern!(py, "__dict__"))?
        && own.contains(intern!(py, "sock_connect"))?
    {
        return Ok(true);
    }
    Ok(!socket::makes_plain(py)?)
}

/// A `socket.socket`, closed when dropped as long as it is ours.
struct PythonSocket {
    socket: Py<PyAny>,
    is_ours: bool,
}

impl PythonSocket {
    fn open(py: Python<'_>, kind: (i32, i32, i32)) -> PyResult<PythonSocket> {
        let (family, kind, proto) = kind;
        let options = make::dict(py)?;
        options.set_item(intern!(py, "family"), socket::family_enum(py, family)?)?;
        options.set_item(intern!(py, "type"), socket::kind_enum(py, kind)?)?;
        options.set_item(intern!(py, "proto"), make::int(py, proto)?)?;
        let socket = names::socket_class(py)?.call((), Some(&options))?;
        let socket = PythonSocket { socket: socket.unbind(), is_ours: true };
        socket.socket.call_method1(py, intern!(py, "setblocking"), (false,))?;
        Ok(socket)
    }

    /// The socket, for its new owner to close.
    fn keep(mut self, py: Python<'_>) -> Py<PyAny> {
        self.is_ours = false;
        self.socket.clone_ref(py)
    }
}

impl Drop for PythonSocket {
    fn drop(&mut self) {
        if self.is_ours {
            // asyncio ignores an error here too: the one that brought us here matters more. At the
            // end of the interpreter the descriptor goes with the process.
            let _at_exit =
                Python::try_attach(|py| self.socket.call_method0(py, intern!(py, "close")).ok());
        }
    }
}

/// Waits for the end of connect(2).
async fn wait_until_writable(looop: &Py<Loop>, fd: RawFd) -> PyResult<()> {
    let (future, _registered) = Python::attach(|py| {
        let bound = looop.bind(py);
        let future = Loop::create_future(bound)?.unbind();
        let source = Source::Native(Box::new(Pending { future: future.clone_ref(py) }));
        // Edge-triggered: the coroutine's next step may be a turn away.
        match bound.get().register(py, fd, Interest::WRITE, Trigger::Edge, source)? {
            Ok(key) => Ok((future, Registered { looop, key })),
            Err(refused) => {
                drop(refused.source);
                Err(os_error(refused.error))
            }
        }
    })?;
    await_object(future).await.map(drop)
}

/// A registration that ends when dropped, before the descriptor is closed or has a new owner.
struct Registered<'a> {
    looop: &'a Py<Loop>,
    key: Key,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        // Without an interpreter there is no loop to be cleaned up any more.
        let _at_exit = Python::try_attach(|py| {
            let source = self.looop.get().with_state(py, |state| state.engine.deregister(self.key));
            drop(source);
        });
    }
}

/// The future of a coroutine that waits for its connection.
struct Pending {
    future: Py<PyAny>,
}

impl NativeSource for Pending {
    fn event(&mut self, py: Python<'_>, _readiness: Readiness) -> Option<Item> {
        Some(Item::Native(Box::new(Pending { future: self.future.clone_ref(py) })))
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        visit(self.future.as_ptr())
    }
}

impl Native for Pending {
    fn run(self: Box<Self>, py: Python<'_>, _looop: &Bound<'_, Loop>) -> PyResult<()> {
        watch::wake(py, &self.future)
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        visit(self.future.as_ptr())
    }
}

/// asyncio's words for a connection that failed once it was under way.
fn connect_error(py: Python<'_>, candidate: &Candidate, error: &std::io::Error) -> PyErr {
    let shown = candidate.object(py).and_then(|address| Ok(address.str()?.to_string()));
    match shown {
        Ok(address) => {
            let errno = error.raw_os_error().unwrap_or(0);
            numbered(py, errno, make::text(py, format!("Connect call failed {address}")))
        }
        Err(error) => error,
    }
}

/// asyncio's words for a local address that cannot be had.
fn bind_error(py: Python<'_>, local: &Candidate, error: &PyErr) -> PyResult<PyErr> {
    let error = error.value(py);
    let reason =
        if cfg!(Py_3_13) { error.str()? } else { error.getattr(intern!(py, "strerror"))?.str()? };
    let address = local.object(py)?.repr()?;
    let reason = reason.to_str()?.to_lowercase();
    let text = format!("error while attempting to bind on address {address}: {reason}");
    let errno = error.getattr(intern!(py, "errno"))?;
    let arguments = make::tuple(py, [errno, make::text(py, text)?.into_any()])?;
    Ok(PyOSError::new_err(arguments.unbind()))
}
