//! `connect_read_pipe` and `connect_write_pipe`: the transports of pipes, terminals and other
//! things that are read and written but are no connections (Lib/asyncio/unix_events.py,
//! `_UnixReadPipeTransport`, `_UnixWritePipeTransport`).
//!
//! The engine's [`Stream`] keeps their state as it does for sockets, over read(2) and write(2);
//! here is what the two have in common. Two things differ from streams as asyncio has it: what is
//! written is sent at once, and the descriptor stays the property of the program's file object,
//! which is closed with the transport.

mod read;
mod write;

use std::ffi::c_int;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use ferrio_engine::{FileKind, Interest, Key, LentFd, Limits, PipeFd, Readiness, Stream};
use ferrio_engine::{StreamKind, Trigger};
use pyo3::exceptions::{PyPermissionError, PyValueError};
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::PyDict;

pub(crate) use self::read::ReadPipeTransport;
pub(crate) use self::write::WritePipeTransport;
use super::chunk::Chunk;
use super::waiter::Wake;
use crate::error::{WithText, os_error};
use crate::event_loop::{Loop, report};
use crate::ffi::call::Context;
use crate::ffi::class::Adopted;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::raise::raised_while;
use crate::item::{Item, Native, NativeSource, Source};
use crate::transport::telling;

/// What both ends consist of.
struct Shared {
    looop: Py<Loop>,
    kind: FileKind,
    state: GilCell<State>,
}

struct State {
    stream: Stream<Chunk, PipeFd>,
    fd: RawFd,
    /// The program's file object; None once closed.
    pipe: Option<Py<PyAny>>,
    /// None once the connection is lost.
    protocol: Option<Py<PyAny>>,
    key: Option<Key>,
    /// What is registered in place of `fd`, where another transport has that number already: the
    /// same stdout twice.
    duplicate: Option<OwnedFd>,
    /// Callbacks for events run in this context.
    context: Context,
    /// connection_lost is scheduled, or was called.
    is_lost: bool,
}

/// One end of a pipe.
trait End: Adopted {
    fn shared(&self) -> &Shared;

    /// An event, or a turn after one that left something to read.
    fn ready(slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>, readiness: Readiness) -> PyResult<()>;
}

impl Shared {
    /// Takes over a file object. Regular files are refused, in asyncio's words.
    fn new(
        looop: &Bound<'_, Loop>,
        pipe: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        refusal: &'static str,
    ) -> PyResult<Shared> {
        let py = looop.py();
        let fd: RawFd = pipe.call_method0(intern!(py, "fileno"))?.extract()?;
        let Some(lent) = LentFd::new(fd) else {
            return Err(os_error(std::io::Error::from_raw_os_error(libc::EBADF)));
        };
        let io = PipeFd::new(lent);
        let kind = io.kind().map_err(os_error)?;
        if kind == FileKind::Other {
            return Err(PyValueError::with_text(refusal));
        }
        io.set_nonblocking().map_err(os_error)?;
        let state = State {
            stream: Stream::new(io, StreamKind::Other, Limits::default()),
            fd,
            pipe: Some(pipe.clone().unbind()),
            protocol: Some(protocol.clone().unbind()),
            key: None,
            duplicate: None,
            context: Context::copy_current(py)?,
            is_lost: false,
        };
        Ok(Shared { looop: looop.clone().unbind(), kind, state: GilCell::new(state) })
    }

