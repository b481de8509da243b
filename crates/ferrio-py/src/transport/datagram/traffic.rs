//! Receiving and sending datagrams.

use ferrio_engine::net::Address;
use ferrio_engine::{Flow, Interest, Io, Queued};
use pyo3::exceptions::{PyBlockingIOError, PyInterruptedError, PyOSError};
use pyo3::prelude::*;

use super::{DatagramTransport, Known, Outgoing, To};
use crate::error::os_error;
use crate::event_loop::{Loop, report};
use crate::ffi::audit;
use crate::ffi::call::{Context, call_method1};
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::raise::while_handling;
use crate::socket;
use crate::transport::chunk::Chunk;
use crate::transport::telling;

/// What became of a datagram.
pub(super) enum Sent {
    Whole,
    Blocked,
    Failed(PyErr),
}

impl DatagramTransport {
    /// Receives a datagram, and those behind it as long as the turns in which they would come have
    /// nothing else to do (bench: `echo_udp_*`).
    pub(super) fn receive_some(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
    ) -> PyResult<()> {
        let py = slf.py();
        let limit = self.with(py, |state| state.burst.limit());
        let mut received = 0;
        let is_dry = loop {
            if !self.receive(slf, looop)? {
                break true;
            }
            received += 1;
            let goes_on = received < limit
                && looop.get().may_go_on(py)
                && self.interest(py).contains(Interest::READ);
            if !goes_on {
                break false;
            }
        };
        self.with(py, |state| state.burst.learn(received, is_dry));
        Ok(())
    }

