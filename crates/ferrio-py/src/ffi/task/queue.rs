//! The ways to a loop's ready queue: straight, if nobody could tell, or by `call_soon`.

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use pyo3::PyTypeInfo;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use crate::event_loop::Loop;
use crate::ffi::make;

/// What is called on a loop of ours without looking it up, where nobody has put something else in
/// its place.
pub(crate) const METHODS: [&str; 5] =
    ["call_soon", "call_later", "call_at", "create_future", "create_task"];

/// The loop, if what is to be scheduled may be pushed onto its queue: one of ours whose
/// [`METHODS`] are ours, open and not in debug mode. On any other, they have to be called.
///
/// # Safety
/// Attached; `looop` is alive for `'a`.
#[inline]
pub(crate) unsafe fn direct<'a>(py: Python<'_>, looop: *mut ffi::PyObject) -> Option<&'a Loop> {
    // SAFETY: passed on.
    unsafe {
        if !inherits(py, ffi::Py_TYPE(looop)) {
            return None;
        }
        let this: &'a Loop = Borrowed::from_ptr(py, looop).cast_unchecked::<Loop>().get();
        (this.takes_plain_callbacks() && !this.has_own_methods()).then_some(this)
    }
}

/// Are the [`METHODS`] of a loop of ours not ours?
#[inline]
pub(crate) fn are_replaced(looop: &Bound<'_, Loop>) -> bool {
    // SAFETY: the type of a live object.
    unsafe { looop.get().has_own_methods() || !inherits(looop.py(), ffi::Py_TYPE(looop.as_ptr())) }
}

/// Does the class inherit our [`METHODS`]?
///
/// # Safety
/// Attached; the class is alive.
#[inline]
unsafe fn inherits(py: Python<'_>, ty: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: passed on; a class is changed together with its tag.
    unsafe {
        let tag = (*ty).tp_version_tag;
        let is_known =
            tag != 0 && ty == KNOWN.load(Ordering::Relaxed) && tag == TAG.load(Ordering::Relaxed);
        is_known || verify(py, ty)
    }
}

/// [`direct`], for a loop that is held: the loop as one of ours.
#[inline]
pub(crate) fn direct_loop<'a, 'py>(looop: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, Loop>> {
    // SAFETY: attached; alive as long as the reference; it is one of ours if it is found to be.
    unsafe { direct(looop.py(), looop.as_ptr()).map(|_| looop.cast_unchecked::<Loop>()) }
}

/// The class of loops seen last, and its version: of any change to it or to its bases CPython says
/// so by another one.
static KNOWN: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(std::ptr::null_mut());
static TAG: AtomicU32 = AtomicU32::new(0);

/// [`inherits`], looked up.
#[cold]
fn verify(py: Python<'_>, ty: *mut ffi::PyTypeObject) -> bool {
    let base = Loop::type_object(py);
    // SAFETY: attached; two live types, one of which is a loop's.
    unsafe {
        if ffi::PyType_IsSubtype(ty, base.as_type_ptr()) == 0 {
            return false;
        }
        let class = Borrowed::from_ptr(py, ty.cast());
        for name in METHODS {
            let (Ok(theirs), Ok(ours)) = (class.getattr(name), base.getattr(name)) else {
                return false;
            };
            if !theirs.is(&ours) {
                return false;
            }
        }
        KNOWN.store(ty, Ordering::Relaxed);
        TAG.store((*ty).tp_version_tag, Ordering::Relaxed);
        true
    }
}

/// `loop.call_soon(callback, [argument], context=context)`.
pub(crate) fn call_soon(
    looop: &Bound<'_, PyAny>,
    callback: &Bound<'_, PyAny>,
    argument: Option<&Bound<'_, PyAny>>,
    context: &Bound<'_, PyAny>,
) -> PyResult<()> {
    static NAMES: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    let py = looop.py();
    let names = NAMES
        .get_or_try_init(py, || make::tuple(py, [intern!(py, "context")]).map(Bound::unbind))?;
    let mut values = vec![looop.as_ptr(), callback.as_ptr()];
    values.extend(argument.map(Bound::as_ptr));
    let positional = values.len();
    values.push(context.as_ptr());
    // SAFETY: attached; a vector of live objects, the last of which is the one keyword's value.
    unsafe {
        let result = ffi::PyObject_VectorcallMethod(
            intern!(py, "call_soon").as_ptr(),
            values.as_ptr(),
            positional,
            names.as_ptr(),
        );
        Bound::from_owned_ptr_or_err(py, result).map(drop)
    }
}
