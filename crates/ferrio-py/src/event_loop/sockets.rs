//! `sock_recv`, `sock_sendall`, `sock_accept`, `sock_connect` and their like
//! (Lib/asyncio/selector_events.py).
//!
//! Each tries its call in the first step of its coroutine, and again whenever the socket may be
//! ready. The coroutine itself makes the call, not a callback of the loop: so one that is cancelled
//! has taken nothing, and a plain socket's call never gives up the GIL.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferrio_engine::net::Address;
use ferrio_engine::{Io, LentFd};
use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyValueError};
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyMemoryView};

use super::readers::ensure_not_owned;
use super::watch::{Direction, Waiter};
use super::{Loop, READ_BUFFER_LEN};
use crate::coroutine::{self, Held, await_object};
use crate::error::{WithText, numbered, os_error};
use crate::ffi::audit;
use crate::ffi::buffer::View;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::{names, socket};

#[pymethods]
impl Loop {
    /// Receives up to n bytes; b'' at the end.
    fn sock_recv<'py>(
        slf: &Bound<'py, Self>,
        sock: Bound<'py, PyAny>,
        n: Bound<'py, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        coroutine(slf, "Loop.sock_recv", [sock, n], |operation| async move {
            operation.repeat(Direction::Read, Operation::recv).await
        })
    }

    /// Receives into a writable buffer; returns the number of bytes, 0 at the end.
    fn sock_recv_into<'py>(
        slf: &Bound<'py, Self>,
        sock: Bound<'py, PyAny>,
        buf: Bound<'py, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        coroutine(slf, "Loop.sock_recv_into", [sock, buf], |operation| async move {
            operation.repeat(Direction::Read, Operation::recv_into).await
        })
    }

    /// Receives a datagram of up to bufsize bytes; returns it and the address it came from.
    fn sock_recvfrom<'py>(
        slf: &Bound<'py, Self>,
        sock: Bound<'py, PyAny>,
        bufsize: Bound<'py, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        coroutine(slf, "Loop.sock_recvfrom", [sock, bufsize], |operation| async move {
            operation.repeat(Direction::Read, Operation::recvfrom).await
        })
    }

    /// Receives a datagram into a writable buffer, up to nbytes or, if that is 0, what it holds;
    /// returns the number of bytes and the address they came from.
    #[pyo3(signature = (sock, buf, nbytes=None),
           text_signature = "($self, sock, buf, nbytes=0)")]
    fn sock_recvfrom_into<'py>(
        slf: &Bound<'py, Self>,
        sock: Bound<'py, PyAny>,
        buf: Bound<'py, PyAny>,
        nbytes: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let nbytes = nbytes.unwrap_or_else(|| slf.py().None().into_bound(slf.py()));
        coroutine(slf, "Loop.sock_recvfrom_into", [sock, buf, nbytes], |operation| async move {
            operation.repeat(Direction::Read, Operation::recvfrom_into).await
        })
    }

    /// Sends all of data, a bytes-like object.
    fn sock_sendall<'py>(
        slf: &Bound<'py, Self>,
        sock: Bound<'py, PyAny>,
        data: Bound<'py, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        coroutine(slf, "Loop.sock_sendall", [sock, data], |operation| async move {
            let mut sent = 0;
            if Python::attach(|py| operation.send(operation.first(py), &mut sent))? {
                return Ok(Python::attach(|py| py.None()));
            }
            // Holds the buffer, so that a bytearray keeps its size until it is sent.
            let view = Python::attach(|py| {
                PyMemoryView::from(operation.first(py)).map(|view| view.into_any().unbind())
            })?;
            loop {
                operation.wait(Direction::Write).await?;
                if Python::attach(|py| operation.send(view.bind(py), &mut sent))? {
                    return Ok(Python::attach(|py| py.None()));
                }
            }
        })
    }

    /// Sends data to address as one datagram; returns the number of bytes sent.
    fn sock_sendto<'py>(
        slf: &Bound<'py, Self>,
        sock: Bound<'py, PyAny>,
        data: Bound<'py, PyAny>,
        address: Bound<'py, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        coroutine(slf, "Loop.sock_sendto", [sock, data, address], |operation| async move {
            operation.repeat(Direction::Write, Operation::sendto).await
        })
    }

    /// Connects to address. Names in it are resolved first.
    fn sock_connect<'py>(
        slf: &Bound<'py, Self>,
        sock: Bound<'py, PyAny>,
        address: Bound<'py, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        coroutine(slf, "Loop.sock_connect", [sock, address], |operation| async move {
            let mut address = Python::attach(|py| operation.first(py).clone().unbind());
            if let Some(resolving) = Python::attach(|py| operation.resolving(address.bind(py)))? {
                let found = await_object(resolving).await?;
                address = Python::attach(|py| {
                    PyResult::Ok(found.bind(py).get_item(0)?.get_item(4)?.unbind())
                })?;
            }
            let mut is_connected = Python::attach(|py| operation.connect(address.bind(py)))?;
            while !is_connected {
                operation.wait(Direction::Write).await?;
                is_connected = Python::attach(|py| operation.connected(address.bind(py)))?;
            }
            Ok(Python::attach(|py| py.None()))
        })
    }

    /// Accepts a connection on a listening socket; returns the new socket, non-blocking, and the
    /// address of its peer.
    fn sock_accept<'py>(slf: &Bound<'py, Self>, sock: Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        coroutine(slf, "Loop.sock_accept", [sock], |operation| async move {
            operation.repeat(Direction::Read, Operation::accept).await
        })
    }
}

