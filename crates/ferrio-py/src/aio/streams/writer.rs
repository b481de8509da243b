//! `StreamWriter`: a transport, with something to wait for.

use pyo3::exceptions::{PyAssertionError, PyAttributeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyTuple};

use super::{drain, lower};
use crate::error::WithText;
use crate::ffi::call::python_of;
use crate::ffi::class::{self, chained};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make::Returned;
use crate::ffi::overrides::Methods;
use crate::ffi::refusal;
use crate::names;

/// Bytes for a transport, and coroutines that wait until they are on their way.
#[pyclass(module = "ferrio", subclass, frozen, weakref)]
pub(crate) struct StreamWriter(GilCell<State>);

/// All of it None until `__init__` was called.
#[derive(Default)]
struct State {
    transport: Option<Py<PyAny>>,
    protocol: Option<Py<PyAny>>,
    /// May be None for good.
    reader: Option<Py<PyAny>>,
    looop: Option<Py<PyAny>>,
    /// Made when somebody asks for it.
    complete: Option<Py<PyAny>>,
}

chained!(StreamWriter);

/// What asyncio's methods find by name, and a subclass may have a property for.
static FIELDS: Methods = Methods::new(&["_transport", "_protocol", "_reader", "_loop"]);

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    refusal::add_class::<StreamWriter>(module)?;
    class::chain::<StreamWriter>(module.py());
    names::stream_writer(py)?;
    FIELDS.remember(py, &[py.get_type::<StreamWriter>().as_any()])?;
    drain::install(py)
}

