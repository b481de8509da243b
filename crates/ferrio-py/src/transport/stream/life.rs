//! How a connection begins and ends: the steps that go through the ready queue.

use std::ffi::c_int;

use ferrio_engine::{Interest, Readiness, Trigger};
use pyo3::exceptions::PyOSError;
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use super::StreamTransport;
use crate::error::os_error;
use crate::event_loop::{Loop, report};
use crate::ffi::call::Context;
use crate::ffi::interned::intern;
use crate::ffi::raise::raised_while;
use crate::item::{Item, Native, Source};
use crate::server;
use crate::transport::hold::Hold;
use crate::transport::telling;

/// Something that happens to a transport in its turn.
pub(super) struct Scheduled {
    pub(super) transport: Py<StreamTransport>,
    pub(super) step: Step,
}

pub(super) enum Step {
    /// Call `connection_made`, in this context.
    Made(Context),
    /// Begin to read.
    Start,
    /// Call `connection_lost`, in this context.
    Lost(Option<PyErr>, Context),
}

impl Native for Scheduled {
    fn run(self: Box<Self>, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let transport = self.transport.bind(py);
        match self.step {
            Step::Made(context) => transport.get().made(transport, looop, context),
            Step::Start => transport.get().start(transport, looop),
            Step::Lost(error, context) => transport.get().lost(transport, looop, error, context),
        }
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        let held = match &self.step {
            Step::Made(context) | Step::Lost(_, context) => context.as_object().as_ptr(),
            Step::Start => std::ptr::null_mut(),
        };
        match visit(self.transport.as_ptr()) {
            0 if !held.is_null() => visit(held),
            answer => answer,
        }
    }
}

impl StreamTransport {
    fn made(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        context: Context,
    ) -> PyResult<()> {
        let py = slf.py();
        let Some(protocol) = self.protocol(py) else { return Ok(()) };
        let method = protocol.bind(py).getattr(intern!(py, "connection_made"));
        let result = context
            .run(py, || method.as_ref().map_err(|e| e.clone_ref(py))?.call1((slf,)))
            .map(drop);
        match (result, method) {
            (Ok(()), _) => Ok(()),
            // asyncio looks the method up when it schedules the call.
            (Err(error), Err(_)) => self.fatal_error(slf, looop, error, "Fatal error on transport"),
            (Err(error), Ok(method)) => {
                let context = context.into_object();
                report::failed_call(looop, error, &method, Some(slf.as_any()), context)
            }
        }
    }

    pub(super) fn start(&self, slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        let Some((fd, interest)) = self.with(py, |state| {
            (!state.stream.is_closed()).then(|| (state.endpoint.fd(), state.interest()))
        }) else {
            return Ok(());
        };
        let source = Source::Stream(Hold::new(slf));
        let registered = looop.get().register(py, fd, interest, Trigger::Edge, source)?;
        match registered {
            Ok(key) => {
                self.with(py, |state| {
                    state.key = Some(key);
                    state.is_held = true;
                });
                looop.get().disclaim(py, fd, slf.as_any());
                self.hold(slf)
            }
            Err(refused) => {
                let error = os_error(refused.error);
                drop(refused.source);
                self.fatal_error(slf, looop, error, "Fatal error on transport")
            }
        }
    }