/// A coroutine over the socket, `arguments[0]`, and what else the call was given.
fn coroutine<'py, const N: usize, F>(
    looop: &Bound<'py, Loop>,
    qualname: &'static str,
    arguments: [Bound<'py, PyAny>; N],
    body: impl FnOnce(Arc<Operation>) -> F,
) -> PyResult<Py<PyAny>>
where
    F: Future<Output = PyResult<Py<PyAny>>> + Send + 'static,
{
    let py = looop.py();
    let mut arguments = arguments.into_iter();
    let operation = Arc::new(Operation {
        looop: looop.clone().unbind(),
        arguments: std::array::from_fn(|_| match arguments.next() {
            Some(argument) => argument.unbind(),
            None => py.None(),
        }),
        is_plain: AtomicBool::new(false),
    });
    let held = Arc::clone(&operation) as Arc<dyn Held>;
    let body = body(Arc::clone(&operation));
    coroutine::holding(py, qualname, held, async move {
        Python::attach(|py| operation.begin(py))?;
        body.await
    })
}

/// One `sock_*` call under way. Its attempts return None where the socket was not ready.
struct Operation {
    looop: Py<Loop>,
    /// The socket first; None where there are fewer.
    arguments: [Py<PyAny>; 3],
    /// Whether the kernel can be called in place of the socket's methods. Asked once: as long as
    /// we hold the socket, its class is the same.
    is_plain: AtomicBool,
}

impl Held for Operation {
    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        std::iter::once(self.looop.as_ptr())
            .chain(self.arguments.iter().map(Py::as_ptr))
            .map(visit)
            .find(|&answer| answer != 0)
            .unwrap_or(0)
    }
}