    /// Receives one datagram; false if there is none.
    pub(super) fn receive(&self, slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<bool> {
        let py = slf.py();
        let Some((protocol, context)) = self.with(py, |state| {
            let protocol = state.protocol.as_ref()?.clone_ref(py);
            (!state.is_lost).then(|| (protocol, state.context.clone_ref(py)))
        }) else {
            return Ok(false);
        };
        let error = match context.run(py, || self.receive_for(py, looop, &protocol)) {
            Ok(is_there) => return Ok(is_there),
            Err(error) => error,
        };
        // What the protocol raises is reported, and the socket stays open.
        let method = slf.getattr(intern!(py, "_read_ready"))?;
        report::failed_call(looop, error, &method, None, context.into_object())?;
        Ok(true)
    }

    fn receive_for(
        &self,
        py: Python<'_>,
        looop: &Bound<'_, Loop>,
        protocol: &Py<PyAny>,
    ) -> PyResult<bool> {
        let received = looop.get().with_read_buffer(py, |buffer| {
            let (count, from) = self.fd.recv_from(buffer)?;
            std::io::Result::Ok((make::bytes(py, &buffer[..count]), from))
        });
        match received {
            Ok((data, from)) => {
                let data = data?;
                let from = self.address_object(py, from)?;
                protocol.call_method1(py, intern!(py, "datagram_received"), (data, from))?;
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => error_received(py, protocol, &os_error(error)).map(|()| true),
        }
    }

    /// The address as the `socket` module shows it; the very object of the last time if it is the
    /// same address.
    fn address_object<'py>(
        &self,
        py: Python<'py>,
        from: Option<Address>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(from) = from else { return Ok(py.None().into_bound(py)) };
        let Address::Inet(address) = from else { return socket::address_object(py, &from) };
        let known = self.with(py, |state| {
            let known = state.last_from.as_ref().filter(|known| known.address == address);
            known.map(|known| known.object.clone_ref(py))
        });
        if let Some(known) = known {
            return Ok(known.into_bound(py));
        }
        let object = socket::address_object(py, &from)?;
        let known = Known { object: object.clone().unbind(), address };
        drop(self.with(py, |state| state.last_from.replace(known)));
        Ok(object)
    }

    /// Where the second argument of `sendto()` leads.
    pub(super) fn destination(&self, address: &Bound<'_, PyAny>) -> PyResult<To> {
        let py = address.py();
        // asyncio passes the None on, which is a TypeError and the end of the transport.
        if self.is_connected || (self.has_peer && address.is_none()) {
            return Ok(To::Peer);
        }
        if audit::is_listening(py) {
            return Ok(To::Object(address.clone().unbind()));
        }
        let known = self.with(py, |state| {
            let known = [&state.last_from, &state.last_to].into_iter().flatten();
            known.filter(|known| known.object.is(address)).map(|known| known.address).next()
        });
        if let Some(known) = known {
            return Ok(To::Inet(known));
        }
        match socket::literal_address(self.family, address)? {
            Some(inet) => {
                let known = Known { object: address.clone().unbind(), address: inet };
                drop(self.with(py, |state| state.last_to.replace(known)));
                Ok(To::Inet(inet))
            }
            None => Ok(To::Object(address.clone().unbind())),
        }
    }

    /// Gives a datagram to the kernel. An address that only the `socket` module understands goes
    /// through the socket's method, with the object that `sendto()` was given.
    pub(super) fn send_one(&self, data: &[u8], object: &Bound<'_, PyAny>, to: &To) -> Sent {
        let py = object.py();
        let sent = match to {
            To::Peer => self.fd.send(data).map(drop),
            To::Inet(address) => self.fd.send_to(data, *address).map(drop),
            To::Object(address) => return self.send_by_method(object, address),
        };
        match sent {
            Ok(()) => Sent::Whole,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Sent::Blocked,
            Err(error) => {
                let _attached = py;
                Sent::Failed(os_error(error))
            }
        }
    }

    fn send_by_method(&self, data: &Bound<'_, PyAny>, address: &Py<PyAny>) -> Sent {
        let py = data.py();
        let socket =
            self.with(py, |state| state.socket.as_ref().map(|socket| socket.clone_ref(py)));
        // Closed: nobody hears of what is sent then.
        let Some(socket) = socket else { return Sent::Whole };
        match socket.call_method1(py, intern!(py, "sendto"), (data, address)) {
            Ok(_) => Sent::Whole,
            Err(error)
                if error.is_instance_of::<PyBlockingIOError>(py)
                    || error.is_instance_of::<PyInterruptedError>(py) =>
            {
                Sent::Blocked
            }
            Err(error) => Sent::Failed(error),
        }
    }

    /// A datagram could not be sent: the protocol hears of what the network says, anything else is
    /// the program's mistake and ends the transport.
    pub(super) fn send_failed(&self, slf: &Bound<'_, Self>, error: PyErr) -> PyResult<()> {
        let py = slf.py();
        if !error.is_instance_of::<PyOSError>(py) {
            return self.fatal_error(slf, error, "Fatal write error on datagram transport");
        }
        match self.protocol(py) {
            Some(protocol) => error_received(py, &protocol, &error),
            None => Ok(()),
        }
    }

    /// Queues what the kernel has no room for.
    pub(super) fn queue(&self, slf: &Bound<'_, Self>, data: Chunk, to: To) -> PyResult<()> {
        let py = slf.py();
        let bytes = data.len();
        let (is_first, flow) = self.with(py, |state| {
            let is_first = state.queue.is_empty();
            (is_first, state.queue.push(Outgoing { data, to }, bytes))
        });
        if is_first {
            let context = Context::copy_current(py)?;
            drop(self.with(py, |state| state.write_context.replace(context)));
            self.watch(slf)?;
        }
        flow.map_or(Ok(()), |flow| self.tell_flow(slf, flow))
    }

    /// There is room: sends what is queued, until there is none or one fails, after which the next
    /// turn goes on.
    pub(super) fn send_queued(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
    ) -> PyResult<()> {
        let py = slf.py();
        let context = self
            .with(py, |state| state.write_context.as_ref().map(|context| context.clone_ref(py)));
        let context = match context {
            Some(context) => context,
            None => Context::copy_current(py)?,
        };
        if let Err(error) = context.run(py, || self.send_all(slf)) {
            let method = slf.getattr(intern!(py, "_sendto_ready"))?;
            let context = context.clone_ref(py).into_object();
            report::failed_call(looop, error, &method, None, context)?;
        }
        let is_over = self.with(py, |state| {
            let is_over = state.is_closing && state.queue.is_empty() && !state.is_lost;
            state.is_lost |= is_over;
            is_over
        });
        if is_over {
            self.unregister(py);
            return self.lost(slf, looop, None, context);
        }
        match self.watch(slf) {
            Ok(()) => Ok(()),
            // The socket was closed behind our back. Nobody called who could be told.
            Err(error) => self.fatal_error(slf, error, "Fatal write error on datagram transport"),
        }
    }

    fn send_all(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        while let Some(queued) = self.with(py, |state| state.queue.pop()) {
            let Queued { datagram: Outgoing { data, to }, .. } = &queued;
            let sent = match to {
                To::Peer | To::Inet(_) => self.send_one(data.as_ref(), slf.as_any(), to),
                To::Object(address) => {
                    self.send_by_method(make::bytes(py, data.as_ref())?.as_any(), address)
                }
            };
            match sent {
                Sent::Whole => {}
                Sent::Blocked => {
                    self.with(py, |state| state.queue.put_back(queued));
                    break;
                }
                Sent::Failed(error) => return self.send_failed(slf, error),
            }
        }
        match self.with(py, |state| state.queue.settle()) {
            Some(flow) => self.tell_flow(slf, flow),
            None => Ok(()),
        }
    }

    /// Calls `pause_writing` or `resume_writing`.
    pub(super) fn tell_flow(&self, slf: &Bound<'_, Self>, flow: Flow) -> PyResult<()> {
        let py = slf.py();
        self.with(py, |state| state.is_protocol_paused = flow == Flow::Pause);
        let Some(protocol) = self.protocol(py) else { return Ok(()) };
        telling::flow(self.looop.bind(py), slf.as_any(), &protocol, flow, None)
    }
}

fn error_received(py: Python<'_>, protocol: &Py<PyAny>, error: &PyErr) -> PyResult<()> {
    let value = error.value(py).clone().into_any();
    while_handling(py, error, || {
        call_method1(py, protocol, intern!(py, "error_received"), &value).map(drop)
    })
}
