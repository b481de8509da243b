//! `StreamReader`: its attributes, and how it is fed.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::exceptions::{
    PyAssertionError, PyNotImplementedError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDict, PyModule, PyString, PyTuple};

use super::buffer::Buffer;
use super::reading::Read;
use super::until::Next;
use super::{amount, borrowed, lower, until};
use crate::aio::waiter::Waiter;
use crate::error::WithText;
use crate::event_loop::tasks::create_future;
use crate::ffi::call::{python_of, set_attribute};
use crate::ffi::class::{self, chained};
use crate::ffi::coroutine::new_coroutine;
use crate::ffi::future::state;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make::{self, Returned};
use crate::ffi::overrides::{Methods, Names};
use crate::ffi::raise::raised;
use crate::ffi::refusal;
use crate::ffi::task::queue::direct_loop;
use crate::names;

/// What our methods use without asking for it by its name.
const STEP_NAMES: &[&str] = &[
    "_buffer",
    "_eof",
    "_exception",
    "_limit",
    "_loop",
    "_maybe_resume_transport",
    "_paused",
    "_transport",
    "_wait_for_data",
    "_waiter",
    "_wakeup_waiter",
    "exception",
    "feed_data",
    "readline",
    "read",
    "readuntil",
];
static STEPS: Methods = Methods::new(STEP_NAMES);

/// What is no method: all of ours use these. A subclass in which one is something else has asyncio's
/// methods.
pub(super) const ATTRIBUTES: Names = Names::of(
    STEP_NAMES,
    &["_buffer", "_eof", "_exception", "_limit", "_loop", "_paused", "_transport", "_waiter"],
);

/// What a transport passes over that feeds the reader itself.
const FED: Names = ATTRIBUTES.and(Names::of(STEP_NAMES, &["_wakeup_waiter", "feed_data"]));
const EXCEPTION: Names = Names::of(STEP_NAMES, &["_exception", "exception"]);
const ODD_LIMIT: Names = Names::of(STEP_NAMES, &["_limit"]);
const MAYBE_RESUME: Names = Names::of(STEP_NAMES, &["_maybe_resume_transport"]);
const WAIT_FOR_DATA: Names = Names::of(STEP_NAMES, &["_wait_for_data"]);
const WAKEUP_WAITER: Names = Names::of(STEP_NAMES, &["_wakeup_waiter"]);
/// `read` calls itself where it reads to the end.
pub(super) const READ_ALL: Names =
    ATTRIBUTES.and(Names::of(STEP_NAMES, &["_maybe_resume_transport", "_wait_for_data", "read"]));
pub(super) const READLINE: Names = ATTRIBUTES.and(Names::of(STEP_NAMES, &["readuntil"]));
const NEXT: Names = READLINE.and(Names::of(STEP_NAMES, &["readline"]));

/// In bytes (`_DEFAULT_LIMIT`).
const DEFAULT_LIMIT: usize = 64 * 1024;

/// Bytes that come from a transport, for coroutines that wait for them.
#[pyclass(module = "ferrio", subclass, frozen, weakref)]
pub(crate) struct StreamReader {
    /// What in this very reader is not as we take it to be, as [`Names`].
    replaced: AtomicU32,
    buffer: Buffer,
    state: GilCell<State>,
}

#[derive(Default)]
struct State {
    looop: Option<Py<PyAny>>,
    /// In bytes; half of what may be in the buffer before the transport is paused.
    limit: usize,
    /// The same as it was given.
    limit_object: Option<Py<PyAny>>,
    is_eof: bool,
    exception: Option<Py<PyAny>>,
    /// The future of the one coroutine that waits.
    waiter: Option<Py<PyAny>>,
    transport: Option<Py<PyAny>>,
    is_paused: bool,
}

chained!(StreamReader);

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    refusal::add_class::<StreamReader>(module)?;
    class::chain::<StreamReader>(module.py());
    amount::install(py)?;
    until::install(py)?;
    let ours = py.get_type::<StreamReader>();
    STEPS.remember(py, &[ours.as_any(), names::stream_reader(py)?])
}

