//! The ways to a loop's ready queue: straight, if nobody could tell, or by `call_soon`.

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use pyo3::PyTypeInfo;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

use crate::event_loop::Loop;
use crate::ffi::interned::intern;
use crate::ffi::make;

/// What is called on a loop of ours without looking it up, where nobody has put something else in
/// its place.
pub(crate) const METHODS: [&str; 5] =
    ["call_soon", "call_later", "call_at", "create_future", "create_task"];

/// The loop, if what is to be scheduled may be pushed onto its queue: one of ours whose
/// [`METHODS`] are ours, open and not in debug mode. On any other, they have to be called.
#[inline]
pub(crate) fn direct_loop<'a, 'py>(looop: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, Loop>> {
    if !inherits(looop) {
        return None;
    }
    // SAFETY: a loop of ours, by its class.
    let ours = unsafe { looop.cast_unchecked::<Loop>() };
    let this = ours.get();
    (this.takes_plain_callbacks() && !this.has_own_methods()).then_some(ours)
}

/// Are the [`METHODS`] of a loop of ours not ours?
#[inline]
pub(crate) fn are_replaced(looop: &Bound<'_, Loop>) -> bool {
    looop.get().has_own_methods() || !inherits(looop.as_any())
}

/// Is it a loop of ours whose class has our [`METHODS`]?
#[inline]
fn inherits(looop: &Bound<'_, PyAny>) -> bool {
    let class = looop.get_type_ptr();
    // SAFETY: the type of a live object; a class is changed together with its tag.
    let tag = unsafe { (*class).tp_version_tag };
    let is_known =
        tag != 0 && class == KNOWN.load(Ordering::Relaxed) && tag == TAG.load(Ordering::Relaxed);
    is_known || verify(&looop.get_type())
}

/// The class of loops seen last, and its version: of any change to it or to its bases CPython says
/// so by another one.
static KNOWN: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(std::ptr::null_mut());
static TAG: AtomicU32 = AtomicU32::new(0);

/// [`inherits`], looked up as `loop.call_soon` is: in the classes, of which a metaclass knows
/// nothing, unless one of them has a say in each look-up.
#[cold]
fn verify(class: &Bound<'_, PyType>) -> bool {
    let py = class.py();
    let base = Loop::type_object(py);
    let (ours, theirs) = (base.as_type_ptr(), class.as_type_ptr());
    // SAFETY: attached; two types that are held. What is found is only compared, since a look-up may
    // run code of the program's, whose class has keys of its own kind.
    unsafe {
        let getattro = |class: *mut ffi::PyTypeObject| (*class).tp_getattro.map(|f| f as usize);
        if ffi::PyType_IsSubtype(theirs, ours) == 0 || getattro(theirs) != getattro(ours) {
            return false;
        }
        let tag = (*theirs).tp_version_tag;
        for name in METHODS {
            let Ok(name) = make::text(py, name) else { return false };
            let found = _PyType_Lookup(theirs, name.as_ptr());
            if found.is_null() || found != _PyType_Lookup(ours, name.as_ptr()) {
                return false;
            }
        }
        // The first look-up gives a class its tag.
        if tag == 0 || tag == (*theirs).tp_version_tag {
            KNOWN.store(theirs, Ordering::Relaxed);
            TAG.store((*theirs).tp_version_tag, Ordering::Relaxed);
        }
        true
    }
}

unsafe extern "C" {
    // What `object.__getattribute__` finds in the classes: a borrowed reference or NULL, with no
    // error set. Exported by every CPython (Include/cpython/object.h); pyo3-ffi has not got it.
    fn _PyType_Lookup(
        class: *mut ffi::PyTypeObject,
        name: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
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
