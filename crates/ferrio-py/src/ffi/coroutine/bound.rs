//! `__aenter__` and `__aexit__` of an instance, up to 3.13.
//!
//! There `async with` binds both before it calls them: two `types.MethodType` objects, a fifth of
//! what an uncontended lock costs (bench: lock_uncontended). From 3.14 on it makes none. Those made
//! here come from a free list, and whoever looks at one instead of calling it is shown the
//! `types.MethodType` that it stands for, which is made then.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

use super::method::{PyMethod_New, vectorcall_of};
use crate::ffi::free_list::FreeList;
use crate::ffi::heap_type::{self, method, slot};
use crate::ffi::trash;

static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

static FREE: FreeList = FreeList::new();

/// Arguments, with the instance, that are put in order on the stack.
const FEW: usize = 8;

#[repr(C)]
struct BoundMethod {
    header: ffi::PyObject,
    vectorcall: Option<ffi::vectorcallfunc>,
    /// Of the class in `method`, strong as the next.
    descriptor: *mut ffi::PyObject,
    instance: *mut ffi::PyObject,
    weakrefs: *mut ffi::PyObject,
}

/// `descriptor`, whose vectorcall takes the instance first, bound to `instance`. NULL with a
/// MemoryError set.
///
/// # Safety
/// Attached; a live descriptor of ours and a live object; after [`install`].
pub(super) unsafe fn new_bound(
    descriptor: *mut ffi::PyObject,
    instance: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: passed on; every field is written before anybody sees the object.
    unsafe {
        let py = Python::assume_attached();
        let object = FREE.new_instance(py, TYPE.load(Ordering::Relaxed));
        if object.is_null() {
            return object;
        }
        let this = object.cast::<BoundMethod>();
        (*this).vectorcall = Some(call);
        (*this).descriptor = ffi::Py_NewRef(descriptor);
        (*this).instance = ffi::Py_NewRef(instance);
        (*this).weakrefs = ptr::null_mut();
        ffi::PyObject_GC_Track(object.cast());
        object
    }
}

/// Makes the class.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    let slots = vec![
        heap_type::offsets(&[
            (c"__vectorcalloffset__", std::mem::offset_of!(BoundMethod, vectorcall)),
            (c"__weaklistoffset__", std::mem::offset_of!(BoundMethod, weakrefs)),
        ]),
        heap_type::methods(vec![method(c"__reduce__", reduce, ffi::METH_NOARGS)]),
        slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_getattro, getattro as *mut c_void),
        slot(ffi::Py_tp_setattro, setattro as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_tp_hash, hash as *mut c_void),
        slot(ffi::Py_tp_richcompare, compare as *mut c_void),
    ];
    let (name, flags) = (c"ferrio.bound_coroutine_method", ffi::Py_TPFLAGS_HAVE_VECTORCALL);
    // SAFETY: functions of the slots' types, for a BoundMethod.
    let class = unsafe { heap_type::new_type::<BoundMethod>(py, name, flags, slots)? };
    TYPE.store(class, Ordering::Relaxed);
    Ok(())
}

/// The `types.MethodType` that it stands for; NULL with a MemoryError set.
///
/// # Safety
/// Attached; a live instance.
unsafe fn as_method(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe {
        let this = slf.cast::<BoundMethod>();
        PyMethod_New((*this).descriptor, (*this).instance)
    }
}

/// What `ask` says of the method in the place of `slf`, or `failed` if there is no memory for one.
///
/// # Safety
/// Attached; a live instance.
unsafe fn of_method<R>(
    slf: *mut ffi::PyObject,
    failed: R,
    ask: impl FnOnce(*mut ffi::PyObject) -> R,
) -> R {
    // SAFETY: passed on.
    unsafe {
        let method = as_method(slf);
        if method.is_null() {
            return failed;
        }
        let answer = ask(method);
        ffi::Py_DECREF(method);
        answer
    }
}