#[pymethods]
impl StreamReader {
    /// Takes whatever a subclass is made with; `__init__` says what a reader is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(limit=65536, loop=None)")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> StreamReader {
        let _ = (args, kwargs);
        StreamReader {
            replaced: AtomicU32::new(0),
            buffer: Buffer::default(),
            state: GilCell::new(State { limit: DEFAULT_LIMIT, ..State::default() }),
        }
    }

    /// A reader that has its transport paused while twice `limit` bytes wait in it.
    #[pyo3(signature = (limit=None, r#loop=None))]
    fn __init__(
        slf: &Bound<'_, Self>,
        limit: Option<Bound<'_, PyAny>>,
        r#loop: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let limit = match limit {
            Some(limit) => limit,
            None => make::count(py, DEFAULT_LIMIT)?.into_any(),
        };
        match &r#loop {
            Some(looop) if slf.get().has_own(slf, ATTRIBUTES) && direct_loop(looop).is_some() => {
                if limit.le(0)? {
                    return Err(PyValueError::with_text("Limit cannot be <= 0"));
                }
                slf.get().set_limit(&limit);
                slf.get().set_loop(py, r#loop);
                Ok(())
            }
            // Finds the loop if none is given, and notes where it is called from in debug mode.
            Some(_) | None => names::stream_reader(py)?
                .call_method1(intern!(py, "__init__"), (slf, limit, r#loop))
                .map(drop),
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let py = slf.py();
        let this = slf.get();
        if !this.has_own(slf, ATTRIBUTES) {
            let text = names::stream_reader(py)?.call_method1(intern!(py, "__repr__"), (slf,))?;
            return text.extract().map(Returned);
        }
        let mut text = String::from("<StreamReader");
        let len = this.buffer.len(py);
        if len > 0 {
            text += &format!(" {len} bytes");
        }
        if this.is_eof(py) {
            text += " eof";
        }
        if this.limit(py) != DEFAULT_LIMIT {
            text += &format!(" limit={}", slf.getattr(intern!(py, "_limit"))?.str()?);
        }
        for name in ["waiter", "exception", "transport"] {
            let value = slf.getattr(make::text(py, format!("_{name}"))?)?;
            if value.is_truthy()? {
                text += &format!(" {name}={}", value.repr()?);
            }
        }
        if this.state.with(py, |state| state.is_paused) {
            text += " paused";
        }
        Ok(Returned(text + ">"))
    }

    /// As for any object; a `feed_data` or the like of the program's own is taken note of.
    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        // The others are set through our setters, or through what a subclass has in their place.
        if let Some(step) = STEPS.find(name.to_str()?)
            && !step.has_any_of(ATTRIBUTES)
        {
            slf.get().replaced.fetch_or(step.bits(), Ordering::Relaxed);
        }
        set_attribute(slf.as_any(), name, Some(value))
    }

    fn __delattr__(slf: &Bound<'_, Self>, name: &Bound<'_, PyString>) -> PyResult<()> {
        set_attribute(slf.as_any(), name, None)
    }

    /// The exception that all reading ends with, None if there is none.
    fn exception<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        if !slf.get().has_own(slf, ATTRIBUTES) {
            return slf.getattr(intern!(py, "_exception")).map(Some);
        }
        Ok(slf.get()._exception(py).map(|error| error.into_bound(py)))
    }

    /// Has all reading end with this exception; who waits gets it at once.
    fn set_exception(slf: &Bound<'_, Self>, exc: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        if !slf.get().has_own(slf, ATTRIBUTES) {
            return borrowed::call(names::stream_reader(py)?, "set_exception", (slf, exc));
        }
        let error = Some(exc.clone()).filter(|exc| !exc.is_none());
        slf.get().set_exception_attribute(py, error);
        match slf.get().take_waiter(py) {
            Some(waiter) if !waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()? => {
                waiter.call_method1(intern!(py, "set_exception"), (exc,)).map(drop)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Says where the bytes come from; once.
    fn set_transport(slf: &Bound<'_, Self>, transport: Bound<'_, PyAny>) -> PyResult<()> {
        let this = slf.get();
        if !this.has_own(slf, ATTRIBUTES) {
            let class = names::stream_reader(slf.py())?;
            return borrowed::call(class, "set_transport", (slf, transport));
        }
        if this.state.with(slf.py(), |state| state.transport.is_some()) {
            return Err(PyAssertionError::with_text("Transport already set"));
        }
        this.set_transport_attribute(slf.py(), Some(transport));
        Ok(())
    }

    /// No more bytes will come.
    pub(crate) fn feed_eof(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if !slf.get().has_own(slf, ATTRIBUTES) {
            return borrowed::call(names::stream_reader(py)?, "feed_eof", (slf,));
        }
        slf.get().state.with(py, |state| state.is_eof = true);
        StreamReader::wake(slf)
    }

    /// True if no more bytes will come and all were read.
    fn at_eof<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        if !this.has_own(slf, ATTRIBUTES) {
            return names::stream_reader(py)?.call_method1(intern!(py, "at_eof"), (slf,));
        }
        let is_at_eof = this.is_eof(py) && this.buffer.len(py) == 0;
        Ok(PyBool::new(py, is_at_eof).to_owned().into_any())
    }

    /// Bytes have come.
    fn feed_data(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if !this.has_own(slf, ATTRIBUTES) {
            return borrowed::call(names::stream_reader(py)?, "feed_data", (slf, data));
        }
        if let Ok(bytes) = data.cast_exact::<PyBytes>() {
            return StreamReader::feed(slf, bytes);
        }
        this.check_not_eof(py)?;
        if !data.is_truthy()? {
            return Ok(());
        }
        // Whatever a bytearray can be extended with.
        let copy = make::bytearray(py, &[])?;
        copy.call_method1(intern!(py, "extend"), (data,))?;
        StreamReader::feed(slf, &make::bytes(py, &copy.to_vec())?)
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// The next line; StopAsyncIteration at the end.
    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if slf.get().has_own(slf, NEXT) {
            return new_coroutine(py, Read::new(slf, Next::default()));
        }
        names::stream_reader(py)?.call_method1(intern!(py, "__anext__"), (slf,))
    }

    /// asyncio's name for what has come and was not read: a bytearray, which may be changed.
    #[getter]
    fn _buffer<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyByteArray>> {
        self.buffer.expose(py)
    }

    #[setter(_buffer)]
    fn set_buffer(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(bytearray) = value.cast::<PyByteArray>() else {
            let kind = value.get_type().name()?;
            return Err(PyTypeError::with_text(format!("_buffer must be a bytearray, not {kind}")));
        };
        self.buffer.replace(value.py(), bytearray.clone());
        Ok(())
    }

    #[getter]
    fn _limit(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.limit_object.as_ref().map(|limit| limit.clone_ref(py)))
    }

    /// Sets the limit in bytes. Any number will do; what is not an integer is asyncio's to compare.
    #[setter(_limit)]
    fn set_limit(&self, limit: &Bound<'_, PyAny>) {
        let py = limit.py();
        let number = limit.extract::<usize>();
        if number.is_err() {
            self.replaced.fetch_or(ODD_LIMIT.bits(), Ordering::Relaxed);
        }
        let object = limit.clone().unbind();
        let old = self.state.with(py, |state| {
            state.limit = number.unwrap_or(usize::MAX);
            state.limit_object.replace(object)
        });
        drop(old);
    }

    #[getter]
    fn _eof(&self, py: Python<'_>) -> bool {
        self.is_eof(py)
    }

    #[setter(_eof)]
    fn set_eof(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let is_eof = value.is_truthy()?;
        self.state.with(value.py(), |state| state.is_eof = is_eof);
        Ok(())
    }

    #[getter]
    fn _paused(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_paused)
    }

    #[setter(_paused)]
    fn set_paused(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let is_paused = value.is_truthy()?;
        self.state.with(value.py(), |state| state.is_paused = is_paused);
        Ok(())
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.looop.as_ref().map(|looop| looop.clone_ref(py)))
    }

    #[setter(_loop)]
    fn set_loop(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) {
        let new = value.map(Bound::unbind);
        drop(self.state.with(py, |state| std::mem::replace(&mut state.looop, new)));
    }

    #[getter]
    fn _exception(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.exception.as_ref().map(|error| error.clone_ref(py)))
    }

    #[setter(_exception)]
    fn set_exception_attribute(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) {
        let new = value.map(Bound::unbind);
        drop(self.state.with(py, |state| std::mem::replace(&mut state.exception, new)));
    }

    #[getter]
    fn _waiter(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.waiter.as_ref().map(|waiter| waiter.clone_ref(py)))
    }

    #[setter(_waiter)]
    fn set_waiter(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) {
        let new = value.map(Bound::unbind);
        drop(self.state.with(py, |state| std::mem::replace(&mut state.waiter, new)));
    }

    #[getter]
    fn _transport(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.with(py, |state| state.transport.as_ref().map(|it| it.clone_ref(py)))
    }

    #[setter(_transport)]
    fn set_transport_attribute(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) {
        let new = value.map(Bound::unbind);
        drop(self.state.with(py, |state| std::mem::replace(&mut state.transport, new)));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.buffer.traverse(&visit)?;
        self.state
            .try_with(python_of(&visit), |state| {
                let State { looop, limit_object, exception, waiter, transport, .. } = state;
                [looop, limit_object, exception, waiter, transport]
                    .into_iter()
                    .flatten()
                    .try_for_each(|object| visit.call(&*object))
            })
            .unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        self.buffer.clear(py);
        drop(self.state.with(py, std::mem::take));
    }
}

