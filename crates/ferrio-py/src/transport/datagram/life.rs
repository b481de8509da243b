//! How a datagram transport begins and ends, and what it has the kernel tell it.

use std::ffi::c_int;

use ferrio_engine::{Interest, Key, Readiness, Trigger};
use pyo3::exceptions::PyOSError;
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use super::DatagramTransport;
use crate::error::os_error;
use crate::event_loop::Loop;
use crate::ffi::call::Context;
use crate::ffi::interned::intern;
use crate::ffi::raise::raised_while;
use crate::item::{Item, Native, Source};
use crate::transport::hold::Hold;
use crate::transport::telling;

/// Something that happens to a transport in its turn.
pub(super) struct Scheduled {
    pub(super) transport: Py<DatagramTransport>,
    pub(super) step: Step,
}

pub(super) enum Step {
    /// Begin to receive.
    Start,
    /// Call `connection_lost`, in this context.
    Lost(Option<PyErr>, Context),
}

impl Native for Scheduled {
    fn run(self: Box<Self>, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let transport = self.transport.bind(py);
        let this = transport.get();
        match self.step {
            Step::Start => {
                this.with(py, |state| state.has_started = true);
                match this.watch(transport) {
                    Ok(()) => Ok(()),
                    Err(error) => this.fatal_error(transport, error, "Fatal error on transport"),
                }
            }
            Step::Lost(error, context) => this.lost(transport, looop, error, context),
        }
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        match (visit(self.transport.as_ptr()), &self.step) {
            (0, Step::Lost(_, context)) => visit(context.as_object().as_ptr()),
            (answer, _) => answer,
        }
    }
}

impl DatagramTransport {
    /// An event: datagrams are received, then those are sent that wait.
    pub(crate) fn ready(
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        readiness: Readiness,
    ) -> PyResult<()> {
        let this = slf.get();
        let interest = this.interest(slf.py());
        let acting = readiness.directions(interest);
        if acting.contains(Interest::READ) {
            this.receive_some(slf, looop)?;
        }
        if acting.contains(Interest::WRITE) {
            this.send_queued(slf, looop)?;
        }
        Ok(())
    }

    /// What it has a use for now.
    pub(super) fn interest(&self, py: Python<'_>) -> Interest {
        self.with(py, |state| {
            let mut interest = Interest::NONE;
            if state.has_started && !state.is_paused && !state.is_closing {
                interest = interest.with(Interest::READ);
            }
            if !state.queue.is_empty() {
                interest = interest.with(Interest::WRITE);
            }
            interest
        })
    }

    /// Asks the kernel for what there is a use for.
    pub(super) fn watch(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let interest = self.interest(py);
        let looop = self.looop.get();
        if interest.is_none() && looop.is_closed() {
            return Ok(());
        }
        if let Some(key) = self.with(py, |state| state.key) {
            let armed = looop.open(py, |state| state.engine.set_interest(key, interest))?;
            self.hold(slf, key, interest)?;
            return armed.map_err(os_error);
        }
        // One that is paused is registered, too: that is how its descriptor is known to be taken.
        let is_due =
            self.with(py, |state| !state.is_lost && (state.has_started || !interest.is_none()));
        if !is_due {
            return Ok(());
        }
        let source = Source::Datagram(Hold::new(slf));
        match looop.register(py, self.number, interest, Trigger::Level, source)? {
            Ok(key) => {
                self.with(py, |state| {
                    state.key = Some(key);
                    state.is_held = true;
                });
                looop.disclaim(py, self.number, slf.as_any());
                self.hold(slf, key, interest)
            }
            Err(refused) => {
                drop(refused.source);
                Err(os_error(refused.error))
            }
        }
    }

    /// Has the loop hold the transport while there is an event to wait for, as in asyncio; otherwise
    /// it lives only as long as the program knows it.
    fn hold(&self, slf: &Bound<'_, Self>, key: Key, interest: Interest) -> PyResult<()> {
        let py = slf.py();
        let is_held = !interest.is_none();
        if self.with(py, |state| std::mem::replace(&mut state.is_held, is_held)) == is_held {
            return Ok(());
        }
        let weak = if is_held { None } else { Some(PyWeakrefReference::new(slf)?.unbind()) };
        let loosened = self.looop.get().with_state(py, |state| {
            let Some(Source::Datagram(hold)) = state.engine.source_mut(key) else { return None };
            match weak {
                Some(weak) => hold.loosen(weak),
                None => {
                    hold.fasten(slf);
                    None
                }
            }
        });
        drop(loosened);
        Ok(())
    }

    /// `_fatal_error`
    pub(super) fn fatal_error(
        &self,
        slf: &Bound<'_, Self>,
        error: PyErr,
        message: &str,
    ) -> PyResult<()> {
        let py = slf.py();
        let looop = self.looop.bind(py);
        let protocol = self.protocol(py);
        let is_usual = error.is_instance_of::<PyOSError>(py);
        let error =
            telling::error(looop, slf.as_any(), protocol.as_ref(), error, message, is_usual)?;
        let handled = error.value(py).clone();
        self.force_close(slf, Some(error))
            .map_err(|closed| raised_while(py, closed, handled.as_any()))
    }

    /// Closes at once; what is queued is dropped.
    pub(super) fn force_close(&self, slf: &Bound<'_, Self>, error: Option<PyErr>) -> PyResult<()> {
        let dropped = self.with(slf.py(), |state| {
            state.is_closing = true;
            (!state.is_lost).then(|| state.queue.take())
        });
        drop(dropped.map(Iterator::collect::<Vec<_>>));
        self.schedule_lost(slf, error)
    }

    /// Puts `connection_lost` on the ready queue, once.
    pub(super) fn schedule_lost(
        &self,
        slf: &Bound<'_, Self>,
        error: Option<PyErr>,
    ) -> PyResult<()> {
        let py = slf.py();
        if self.with(py, |state| std::mem::replace(&mut state.is_lost, true)) {
            return Ok(());
        }
        self.unregister(py);
        // Nobody will be told then: asyncio's call_soon() says so.
        self.looop.get().check_closed()?;
        let step = Step::Lost(error, Context::copy_current(py)?);
        let item = Item::Native(Box::new(Scheduled { transport: slf.clone().unbind(), step }));
        self.looop.get().push(py, item);
        Ok(())
    }

    /// No more events.
    pub(super) fn unregister(&self, py: Python<'_>) {
        let Some(key) = self.with(py, |state| state.key.take()) else { return };
        let source = self.looop.get().with_state(py, |state| state.engine.deregister(key));
        drop(source);
    }

    /// Calls `connection_lost`, closes the socket, lets go of everything.
    pub(super) fn lost(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        error: Option<PyErr>,
        context: Context,
    ) -> PyResult<()> {
        let py = slf.py();
        telling::lost(looop, slf.as_any(), self.protocol(py), error, context, || self.release(slf))
    }

    /// Closes the socket and drops the protocol.
    pub(super) fn release(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (socket, protocol, queued) = self.with(py, |state| {
            state.is_closing = true;
            state.is_lost = true;
            (state.socket.take(), state.protocol.take(), state.queue.take())
        });
        self.unregister(py);
        drop(queued.collect::<Vec<_>>());
        drop(protocol);
        let Some(socket) = socket else { return Ok(()) };
        self.looop.get().disclaim(py, self.number, slf.as_any());
        socket.call_method0(py, intern!(py, "close")).map(drop)
    }
}
