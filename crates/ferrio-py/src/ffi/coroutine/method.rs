//! Methods that return a coroutine of ours, and are seen as coroutine functions.
//!
//! `inspect.iscoroutinefunction(lock.acquire)` is asked by `unittest.mock`, by web frameworks and
//! by schedulers that take functions of either kind. A builtin can neither be an `async def` nor be
//! marked as one. So these methods have a descriptor class of their own, which CPython calls as
//! quickly as a builtin's (`Py_TPFLAGS_METHOD_DESCRIPTOR`: no bound method is made for a call) and
//! which carries the mark that `inspect.markcoroutinefunction` leaves, and up to 3.11
//! `types.coroutine`-like functions of asyncio. Bound, it is an ordinary `types.MethodType`, or passes
//! for one ([`bound`]).

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::impl_::trampoline::{MethodDef, fastcall_cfunction_with_keywords};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use pyo3::{PyClass, PyTypeInfo};

use super::{Body, bound, new_coroutine, or_null};
use crate::ffi::fastcall::Arguments;
use crate::ffi::heap_type::{self, slot};
use crate::ffi::interned::intern;
use crate::ffi::make;

/// A method of `Self::Class` that returns a coroutine.
pub(crate) trait CoroutineMethod: 'static {
    type Class: PyClass + PyTypeInfo;
    type Body: Body;
    const NAME: &'static CStr;
    /// Signature and text, as builtins have them: `"acquire($self)\n--\n\n..."`.
    const DOC: &'static CStr;

    /// What the coroutine will do. Only reads the arguments: nothing happens before it is awaited.
    fn call<'py>(
        slf: &Bound<'py, Self::Class>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Self::Body>;

    /// A shorter way for most calls, past PyO3's trampoline (bench: lock_uncontended).
    const PLAIN: Option<Plain<Self::Class, Self::Body>> = None;
}

