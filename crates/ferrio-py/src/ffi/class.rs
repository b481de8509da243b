//! `#[pyclass]`es whose base is one of asyncio's Python classes.
//!
//! `isinstance(transport, asyncio.Transport)` has to hold, `asyncio.Transport` is written in
//! Python and has a slot (`_extra`), and a class cannot inherit from two bases that both have
//! storage. So the native class has to derive from asyncio's directly. PyO3 does that for built-in
//! bases; three things are different when the base was made by a `class` statement:
//!
//! * its size is known only at run time: [`adopt`] compares it with the layout compiled in;
//! * its `tp_dealloc`, `tp_traverse` and `tp_clear` are `subtype_dealloc` and friends, which start
//!   from `Py_TYPE(self)` and call the first different function up the chain: ours, which would
//!   call theirs again, for ever. So ours do the base's work themselves (its slots are plain
//!   `PyObject *` fields behind the header) and never call up;
//! * `tp_finalize` can be had: PyO3's macros have none.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::impl_::pycell::{PyClassObjectBaseLayout, PyStaticClassObject};
use pyo3::impl_::pyclass::{PyClassBaseType, PyClassImpl};
use pyo3::impl_::pyclass_init::PyNativeTypeInitializer;
use pyo3::impl_::pymethods::tp_new_impl;
use pyo3::prelude::*;
use pyo3::pycell::PyBorrowError;
use pyo3::pyclass::boolean_struct::True;
use pyo3::sync::PyOnceLock;
use pyo3::type_object::PyLayout;
use pyo3::types::{PyDict, PyTuple, PyType};
use pyo3::{PyClass, PyTypeInfo, ffi};

use super::trash;

/// Instances of a Python class with `SLOTS` names in the `__slots__` of it and its bases.
#[repr(C)]
pub(crate) struct SlotsLayout<const SLOTS: usize> {
    header: ffi::PyObject,
    slots: [*mut ffi::PyObject; SLOTS],
}