#[pymethods]
impl StreamWriter {
    /// Takes whatever a subclass is made with; `__init__` says what a writer is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(transport, protocol, reader, loop)")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> StreamWriter {
        let _ = (args, kwargs);
        StreamWriter(GilCell::default())
    }

    /// A writer over a transport. `drain` raises the reader's exception, if there is a reader.
    fn __init__(
        slf: &Bound<'_, Self>,
        transport: Bound<'_, PyAny>,
        protocol: Bound<'_, PyAny>,
        reader: Bound<'_, PyAny>,
        r#loop: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let has_own_fields = FIELDS.are_of(slf);
        // Even an instance that is refused says when it is collected whether it was closed.
        if has_own_fields {
            this.set_transport(py, Some(transport));
            this.set_protocol(py, Some(protocol));
        } else {
            slf.setattr(intern!(py, "_transport"), transport)?;
            slf.setattr(intern!(py, "_protocol"), protocol)?;
        }
        if !reader.is_none() && !reader.is_instance(names::stream_reader(py)?)? {
            return Err(PyAssertionError::new_err(()));
        }
        if has_own_fields {
            this.set_reader(py, Some(reader).filter(|reader| !reader.is_none()));
            this.set_loop(py, Some(r#loop));
            return Ok(());
        }
        slf.setattr(intern!(py, "_reader"), reader)?;
        slf.setattr(intern!(py, "_loop"), r#loop)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let transport = StreamWriter::transport(slf)?;
        let mut text = format!("<{} transport={}", slf.get_type().name()?, transport.repr()?);
        if let Some(reader) = StreamWriter::reader(slf)? {
            text += &format!(" reader={}", reader.repr()?);
        }
        Ok(Returned(text + ">"))
    }

    /// The transport.
    #[getter]
    pub(super) fn transport<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match FIELDS.are_of(slf) {
            true => slf.get()._transport(slf.py()),
            false => slf.getattr(intern!(slf.py(), "_transport")),
        }
    }

    /// Sends bytes, without waiting: see `drain`.
    fn write(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        lower::write(&StreamWriter::transport(slf)?, data)
    }

    /// Sends each of an iterable of bytes.
    fn writelines(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = data.py();
        StreamWriter::transport(slf)?.call_method1(intern!(py, "writelines"), (data,)).map(drop)
    }

    /// Ends the sending side once all is sent.
    fn write_eof<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        StreamWriter::transport(slf)?.call_method0(intern!(slf.py(), "write_eof"))
    }

    /// Whether the transport can do that.
    fn can_write_eof<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        StreamWriter::transport(slf)?.call_method0(intern!(slf.py(), "can_write_eof"))
    }

    /// Closes the transport once all is sent: see `wait_closed`.
    fn close<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        StreamWriter::transport(slf)?.call_method0(intern!(slf.py(), "close"))
    }

    /// True once it was closed or lost.
    fn is_closing<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        StreamWriter::transport(slf)?.call_method0(intern!(slf.py(), "is_closing"))
    }

    /// What the transport knows under this name.
    #[pyo3(signature = (name, default=None))]
    fn get_extra_info<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        StreamWriter::transport(slf)?.call_method1(intern!(py, "get_extra_info"), (name, default))
    }

    #[getter]
    fn _transport<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let transport =
            self.0.with(py, |state| state.transport.as_ref().map(|it| it.clone_ref(py)));
        transport.map(|it| it.into_bound(py)).ok_or_else(|| no_attribute("_transport"))
    }

    #[setter(_transport)]
    fn set_transport(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) {
        let new = value.map(Bound::unbind);
        drop(self.0.with(py, |state| std::mem::replace(&mut state.transport, new)));
    }

    #[getter]
    fn _protocol<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let protocol = self.0.with(py, |state| state.protocol.as_ref().map(|it| it.clone_ref(py)));
        protocol.map(|it| it.into_bound(py)).ok_or_else(|| no_attribute("_protocol"))
    }

    #[setter(_protocol)]
    fn set_protocol(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) {
        let new = value.map(Bound::unbind);
        drop(self.0.with(py, |state| std::mem::replace(&mut state.protocol, new)));
    }

    #[getter]
    fn _reader(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.0.with(py, |state| state.reader.as_ref().map(|reader| reader.clone_ref(py)))
    }

    #[setter(_reader)]
    fn set_reader(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) {
        let new = value.map(Bound::unbind);
        drop(self.0.with(py, |state| std::mem::replace(&mut state.reader, new)));
    }

    #[getter]
    fn _loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let looop = self.0.with(py, |state| state.looop.as_ref().map(|it| it.clone_ref(py)));
        looop.map(|it| it.into_bound(py)).ok_or_else(|| no_attribute("_loop"))
    }

    #[setter(_loop)]
    fn set_loop(&self, py: Python<'_>, value: Option<Bound<'_, PyAny>>) {
        let new = value.map(Bound::unbind);
        drop(self.0.with(py, |state| std::mem::replace(&mut state.looop, new)));
    }

    /// A future that is done, which asyncio has no use for any more.
    #[getter]
    fn _complete_fut<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(made) =
            self.0.with(py, |state| state.complete.as_ref().map(|it| it.clone_ref(py)))
        {
            return Ok(made.into_bound(py));
        }
        let future = self._loop(py)?.call_method0(intern!(py, "create_future"))?;
        future.call_method1(intern!(py, "set_result"), (py.None(),))?;
        let kept = future.clone().unbind();
        drop(self.0.with(py, |state| state.complete.replace(kept)));
        Ok(future)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0
            .try_with(python_of(&visit), |state| {
                let State { transport, protocol, reader, looop, complete } = state;
                [transport, protocol, reader, looop, complete]
                    .into_iter()
                    .flatten()
                    .try_for_each(|object| visit.call(&*object))
            })
            .unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.0.with(py, std::mem::take));
    }
}

impl StreamWriter {
    /// `self._protocol`.
    pub(super) fn protocol<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match FIELDS.are_of(slf) {
            true => slf.get()._protocol(slf.py()),
            false => slf.getattr(intern!(slf.py(), "_protocol")),
        }
    }

    /// `self._reader`.
    pub(super) fn reader<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        if FIELDS.are_of(slf) {
            return Ok(slf.get()._reader(py).map(|reader| reader.into_bound(py)));
        }
        Ok(Some(slf.getattr(intern!(py, "_reader"))?).filter(|reader| !reader.is_none()))
    }
}

fn no_attribute(name: &str) -> PyErr {
    PyAttributeError::with_text(format!("'StreamWriter' object has no attribute '{name}'"))
}
