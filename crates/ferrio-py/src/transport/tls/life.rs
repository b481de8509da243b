//! How a TLS connection begins and ends.

use pyo3::exceptions::{
    PyConnectionAbortedError, PyConnectionResetError, PyException, PyOSError, PyTimeoutError,
};
use pyo3::prelude::*;

use super::TlsProtocol;
use super::phase::{Phase, Told};
use super::session::Progress;
use crate::error::WithText;
use crate::event_loop::report;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::raise::raised_while;
use crate::names;
use crate::transport::telling;

impl TlsProtocol {
    // ------------------------------------------------------------------------------- the handshake

    pub(super) fn start_handshake(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let looop = self.looop.bind(py);
        let start = if looop.get().is_debug() {
            names::sslproto_logger(py)?.call_method1(
                intern!(py, "debug"),
                (intern!(py, "%r starts SSL handshake"), slf),
            )?;
            Some(looop.call_method0(intern!(py, "time"))?.extract()?)
        } else {
            None
        };
        self.with(py, |state| {
            state.handshake_start = start;
            state.phase.step(Phase::DoHandshake)
        })?;
        let method = intern!(py, "_check_handshake_timeout");
        let timer = self.call_later(slf, &self.handshake_timeout, method)?;
        drop(self.with(py, |state| state.handshake_timer.replace(timer)));
        // asyncio moves what a StreamReader had received over to here (3.14).
        if self.session.incoming_len(py)? > 0 {
            self.with(py, |state| state.records.lose());
        }
        self.do_handshake(slf)
    }