    #[inline]
    fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(py, body)
    }

    fn protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.with(py, |state| state.protocol.as_ref().map(|protocol| protocol.clone_ref(py)))
    }

    fn set_protocol(&self, py: Python<'_>, protocol: Option<Py<PyAny>>) {
        drop(self.with(py, |state| std::mem::replace(&mut state.protocol, protocol)));
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.looop.as_ptr());
        if answer != 0 {
            return answer;
        }
        self.state
            .try_with(py, |state| {
                [Some(state.context.as_object()), state.protocol.as_ref(), state.pipe.as_ref()]
                    .into_iter()
                    .flatten()
                    .map(|object| visit(object.as_ptr()))
                    .find(|&answer| answer != 0)
                    .unwrap_or(0)
            })
            .unwrap_or(0)
    }

    fn clear(&self, py: Python<'_>) {
        let held = self.with(py, |state| state.protocol.take());
        drop(held);
    }

    /// No more events.
    fn unregister(&self, py: Python<'_>) {
        let Some(key) = self.with(py, |state| state.key.take()) else { return };
        let source = self.looop.get().with_state(py, |state| state.engine.deregister(key));
        drop(source);
        // Closed only now, when the kernel has forgotten it.
        drop(self.with(py, |state| state.duplicate.take()));
    }

    /// Closes the file object and lets go of everything.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let (pipe, protocol) = self.with(py, |state| {
            state.stream.abort();
            state.is_lost = true;
            (state.pipe.take(), state.protocol.take())
        });
        self.unregister(py);
        drop(protocol);
        match pipe {
            Some(pipe) => pipe.call_method0(py, intern!(py, "close")).map(drop),
            None => Ok(()),
        }
    }

    /// The `__del__` of both: a ResourceWarning for a pipe that was not closed, and its closing.
    fn finalize(&self, slf: &Bound<'_, PyAny>) {
        let py = slf.py();
        if self.with(py, |state| state.pipe.is_none()) {
            return;
        }
        telling::unclosed(slf, || self.release(py));
    }

    /// What stands between the brackets of the repr, before anything about writing.
    fn describe(&self, slf: &Bound<'_, PyAny>) -> PyResult<String> {
        let name = slf.get_type().name()?.to_string();
        Ok(self.with(slf.py(), |state| {
            let life = match (&state.pipe, state.stream.is_closing()) {
                (None, _) => " closed",
                (Some(_), true) => " closing",
                (Some(_), false) => "",
            };
            format!("{name}{life} fd={}", state.fd)
        }))
    }
}

/// `call_soon(connection_made)`, then watching, then the waiter: the order of asyncio's
/// constructors.
fn begin<T: End>(
    transport: &Bound<'_, T>,
    pipe: &Bound<'_, PyAny>,
    waiter: Option<Py<PyAny>>,
    extra: Option<Bound<'_, PyDict>>,
    interest: Interest,
) -> PyResult<()> {
    let py = transport.py();
    let shared = transport.get().shared();
    let extra = extra.map_or_else(|| make::dict(py), Ok)?;
    extra.set_item(intern!(py, "pipe"), pipe)?;
    // The slot of asyncio's base class, whose get_extra_info() looks into it.
    transport.as_any().setattr(intern!(py, "_extra"), extra)?;
    let Some(protocol) = shared.protocol(py) else { return Ok(()) };
    let made = protocol.getattr(py, intern!(py, "connection_made"))?;
    call_soon(transport, made, Some(transport.as_any()))?;
    let looop = shared.looop.get();
    if !interest.is_none() {
        let transport = transport.clone().unbind();
        looop
            .push(py, Item::Native(Box::new(Scheduled { transport, step: Step::Start(interest) })));
    }
    if let Some(waiter) = waiter {
        Wake::schedule(shared.looop.bind(py), waiter)?;
    }
    Ok(())
}

/// `loop.call_soon(callback[, argument])`
fn call_soon<T: End>(
    transport: &Bound<'_, T>,
    callback: Py<PyAny>,
    argument: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = transport.py();
    let context = Context::copy_current(py)?.into_object();
    let argument = argument.map(|argument| argument.clone().unbind());
    let looop = transport.get().shared().looop.get();
    looop.push(py, Item::Call { callback, argument, context });
    Ok(())
}

/// Has the descriptor watched, if it is not yet, the transport is open and reading not paused.
fn register<T: End>(transport: &Bound<'_, T>, interest: Interest) -> PyResult<()> {
    let py = transport.py();
    let shared = transport.get().shared();
    let looop = shared.looop.get();
    let Some((fd, io)) = shared.with(py, |state| {
        let wants = state.key.is_none() && !state.is_lost && state.stream.is_reading();
        wants.then(|| (state.fd, *state.stream.io()))
    }) else {
        return Ok(());
    };
    let mut watched = fd;
    if looop.open(py, |state| state.is_owned(fd))? {
        let duplicate = io.duplicate().map_err(os_error)?;
        watched = duplicate.as_raw_fd();
        shared.with(py, |state| state.duplicate = Some(duplicate));
    }
    let source = Source::Native(Box::new(PipeSource { transport: transport.clone().unbind() }));
    match looop.register(py, watched, interest, Trigger::Edge, source)? {
        Ok(key) => {
            shared.with(py, |state| state.key = Some(key));
            Ok(())
        }
        Err(refused) => {
            drop(refused.source);
            Err(os_error(refused.error))
        }
    }
}

