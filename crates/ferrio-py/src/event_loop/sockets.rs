//! `sock_recv`, `sock_sendall`, `sock_accept`, `sock_connect` and their like
//! (Lib/asyncio/selector_events.py).
//!
//! Each tries its call in the first step of its coroutine, and again whenever the socket may be
//! ready. The coroutine itself makes the call, not a callback of the loop: so one that is cancelled
//! has taken nothing, and a plain socket's call never gives up the GIL.

use ferrio_engine::net::Address;
use ferrio_engine::{Io, LentFd};
use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyOSError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyMemoryView, PyTuple};

use super::readers::ensure_not_owned;
use super::watch::{Direction, Waiter};
use super::{Loop, READ_BUFFER_LEN};
use crate::coroutine::{Coroutine, await_object};
use crate::error::os_error;
use crate::ffi::buffer::View;
use crate::names;
use crate::socket;

#[pymethods]
impl Loop {
    /// Receives up to n bytes; b'' at the end.
    fn sock_recv(slf: Py<Self>, sock: Py<PyAny>, n: Py<PyAny>) -> PyResult<Py<PyAny>> {
        coroutine("Loop.sock_recv", async move {
            let operation = Operation::begin(slf, sock)?;
            operation.repeat(Direction::Read, |py| operation.recv(py, n.bind(py))).await
        })
    }

    /// Receives into a writable buffer; returns the number of bytes, 0 at the end.
    fn sock_recv_into(slf: Py<Self>, sock: Py<PyAny>, buf: Py<PyAny>) -> PyResult<Py<PyAny>> {
        coroutine("Loop.sock_recv_into", async move {
            let operation = Operation::begin(slf, sock)?;
            operation.repeat(Direction::Read, |py| operation.recv_into(py, buf.bind(py))).await
        })
    }

    /// Receives a datagram of up to bufsize bytes; returns it and the address it came from.
    fn sock_recvfrom(slf: Py<Self>, sock: Py<PyAny>, bufsize: Py<PyAny>) -> PyResult<Py<PyAny>> {
        coroutine("Loop.sock_recvfrom", async move {
            let operation = Operation::begin(slf, sock)?;
            operation.repeat(Direction::Read, |py| operation.recvfrom(py, bufsize.bind(py))).await
        })
    }

    /// Receives a datagram into a writable buffer, up to nbytes or what it holds; returns the
    /// number of bytes and the address they came from.
    #[pyo3(signature = (sock, buf, nbytes=None),
           text_signature = "($self, sock, buf, nbytes=0)")]
    fn sock_recvfrom_into(
        slf: Py<Self>,
        sock: Py<PyAny>,
        buf: Py<PyAny>,
        nbytes: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        coroutine("Loop.sock_recvfrom_into", async move {
            let operation = Operation::begin(slf, sock)?;
            let nbytes = Python::attach(|py| match nbytes {
                Some(nbytes) if nbytes.bind(py).is_truthy()? => Ok(nbytes),
                Some(_) | None => {
                    PyResult::Ok(buf.bind(py).len()?.into_pyobject(py)?.into_any().unbind())
                }
            })?;
            operation
                .repeat(Direction::Read, |py| {
                    operation.recvfrom_into(py, buf.bind(py), nbytes.bind(py))
                })
                .await
        })
    }

    /// Sends all of data, a bytes-like object.
    fn sock_sendall(slf: Py<Self>, sock: Py<PyAny>, data: Py<PyAny>) -> PyResult<Py<PyAny>> {
        coroutine("Loop.sock_sendall", async move {
            let operation = Operation::begin(slf, sock)?;
            let mut sent = 0;
            if Python::attach(|py| operation.send(py, data.bind(py), &mut sent))? {
                return Ok(Python::attach(|py| py.None()));
            }
            // Holds the buffer, so that a bytearray keeps its size until it is sent.
            let view = Python::attach(|py| {
                PyMemoryView::from(data.bind(py)).map(|view| view.into_any().unbind())
            })?;
            loop {
                operation.wait(Direction::Write).await?;
                if Python::attach(|py| operation.send(py, view.bind(py), &mut sent))? {
                    return Ok(Python::attach(|py| py.None()));
                }
            }
        })
    }

    /// Sends data to address as one datagram; returns the number of bytes sent.
    fn sock_sendto(
        slf: Py<Self>,
        sock: Py<PyAny>,
        data: Py<PyAny>,
        address: Py<PyAny>,
    ) -> PyResult<Py<PyAny>> {
        coroutine("Loop.sock_sendto", async move {
            let operation = Operation::begin(slf, sock)?;
            operation
                .repeat(Direction::Write, |py| {
                    operation.sendto(py, data.bind(py), address.bind(py))
                })
                .await
        })
    }

    /// Connects to address. Names in it are resolved first.
    fn sock_connect(slf: Py<Self>, sock: Py<PyAny>, address: Py<PyAny>) -> PyResult<Py<PyAny>> {
        coroutine("Loop.sock_connect", async move {
            let operation = Operation::begin(slf, sock)?;
            let address = match Python::attach(|py| operation.resolving(py, address.bind(py)))? {
                None => address,
                Some(resolving) => {
                    let found = await_object(resolving).await?;
                    Python::attach(|py| {
                        PyResult::Ok(found.bind(py).get_item(0)?.get_item(4)?.unbind())
                    })?
                }
            };
            if !Python::attach(|py| operation.connect(py, address.bind(py)))? {
                operation.wait(Direction::Write).await?;
                while !Python::attach(|py| operation.connected(py, address.bind(py)))? {
                    operation.wait(Direction::Write).await?;
                }
            }
            Ok(Python::attach(|py| py.None()))
        })
    }

    /// Accepts a connection on a listening socket; returns the new socket, non-blocking, and the
    /// address of its peer.
    fn sock_accept(slf: Py<Self>, sock: Py<PyAny>) -> PyResult<Py<PyAny>> {
        coroutine("Loop.sock_accept", async move {
            let operation = Operation::begin(slf, sock)?;
            operation.repeat(Direction::Read, |py| operation.accept(py)).await
        })
    }
}