impl Operation {
    fn sock<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.arguments[0].bind(py)
    }

    /// The first argument after the socket.
    fn first<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.arguments[1].bind(py)
    }

    /// The second one.
    fn second<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.arguments[2].bind(py)
    }

    fn is_plain(&self) -> bool {
        self.is_plain.load(Ordering::Relaxed)
    }

    /// The checks of a coroutine's first step.
    fn begin(&self, py: Python<'_>) -> PyResult<()> {
        let sock = self.sock(py);
        let place = names::places::check_ssl_socket(py)?;
        let check = place.current(py)?;
        let is_plain = socket::is_plain(sock)?;
        self.is_plain.store(is_plain, Ordering::Relaxed);
        if !is_plain || !check.is(place.original(py)) {
            check.call1((sock,))?;
        }
        if self.looop.get().is_debug() && !socket::is_nonblocking(sock)? {
            return Err(PyValueError::with_text("the socket must be non-blocking"));
        }
        Ok(())
    }

    /// Attempts until there is a result.
    async fn repeat(
        &self,
        direction: Direction,
        attempt: impl Fn(&Operation, Python<'_>) -> PyResult<Option<Py<PyAny>>>,
    ) -> PyResult<Py<PyAny>> {
        loop {
            if let Some(result) = Python::attach(|py| attempt(self, py))? {
                return Ok(result);
            }
            self.wait(direction).await?;
        }
    }

    /// Waits until it is worth another attempt.
    async fn wait(&self, direction: Direction) -> PyResult<()> {
        let (future, waiter) = Python::attach(|py| {
            let sock = self.sock(py);
            let looop = self.looop.bind(py);
            let fd = socket::fileno(sock)?;
            ensure_not_owned(looop, fd, make::int(py, fd)?.as_any())?;
            let future = Loop::create_future(looop)?.unbind();
            let waiting = future.clone_ref(py);
            let waiter = Waiter::new(looop, sock, fd, direction, waiting, self.is_plain())?;
            PyResult::Ok((future, waiter))
        })?;
        let _place = Place { waiter, looop: self.looop.get() };
        await_object(future).await.map(drop)
    }

    /// The descriptor of a plain socket; None for others.
    fn plain_fd(&self, py: Python<'_>) -> PyResult<Option<LentFd>> {
        if !self.is_plain() {
            return Ok(None);
        }
        // A closed one has none: its own method says what is wrong with that.
        Ok(LentFd::new(socket::fileno(self.sock(py))?))
    }

    fn recv(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let n = self.first(py);
        if let Some(fd) = self.plain_fd(py)?
            && let Some(len) = length(n)
        {
            let received = self.looop.get().with_read_buffer(py, |buffer| {
                let received = fd.recv(&mut buffer[..len]);
                received.map(|count| make::bytes(py, &buffer[..count]))
            });
            let Some(data) = native(received)?.transpose()? else { return Ok(None) };
            return Ok(Some(data.into_any().unbind()));
        }
        method(py, self.sock(py).call_method1(intern!(py, "recv"), (n,)))
    }

    fn recv_into(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let buf = self.first(py);
        if let Some(fd) = self.plain_fd(py)?
            && let Ok(mut view) = View::writable(buf)
            && view.len() > 0
        {
            let received = view.fill(|memory| fd.recv(memory));
            return native(received)?.map(|count| number(py, count)).transpose();
        }
        method(py, self.sock(py).call_method1(intern!(py, "recv_into"), (buf,)))
    }

    fn recvfrom(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let n = self.first(py);
        if let Some(fd) = self.addressed_fd(py)?
            && let Some(len) = length(n)
        {
            let received = self.looop.get().with_read_buffer(py, |buffer| {
                let received = fd.recv_from(&mut buffer[..len]);
                received.map(|(count, from)| (make::bytes(py, &buffer[..count]), from))
            });
            let Some((data, from)) = native(received)? else { return Ok(None) };
            return with_address(py, data?.into_any(), from).map(Some);
        }
        method(py, self.sock(py).call_method1(intern!(py, "recvfrom"), (n,)))
    }

    fn recvfrom_into(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let buf = self.first(py);
        let mut nbytes = self.second(py).clone();
        if !nbytes.is_truthy()? {
            nbytes = make::count(py, buf.len()?)?.into_any();
        }
        if let Some(fd) = self.addressed_fd(py)?
            && let Some(len) = length(&nbytes)
            && let Ok(mut view) = View::writable(buf)
            && len <= view.len()
        {
            let received = view.fill(|memory| fd.recv_from(&mut memory[..len]));
            let Some((count, from)) = native(received)? else { return Ok(None) };
            return with_address(py, number(py, count)?.into_bound(py), from).map(Some);
        }
        let arguments = (buf, nbytes);
        method(py, self.sock(py).call_method1(intern!(py, "recvfrom_into"), arguments))
    }

    /// [`plain_fd`](Operation::plain_fd), if the addresses of its family are known to us.
    fn addressed_fd(&self, py: Python<'_>) -> PyResult<Option<LentFd>> {
        let Some(fd) = self.plain_fd(py)? else { return Ok(None) };
        let (family, ..) = socket::kind(self.sock(py))?;
        Ok(matches!(family, libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX).then_some(fd))
    }

    /// Sends on from `sent` until all is sent, which it says, or the kernel has no room. What
    /// follows a short send is tried at once: only after EAGAIN does an edge come for certain.
    fn send(&self, data: &Bound<'_, PyAny>, sent: &mut usize) -> PyResult<bool> {
        let py = data.py();
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
        let sock = self.sock(py);
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

    fn sendto(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let (data, address) = (self.first(py), self.second(py));
        let sock = self.sock(py);
        if let Some(fd) = self.plain_fd(py)?
            && !audit::is_listening(py)
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
    fn resolving(&self, address: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let py = address.py();
        let sock = self.sock(py);
        if self.is_plain() {
            let (family, ..) = socket::kind(sock)?;
            let is_inet = matches!(family, libc::AF_INET | libc::AF_INET6);
            let is_literal = is_inet
                && names::has_own_literals(py)?
                && socket::literal_address(family, address)?.is_some();
            if !is_inet || is_literal {
                return Ok(None);
            }
        }
        let family = sock.getattr(intern!(py, "family"))?;
        if !family.eq(libc::AF_INET)? && !family.eq(libc::AF_INET6)? {
            return Ok(None);
        }
        let options = make::dict(py)?;
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
    fn connect(&self, address: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = address.py();
        let sock = self.sock(py);
        if let Some(fd) = self.plain_fd(py)?
            && socket::is_nonblocking(sock)?
            && !audit::is_listening(py)
            && let (family, ..) = socket::kind(sock)?
            && let Some(to) = socket::literal_address(family, address)?
        {
            return Ok(native(fd.connect(to))?.is_some());
        }
        Ok(method(py, sock.call_method1(intern!(py, "connect"), (address,)))?.is_some())
    }

    /// Has the connection been made? An error if it has failed.
    fn connected(&self, address: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = address.py();
        let sock = self.sock(py);
        let failed = if let Some(fd) = self.plain_fd(py)? {
            match fd.connected() {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => error.raw_os_error().unwrap_or(0),
                Ok(()) => 0,
            }
        } else {
            let arguments = (make::int(py, libc::SOL_SOCKET)?, make::int(py, libc::SO_ERROR)?);
            match method(py, sock.call_method1(intern!(py, "getsockopt"), arguments))? {
                Some(errno) => errno.extract(py)?,
                None => return Ok(false),
            }
        };
        if failed == 0 {
            return Ok(true);
        }
        let text = format!("Connect call failed {}", address.str()?);
        Err(numbered(py, failed, make::text(py, text)))
    }

    fn accept(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let sock = self.sock(py);
        if let Some(fd) = self.plain_fd(py)?
            && socket::is_nonblocking(sock)?
            && !audit::is_listening(py)
            && socket::makes_plain(py)?
            && let kind @ (libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX, ..) = socket::kind(sock)?
        {
            let Some((connection, peer)) = native(fd.accept())? else { return Ok(None) };
            let connection = socket::adopt(py, connection, kind)?;
            let peer = socket::address_object(py, &peer)?;
            return Ok(Some(make::tuple(py, [connection, peer])?.into_any().unbind()));
        }
        let Some(accepted) = method(py, sock.call_method0(intern!(py, "accept")))? else {
            return Ok(None);
        };
        let connection = accepted.bind(py).get_item(0)?;
        connection.call_method1(intern!(py, "setblocking"), (false,))?;
        Ok(Some(accepted))
    }
}

/// Gives a waiter's place up when the wait is over, whichever way.
struct Place<'a> {
    waiter: Waiter,
    looop: &'a Loop,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Without an interpreter there is no loop to be cleaned up any more.
        let _at_exit = Python::try_attach(|py| self.waiter.leave(py, self.looop));
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
    Ok(make::count(py, count)?.into_any().unbind())
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
    Ok(make::tuple(py, [value, address])?.into_any().unbind())
}

/// `view[start:]`
fn rest_of<'py>(view: &Bound<'py, PyAny>, start: usize) -> PyResult<Bound<'py, PyAny>> {
    let py = view.py();
    let start = isize::try_from(start)?;
    view.get_item(make::slice(py, start, isize::MAX)?)
}