/// One of asyncio's transport classes, as a base: one slot, `_extra` (Lib/asyncio/transports.py).
pub(crate) trait Base:
    PyTypeInfo + PyClassBaseType<Initializer = PyNativeTypeInitializer<Self>>
{
    /// The class, imported at first use.
    fn import(py: Python<'_>) -> PyResult<&Bound<'_, PyType>>;
}

macro_rules! base {
    ($(#[$doc:meta])* $marker:ident, $class:expr) => {
        $(#[$doc])*
        pub(crate) struct $marker(PhantomData<()>);

        impl Base for $marker {
            fn import(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
                static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
                let make: fn(Python<'_>) -> PyResult<Py<PyType>> = $class;
                Ok(CLASS.get_or_try_init(py, || make(py))?.bind(py))
            }
        }

        // SAFETY: `type_object_raw` gives a type that lives as long as the interpreter: a static
        // holds it.
        unsafe impl PyTypeInfo for $marker {
            fn type_object_raw(py: Python<'_>) -> *mut ffi::PyTypeObject {
                match $marker::import(py) {
                    Ok(ty) => ty.as_type_ptr(),
                    // `adopt` imports it first, where an error can be reported.
                    Err(error) => {
                        error.write_unraisable(py, None);
                        &raw mut ffi::PyBaseObject_Type
                    }
                }
            }
        }

        impl PyClassBaseType for $marker {
            type LayoutAsBase = SlotsLayout<1>;
            type BaseNativeType = Self;
            type Initializer = PyNativeTypeInitializer<Self>;
            type PyClassMutability = <PyAny as PyClassBaseType>::PyClassMutability;
            type Layout<T: PyClassImpl> = PyStaticClassObject<T>;
        }

        // SAFETY: `adopt` compares the sizes before the first instance is made.
        unsafe impl PyLayout<$marker> for SlotsLayout<1> {}

        impl PyClassObjectBaseLayout<$marker> for SlotsLayout<1> {
            fn ensure_threadsafe(&self) {}

            fn check_threadsafe(&self) -> Result<(), PyBorrowError> {
                Ok(())
            }

            unsafe fn tp_dealloc(_py: Python<'_>, slf: *mut ffi::PyObject) {
                // SAFETY: called last in the life of an instance whose layout begins with this one.
                unsafe {
                    let object = slf.cast::<Self>();
                    clear_slots(&mut (*object).slots);
                    free(slf);
                }
            }
        }
    };
}

base!(
    /// `asyncio.Transport`.
    AsyncioTransport, |py| of_asyncio(py, "Transport")
);
base!(
    /// `asyncio.ReadTransport`.
    AsyncioReadTransport, |py| of_asyncio(py, "ReadTransport")
);

base!(
    /// Both `asyncio.Transport` and `asyncio.DatagramTransport`, as asyncio's own has it.
    AsyncioDatagramTransport, |py| {
        let bases = (of_asyncio(py, "Transport")?, of_asyncio(py, "DatagramTransport")?);
        let namespace = PyDict::new(py);
        namespace.set_item("__slots__", PyTuple::empty(py))?;
        namespace.set_item("__module__", "ferrio")?;
        let class = py.get_type::<PyType>().call1(("BaseDatagramTransport", bases, namespace))?;
        Ok(class.cast_into::<PyType>()?.unbind())
    }
);

/// A class of `asyncio.transports`.
fn of_asyncio(py: Python<'_>, name: &str) -> PyResult<Py<PyType>> {
    let class = py.import("asyncio.transports")?.getattr(name)?;
    Ok(class.cast_into::<PyType>()?.unbind())
}

/// Where PyO3's own `tp_dealloc` of an adopted class is kept.
pub(crate) type Dealloc = PyOnceLock<Option<ffi::destructor>>;

/// What a class of ours must tell the garbage collector, and do when it is finalized.
pub(crate) trait Adopted:
    PyClass<Frozen = True, BaseType: Base> + PyTypeInfo + Sync
{
    /// A static of the class's own.
    fn inherited_dealloc() -> &'static Dealloc;

    /// Calls `visit` on every Python object held; ends with its first non-zero answer.
    fn traverse(&self, py: Python<'_>, visit: &mut dyn FnMut(*mut ffi::PyObject) -> c_int)
    -> c_int;

    /// Lets go of what could be part of a cycle.
    fn clear(slf: &Bound<'_, Self>);

    /// `__del__`: called once, before the object is taken apart.
    fn finalize(slf: &Bound<'_, Self>);

    /// A new instance.
    ///
    /// # Errors
    /// MemoryError.
    fn make(self, py: Python<'_>) -> PyResult<Py<Self>> {
        let _making = Making::new(py);
        Py::new(py, self)
    }
}

/// An instance is being made, which matters up to 3.12: its dict is allocated when nothing of ours
/// is in it yet, and if there is no memory for that, CPython drops the instance as it is. Up to 3.11
/// the collector knows it by then, and any allocation may start a collection: none is allowed.
struct Making {
    was_enabled: bool,
}

/// See [`Making`].
static IS_MAKING: AtomicBool = AtomicBool::new(false);

impl Making {
    fn new(_py: Python<'_>) -> Making {
        if cfg!(not(Py_3_13)) {
            IS_MAKING.store(true, Ordering::Relaxed);
        }
        // SAFETY: attached.
        Making { was_enabled: cfg!(not(Py_3_12)) && unsafe { ffi::PyGC_Disable() } != 0 }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if cfg!(not(Py_3_13)) {
            IS_MAKING.store(false, Ordering::Relaxed);
        }
        if self.was_enabled {
            // SAFETY: attached, as when it was made: it does not leave `make`.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}

/// Makes `T` fit for its Python-made base: call once, before the first instance.
///
/// # Errors
/// ImportError where this interpreter's base class has another size than the one compiled in.
pub(crate) fn adopt<T: Adopted>(py: Python<'_>) -> PyResult<()> {
    let base = T::BaseType::import(py)?;
    // SAFETY: reading a field of a live type object.
    let size = unsafe { (*base.as_type_ptr()).tp_basicsize };
    if size != size_of::<SlotsLayout<1>>() as ffi::Py_ssize_t {
        return Err(PyImportError::new_err(format!(
            "{base} has instances of {size} bytes in this interpreter, this build of ferrio was \
             made for {}",
            size_of::<SlotsLayout<1>>()
        )));
    }
    // SAFETY: attached, and no instance of the type exists; a #[pyclass] is a heap type, so its
    // slots may be written, and PyType_Modified tells the interpreter so.
    unsafe {
        let ty = T::type_object_raw(py);
        (*ty).tp_traverse = Some(traverse::<T>);
        (*ty).tp_clear = Some(clear::<T>);
        (*ty).tp_finalize = Some(finalize::<T>);
        T::inherited_dealloc().get_or_init(py, || (*ty).tp_dealloc);
        (*ty).tp_dealloc = Some(dealloc::<T>);
        ffi::PyType_Modified(ty);
    }
    Ok(())
}

unsafe extern "C" fn dealloc<T: Adopted>(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls tp_dealloc attached, with the last reference.
    unsafe { trash::dealloc(slf, take_apart::<T>) };
}

/// [`dealloc`], when it is the object's turn.
unsafe extern "C" fn take_apart<T: Adopted>(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls tp_dealloc attached, with the last reference; the finalizer may
    // resurrect the object, which then stays as it is. One that is being made has nothing in it.
    unsafe {
        if cfg!(not(Py_3_13)) && IS_MAKING.load(Ordering::Relaxed) {
            ffi::PyObject_GC_UnTrack(slf.cast());
            free(slf);
            return;
        }
        if ffi::PyObject_CallFinalizerFromDealloc(slf) < 0 {
            return;
        }
        if let Some(Some(dealloc)) = T::inherited_dealloc().get(Python::assume_attached()) {
            dealloc(slf);
        }
    }
}

/// A `#[pyclass]` whose instances may hold each other, in chains as long as a program likes.
pub(crate) trait Chained: PyTypeInfo {
    /// A static of the class's own.
    fn inherited_dealloc() -> &'static Dealloc;
}

/// Has instances of `T` itself freed without a deep stack; call once, before the first one. Those of
/// classes that a program derives from it are, by CPython.
pub(crate) fn chain<T: Chained>(py: Python<'_>) {
    // SAFETY: attached, and no instance of the type exists; a #[pyclass] is a heap type, so its
    // slots may be written, and PyType_Modified tells the interpreter so.
    unsafe {
        let ty = T::type_object_raw(py);
        T::inherited_dealloc().get_or_init(py, || (*ty).tp_dealloc);
        (*ty).tp_dealloc = Some(dealloc_link::<T>);
        ffi::PyType_Modified(ty);
    }
}

unsafe extern "C" fn dealloc_link<T: Chained>(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls tp_dealloc attached, with the last reference.
    unsafe { trash::dealloc(slf, take_link_apart::<T>) };
}

/// [`dealloc_link`], when it is the object's turn.
unsafe extern "C" fn take_link_apart<T: Chained>(slf: *mut ffi::PyObject) {
    // SAFETY: as above; PyO3's own destructor of the class.
    unsafe {
        if let Some(Some(dealloc)) = T::inherited_dealloc().get(Python::assume_attached()) {
            dealloc(slf);
        }
    }
}

/// Makes a [`Chained`] of the class.
macro_rules! chained {
    ($class:ty) => {
        impl $crate::ffi::class::Chained for $class {
            fn inherited_dealloc() -> &'static $crate::ffi::class::Dealloc {
                static DEALLOC: $crate::ffi::class::Dealloc = pyo3::sync::PyOnceLock::new();
                &DEALLOC
            }
        }
    };
}
pub(crate) use chained;

unsafe extern "C" fn finalize<T: Adopted>(slf: *mut ffi::PyObject) {
    as_attached(|py| {
        // A finalizer must leave the error indicator as it was.
        let pending = PyErr::take(py);
        // SAFETY: called attached on a whole instance of T.
        unsafe { T::finalize(&Borrowed::from_ptr(py, slf).cast_unchecked::<T>()) };
        if let Some(error) = pending {
            error.restore(py);
        }
    });
}

/// Runs what CPython calls attached, and has PyO3 know it: otherwise it puts off the dropping of
/// references until it is next called, and the collector finds them still there.
fn as_attached(body: impl Fn(Python<'_>)) {
    if Python::try_attach(&body).is_none() {
        // SAFETY: the callers are called attached; the interpreter is shutting down.
        body(unsafe { Python::assume_attached() });
    }
}

unsafe extern "C" fn traverse<T: Adopted>(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the collector calls this attached, on a whole instance; nothing below touches a
    // reference count or allocates.
    unsafe {
        let mut call = |object: *mut ffi::PyObject| {
            if object.is_null() { 0 } else { visit(object, arg) }
        };
        let answer = call(ffi::Py_TYPE(slf).cast());
        if answer != 0 {
            return answer;
        }
        if let Some(dict) = dict_of::<T>(slf) {
            let answer = call(*dict);
            if answer != 0 {
                return answer;
            }
        }
        for slot in (*slf.cast::<SlotsLayout<1>>()).slots {
            let answer = call(slot);
            if answer != 0 {
                return answer;
            }
        }
        let py = Python::assume_attached();
        Borrowed::from_ptr(py, slf).cast_unchecked::<T>().get().traverse(py, &mut call)
    }
}

unsafe extern "C" fn clear<T: Adopted>(slf: *mut ffi::PyObject) -> c_int {
    // SAFETY: the collector calls this attached and holds a reference meanwhile.
    as_attached(|py| unsafe {
        T::clear(&Borrowed::from_ptr(py, slf).cast_unchecked::<T>());
        if let Some(dict) = dict_of::<T>(slf) {
            ffi::Py_CLEAR(dict);
        }
        clear_slots(&mut (*slf.cast::<SlotsLayout<1>>()).slots);
    });
    0
}

/// Where the instance dict of a class of ours lies, if it was declared with one.
///
/// # Safety
/// Attached; `slf` is a live instance of `T`.
unsafe fn dict_of<T: Adopted>(slf: *mut ffi::PyObject) -> Option<*mut *mut ffi::PyObject> {
    // SAFETY: the offset is that of `T` itself, whatever subclass `slf` belongs to.
    unsafe {
        let offset = (*T::type_object_raw(Python::assume_attached())).tp_dictoffset;
        (offset > 0).then(|| slf.byte_offset(offset).cast())
    }
}

/// Has nobody set an attribute on this instance, a method of its own say? Not before somebody has,
/// is there a dict.
#[inline]
pub(crate) fn has_no_attributes<T: Adopted>(object: &Bound<'_, T>) -> bool {
    // SAFETY: attached; a live instance, whose dict's place is only read.
    unsafe { dict_of::<T>(object.as_ptr()).is_none_or(|dict| (*dict).is_null()) }
}

/// # Safety
/// Attached; the slots hold NULL or owned references.
unsafe fn clear_slots(slots: &mut [*mut ffi::PyObject]) {
    for slot in slots {
        let object = std::mem::replace(slot, ptr::null_mut());
        // SAFETY: passed on from the caller; the field no longer names the object when its
        // destructor runs.
        unsafe { ffi::Py_XDECREF(object) };
    }
}

/// A new instance of a heap type of the collector's, untracked, of which every field has to be
/// written; NULL with a MemoryError set.
///
/// # Safety
/// Attached; the type has the collector's header.
pub(super) unsafe fn new_untracked(ty: *mut ffi::PyTypeObject) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe { _PyObject_GC_New(ty) }
}

unsafe extern "C" {
    // Exported by every CPython, behind the macro PyObject_GC_New; pyo3-ffi has not got it.
    fn _PyObject_GC_New(ty: *mut ffi::PyTypeObject) -> *mut ffi::PyObject;
}

/// Frees the memory of an instance of a heap type, and the reference it holds to its type.
///
/// # Safety
/// Attached; nothing uses the object any more, and its fields have been dropped.
pub(super) unsafe fn free(slf: *mut ffi::PyObject) {
    // SAFETY: passed on from the caller.
    unsafe {
        let ty = ffi::Py_TYPE(slf);
        if let Some(free) = (*ty).tp_free {
            free(slf.cast());
        }
        ffi::Py_DECREF(ty.cast());
    }
}

/// An instance of `class`, a subclass of a native one, around `value`: what `class(...)` makes,
/// without its `__init__`.
///
/// # Errors
/// TypeError if it is no such class; MemoryError.
pub(crate) fn new_of_class<'py, T>(value: T, class: &Bound<'py, PyType>) -> PyResult<Bound<'py, T>>
where
    T: PyClass + Into<PyClassInitializer<T>>,
{
    let py = class.py();
    // SAFETY: two live types.
    let is_ours =
        unsafe { ffi::PyType_IsSubtype(class.as_type_ptr(), T::type_object_raw(py)) != 0 };
    if !is_ours {
        return Err(pyo3::exceptions::PyTypeError::new_err("the class is none of ferrio's"));
    }
    // SAFETY: a subclass of the native class, as was just seen; the result is an instance of it.
    unsafe {
        let initializer: PyClassInitializer<T> = value.into();
        let object = tp_new_impl(py, initializer, class.as_type_ptr())?;
        Ok(Bound::from_owned_ptr(py, object).cast_into_unchecked())
    }
}