impl StreamReader {
    /// What in this reader is not what is written here.
    #[inline]
    fn replaced(&self, slf: &Bound<'_, Self>) -> Names {
        let of_instance = Names::from_bits(self.replaced.load(Ordering::Relaxed));
        STEPS.replaced_in(slf.as_any()).and(of_instance)
    }

    /// Are all of these in this reader what is written here?
    #[inline]
    pub(super) fn has_own(&self, slf: &Bound<'_, Self>, names: Names) -> bool {
        !self.replaced(slf).has_any_of(names)
    }

    /// May it be fed by [`feed`](StreamReader::feed), without calling anything of the program's?
    #[inline]
    pub(super) fn is_fed_plainly(&self, slf: &Bound<'_, Self>) -> bool {
        self.has_own(slf, FED)
    }

    /// Is its exception what `exception()` returns?
    pub(super) fn has_plain_exception(&self, slf: &Bound<'_, Self>) -> bool {
        self.has_own(slf, EXCEPTION)
    }

    pub(super) fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    pub(super) fn is_eof(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| state.is_eof)
    }

    /// In bytes.
    pub(super) fn limit(&self, py: Python<'_>) -> usize {
        self.state.with(py, |state| state.limit)
    }

    /// Raises what `set_exception` was called with.
    pub(super) fn check_exception(&self, py: Python<'_>) -> PyResult<()> {
        match self._exception(py) {
            None => Ok(()),
            Some(error) => Err(raised(error.into_bound(py))),
        }
    }

    fn check_not_eof(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_eof(py) {
            return Err(PyAssertionError::with_text("feed_data after feed_eof"));
        }
        Ok(())
    }

    /// `feed_data`, of bytes.
    pub(crate) fn feed(slf: &Bound<'_, Self>, bytes: &Bound<'_, PyBytes>) -> PyResult<()> {
        let py = bytes.py();
        let this = slf.get();
        this.check_not_eof(py)?;
        if bytes.as_bytes().is_empty() {
            return Ok(());
        }
        this.buffer.push(bytes)?;
        StreamReader::wake(slf)?;
        let len = this.buffer.len(py);
        let transport = this.state.with(py, |state| {
            let is_too_much = !state.is_paused && len > state.limit.saturating_mul(2);
            if is_too_much { state.transport.as_ref().map(|it| it.clone_ref(py)) } else { None }
        });
        let Some(transport) = transport else { return Ok(()) };
        match lower::pause_reading(transport.bind(py)) {
            Ok(()) => {
                this.state.with(py, |state| state.is_paused = true);
                Ok(())
            }
            // It cannot be paused: all has to be kept, and it need not be asked again.
            Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => {
                this.set_transport_attribute(py, None);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn take_waiter<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.with(py, |state| state.waiter.take()).map(|waiter| waiter.into_bound(py))
    }

    /// `_wakeup_waiter`, whoever's method that is.
    fn wake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if !this.has_own(slf, WAKEUP_WAITER) {
            return slf.call_method0(intern!(py, "_wakeup_waiter")).map(drop);
        }
        let Some(waiter) = this.take_waiter(py) else { return Ok(()) };
        if state::is_done(&waiter)? && waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
            return Ok(());
        }
        state::set_result(&waiter, &py.None().into_bound(py))
    }

    /// `_maybe_resume_transport`, whoever's method that is: goes on receiving if there is room again.
    #[inline]
    pub(super) fn maybe_resume(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if !this.has_own(slf, MAYBE_RESUME) {
            return slf.call_method0(intern!(py, "_maybe_resume_transport")).map(drop);
        }
        let limit = this.state.with(py, |state| state.is_paused.then_some(state.limit));
        match limit {
            Some(limit) if this.buffer.len(py) <= limit => this.resume(py),
            Some(_) | None => Ok(()),
        }
    }

    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        self.state.with(py, |state| state.is_paused = false);
        lower::resume_reading(self._transport(py).into_pyobject(py)?.as_any())
    }

    /// The beginning of `_wait_for_data`; [`end_wait`](StreamReader::end_wait) is for its end.
    pub(super) fn begin_wait(&self, py: Python<'_>, method: &str) -> PyResult<Waiter> {
        if self.state.with(py, |state| state.waiter.is_some()) {
            return Err(PyRuntimeError::with_text(format!(
                "{method}() called while another coroutine is already waiting for incoming data"
            )));
        }
        // Waiting while nothing is received would be for ever.
        if self.state.with(py, |state| state.is_paused) {
            self.resume(py)?;
        }
        let looop = self._loop(py).into_pyobject(py)?;
        let future = create_future(&looop)?;
        self.set_waiter(py, Some(future.clone()));
        Ok(Waiter::of(&future))
    }

    /// What `_wait_for_data` of the program's own returns, if there is one.
    pub(super) fn own_wait<'py>(
        slf: &Bound<'py, Self>,
        method: &str,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if slf.get().has_own(slf, WAIT_FOR_DATA) {
            return Ok(None);
        }
        slf.call_method1(intern!(slf.py(), "_wait_for_data"), (method,)).map(Some)
    }

    pub(super) fn end_wait(&self, py: Python<'_>) {
        drop(self.take_waiter(py));
    }
}