/// What a method does when it is called with just so many arguments, all by their places and none of
/// interest; None leaves it to [`CoroutineMethod::call`]. Must not panic.
pub(crate) struct Plain<C, B> {
    arguments: usize,
    /// Of interest if they are not.
    are_none: bool,
    body: fn(&Bound<'_, C>) -> Option<B>,
}

impl<C, B> Plain<C, B> {
    pub(crate) const fn new(arguments: usize, body: fn(&Bound<'_, C>) -> Option<B>) -> Plain<C, B> {
        Plain { arguments, are_none: false, body }
    }

    /// For `__aexit__(None, None, None)`.
    pub(crate) const fn without_error(body: fn(&Bound<'_, C>) -> Option<B>) -> Plain<C, B> {
        Plain { arguments: 3, are_none: true, body }
    }

    /// # Safety
    /// So many live objects after the instance.
    #[inline]
    unsafe fn is_for(&self, args: *const *mut ffi::PyObject, count: usize) -> bool {
        // SAFETY: passed on.
        count == self.arguments
            && (!self.are_none
                || (0..count).all(|index| unsafe { *args.add(1 + index) == ffi::Py_None() }))
    }
}

/// The descriptor class, made by the first [`install`].
static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

#[repr(C)]
struct Descriptor {
    header: ffi::PyObject,
    vectorcall: Option<ffi::vectorcallfunc>,
    /// The class it is a method of; NULL for a function.
    owner: *mut ffi::PyTypeObject,
    /// Attributes: `__name__`, `__doc__`, the mark...
    dict: *mut ffi::PyObject,
    /// The builtin that does what it does, of one made by [`mark_methods`]; NULL otherwise.
    native: *mut ffi::PyObject,
    /// Is it bound for an `async with` that calls it at once, in all likelihood?
    is_for_async_with: bool,
}

/// Adds the method to its class; before the first instance is made.
pub(crate) fn install<M: CoroutineMethod>(py: Python<'_>) -> PyResult<()> {
    let class = M::Class::type_object(py);
    let name = make::text(py, M::NAME.to_string_lossy())?;
    let attributes = make::dict(py)?;
    attributes.set_item("__name__", &name)?;
    attributes.set_item("__qualname__", format!("{}.{name}", class.qualname()?))?;
    attributes.set_item("__module__", class.module()?)?;
    attributes.set_item("__objclass__", &class)?;
    document(&attributes, M::DOC)?;
    let descriptor = new_descriptor(entry::<M>, Some(&class), attributes)?;
    if cfg!(not(Py_3_14)) && (M::NAME == c"__aenter__" || M::NAME == c"__aexit__") {
        // SAFETY: a descriptor that nobody else has seen.
        unsafe { (*descriptor.as_ptr().cast::<Descriptor>()).is_for_async_with = true };
    }
    class.setattr(name, descriptor)
}

/// Has builtin methods of a class, which return coroutines, seen as coroutine functions; before the
/// first instance is made.
pub(crate) fn mark_methods(class: &Bound<'_, PyType>, names: &[&str]) -> PyResult<()> {
    let py = class.py();
    for &name in names {
        let native = class.getattr(name)?;
        let attributes = make::dict(py)?;
        for attribute in
            ["__name__", "__qualname__", "__doc__", "__text_signature__", "__objclass__"]
        {
            attributes.set_item(attribute, native.getattr(attribute)?)?;
        }
        attributes.set_item("__module__", class.module()?)?;
        let descriptor = new_descriptor(forward, Some(class), attributes)?;
        // SAFETY: a descriptor that nobody else has seen.
        unsafe { (*descriptor.as_ptr().cast::<Descriptor>()).native = native.into_ptr() };
        class.setattr(name, descriptor)?;
    }
    Ok(())
}

/// The vectorcall of a descriptor that has a builtin, which checks the instance.
unsafe extern "C" fn forward(
    descriptor: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with so many live arguments; passed on as they are.
    unsafe {
        let native = (*descriptor.cast::<Descriptor>()).native;
        ffi::PyObject_Vectorcall(native, args, nargsf, kwnames)
    }
}

/// A callable that is seen as a coroutine function, a method of `owner` or a plain function.
pub(super) fn new_descriptor<'py>(
    vectorcall: ffi::vectorcallfunc,
    owner: Option<&Bound<'py, PyType>>,
    attributes: Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = attributes.py();
    // SAFETY: attached; a new instance, every field of which is written before anybody sees it. The
    // class lives as long as the descriptor in its dict at least.
    let descriptor = unsafe {
        let object = ffi::PyType_GenericAlloc(descriptor_type(py)?, 0);
        let object = Bound::from_owned_ptr_or_err(py, object)?;
        let this = object.as_ptr().cast::<Descriptor>();
        (*this).vectorcall = Some(vectorcall);
        (*this).owner = owner.map_or(ptr::null_mut(), |class| class.as_type_ptr());
        (*this).dict = attributes.into_ptr();
        (*this).native = ptr::null_mut();
        (*this).is_for_async_with = false;
        object
    };
    mark(&descriptor)?;
    Ok(descriptor)
}

/// The signature and the text behind it, of a builtin's doc string.
pub(super) fn document(attributes: &Bound<'_, PyDict>, doc: &CStr) -> PyResult<()> {
    let doc = doc.to_string_lossy();
    let (signature, text) = doc.split_once("\n--\n\n").unwrap_or(("()", &doc));
    let signature = signature.find('(').map_or(signature, |start| &signature[start..]);
    attributes.set_item("__doc__", text)?;
    attributes.set_item("__text_signature__", signature)
}

/// Has `iscoroutinefunction` answer True.
fn mark(descriptor: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = descriptor.py();
    if cfg!(Py_3_12) {
        let mark = py.import("inspect")?.getattr("markcoroutinefunction")?;
        return mark.call1((descriptor,)).map(drop);
    }
    let mark = py.import("asyncio.coroutines")?.getattr("_is_coroutine")?;
    descriptor.setattr("_is_coroutine", mark)?;
    // `inspect` knows no marks yet: it asks for the code of whatever has the attributes of a
    // function.
    let function = async_function(descriptor)?;
    for attribute in ["__code__", "__defaults__", "__kwdefaults__", "__annotations__"] {
        descriptor.setattr(attribute, function.getattr(attribute)?)?;
    }
    Ok(())
}

/// An `async def` that does nothing, with a descriptor's name and signature.
fn async_function<'py>(descriptor: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = descriptor.py();
    let name = descriptor.getattr("__name__")?;
    let signature = descriptor.getattr("__text_signature__")?.to_string().replace('$', "");
    let text = CString::new(format!("async def {name}{signature}: pass"))?;
    let namespace = make::dict(py)?;
    py.run(&text, None, Some(&namespace))?;
    namespace.as_any().get_item(name)
}

/// `__code__`, which `unittest.mock` wants to see before it believes in a coroutine function. Made
/// when it is asked for: that takes a compilation. Up to 3.11, [`mark`] has done it.
#[cfg(Py_3_12)]
unsafe extern "C" fn code(slf: *mut ffi::PyObject, _closure: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls getters attached, on a live descriptor, whose dict nobody takes away.
    let (py, slf, attributes) = unsafe {
        let py = Python::assume_attached();
        let dict = (*slf.cast::<Descriptor>()).dict;
        (py, Borrowed::from_ptr(py, slf), Borrowed::from_ptr(py, dict))
    };
    let found = || -> PyResult<Bound<'_, PyAny>> {
        let attributes = attributes.cast::<PyDict>()?;
        if let Some(code) = attributes.get_item(intern!(py, "__code__"))? {
            return Ok(code);
        }
        let code = async_function(&slf)?.getattr(intern!(py, "__code__"))?;
        attributes.set_item(intern!(py, "__code__"), &code)?;
        Ok(code)
    };
    or_null(py, found())
}

