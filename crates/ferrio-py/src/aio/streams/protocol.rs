//! `StreamReaderProtocol`: from a transport to a reader.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{
    PyBytes, PyDict, PyModule, PyString, PyTuple, PyWeakrefMethods, PyWeakrefReference,
};

use super::StreamReader;
use crate::ffi::call::{call_method1, python_of, set_attribute};
use crate::ffi::class::{self, chained};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::overrides::{Methods, Names};
use crate::ffi::refusal;
use crate::names;

/// What our transports and writers use without asking for it by its name.
const STEP_NAMES: &[&str] = &[
    "_connection_lost",
    "_drain_helper",
    "_paused",
    "_stream_reader",
    "_stream_reader_wr",
    "data_received",
];
static STEPS: Methods = Methods::new(STEP_NAMES);
const DRAINING: Names = Names::of(STEP_NAMES, &["_connection_lost", "_drain_helper", "_paused"]);
const READER: Names = Names::of(STEP_NAMES, &["_stream_reader", "_stream_reader_wr"]);
/// What is set through our setters, or through what a subclass has in their place.
const ATTRIBUTES: Names =
    Names::of(STEP_NAMES, &["_connection_lost", "_paused", "_stream_reader_wr"]);
const RECEIVING: Names = READER.and(Names::of(STEP_NAMES, &["data_received"]));

/// Gives a reader what a transport has received, and tells writers when to wait.
#[pyclass(module = "ferrio", subclass, frozen, weakref)]
pub(crate) struct StreamReaderProtocol {
    /// What this very protocol has of its own, as [`Names`].
    replaced: AtomicU32,
    is_paused: AtomicBool,
    is_lost: AtomicBool,
    is_over_tls: AtomicBool,
    /// A weak reference: whoever drops the reader drops what would be read.
    reader: GilCell<Option<Py<PyAny>>>,
}

chained!(StreamReaderProtocol);

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    refusal::add_class::<StreamReaderProtocol>(module)?;
    class::chain::<StreamReaderProtocol>(module.py());
    let ours = py.get_type::<StreamReaderProtocol>();
    STEPS.remember(py, &[ours.as_any(), names::stream_reader_protocol(py)?])
}

#[pymethods]
impl StreamReaderProtocol {
    /// Takes whatever a subclass is made with; asyncio's `__init__` says what a protocol is made
    /// with.
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> StreamReaderProtocol {
        let _ = (args, kwargs);
        StreamReaderProtocol {
            replaced: AtomicU32::new(0),
            is_paused: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            is_over_tls: AtomicBool::new(false),
            reader: GilCell::new(None),
        }
    }

    /// As for any object; a `data_received` or the like of the program's own is taken note of.
    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        value: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
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

    /// Gives the reader what was received.
    fn data_received(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let Some(reader) = slf.get().reader(slf)? else { return Ok(()) };
        call_method1(py, reader.as_unbound(), intern!(py, "feed_data"), data).map(drop)
    }

    /// Tells the reader. Over TLS, the connection is closed then.
    fn eof_received(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        if let Some(reader) = slf.get().reader(slf)? {
            reader.call_method0(intern!(py, "feed_eof"))?;
        }
        Ok(!slf.get().is_over_tls.load(Ordering::Relaxed))
    }

    #[getter]
    fn _paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    #[setter(_paused)]
    fn set_paused(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.is_paused.store(value.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }

    #[getter]
    fn _connection_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    #[setter(_connection_lost)]
    fn set_connection_lost(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.is_lost.store(value.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }

    #[getter]
    fn _over_ssl(&self) -> bool {
        self.is_over_tls.load(Ordering::Relaxed)
    }

    #[setter(_over_ssl)]
    fn set_over_ssl(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.is_over_tls.store(value.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }

    #[getter]
    fn _stream_reader_wr(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.reader.with(py, |reader| reader.as_ref().map(|reader| reader.clone_ref(py)))
    }

    #[setter(_stream_reader_wr)]
    fn set_stream_reader_wr(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) {
        let new = value.map(Bound::unbind);
        drop(self.reader.with(py, |reader| std::mem::replace(reader, new)));
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.reader.try_with(python_of(&visit), |reader| visit.call(&*reader)).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.reader.with(py, Option::take));
    }
}

impl StreamReaderProtocol {
    /// The protocol, if it is one of ours that does with what it receives what is written here.
    #[inline]
    pub(crate) fn plain<'a, 'py>(
        object: &'a Bound<'py, PyAny>,
    ) -> Option<&'a Bound<'py, StreamReaderProtocol>> {
        let ours = object.cast::<StreamReaderProtocol>().ok()?;
        ours.get().has_own(ours, RECEIVING).then_some(ours)
    }

    /// The protocol, if it is one of ours that has writers wait as is written here.
    pub(super) fn draining<'a, 'py>(
        object: &'a Bound<'py, PyAny>,
    ) -> Option<&'a Bound<'py, StreamReaderProtocol>> {
        let ours = object.cast::<StreamReaderProtocol>().ok()?;
        ours.get().has_own(ours, DRAINING).then_some(ours)
    }

    /// Are all of these in this protocol what is written here?
    #[inline]
    fn has_own(&self, slf: &Bound<'_, Self>, names: Names) -> bool {
        let of_instance = Names::from_bits(self.replaced.load(Ordering::Relaxed));
        !STEPS.replaced_in(slf.as_any()).and(of_instance).has_any_of(names)
    }

    /// `data_received`, of a plain protocol.
    pub(crate) fn feed(slf: &Bound<'_, Self>, data: &Bound<'_, PyBytes>) -> PyResult<()> {
        match StreamReaderProtocol::plain_reader(slf) {
            Some(reader) => StreamReader::feed(&reader, data),
            None => StreamReaderProtocol::data_received(slf, data.as_any()),
        }
    }

    /// The reader, if both it and the protocol do nothing else than what is written here: then no
    /// Python code runs when it is fed.
    #[inline]
    pub(crate) fn plain_reader<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, StreamReader>> {
        let reference = slf.get()._stream_reader_wr(slf.py())?.into_bound(slf.py());
        let reader = reference.cast::<PyWeakrefReference>().ok()?.upgrade()?;
        let reader = reader.cast_into::<StreamReader>().ok()?;
        reader.get().is_fed_plainly(&reader).then_some(reader)
    }

    /// May writers write on?
    pub(super) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// Was `connection_lost` called?
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// `_stream_reader`.
    fn reader<'py>(&self, slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        if self.has_own(slf, READER) {
            return self.weak_reader(py);
        }
        let reader = slf.getattr(intern!(py, "_stream_reader"))?;
        Ok(Some(reader).filter(|reader| !reader.is_none()))
    }

    /// What the weak reference is of, if that is still there.
    fn weak_reader<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(reference) = self._stream_reader_wr(py) else { return Ok(None) };
        let reference = reference.into_bound(py);
        match reference.cast::<PyWeakrefReference>() {
            Ok(weak) => Ok(weak.upgrade()),
            Err(_) => Ok(Some(reference.call0()?).filter(|reader| !reader.is_none())),
        }
    }
}