unsafe extern "C" fn call(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with a live instance, which it keeps alive, and so many
    // live arguments; where the flag says so the word in front of them may be used for the call.
    unsafe {
        let this = slf.cast::<BoundMethod>();
        let (descriptor, instance) = ((*this).descriptor, (*this).instance);
        let Some(entry) = vectorcall_of(descriptor) else { return ptr::null_mut() };
        let nargs = ffi::PyVectorcall_NARGS(nargsf) as usize;
        if nargsf & ffi::PY_VECTORCALL_ARGUMENTS_OFFSET != 0 {
            let all = args.cast_mut().sub(1);
            let there = std::mem::replace(&mut *all, instance);
            let result = entry(descriptor, all, nargs + 1, kwnames);
            *all = there;
            return result;
        }
        let named = if kwnames.is_null() { 0 } else { ffi::PyTuple_GET_SIZE(kwnames) as usize };
        if nargs + named < FEW {
            let mut all = [ptr::null_mut(); FEW];
            all[0] = instance;
            for (index, place) in all[1..=nargs + named].iter_mut().enumerate() {
                *place = *args.add(index);
            }
            return entry(descriptor, all.as_ptr(), nargs + 1, kwnames);
        }
        of_method(slf, ptr::null_mut(), |method| {
            ffi::PyObject_Vectorcall(method, args, nargs, kwnames)
        })
    }
}

unsafe extern "C" fn getattro(
    slf: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this and the next five attached, with live objects.
    unsafe { of_method(slf, ptr::null_mut(), |method| ffi::PyObject_GetAttr(method, name)) }
}

/// Refuses, in the words of a method.
unsafe extern "C" fn setattro(
    slf: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: as getattro; NULL deletes.
    unsafe { of_method(slf, -1, |method| ffi::PyObject_SetAttr(method, name, value)) }
}

unsafe extern "C" fn repr(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as getattro.
    unsafe { of_method(slf, ptr::null_mut(), |method| ffi::PyObject_Repr(method)) }
}

unsafe extern "C" fn hash(slf: *mut ffi::PyObject) -> ffi::Py_hash_t {
    // SAFETY: as getattro.
    unsafe { of_method(slf, -1, |method| ffi::PyObject_Hash(method)) }
}

unsafe extern "C" fn compare(
    slf: *mut ffi::PyObject,
    other: *mut ffi::PyObject,
    operation: c_int,
) -> *mut ffi::PyObject {
    // SAFETY: as getattro. One that is compared with another of its kind becomes a method first, and
    // has that one become one.
    unsafe {
        of_method(slf, ptr::null_mut(), |method| {
            if ffi::Py_TYPE(other) != TYPE.load(Ordering::Relaxed) {
                return ffi::PyObject_RichCompare(method, other, operation);
            }
            of_method(other, ptr::null_mut(), |other| {
                ffi::PyObject_RichCompare(method, other, operation)
            })
        })
    }
}

unsafe extern "C" fn reduce(
    slf: *mut ffi::PyObject,
    _unused: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as getattro.
    unsafe {
        of_method(slf, ptr::null_mut(), |method| {
            let name = ffi::PyUnicode_InternFromString(c"__reduce__".as_ptr());
            if name.is_null() {
                return name;
            }
            let reduced = ffi::PyObject_CallMethodNoArgs(method, name);
            ffi::Py_DECREF(name);
            reduced
        })
    }
}

unsafe extern "C" fn traverse(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the collector calls this attached, on a live instance.
    unsafe {
        let this = slf.cast::<BoundMethod>();
        for object in [ffi::Py_TYPE(slf).cast(), (*this).descriptor, (*this).instance] {
            let answer = visit(object, arg);
            if answer != 0 {
                return answer;
            }
        }
        0
    }
}

unsafe extern "C" fn dealloc(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached with the last reference.
    unsafe { trash::dealloc(slf, free) };
}

/// [`dealloc`], when it is the object's turn.
unsafe extern "C" fn free(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached, with the last reference.
    unsafe {
        ffi::PyObject_GC_UnTrack(slf.cast());
        let this = slf.cast::<BoundMethod>();
        if !(*this).weakrefs.is_null() {
            ffi::PyObject_ClearWeakRefs(slf);
        }
        let (descriptor, instance) = ((*this).descriptor, (*this).instance);
        FREE.free(Python::assume_attached(), slf);
        ffi::Py_DECREF(descriptor);
        ffi::Py_DECREF(instance);
    }
}