/// Puts `connection_lost` on the ready queue, once, and ends everything else.
fn schedule_lost<T: End>(transport: &Bound<'_, T>, error: Option<PyErr>) -> PyResult<()> {
    let py = transport.py();
    let shared = transport.get().shared();
    let is_new = shared.with(py, |state| {
        state.stream.abort();
        !std::mem::replace(&mut state.is_lost, true)
    });
    // Nobody will be told then: asyncio's call_soon() says so.
    shared.looop.get().check_closed()?;
    if !is_new {
        return Ok(());
    }
    shared.unregister(py);
    let step = Step::Lost(error, Context::copy_current(py)?);
    let transport = transport.clone().unbind();
    shared.looop.get().push(py, Item::Native(Box::new(Scheduled { transport, step })));
    Ok(())
}

/// Calls `connection_lost` and closes the file.
fn lost<T: End>(
    transport: &Bound<'_, T>,
    looop: &Bound<'_, Loop>,
    error: Option<PyErr>,
    context: Context,
) -> PyResult<()> {
    let py = transport.py();
    let shared = transport.get().shared();
    shared.with(py, |state| state.is_lost = true);
    let protocol = shared.protocol(py);
    telling::lost(looop, transport.as_any(), protocol, error, context, || shared.release(py))
}

/// `_fatal_error`: what is the peer's doing is only logged in debug mode, the rest is reported;
/// the transport is closed in either case.
fn fatal_error<T: End>(
    transport: &Bound<'_, T>,
    error: PyErr,
    message: &str,
    is_usual: bool,
) -> PyResult<()> {
    let py = transport.py();
    let shared = transport.get().shared();
    let looop = shared.looop.bind(py);
    let protocol = shared.protocol(py);
    let error =
        telling::error(looop, transport.as_any(), protocol.as_ref(), error, message, is_usual)?;
    let handled = error.value(py).clone();
    schedule_lost(transport, Some(error))
        .map_err(|closed| raised_while(py, closed, handled.as_any()))
}

/// Debug mode's line about the transport.
fn log<T: End>(transport: &Bound<'_, T>, level: &str, text: &str) -> PyResult<()> {
    let looop = transport.get().shared().looop.bind(transport.py());
    telling::log(looop, transport.as_any(), level, text)
}

/// Something that happens to a transport in its turn.
struct Scheduled<T> {
    transport: Py<T>,
    step: Step,
}

enum Step {
    /// Begin to watch.
    Start(Interest),
    /// Go on after an event.
    Event(Readiness),
    /// Call `connection_lost`, in this context.
    Lost(Option<PyErr>, Context),
}

impl<T: End> Native for Scheduled<T> {
    fn run(self: Box<Self>, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let transport = self.transport.bind(py);
        match self.step {
            Step::Start(interest) => match register(transport, interest) {
                Ok(()) => Ok(()),
                // As in asyncio, where it is a callback that fails.
                Err(error) => {
                    // /dev/null cannot be watched, but be written to.
                    let is_usable = error.is_instance_of::<PyPermissionError>(py);
                    let reason = error.clone_ref(py);
                    let method = transport.as_any().getattr(intern!(py, "_start"))?;
                    let context = Context::copy_current(py)?.into_object();
                    report::failed_call(looop, error, &method, None, context)?;
                    // asyncio leaves it open when the system is out of memory or watches, too
                    // (ENOMEM, ENOSPC), and whoever reads from it waits for ever.
                    if is_usable { Ok(()) } else { schedule_lost(transport, Some(reason)) }
                }
            },
            Step::Event(readiness) => T::ready(transport, looop, readiness),
            Step::Lost(error, context) => lost(transport, looop, error, context),
        }
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        match (visit(self.transport.as_ptr()), &self.step) {
            (0, Step::Lost(_, context)) => visit(context.as_object().as_ptr()),
            (answer, _) => answer,
        }
    }
}

/// The registered end.
struct PipeSource<T> {
    transport: Py<T>,
}

impl<T: End> NativeSource for PipeSource<T> {
    fn event(&mut self, py: Python<'_>, readiness: Readiness) -> Option<Item> {
        let transport = self.transport.clone_ref(py);
        Some(Item::Native(Box::new(Scheduled { transport, step: Step::Event(readiness) })))
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        visit(self.transport.as_ptr())
    }
}