fn coroutine<F>(qualname: &'static str, body: F) -> PyResult<Py<PyAny>>
where
    F: Future<Output = PyResult<Py<PyAny>>> + Send + 'static,
{
    Python::attach(|py| Coroutine::make(py, qualname, body))
}

/// One `sock_*` call under way. Its attempts return None where the socket was not ready.
struct Operation {
    looop: Py<Loop>,
    sock: Py<PyAny>,
    /// Whether the kernel can be called in place of the socket's methods. Asked once: as long as
    /// the coroutine holds the socket, its class is the same.
    is_plain: bool,
}

impl Operation {
    /// The checks of a coroutine's first step.
    fn begin(looop: Py<Loop>, sock: Py<PyAny>) -> PyResult<Operation> {
        Python::attach(|py| {
            let bound = sock.bind(py);
            let is_plain = socket::is_plain(bound)?;
            if !is_plain {
                names::check_ssl_socket(py)?.call1((bound,))?;
            }
            if looop.get().is_debug() && !socket::is_nonblocking(bound)? {
                return Err(PyValueError::new_err("the socket must be non-blocking"));
            }
            Ok(Operation { looop, sock, is_plain })
        })
    }

    /// Attempts until there is a result.
    async fn repeat(
        &self,
        direction: Direction,
        attempt: impl Fn(Python<'_>) -> PyResult<Option<Py<PyAny>>>,
    ) -> PyResult<Py<PyAny>> {
        loop {
            if let Some(result) = Python::attach(&attempt)? {
                return Ok(result);
            }
            self.wait(direction).await?;
        }
    }

    /// Waits until it is worth another attempt.
    async fn wait(&self, direction: Direction) -> PyResult<()> {
        let (future, waiter) = Python::attach(|py| {
            let sock = self.sock.bind(py);
            let looop = self.looop.bind(py);
            let fd = socket::fileno(sock)?;
            ensure_not_owned(looop, fd, fd.into_pyobject(py)?.as_any())?;
            let future = Loop::create_future(looop)?.unbind();
            let waiting = future.clone_ref(py);
            PyResult::Ok((future, Waiter::new(looop, sock, fd, direction, waiting, self.is_plain)?))
        })?;
        let woken = await_object(future).await;
        drop(waiter);
        woken.map(drop)
    }

    /// The descriptor of a plain socket; None for others.
    fn plain_fd(&self, py: Python<'_>) -> PyResult<Option<LentFd>> {
        if !self.is_plain {
            return Ok(None);
        }
        // A closed one has none: its own method says what is wrong with that.
        Ok(LentFd::new(socket::fileno(self.sock.bind(py))?))
    }

    fn recv(&self, py: Python<'_>, n: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        if let Some(fd) = self.plain_fd(py)?
            && let Some(len) = length(n)
        {
            let received = self.looop.get().with_read_buffer(py, |buffer| {
                let received = fd.recv(&mut buffer[..len]);
                received.map(|count| PyBytes::new(py, &buffer[..count]).into_any().unbind())
            });
            return native(received);
        }
        method(py, self.sock.bind(py).call_method1(intern!(py, "recv"), (n,)))
    }

    fn recv_into(&self, py: Python<'_>, buf: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        if let Some(fd) = self.plain_fd(py)?
            && let Ok(mut view) = View::writable(buf)
            && view.len() > 0
        {
            let received = view.fill(|memory| fd.recv(memory));
            return native(received)?.map(|count| number(py, count)).transpose();
        }
        method(py, self.sock.bind(py).call_method1(intern!(py, "recv_into"), (buf,)))
    }

    fn recvfrom(&self, py: Python<'_>, n: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        if let Some(fd) = self.addressed_fd(py)?
            && let Some(len) = length(n)
        {
            let received = self.looop.get().with_read_buffer(py, |buffer| {
                let received = fd.recv_from(&mut buffer[..len]);
                received.map(|(count, from)| (PyBytes::new(py, &buffer[..count]), from))
            });
            let Some((data, from)) = native(received)? else { return Ok(None) };
            return with_address(py, data.into_any(), from).map(Some);
        }
        method(py, self.sock.bind(py).call_method1(intern!(py, "recvfrom"), (n,)))
    }

    fn recvfrom_into(
        &self,
        py: Python<'_>,
        buf: &Bound<'_, PyAny>,
        nbytes: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Py<PyAny>>> {
        if let Some(fd) = self.addressed_fd(py)?
            && let Some(len) = length(nbytes)
            && let Ok(mut view) = View::writable(buf)
            && len <= view.len()
        {
            let received = view.fill(|memory| fd.recv_from(&mut memory[..len]));
            let Some((count, from)) = native(received)? else { return Ok(None) };
            return with_address(py, number(py, count)?.into_bound(py), from).map(Some);
        }
        let arguments = (buf, nbytes);
        method(py, self.sock.bind(py).call_method1(intern!(py, "recvfrom_into"), arguments))
    }

    /// [`plain_fd`](Operation::plain_fd), if the addresses of its family are known to us.
    fn addressed_fd(&self, py: Python<'_>) -> PyResult<Option<LentFd>> {
        let Some(fd) = self.plain_fd(py)? else { return Ok(None) };
        let (family, ..) = socket::kind(self.sock.bind(py))?;
        Ok(matches!(family, libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX).then_some(fd))
    }

    /// Sends on from `sent` until all is sent, which it says, or the kernel has no room. What
    /// follows a short send is tried at once: only after EAGAIN does an edge come for certain.
    fn send(&self, py: Python<'_>, data: &Bound<'_, PyAny>, sent: &mut usize) -> PyResult<bool> {
        if let Some(fd) = self.plain_fd(py)?
            && let Ok(view) = View::readable(data)
        {
            let result = view.read(|bytes| {
                loop {
                    *sent += fd.send(&bytes[*sent..])?;
                    if *sent >= bytes.len() {
                        return Ok(true);
                    }
                }
            });
            return Ok(native(result)?.unwrap_or(false));
        }
        let sock = self.sock.bind(py);
        let mut rest = data.clone();
        if *sent > 0 {
            rest = rest_of(data, *sent)?;
        }
        loop {
            let result = sock.call_method1(intern!(py, "send"), (&rest,));
            let Some(count) = method(py, result)? else { return Ok(false) };
            *sent += count.extract::<usize>(py)?;
            if *sent >= data.len()? {
                return Ok(true);
            }
            rest = rest_of(PyMemoryView::from(data)?.as_any(), *sent)?;
        }
    }

    fn sendto(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        address: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let sock = self.sock.bind(py);
        if let Some(fd) = self.plain_fd(py)?
            && let (family, ..) = socket::kind(sock)?
            && let Some(to) = socket::literal_address(family, address)?
            && let Ok(view) = View::readable(data)
        {
            let sent = view.read(|bytes| fd.send_to(bytes, to));
            return native(sent)?.map(|count| number(py, count)).transpose();
        }
        method(py, sock.call_method1(intern!(py, "sendto"), (data, address)))
    }

    /// What has to be awaited to learn the address to connect to; None if it is one already.
    fn resolving(&self, py: Python<'_>, address: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let sock = self.sock.bind(py);
        if self.is_plain {
            let (family, ..) = socket::kind(sock)?;
            let is_inet = matches!(family, libc::AF_INET | libc::AF_INET6);
            if !is_inet || socket::literal_address(family, address)?.is_some() {
                return Ok(None);
            }
        }
        let family = sock.getattr(intern!(py, "family"))?;
        if !family.eq(libc::AF_INET)? && !family.eq(libc::AF_INET6)? {
            return Ok(None);
        }
        let options = pyo3::types::PyDict::new(py);
        options.set_item(intern!(py, "family"), family)?;
        options.set_item(intern!(py, "type"), sock.getattr(intern!(py, "type"))?)?;
        options.set_item(intern!(py, "proto"), sock.getattr(intern!(py, "proto"))?)?;
        options.set_item(intern!(py, "loop"), &self.looop)?;
        let looop = self.looop.bind(py);
        let resolving =
            looop.call_method(intern!(py, "_ensure_resolved"), (address,), Some(&options))?;
        Ok(Some(resolving.unbind()))
    }

    /// Begins to connect; true if that was all.
    fn connect(&self, py: Python<'_>, address: &Bound<'_, PyAny>) -> PyResult<bool> {
        let sock = self.sock.bind(py);
        if let Some(fd) = self.plain_fd(py)?
            && socket::is_nonblocking(sock)?
            && let (family, ..) = socket::kind(sock)?
            && let Some(to) = socket::literal_address(family, address)?
        {
            return Ok(native(fd.connect(to))?.is_some());
        }
        Ok(method(py, sock.call_method1(intern!(py, "connect"), (address,)))?.is_some())
    }

    /// Has the connection been made? An error if it has failed.
    fn connected(&self, py: Python<'_>, address: &Bound<'_, PyAny>) -> PyResult<bool> {
        let sock = self.sock.bind(py);
        let failed = if let Some(fd) = self.plain_fd(py)? {
            match fd.connected() {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => error.raw_os_error().unwrap_or(0),
                Ok(()) => 0,
            }
        } else {
            let arguments = (libc::SOL_SOCKET, libc::SO_ERROR);
            match method(py, sock.call_method1(intern!(py, "getsockopt"), arguments))? {
                Some(errno) => errno.extract(py)?,
                None => return Ok(false),
            }
        };
        if failed == 0 {
            return Ok(true);
        }
        let text = format!("Connect call failed {}", address.str()?);
        Err(PyOSError::new_err((failed, text)))
    }

    fn accept(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let sock = self.sock.bind(py);
        if let Some(fd) = self.plain_fd(py)?
            && socket::is_nonblocking(sock)?
            && let kind @ (libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX, ..) = socket::kind(sock)?
        {
            let Some((connection, peer)) = native(fd.accept())? else { return Ok(None) };
            let connection = socket::adopt(py, connection, kind)?;
            let peer = socket::address_object(py, &peer)?;
            return Ok(Some((connection, peer).into_pyobject(py)?.into_any().unbind()));
        }
        let Some(accepted) = method(py, sock.call_method0(intern!(py, "accept")))? else {
            return Ok(None);
        };
        let connection = accepted.bind(py).get_item(0)?;
        connection.call_method1(intern!(py, "setblocking"), (false,))?;
        Ok(Some(accepted))
    }
}

/// A length that the read buffer has room for. None for what the socket's method has to judge.
fn length(n: &Bound<'_, PyAny>) -> Option<usize> {
    let len = n.cast_exact::<PyInt>().ok()?.extract().ok()?;
    (1..=READ_BUFFER_LEN).contains(&len).then_some(len)
}

/// The result of a call of ours; None where it would have blocked.
fn native<T>(result: std::io::Result<T>) -> PyResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(os_error(error)),
    }
}

/// The result of a call of a socket's method; None where it would have blocked.
fn method(py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) -> PyResult<Option<Py<PyAny>>> {
    match result {
        Ok(value) => Ok(Some(value.unbind())),
        Err(error)
            if error.is_instance_of::<PyBlockingIOError>(py)
                || error.is_instance_of::<PyInterruptedError>(py) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn number(py: Python<'_>, count: usize) -> PyResult<Py<PyAny>> {
    Ok(count.into_pyobject(py)?.into_any().unbind())
}

/// `(value, address)`, where a stream's peer is None.
fn with_address(
    py: Python<'_>,
    value: Bound<'_, PyAny>,
    from: Option<Address>,
) -> PyResult<Py<PyAny>> {
    let address = match from {
        Some(address) => socket::address_object(py, &address)?,
        None => py.None().into_bound(py),
    };
    Ok(PyTuple::new(py, [value, address])?.into_any().unbind())
}

/// `view[start:]`
fn rest_of<'py>(view: &Bound<'py, PyAny>, start: usize) -> PyResult<Bound<'py, PyAny>> {
    let py = view.py();
    let start = isize::try_from(start)?;
    view.get_item(pyo3::types::PySlice::new(py, start, isize::MAX, 1))
}