fn descriptor_type(py: Python<'_>) -> PyResult<*mut ffi::PyTypeObject> {
    let made = TYPE.load(Ordering::Relaxed);
    if !made.is_null() {
        return Ok(made);
    }
    let slots = vec![
        heap_type::methods(vec![heap_type::method(c"__reduce__", reduce, ffi::METH_NOARGS)]),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
        slot(ffi::Py_tp_descr_get, bind as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        #[cfg(Py_3_12)]
        heap_type::getters(vec![heap_type::getter(c"__code__", code)]),
        heap_type::offsets(&[
            (c"__vectorcalloffset__", std::mem::offset_of!(Descriptor, vectorcall)),
            (c"__dictoffset__", std::mem::offset_of!(Descriptor, dict)),
        ]),
    ];
    let name = c"ferrio.coroutine_method";
    let flags = ffi::Py_TPFLAGS_HAVE_VECTORCALL | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
    // SAFETY: functions of the slots' types, for a Descriptor.
    let class = unsafe { heap_type::new_type::<Descriptor>(py, name, flags, slots)? };
    bound::install(py)?;
    TYPE.store(class, Ordering::Relaxed);
    Ok(class)
}

/// The vectorcall of a descriptor: the instance is the first argument.
unsafe extern "C" fn entry<M: CoroutineMethod>(
    descriptor: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with so many live arguments; the type of the first is
    // checked before it is used.
    unsafe {
        let nargs = ffi::PyVectorcall_NARGS(nargsf);
        let owner = (*descriptor.cast::<Descriptor>()).owner;
        if nargs == 0 || ffi::PyObject_TypeCheck(*args, owner) == 0 {
            let py = Python::assume_attached();
            refuse::<M>(py, (nargs > 0).then(|| Borrowed::from_ptr(py, *args)), owner);
            return ptr::null_mut();
        }
        if let Some(plain) = M::PLAIN
            && kwnames.is_null()
            && plain.is_for(args, nargs as usize - 1)
        {
            let py = Python::assume_attached();
            let slf = Borrowed::from_ptr(py, *args);
            if let Some(body) = (plain.body)(&slf.cast_unchecked::<M::Class>()) {
                return or_null(py, new_coroutine(py, body));
            }
        }
        fastcall_cfunction_with_keywords::<Raw<M>>(*args, args.add(1), nargs - 1, kwnames)
    }
}

/// The TypeError for a call on something else, in a builtin's words.
#[cold]
fn refuse<M: CoroutineMethod>(
    py: Python<'_>,
    given: Option<Borrowed<'_, '_, PyAny>>,
    owner: *mut ffi::PyTypeObject,
) {
    // SAFETY: the class of the descriptor is alive.
    let owner = unsafe { Borrowed::from_ptr(py, owner.cast()) };
    let text = || -> PyResult<String> {
        let (name, owner) = (M::NAME.to_string_lossy(), owner.getattr(intern!(py, "__name__"))?);
        Ok(match given {
            None => format!("unbound method {owner}.{name}() needs an argument"),
            Some(given) => format!(
                "descriptor '{name}' for '{owner}' objects doesn't apply to a '{}' object",
                given.get_type().name()?
            ),
        })
    };
    text().map_or_else(|error| error, PyTypeError::new_err).restore(py);
}

/// PyO3's trampoline marks the thread as attached and stops panics; this is what it calls.
struct Raw<M>(std::marker::PhantomData<M>);

impl<M: CoroutineMethod> MethodDef<fastcall_cfunction_with_keywords::Func> for Raw<M> {
    const METH: fastcall_cfunction_with_keywords::Func = raw::<M>;
}

/// # Safety
/// Called by `entry`: attached, on an instance of the method's class, with a vector of `nargs`
/// positional and `len(kwnames)` keyword values.
unsafe fn raw<M: CoroutineMethod>(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    // SAFETY: passed on.
    let (slf, arguments) =
        unsafe { (Borrowed::from_ptr(py, slf), Arguments::new(py, args, nargs as usize, kwnames)) };
    // SAFETY: `entry` has checked the type.
    let object = unsafe { slf.cast_unchecked::<M::Class>() };
    let body = M::call(&object, &arguments)?;
    Ok(new_coroutine(py, body)?.into_ptr())
}

unsafe extern "C" fn bind(
    descriptor: *mut ffi::PyObject,
    object: *mut ffi::PyObject,
    _class: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called attached, on a live descriptor; None and NULL both mean that it was looked up
    // in a class.
    unsafe {
        if object.is_null() || object == ffi::Py_None() {
            return ffi::Py_NewRef(descriptor);
        }
        if (*descriptor.cast::<Descriptor>()).is_for_async_with {
            return bound::new_bound(descriptor, object);
        }
        PyMethod_New(descriptor, object)
    }
}

unsafe extern "C" {
    // Public (Include/cpython/classobject.h), missing from pyo3-ffi.
    pub(super) fn PyMethod_New(
        function: *mut ffi::PyObject,
        slf: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
}

/// How a descriptor is called.
///
/// # Safety
/// Attached; a live descriptor of this class.
#[inline]
pub(super) unsafe fn vectorcall_of(descriptor: *mut ffi::PyObject) -> Option<ffi::vectorcallfunc> {
    // SAFETY: passed on.
    unsafe { (*descriptor.cast::<Descriptor>()).vectorcall }
}

/// What pickle and copy ask: it is found by its name, as a function or a builtin's method is.
unsafe extern "C" fn reduce(
    slf: *mut ffi::PyObject,
    _unused: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called attached, on a live descriptor, whose class is alive if it has one.
    let reduced = |py: Python<'_>| unsafe {
        let owner = (*slf.cast::<Descriptor>()).owner;
        let slf = Borrowed::from_ptr(py, slf);
        let name = slf.getattr(intern!(py, "__name__"))?;
        if owner.is_null() {
            return Ok(name.into_ptr());
        }
        let owner = Borrowed::from_ptr(py, owner.cast());
        let getattr = py.import(intern!(py, "builtins"))?.getattr(intern!(py, "getattr"))?;
        let arguments = make::tuple(py, [&*owner, &name])?;
        Ok(make::tuple(py, [getattr, arguments.into_any()])?.into_ptr())
    };
    // SAFETY: called attached.
    let py = unsafe { Python::assume_attached() };
    reduced(py).unwrap_or_else(|error: PyErr| {
        error.restore(py);
        ptr::null_mut()
    })
}

unsafe extern "C" fn repr(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: called attached, on a live descriptor.
    let text = unsafe {
        let py = Python::assume_attached();
        let kind = match (*slf.cast::<Descriptor>()).owner.is_null() {
            true => "function",
            false => "coroutine method",
        };
        let shown = Borrowed::from_ptr(py, slf);
        let name = shown.getattr(intern!(py, "__qualname__"));
        name.and_then(|name| make::text(py, format!("<{kind} {name} at {slf:p}>")))
    };
    // SAFETY: as above.
    or_null(unsafe { Python::assume_attached() }, text.map(Bound::into_any))
}

unsafe extern "C" fn traverse(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the collector calls this attached on a live descriptor.
    unsafe {
        let this = slf.cast::<Descriptor>();
        [ffi::Py_TYPE(slf).cast(), (*this).dict, (*this).native]
            .into_iter()
            .filter(|object| !object.is_null())
            .map(|object| visit(object, arg))
            .find(|&answer| answer != 0)
            .unwrap_or(0)
    }
}

unsafe extern "C" fn dealloc(slf: *mut ffi::PyObject) {
    // SAFETY: called attached with the last reference.
    unsafe {
        ffi::PyObject_GC_UnTrack(slf.cast());
        let this = slf.cast::<Descriptor>();
        ffi::Py_XDECREF(std::mem::replace(&mut (*this).dict, ptr::null_mut()));
        ffi::Py_XDECREF((*this).native);
        crate::ffi::class::free(slf);
    }
}
