//! Proof that an object is a task of exactly our type, whose fields are used by their offsets.

use std::ops::Deref;

use pyo3::ffi;
use pyo3::prelude::*;

use crate::ffi::future::Types;

/// A task of ours. No subclass: that has a step of asyncio's. Its class cannot be changed
/// afterwards, for ours is immutable, and stays what it is for good.
pub(crate) struct OwnTask(Py<PyAny>);

/// One that is held where the thread is attached.
pub(crate) struct BoundTask<'py>(Bound<'py, PyAny>);

impl OwnTask {
    pub(crate) fn into_bound(self, py: Python<'_>) -> BoundTask<'_> {
        BoundTask(self.0.into_bound(py))
    }

    /// For whoever takes it as any object.
    pub(crate) fn object(&self) -> &Py<PyAny> {
        &self.0
    }
}

impl<'py> BoundTask<'py> {
    /// A new one, all of whose fields are zero.
    pub(super) fn new(py: Python<'py>, types: &Types) -> PyResult<BoundTask<'py>> {
        // SAFETY: attached; our type is alive.
        let object = unsafe {
            let object = ffi::PyType_GenericAlloc(types.task, 0);
            Bound::from_owned_ptr_or_err(py, object)?
        };
        Ok(BoundTask(object))
    }

    /// The object, if it is one.
    #[inline]
    pub(super) fn of(types: &Types, object: Bound<'py, PyAny>) -> Option<BoundTask<'py>> {
        (object.get_type_ptr() == types.task).then_some(BoundTask(object))
    }

    pub(crate) fn unbind(self) -> OwnTask {
        OwnTask(self.0.unbind())
    }

    pub(crate) fn into_object(self) -> Bound<'py, PyAny> {
        self.0
    }
}

impl Clone for BoundTask<'_> {
    fn clone(&self) -> Self {
        BoundTask(self.0.clone())
    }
}

impl<'py> Deref for BoundTask<'py> {
    type Target = Bound<'py, PyAny>;

    fn deref(&self) -> &Bound<'py, PyAny> {
        &self.0
    }
}