    pub(super) fn do_handshake(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        match self.session.do_handshake(py) {
            Ok(Progress::Done(())) => self.handshake_complete(slf, None),
            Ok(Progress::Again) => self.send_collected(slf),
            Err(error) if error.is_instance(py, &names::ssl_error(py)?) => {
                self.handshake_complete(slf, Some(error))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn check_handshake_timeout(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if self.phase(py) != Phase::DoHandshake {
            return Ok(());
        }
        let error = PyConnectionAbortedError::with_text(format!(
            "SSL handshake is taking longer than {} seconds: aborting the connection",
            self.handshake_timeout.bind(py).str()?
        ));
        self.fatal_error(slf, &error, "Fatal error on transport")
    }

    fn handshake_complete(&self, slf: &Bound<'_, Self>, failure: Option<PyErr>) -> PyResult<()> {
        let py = slf.py();
        self.cancel(py, |state| state.handshake_timer.take())?;
        let object = self.session.object(py);
        let certificate = match failure {
            Some(error) => Err(error),
            None => self
                .with(py, |state| state.phase.step(Phase::Wrapped))
                .and_then(|()| object.call_method0(intern!(py, "getpeercert"))),
        };
        let certificate = match certificate {
            Ok(certificate) => certificate,
            Err(error) => {
                self.with(py, |state| state.phase = Phase::Unwrapped);
                let text = if error.is_instance(py, &names::ssl_certificate_error(py)?) {
                    "SSL handshake failed on verifying the certificate"
                } else {
                    "SSL handshake failed"
                };
                self.fatal_error(slf, &error, text)?;
                return self.wake(py, Some(error.into_value(py).into_any()));
            }
        };
        let looop = self.looop.bind(py);
        if looop.get().is_debug() {
            let now: f64 = looop.call_method0(intern!(py, "time"))?.extract()?;
            let start = self.with(py, |state| state.handshake_start).unwrap_or(now);
            let arguments = ("%r: SSL handshake took %.1f ms", slf, (now - start) * 1e3);
            names::sslproto_logger(py)?.call_method1(intern!(py, "debug"), arguments)?;
        }
        let extra = self.extra.bind(py);
        extra.set_item(intern!(py, "peercert"), certificate)?;
        extra.set_item(intern!(py, "cipher"), object.call_method0(intern!(py, "cipher"))?)?;
        let compression = object.call_method0(intern!(py, "compression"))?;
        extra.set_item(intern!(py, "compression"), compression)?;
        extra.set_item(intern!(py, "ssl_object"), object)?;
        // How many records the handshake left cannot be told.
        let left = self.session.incoming_len(py)?;
        let is_news = self.with(py, |state| {
            state.unread = if left > 0 { usize::MAX } else { 0 };
            let is_news = state.told == Told::Nothing;
            if is_news {
                state.told = Told::Made;
            }
            is_news
        });
        if is_news && let Some(protocol) = self.protocol(py) {
            let transport = self.transport(slf)?;
            protocol.object.call_method1(py, intern!(py, "connection_made"), (transport,))?;
        }
        self.wake(py, None)?;
        self.read(slf)
    }

    /// `_wakeup_waiter`: the result of whoever waits for the handshake.
    fn wake(&self, py: Python<'_>, error: Option<Py<PyAny>>) -> PyResult<()> {
        let Some(waiter) = self.with(py, |state| state.waiter.take()) else { return Ok(()) };
        let waiter = waiter.bind(py);
        if waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
            return Ok(());
        }
        match error {
            Some(error) => waiter.call_method1(intern!(py, "set_exception"), (error,)),
            None => waiter.call_method1(intern!(py, "set_result"), (py.None(),)),
        }
        .map(drop)
    }

    // --------------------------------------------------------------------------------- the shutdown

    /// `close()` of the program, or the peer's close_notify.
    pub(super) fn start_shutdown(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let phase = self.phase(py);
        if phase.is_ending() {
            return Ok(());
        }
        self.mark_transport_closed(py);
        if phase == Phase::DoHandshake {
            return self.abort(slf, None);
        }
        self.with(py, |state| state.phase.step(Phase::Flushing))?;
        self.start_shutdown_timer(slf)?;
        self.flush(slf)
    }

    fn start_shutdown_timer(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let method = intern!(py, "_check_shutdown_timeout");
        let timer = self.call_later(slf, &self.shutdown_timeout, method)?;
        drop(self.with(py, |state| state.shutdown_timer.replace(timer)));
        Ok(())
    }

    pub(super) fn check_shutdown_timeout(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if !matches!(self.phase(py), Phase::Flushing | Phase::Shutdown) {
            return Ok(());
        }
        let error = PyTimeoutError::with_text("SSL shutdown timed out");
        match self.lower(py) {
            Some(lower) => lower.force_close(py, Some(&error)),
            None => Ok(()),
        }
    }

    /// `_do_flush`: reads what has come, sends what waits, and begins the exchange of
    /// close_notify.
    pub(super) fn flush(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        self.read(slf)?;
        self.encrypt_all(slf)?;
        self.with(py, |state| state.phase.step(Phase::Shutdown))?;
        self.shut_down(slf)
    }

    /// `_do_shutdown`.
    pub(super) fn shut_down(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let is_eof = self.with(py, |state| state.is_eof);
        let progress = if is_eof { Ok(Progress::Done(())) } else { self.session.unwrap(py) };
        match progress {
            Ok(Progress::Again) => self.send_collected(slf),
            Ok(Progress::Done(())) => {
                self.send_collected(slf)?;
                self.tell_eof(slf)?;
                self.shutdown_complete(slf, None)
            }
            Err(error) if error.is_instance(py, &names::ssl_error(py)?) => {
                self.shutdown_complete(slf, Some(error))
            }
            Err(error) => Err(error),
        }
    }

    fn shutdown_complete(&self, slf: &Bound<'_, Self>, failure: Option<PyErr>) -> PyResult<()> {
        let py = slf.py();
        let outlives = names::shutdown_timer_outlives_shutdown(py)?;
        if failure.is_some() || !outlives {
            self.cancel(py, |state| state.shutdown_timer.take())?;
        }
        if let Some(error) = failure {
            return self.fatal_error(slf, &error, "Fatal error on transport");
        }
        if outlives && self.with(py, |state| state.shutdown_timer.is_none()) {
            self.start_shutdown_timer(slf)?;
        }
        let Some(lower) = self.lower(py) else { return Ok(()) };
        let close = lower.object(py).getattr(intern!(py, "close"))?;
        self.looop.bind(py).call_method1(intern!(py, "call_soon"), (close,)).map(drop)
    }

    /// Tells the protocol that the peer has finished, once.
    pub(super) fn tell_eof(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let protocol = self.with(py, |state| {
            if state.told != Told::Made {
                return None;
            }
            state.told = Told::Eof;
            state.protocol.as_ref().map(|protocol| protocol.clone_ref(py))
        });
        let Some(protocol) = protocol else { return Ok(()) };
        let told = protocol
            .object
            .call_method0(py, intern!(py, "eof_received"))
            .and_then(|keep_open| keep_open.is_truthy(py))
            .and_then(|keep_open| {
                if keep_open {
                    let text = "returning true from eof_received() has no effect when using ssl";
                    names::sslproto_logger(py)?
                        .call_method1(intern!(py, "warning"), (make::text(py, text)?,))?;
                }
                Ok(())
            });
        match told {
            Ok(()) => Ok(()),
            Err(error) if report::is_fatal(py, &error) => Err(error),
            Err(error) => self.fatal_error(slf, &error, "Error calling eof_received()"),
        }
    }

    // ----------------------------------------------------------------------- the transport's events

    /// The peer will send no more ciphertext. True keeps the transport open.
    pub(super) fn eof(&self, slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        self.with(py, |state| state.is_eof = true);
        let result = self.end_of_input(slf);
        if let Err(error) = &result
            && error.is_instance_of::<PyException>(py)
            && let Some(lower) = self.lower(py)
        {
            lower.close(py)?;
        }
        result
    }

    fn end_of_input(&self, slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        telling::log(self.looop.bind(py), slf.as_any(), "debug", "%r received EOF")?;
        match self.phase(py) {
            Phase::Unwrapped => {}
            Phase::DoHandshake => {
                self.handshake_complete(slf, Some(PyConnectionResetError::new_err(())))?;
            }
            Phase::Wrapped => {
                let is_paused = self.with(py, |state| {
                    state.phase.step(Phase::Flushing).map(|()| state.is_app_reading_paused)
                })?;
                if is_paused {
                    return Ok(true);
                }
                self.flush(slf)?;
            }
            Phase::Flushing => {
                self.encrypt_all(slf)?;
                self.with(py, |state| state.phase.step(Phase::Shutdown))?;
                self.shut_down(slf)?;
            }
            Phase::Shutdown => self.shut_down(slf)?,
        }
        Ok(false)
    }

    /// The connection is gone.
    pub(super) fn lost(
        &self,
        slf: &Bound<'_, Self>,
        exc: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        drop(self.session.take_outgoing(py)?);
        let (protocol, transport, tells, dropped) = self.with(py, |state| {
            state.late_writes += 1;
            let is_told = matches!(state.told, Told::Made | Told::Eof);
            let tells = state.phase != Phase::DoHandshake && is_told;
            if tells {
                state.told = Told::Lost;
            }
            state.phase = Phase::Unwrapped;
            state.is_lost = true;
            let backlog = std::mem::take(&mut state.backlog);
            let dropped = (backlog, state.lower.take(), state.ingress.take());
            (state.protocol.take(), state.transport.take(), tells, dropped)
        });
        if let Some(transport) = transport {
            transport.get().connection_lost(py);
        }
        drop(dropped);
        if let Some(protocol) = protocol.filter(|_| tells) {
            let method = protocol.object.bind(py).getattr(intern!(py, "connection_lost"))?;
            self.looop.bind(py).call_method1(intern!(py, "call_soon"), (method, &exc))?;
        }
        self.wake(py, exc.map(Bound::unbind))?;
        self.cancel(py, |state| state.shutdown_timer.take())?;
        self.cancel(py, |state| state.handshake_timer.take())
    }

    // ---------------------------------------------------------------------------------------- errors

    /// Ends the connection at once.
    pub(super) fn abort(&self, slf: &Bound<'_, Self>, error: Option<&PyErr>) -> PyResult<()> {
        let py = slf.py();
        let lower = self.with(py, |state| {
            state.phase = Phase::Unwrapped;
            state.lower.as_ref().map(|lower| lower.clone_ref(py))
        });
        match lower {
            Some(lower) => lower.force_close(py, error),
            None => Ok(()),
        }
    }

    /// `_fatal_error`: ends the connection, and reports what is not the network's doing.
    pub(super) fn fatal_error(
        &self,
        slf: &Bound<'_, Self>,
        error: &PyErr,
        message: &str,
    ) -> PyResult<()> {
        let py = slf.py();
        let lower = self.lower(py);
        if let Some(lower) = &lower {
            lower
                .force_close(py, Some(error))
                .map_err(|closed| raised_while(py, closed, error.value(py).as_any()))?;
        }
        let looop = self.looop.bind(py);
        if error.is_instance_of::<PyOSError>(py) {
            return telling::log_error(looop, slf.as_any(), error, message);
        }
        if error.is_instance(py, &names::cancelled_error(py)?) {
            return Ok(());
        }
        let context = make::dict(py)?;
        context.set_item(intern!(py, "message"), make::text(py, message)?)?;
        context.set_item(intern!(py, "exception"), error.value(py))?;
        context.set_item(intern!(py, "transport"), lower.as_ref().map(|lower| lower.object(py)))?;
        context.set_item(intern!(py, "protocol"), slf)?;
        report::call_exception_handler(looop, error, &context)
    }

    /// Cancels the timer that `take` takes out of the state.
    fn cancel(
        &self,
        py: Python<'_>,
        take: impl FnOnce(&mut super::State) -> Option<Py<PyAny>>,
    ) -> PyResult<()> {
        match self.with(py, take) {
            Some(timer) => timer.call_method0(py, intern!(py, "cancel")).map(drop),
            None => Ok(()),
        }
    }

    fn mark_transport_closed(&self, py: Python<'_>) {
        let transport =
            self.with(py, |state| state.transport.as_ref().map(|held| held.clone_ref(py)));
        if let Some(transport) = transport {
            transport.get().mark_closed();
        }
    }
}