    /// An event: read once, then send what waits. More input is left for the next turn, so that
    /// one busy peer does not keep the others waiting.
    pub(crate) fn ready(
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        readiness: Readiness,
    ) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let acting = this.with(py, |state| state.stream.on_event(readiness));
        if acting.contains(Interest::READ) {
            this.receive(slf, looop)?;
        }
        if acting.contains(Interest::WRITE) {
            this.send(slf, looop, true)?;
        }
        Ok(())
    }

    /// `_fatal_error`: reports what is not the network's doing, and ends the connection.
    pub(super) fn fatal_error(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        error: PyErr,
        message: &str,
    ) -> PyResult<()> {
        let py = slf.py();
        let protocol = self.protocol(py);
        let is_usual = error.is_instance_of::<PyOSError>(py);
        let error =
            telling::error(looop, slf.as_any(), protocol.as_ref(), error, message, is_usual)?;
        self.fail_waiter(py, Some(&error))?;
        let handled = error.value(py).clone();
        self.force_close(slf, Some(error))
            .map_err(|closed| raised_while(py, closed, handled.as_any()))
    }

    /// Ends the connection; what the kernel has not taken is dropped.
    pub(crate) fn force_close(&self, slf: &Bound<'_, Self>, error: Option<PyErr>) -> PyResult<()> {
        self.with(slf.py(), |state| state.stream.abort());
        self.schedule_lost(slf, error)
    }

    /// Puts `connection_lost` on the ready queue, once.
    pub(super) fn schedule_lost(
        &self,
        slf: &Bound<'_, Self>,
        error: Option<PyErr>,
    ) -> PyResult<()> {
        let py = slf.py();
        let Some(fixed) = self.with(py, |state| {
            if std::mem::replace(&mut state.is_lost, true) {
                return None;
            }
            Some(state.is_context_fixed.then(|| state.context.clone_ref(py)))
        }) else {
            return Ok(());
        };
        self.unregister(py);
        let context = match fixed {
            Some(context) => context,
            None => Context::copy_current(py)?,
        };
        // Nobody will be told then: asyncio's call_soon() says so.
        self.looop.get().check_closed()?;
        let transport = slf.clone().unbind();
        let step = Scheduled { transport, step: Step::Lost(error, context) };
        self.looop.get().push(py, Item::Native(Box::new(step)));
        Ok(())
    }

    /// Has the loop hold the transport as long as there is an event to wait for. With reading paused
    /// or ended, and nothing to send, it lives only as long as the program knows it, as in asyncio.
    #[inline]
    pub(super) fn hold(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let changes = self.with(slf.py(), |state| state.is_held != state.waits_for_events());
        if changes { self.change_hold(slf) } else { Ok(()) }
    }

    fn change_hold(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        // Without a key, nothing is held; `start` is to come, or there is an end of it.
        let Some(key) = self.with(py, |state| state.key) else { return Ok(()) };
        let is_held = self.with(py, |state| {
            state.is_held = !state.is_held;
            state.is_held
        });
        let weak = if is_held { None } else { Some(PyWeakrefReference::new(slf)?.unbind()) };
        let loosened = self.looop.get().with_state(py, |state| {
            let Some(Source::Stream(hold)) = state.engine.source_mut(key) else { return None };
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

    /// No more events.
    pub(super) fn unregister(&self, py: Python<'_>) {
        let Some(key) = self.with(py, |state| state.key.take()) else { return };
        let source = self.looop.bind(py).get().with_state(py, |state| state.engine.deregister(key));
        drop(source);
    }

    /// Calls `connection_lost`, closes the descriptor, lets go of everything.
    pub(super) fn lost(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        error: Option<PyErr>,
        context: Context,
    ) -> PyResult<()> {
        let py = slf.py();
        telling::lost(looop, slf.as_any(), self.protocol(py), error, context, || {
            let failed = self.fail_waiter(py, None);
            failed.and(self.release(slf))
        })
    }

    /// Closes the descriptor and drops protocol and server.
    pub(super) fn release(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (endpoint, protocol, server) = self.with(py, |state| {
            state.stream.abort();
            state.is_lost = true;
            (state.endpoint.take(), state.protocol.take(), state.server.take())
        });
        self.unregister(py);
        if !endpoint.is_closed() {
            let fd = endpoint.fd();
            self.looop.get().disclaim(py, fd, slf.as_any());
        }
        let closed = endpoint.close(py);
        drop(protocol);
        if let Some(server) = server {
            server::detach(server.bind(py), slf.as_any())?;
        }
        closed
    }

    pub(super) fn protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.with(py, |state| state.protocol.as_ref().map(|protocol| protocol.object.clone_ref(py)))
    }
}
