//! The future that `gather` returns: asyncio's `_GatheringFuture`, which cancels its children.
//!
//! Its class is written in Python (`python/ferrio/aio/_tasks.py`), for `cancel` is called rarely. It
//! has two slots and is made here, past `__init__`.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::{fields, types};
use crate::error::WithText;
use crate::ffi::interned::intern;
use crate::ffi::slots::own_slot;

/// The class, and where its instances keep what is in their slots.
pub(crate) struct Slots {
    class: Py<PyType>,
    children: usize,
    cancel_requested: usize,
}

impl Slots {
    pub(super) fn of(class: &Bound<'_, PyType>) -> PyResult<Slots> {
        let py = class.py();
        let is_subclass = types(py).is_some_and(|types| {
            // SAFETY: live classes.
            unsafe { ffi::PyType_IsSubtype(class.as_type_ptr(), types.future) != 0 }
        });
        if !is_subclass {
            return Err(PyTypeError::with_text("not a subclass of ferrio.Future"));
        }
        Ok(Slots {
            class: class.clone().unbind(),
            children: own_slot(class, "_children")?,
            cancel_requested: own_slot(class, "_cancel_requested")?,
        })
    }

    /// A pending future of this loop, with the list of its children.
    pub(crate) fn new_future<'py>(
        &self,
        looop: &Bound<'py, PyAny>,
        children: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = looop.py();
        let Some(types) = types(py) else {
            return Err(PyTypeError::with_text("there are no futures of ferrio's here"));
        };
        // SAFETY: attached; a new instance of a subclass of ours, whose fields are all zero, as are
        // its slots; each is filled with a reference of its own.
        unsafe {
            let object = ffi::PyType_GenericAlloc(self.class.as_ptr().cast(), 0);
            let future = Bound::from_owned_ptr_or_err(py, object)?;
            fields::put(object, types.layout.looop, ffi::Py_NewRef(looop.as_ptr()));
            fields::put(object, self.children, children.into_ptr());
            fields::put(object, self.cancel_requested, ffi::Py_NewRef(ffi::Py_False()));
            Ok(future)
        }
    }

    /// Has it been cancelled by way of its children?
    pub(crate) fn is_cancel_requested(&self, future: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = future.py();
        if !future.get_type().is(&self.class) {
            return future.getattr(intern!(py, "_cancel_requested"))?.is_truthy();
        }
        // SAFETY: an instance of the class; the slot is NULL where the program has deleted it.
        let value = unsafe {
            let value = fields::get(future.as_ptr(), self.cancel_requested);
            Bound::from_borrowed_ptr_or_opt(py, value)
        };
        value.map_or(Ok(false), |value| value.is_truthy())
    }
}
