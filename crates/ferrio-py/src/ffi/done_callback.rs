//! What futures call when they are done: callables of one argument whose work is Rust's.
//!
//! `gather`, `wait`, `TaskGroup` and their like in asyncio give a function to each future that they
//! are about. Here it is an object of one class, around one of several bodies, made and called
//! without a frame, a tuple or a look-up (bench: gather_1000, task_group_100).

use std::ffi::{CString, c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::free_list::FreeList;
use super::heap_type::{self, getter, slot};
use super::trash;
use crate::error::{self, WithText};

/// What is done when a future is done.
pub(crate) trait DoneCallback: Send + Sized + 'static {
    /// What a future's repr calls it: that of asyncio's function.
    const QUALNAME: &'static str;

    fn call(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()>;

    /// Calls `visit` on every Python object held; ends with its first non-zero answer. Called by
    /// the collector: must not touch a reference count.
    fn traverse(&self, py: Python<'_>, visit: &mut dyn FnMut(*mut ffi::PyObject) -> c_int)
    -> c_int;
}

/// The class, made by the first [`new_callback`].
static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

static FREE: FreeList = FreeList::new();

/// Bodies are stored in the object: this many words at most. Larger ones are shared, mostly, and
/// thus behind a pointer anyway.
const WORDS: usize = 2;

type Storage = MaybeUninit<[usize; WORDS]>;

#[repr(C)]
struct Object {
    header: ffi::PyObject,
    vectorcall: Option<ffi::vectorcallfunc>,
    /// None once the collector has dropped the body.
    vtable: Option<&'static Vtable>,
    body: Storage,
}

/// A body's methods, for one that is stored as bytes.
struct Vtable {
    qualname: &'static str,
    call: unsafe fn(*const Storage, Python<'_>, &Bound<'_, PyAny>) -> PyResult<()>,
    traverse:
        unsafe fn(*const Storage, Python<'_>, &mut dyn FnMut(*mut ffi::PyObject) -> c_int) -> c_int,
    drop: unsafe fn(*mut Storage),
}

struct VtableOf<B>(std::marker::PhantomData<B>);

impl<B: DoneCallback> VtableOf<B> {
    const FITS: () = assert!(
        size_of::<B>() <= size_of::<Storage>() && align_of::<B>() <= align_of::<Storage>(),
        "the body is too large for the object"
    );

    const VTABLE: Vtable = Vtable {
        qualname: B::QUALNAME,
        // SAFETY: `new_callback` has put a `B` into the storage, and it is still there.
        call: |body, py, future| unsafe { (*body.cast::<B>()).call(py, future) },
        // SAFETY: as above.
        traverse: |body, py, visit| unsafe { (*body.cast::<B>()).traverse(py, visit) },
        // SAFETY: as above; called once.
        drop: |body| unsafe { body.cast::<B>().drop_in_place() },
    };
}

/// A callable that does what `body` does.
#[inline]
pub(crate) fn new_callback<B: DoneCallback>(py: Python<'_>, body: B) -> PyResult<Bound<'_, PyAny>> {
    const { VtableOf::<B>::FITS };
    let mut ty = TYPE.load(Ordering::Relaxed);
    if ty.is_null() {
        ty = new_type(py)?;
    }
    // SAFETY: attached; every field is written before anybody sees the object; the body fits.
    unsafe {
        let object = FREE.new_instance(py, ty);
        if object.is_null() {
            drop(body);
            return Err(PyErr::fetch(py));
        }
        let this = object.cast::<Object>();
        (*this).vectorcall = Some(call);
        (*this).vtable = Some(const { &VtableOf::<B>::VTABLE });
        (&raw mut (*this).body).cast::<B>().write(body);
        ffi::PyObject_GC_Track(object.cast());
        Ok(Bound::from_owned_ptr(py, object))
    }
}

/// Makes the class: where there is no memory for it later, CPython forgets to say so.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    new_type(py).map(drop)
}

#[cold]
fn new_type(py: Python<'_>) -> PyResult<*mut ffi::PyTypeObject> {
    let slots = vec![
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        heap_type::getters(vec![getter(c"__qualname__", qualname)]),
        heap_type::offsets(&[(c"__vectorcalloffset__", std::mem::offset_of!(Object, vectorcall))]),
    ];
    let (name, flags) = (c"ferrio.DoneCallback", ffi::Py_TPFLAGS_HAVE_VECTORCALL);
    // SAFETY: functions of the slots' types, for an Object.
    let class = unsafe { heap_type::new_type::<Object>(py, name, flags, slots)? };
    TYPE.store(class, Ordering::Relaxed);
    Ok(class)
}

unsafe extern "C" fn call(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let called = |py: Python<'_>| -> PyResult<()> {
        // SAFETY: CPython calls this attached, on a live object, with so many live arguments.
        unsafe {
            let this = slf.cast::<Object>();
            let count = ffi::PyVectorcall_NARGS(nargsf);
            let has_keywords = !kwnames.is_null() && ffi::PyTuple_GET_SIZE(kwnames) > 0;
            if count != 1 || has_keywords {
                return Err(PyTypeError::with_text("a done callback takes exactly one argument"));
            }
            let Some(vtable) = (*this).vtable else { return Ok(()) };
            let future = Bound::from_borrowed_ptr(py, *args);
            (vtable.call)(&raw const (*this).body, py, &future)
        }
    };
    // Called by C, past PyO3's guard against panics; and PyO3 is told that the thread is attached.
    let outcome = catch_unwind(AssertUnwindSafe(|| match Python::try_attach(called) {
        Some(result) => result,
        // SAFETY: as above.
        None => called(unsafe { Python::assume_attached() }),
    }));
    // SAFETY: attached, see above.
    unsafe {
        let error = match outcome {
            Ok(Ok(())) => return ffi::Py_NewRef(ffi::Py_None()),
            Ok(Err(error)) => error,
            Err(panic) => error::of_panic(&*panic, "a done callback of the event loop has failed"),
        };
        error.restore(Python::assume_attached());
    }
    ptr::null_mut()
}

unsafe extern "C" fn traverse(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the collector calls this attached, on a whole object; nothing touches a reference
    // count.
    unsafe {
        let this = slf.cast::<Object>();
        let answer = visit(ffi::Py_TYPE(slf).cast(), arg);
        match (*this).vtable {
            Some(vtable) if answer == 0 => {
                let mut call = |object: *mut ffi::PyObject| {
                    if object.is_null() { 0 } else { visit(object, arg) }
                };
                let py = Python::assume_attached();
                (vtable.traverse)(&raw const (*this).body, py, &mut call)
            }
            Some(_) | None => answer,
        }
    }
}

unsafe extern "C" fn clear(slf: *mut ffi::PyObject) -> c_int {
    // SAFETY: called attached, on a live object; the body is nobody's when it is dropped.
    unsafe {
        let this = slf.cast::<Object>();
        if let Some(vtable) = (*this).vtable.take() {
            (vtable.drop)(&raw mut (*this).body);
        }
    }
    0
}

unsafe extern "C" fn dealloc(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached with the last reference.
    unsafe { trash::dealloc(slf, free) };
}

/// [`dealloc`], when it is the object's turn.
unsafe extern "C" fn free(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached with the last reference.
    unsafe {
        ffi::PyObject_GC_UnTrack(slf.cast());
        let take_apart = |py: Python<'_>| {
            clear(slf);
            FREE.free(py, slf);
        };
        // So that references are dropped now.
        if Python::try_attach(take_apart).is_none() {
            take_apart(Python::assume_attached());
        }
    }
}

/// # Safety
/// A live object.
unsafe fn name_of(slf: *mut ffi::PyObject) -> &'static str {
    // SAFETY: passed on.
    unsafe { (*slf.cast::<Object>()).vtable.map_or("done callback", |vtable| vtable.qualname) }
}

unsafe extern "C" fn qualname(
    slf: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls getters attached, with a live object.
    unsafe {
        let name = name_of(slf);
        ffi::PyUnicode_FromStringAndSize(name.as_ptr().cast(), name.len() as ffi::Py_ssize_t)
    }
}

unsafe extern "C" fn repr(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as above; the name has no zero in it, or is left out.
    unsafe {
        let name = CString::new(name_of(slf)).unwrap_or_default();
        ffi::PyUnicode_FromFormat(c"<function %s at %p>".as_ptr(), name.as_ptr(), slf)
    }
}
