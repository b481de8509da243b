//! The coroutine object: a body, and where it stands.
//!
//! ```text
//!            send                       yields
//!   Created ------> Running <----------------------> Suspended
//!      |               |  returns, raises      send, throw
//!      | throw, close  v
//!      +----------> Finished
//! ```

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use pyo3::exceptions::{
    PyGeneratorExit, PyRuntimeError, PyStopIteration, PyTypeError, PyValueError,
};
use pyo3::ffi;
use pyo3::prelude::*;

use super::iterator::new_iterator;
use super::{Body, End, Resume, introspection, origin, relay};
use crate::error::{self, WithText};
use crate::ffi::class;
use crate::ffi::free_list::FreeList;
use crate::ffi::future::awaiting::Awaiting;
use crate::ffi::future::iter::thrown;
use crate::ffi::heap_type::{self, slot};
use crate::ffi::iter::{Step, WHILE_CLOSING, awaited_already, is_exact_coroutine};
use crate::ffi::raise::ignored;
use crate::ffi::stop_iteration;
use crate::ffi::trash;
use crate::names;

/// The class, made by [`install`].
static TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

static FREE: FreeList = FreeList::new();

/// Bodies are stored in the object: this many words at most. A larger one says so at compile time,
/// and should keep its rarely used parts in a box.
const WORDS: usize = 8;

#[repr(C)]
struct Object {
    header: ffi::PyObject,
    /// CPython's, through `__weaklistoffset__`.
    weakrefs: *mut ffi::PyObject,
    state: Standing,
    qualname: &'static str,
    /// Where it was made, or NULL.
    origin: *mut ffi::PyObject,
    /// Of the type of what is in `body`, while there is something in it.
    vtable: &'static Vtable,
    /// By [`finalize`]; not for a coroutine that has finished before anybody asked.
    was_finalized: bool,
    _room: [u8; 2],
    /// Always [`FRAME_CLEARED`], where coroutines of Python's have `gi_frame_state`.
    frame_state: u8,
    body: Storage,
}

/// `python -m asyncio ps` reads the coroutine of each task from outside of the process, and takes
/// it for one of Python's: this is where it looks first (3.14 and 3.15, Modules/_remote_debugging*),
/// and a coroutine without a frame is all it then knows of it. Whatever else stood there, it would
/// go on to read our fields as a frame, and fail for all tasks.
const FRAME_CLEARED: u8 = if cfg!(Py_3_15) { 5 } else { 4 };

#[cfg(target_pointer_width = "64")]
const _: () = assert!(std::mem::offset_of!(Object, frame_state) == size_of::<ffi::PyObject>() + 51);

type Storage = MaybeUninit<[usize; WORDS]>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    Created,
    /// The body is somebody's, and must not be touched by anybody else.
    Running,
    Suspended,
    /// The body has been dropped.
    Finished,
}

/// A coroutine's state. Whoever takes it to Running has the body until he takes it on: on
/// free-threaded builds two threads may step the same coroutine at once, and one is refused.
struct Standing(AtomicU8);

impl Standing {
    const fn new(state: State) -> Standing {
        Standing(AtomicU8::new(state as u8))
    }

    #[inline]
    fn get(&self) -> State {
        const STATES: [State; 4] =
            [State::Created, State::Running, State::Suspended, State::Finished];
        STATES[usize::from(self.0.load(Ordering::Acquire)) % STATES.len()]
    }

    /// For who has the body.
    #[inline]
    fn set(&self, state: State) {
        self.0.store(state as u8, Ordering::Release);
    }

    /// Takes the body, unless the state has changed since it was read.
    #[inline]
    fn take_from(&self, state: State) -> bool {
        if cfg!(Py_GIL_DISABLED) {
            let (old, new) = (state as u8, State::Running as u8);
            return self.0.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).is_ok();
        }
        let is_unchanged = self.get() == state;
        if is_unchanged {
            self.set(State::Running);
        }
        is_unchanged
    }
}

/// A body's methods, for one that is stored as bytes.
struct Vtable {
    resume: for<'py> unsafe fn(*mut Storage, Python<'py>, Resume<'py>) -> PyResult<Step<'py>>,
    traverse:
        unsafe fn(*const Storage, Python<'_>, &mut dyn FnMut(*mut ffi::PyObject) -> c_int) -> c_int,
    at_once: unsafe fn(*const Storage, Python<'_>) -> Option<End>,
    awaited: unsafe fn(&Storage) -> Option<&Awaiting>,
    inner: unsafe fn(&Storage, Python<'_>) -> &'static [&'static str],
    drop: unsafe fn(*mut Storage),
    release: unsafe fn(*mut Storage, Python<'_>),
}

struct VtableOf<B>(std::marker::PhantomData<B>);

impl<B: Body> VtableOf<B> {
    const FITS: () = assert!(
        size_of::<B>() <= size_of::<Storage>() && align_of::<B>() <= align_of::<Storage>(),
        "the body is too large for the object"
    );

    const VTABLE: Vtable = Vtable {
        // SAFETY: `new_coroutine` has put a `B` into the storage, and it is still there.
        resume: |body, py, with| unsafe { (*body.cast::<B>()).resume(py, with) },
        // SAFETY: as above.
        traverse: |body, py, visit| unsafe { (*body.cast::<B>()).traverse(py, visit) },
        // SAFETY: as above.
        at_once: |body, py| unsafe { (*body.cast::<B>()).at_once(py) },
        // SAFETY: as above.
        awaited: |body| unsafe { (*ptr::from_ref(body).cast::<B>()).awaited() },
        // SAFETY: as above.
        inner: |body, py| unsafe { (*ptr::from_ref(body).cast::<B>()).inner(py) },
        // SAFETY: as above; `finish` calls it once.
        drop: |body| unsafe { body.cast::<B>().drop_in_place() },
        // SAFETY: as above; called once, in the place of `drop`.
        release: |body, py| unsafe { body.cast::<B>().read().release(py) },
    };
}

/// Where a coroutine stands.
///
/// # Safety
/// Attached; a live coroutine of ours.
pub(super) unsafe fn state_of(slf: *mut ffi::PyObject) -> State {
    // SAFETY: passed on.
    unsafe { (*slf.cast::<Object>()).state.get() }
}

/// What a coroutine is called, as [`Body::qualname`] says.
///
/// # Safety
/// As [`state_of`].
pub(super) unsafe fn qualname_of(slf: *mut ffi::PyObject) -> &'static str {
    // SAFETY: passed on.
    unsafe { (*slf.cast::<Object>()).qualname }
}

/// What a suspended coroutine waits for, as [`Body::awaited`] says.
///
/// # Safety
/// As [`state_of`].
pub(super) unsafe fn awaited_of(py: Python<'_>, slf: *mut ffi::PyObject) -> Option<Py<PyAny>> {
    // SAFETY: passed on; a suspended coroutine has its body, which is ours meanwhile.
    unsafe {
        let this = slf.cast::<Object>();
        if !(*this).state.take_from(State::Suspended) {
            return None;
        }
        let awaited = ((*this).vtable.awaited)(&(*this).body);
        let object = awaited.map(|awaited| awaited.object().clone_ref(py));
        (*this).state.set(State::Suspended);
        object
    }
}

/// What asyncio's coroutine would await, as [`Body::inner`] says; nothing of one that is not suspended.
///
/// # Safety
/// As [`state_of`].
pub(super) unsafe fn inner_of(py: Python<'_>, slf: *mut ffi::PyObject) -> &'static [&'static str] {
    // SAFETY: passed on; a suspended coroutine has its body, which is ours meanwhile.
    unsafe {
        let this = slf.cast::<Object>();
        if !(*this).state.take_from(State::Suspended) {
            return &[];
        }
        let inner = ((*this).vtable.inner)(&(*this).body, py);
        (*this).state.set(State::Suspended);
        inner
    }
}

/// Where a coroutine was made, or NULL: a borrowed reference.
///
/// # Safety
/// As [`state_of`].
pub(super) unsafe fn origin_of(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe { (*slf.cast::<Object>()).origin }
}

/// Is it what calling an `async def` function makes, or one of ours?
#[inline]
pub(crate) fn is_coroutine(object: &Bound<'_, PyAny>) -> bool {
    object.get_type_ptr() == TYPE.load(Ordering::Relaxed) || is_exact_coroutine(object)
}

/// A coroutine that will do what `body` does.
#[inline]
pub(crate) fn new_coroutine<B: Body>(py: Python<'_>, body: B) -> PyResult<Bound<'_, PyAny>> {
    const { VtableOf::<B>::FITS };
    // SAFETY: attached; `install` has made the type before there was a method to call. Every field
    // is written before anybody sees the object; the body fits.
    unsafe {
        let object = FREE.new_instance(py, TYPE.load(Ordering::Relaxed));
        if object.is_null() {
            drop(body);
            return Err(PyErr::fetch(py));
        }
        let this = object.cast::<Object>();
        (*this).weakrefs = ptr::null_mut();
        (&raw mut (*this).state).write(Standing::new(State::Created));
        (*this).qualname = body.qualname();
        (*this).origin = origin::current(py);
        (*this).was_finalized = false;
        (*this).frame_state = FRAME_CLEARED;
        (*this).vtable = const { &VtableOf::<B>::VTABLE };
        (&raw mut (*this).body).cast::<B>().write(body);
        ffi::PyObject_GC_Track(object.cast());
        Ok(Bound::from_owned_ptr(py, object))
    }
}

/// Makes the class, which is called as the interpreter's is: messages name it.
pub(crate) fn install(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let method = |name, function, flags, doc: &'static std::ffi::CStr| ffi::PyMethodDef {
        ml_doc: doc.as_ptr(),
        ..heap_type::method(name, function, flags)
    };
    let slots = vec![
        slot(
            ffi::Py_tp_doc,
            c"A coroutine of the event loop's. Await it once, or give it to create_task."
                .as_ptr()
                .cast_mut()
                .cast(),
        ),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_finalize, finalize as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_am_await, am_await as *mut c_void),
        slot(ffi::Py_am_send, am_send as *mut c_void),
        slot(ffi::Py_tp_iternext, iternext as *mut c_void),
        heap_type::methods(vec![
            method(
                c"send",
                send,
                ffi::METH_O,
                c"send($self, value, /)\n--\n\nGoes on to the next await; StopIteration has the \
                  result.",
            ),
            method(
                c"throw",
                throw,
                ffi::METH_VARARGS,
                c"throw($self, typ, val=None, tb=None, /)\n--\n\nRaises an exception where the \
                  coroutine waits.",
            ),
            // Beside the slot, whose wrapper it stands in place of.
            method(
                c"__await__",
                awaited,
                ffi::METH_NOARGS | ffi::METH_COEXIST,
                c"__await__($self, /)\n--\n\nReturn an iterator to be used in await expression.",
            ),
            method(
                c"close",
                close,
                ffi::METH_NOARGS,
                c"close($self, /)\n--\n\nEnds the coroutine: raises GeneratorExit where it waits.",
            ),
        ]),
        heap_type::getters(introspection::getters()),
        heap_type::offsets(&[(c"__weaklistoffset__", std::mem::offset_of!(Object, weakrefs))]),
    ];
    // SAFETY: functions of the slots' types, for an Object; the text is a static.
    let class = unsafe { heap_type::new_type::<Object>(py, c"ferrio.coroutine", 0, slots)? };
    // SAFETY: a type that nobody else has seen; a static text. Only messages read it: `__name__` and
    // `__module__` are kept elsewhere.
    unsafe { (*class).tp_name = c"coroutine".as_ptr() };
    TYPE.store(class, Ordering::Relaxed);
    // SAFETY: attached; a type that lives for ever.
    Ok(unsafe { Bound::from_borrowed_ptr(py, class.cast()) })
}

/// Steps the coroutine.
///
/// # Safety
/// Attached; a live coroutine, which stays alive meanwhile.
#[inline]
unsafe fn resume<'py>(
    py: Python<'py>,
    slf: *mut ffi::PyObject,
    with: Resume<'py>,
) -> PyResult<Step<'py>> {
    // SAFETY: passed on. The body is there unless the coroutine has finished, and is touched by
    // nobody else while the state says Running.
    unsafe {
        let this = slf.cast::<Object>();
        let state = (*this).state.get();
        if state == State::Finished {
            return Err(PyRuntimeError::with_text("cannot reuse already awaited coroutine"));
        }
        if state == State::Created
            && let Resume::Value(value) = &with
            && !value.is_none()
        {
            return Err(PyTypeError::with_text(
                "can't send non-None value to a just-started coroutine",
            ));
        }
        if state == State::Running || !(*this).state.take_from(state) {
            return Err(PyValueError::with_text("coroutine already executing"));
        }
        let with = match with {
            Resume::Error(error) if state == State::Created => {
                finish(this);
                return Err(error);
            }
            with @ (Resume::Value(_) | Resume::Error(_)) => with,
        };
        let body = &raw mut (*this).body;
        let resume = (*this).vtable.resume;
        // Called by C, past PyO3's guard against panics.
        let stepped = catch_unwind(AssertUnwindSafe(|| resume(body, py, with)));
        match stepped {
            Ok(Ok(Step::Yielded(object))) => {
                (*this).state.set(State::Suspended);
                Ok(Step::Yielded(object))
            }
            Ok(Ok(Step::Returned(value))) => {
                finish(this);
                Ok(Step::Returned(value))
            }
            Ok(Err(error)) => {
                finish(this);
                Err(not_stop_iteration(py, error))
            }
            Err(panic) => {
                finish(this);
                Err(error::of_panic(&*panic, "a coroutine of the event loop has failed"))
            }
        }
    }
}

/// Steps a coroutine of ours; TypeError for anything else.
pub(super) fn step<'py>(coroutine: &Bound<'py, PyAny>, with: Resume<'py>) -> PyResult<Step<'py>> {
    if coroutine.get_type_ptr() != TYPE.load(Ordering::Relaxed) {
        return Err(PyTypeError::with_text("not a coroutine of the event loop's"));
    }
    // SAFETY: attached; a live coroutine of ours, which is borrowed.
    unsafe { resume(coroutine.py(), coroutine.as_ptr(), with) }
}

/// Drops the body.
///
/// # Safety
/// Attached; the body is the caller's: the state says Running, or nobody else has the coroutine.
unsafe fn finish(this: *mut Object) {
    // SAFETY: passed on. What the body's end may run finds a coroutine that has finished.
    unsafe {
        (*this).state.set(State::Finished);
        ((*this).vtable.drop)(&raw mut (*this).body);
    }
}

/// A coroutine may not raise StopIteration: its caller would take it for the result (PEP 479).
fn not_stop_iteration(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyStopIteration>(py) {
        return error;
    }
    let wrapped = PyRuntimeError::with_text("coroutine raised StopIteration");
    wrapped.set_cause(py, Some(error));
    wrapped
}

/// Has PyO3 know that this thread is attached: it drops references at once then, not some time
/// later. While the interpreter ends it does not want to know.
#[inline]
fn as_attached<R>(body: impl for<'py> Fn(Python<'py>) -> R) -> R {
    match Python::try_attach(&body) {
        Some(result) => result,
        // SAFETY: the callers are called attached.
        None => body(unsafe { Python::assume_attached() }),
    }
}

unsafe extern "C" fn am_send(
    slf: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: CPython calls this attached, with a live coroutine and value, and a place for one
    // reference.
    as_attached(|py| unsafe {
        let value = Bound::from_borrowed_ptr(py, value);
        let (object, status) = match resume(py, slf, Resume::Value(value)) {
            Ok(Step::Yielded(object)) => (object.into_ptr(), ffi::PySendResult::PYGEN_NEXT),
            Ok(Step::Returned(value)) => (value.into_ptr(), ffi::PySendResult::PYGEN_RETURN),
            Err(error) => {
                error.restore(py);
                (ptr::null_mut(), ffi::PySendResult::PYGEN_ERROR)
            }
        };
        *result = object;
        status
    })
}

/// What an `await` begins with: the coroutine itself, unless it is in the middle of another one, or
/// somebody listens.
unsafe extern "C" fn am_await(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with a live coroutine.
    unsafe {
        if state_of(slf) == State::Suspended {
            awaited_already().restore(Python::assume_attached());
            return ptr::null_mut();
        }
        if relay::is_listened_for() { relay::around(slf) } else { ffi::Py_NewRef(slf) }
    }
}

/// What `await` calls: one step without a value.
pub(super) unsafe extern "C" fn iternext(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with a live coroutine; a body that has not been stepped
    // is there.
    unsafe {
        let this = slf.cast::<Object>();
        if (*this).state.get() == State::Created && (*this).state.take_from(State::Created) {
            let py = Python::assume_attached();
            let vtable = (*this).vtable;
            if let Some(end) = (vtable.at_once)(&raw const (*this).body, py) {
                (*this).state.set(State::Finished);
                (vtable.release)(&raw mut (*this).body, py);
                if end == End::True {
                    stop_iteration::raise_true_to_await(py);
                }
                return ptr::null_mut();
            }
            (*this).state.set(State::Created);
        }
    }
    // SAFETY: CPython calls this attached, with a live coroutine.
    as_attached(|py| unsafe {
        let none = py.None().into_bound(py);
        match resume(py, slf, Resume::Value(none)) {
            // NULL without an exception means StopIteration() to every caller of the slot.
            Ok(Step::Returned(value)) if value.is_none() => ptr::null_mut(),
            Ok(Step::Returned(value)) if value.as_ptr() == ffi::Py_True() => {
                stop_iteration::raise_true_to_await(py);
                ptr::null_mut()
            }
            stepped => as_method(py, stepped),
        }
    })
}

/// `next()` of what `__await__()` returned: a step as well, whose exception the program sees.
pub(super) unsafe fn next(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: called attached, with a live coroutine.
    as_attached(|py| unsafe {
        let none = py.None().into_bound(py);
        as_method(py, resume(py, slf, Resume::Value(none)))
    })
}

unsafe extern "C" fn send(
    slf: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as am_send.
    as_attached(|py| unsafe {
        let value = Bound::from_borrowed_ptr(py, value);
        as_method(py, resume(py, slf, Resume::Value(value)))
    })
}

unsafe extern "C" fn throw(
    slf: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as am_send, with a tuple of arguments.
    as_attached(|py| unsafe {
        let args = Borrowed::from_ptr(py, args);
        let no_exception = |given: &Bound<'_, PyAny>| {
            let class = given.get_type().name()?;
            Ok(format!(
                "exceptions must be classes or instances deriving from BaseException, not {class}"
            ))
        };
        match thrown(&args, no_exception) {
            Ok(error) => as_method(py, resume(py, slf, Resume::Error(error))),
            Err(error) => as_method(py, Err(error)),
        }
    })
}

/// What a method or slot answers: the object, or NULL with StopIteration or the error set.
fn as_method(py: Python<'_>, stepped: PyResult<Step<'_>>) -> *mut ffi::PyObject {
    match stepped {
        Ok(Step::Yielded(object)) => return object.into_ptr(),
        // SAFETY: attached. As of a coroutine that returns nothing, it has no arguments.
        Ok(Step::Returned(value)) if value.is_none() => unsafe {
            ffi::PyErr_SetNone(ffi::PyExc_StopIteration);
        },
        Ok(Step::Returned(value)) => stop_iteration::raise(value),
        Err(error) => error.restore(py),
    }
    ptr::null_mut()
}

unsafe extern "C" fn awaited(
    slf: *mut ffi::PyObject,
    _unused: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as am_send.
    as_attached(|py| unsafe {
        match new_iterator(&Borrowed::from_ptr(py, slf)) {
            Ok(iterator) => iterator.into_ptr(),
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        }
    })
}

unsafe extern "C" fn close(
    slf: *mut ffi::PyObject,
    _unused: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as am_send.
    as_attached(|py| match unsafe { closed(py, slf) } {
        Ok(()) => py.None().into_ptr(),
        Err(error) => {
            error.restore(py);
            ptr::null_mut()
        }
    })
}

/// # Safety
/// As [`resume`].
unsafe fn closed(py: Python<'_>, slf: *mut ffi::PyObject) -> PyResult<()> {
    // Made at once: PyO3 makes an exception that it only describes in a way which it refuses while
    // the interpreter ends.
    let exit = || py.get_type::<PyGeneratorExit>().call0().map(PyErr::from_value);
    // SAFETY: passed on.
    let stepped = unsafe {
        let this = slf.cast::<Object>();
        match (*this).state.get() {
            State::Finished => return Ok(()),
            State::Created if (*this).state.take_from(State::Created) => {
                finish(this);
                return Ok(());
            }
            State::Created | State::Running | State::Suspended => {}
        }
        resume(py, slf, Resume::Error(exit()?))
    };
    match stepped {
        Ok(Step::Yielded(_)) => Err(PyRuntimeError::with_text("coroutine ignored GeneratorExit")),
        Ok(Step::Returned(_)) => Ok(()),
        Err(error) if error.is_instance_of::<PyGeneratorExit>(py) => Ok(()),
        Err(error) => Err(error),
    }
}

unsafe extern "C" fn finalize(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached on a whole coroutine; the error indicator is left as it
    // was.
    as_attached(|py| unsafe {
        let this = slf.cast::<Object>();
        let pending = PyErr::take(py);
        (*this).was_finalized = true;
        match (*this).state.get() {
            State::Created => warn_never_awaited(&Bound::from_borrowed_ptr(py, slf)),
            // As a coroutine object is closed that nobody will step again: its cleanup runs.
            State::Suspended => {
                if let Err(error) = closed(py, slf) {
                    ignored(error, WHILE_CLOSING, &Borrowed::from_ptr(py, slf));
                }
            }
            State::Running | State::Finished => {}
        }
        if let Some(error) = pending {
            error.restore(py);
        }
    });
}

/// The RuntimeWarning for a coroutine object that nobody awaited, in the interpreter's own words.
fn warn_never_awaited(slf: &Bound<'_, PyAny>) {
    let warned = names::warn_unawaited_coroutine(slf.py()).and_then(|warn| warn.call1((slf,)));
    if let Err(error) = warned {
        ignored(error, c"Exception ignored while finalizing coroutine %R", slf);
    }
}

unsafe extern "C" fn dealloc(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached with the last reference.
    unsafe { trash::dealloc(slf, free) };
}

/// [`dealloc`], when it is the object's turn.
unsafe extern "C" fn free(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached with the last reference; the finalizer may resurrect the
    // object, which then stays as it is.
    unsafe {
        let this = slf.cast::<Object>();
        // Most have finished, and nothing is left of them to be told.
        if (*this).state.get() != State::Finished && ffi::PyObject_CallFinalizerFromDealloc(slf) < 0
        {
            return;
        }
        ffi::PyObject_GC_UnTrack(slf.cast());
        if !(*this).weakrefs.is_null() {
            ffi::PyObject_ClearWeakRefs(slf);
        }
        ffi::Py_XDECREF((*this).origin);
        if (*this).state.get() != State::Finished {
            as_attached(|_py| finish(this));
        }
        if (*this).was_finalized {
            // Not to be used again: the collector's header says so too, and finalizes once.
            class::free(slf);
        } else {
            FREE.free(Python::assume_attached(), slf);
        }
    }
}

unsafe extern "C" fn traverse(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: the collector calls this attached, on a whole coroutine; nothing below touches a
    // reference count. What a body that is on the stack holds is taken for reachable.
    unsafe {
        let this = slf.cast::<Object>();
        let answer = visit(ffi::Py_TYPE(slf).cast(), arg);
        if answer != 0 || !matches!((*this).state.get(), State::Created | State::Suspended) {
            return answer;
        }
        let mut call = |object: *mut ffi::PyObject| {
            if object.is_null() { 0 } else { visit(object, arg) }
        };
        let py = Python::assume_attached();
        ((*this).vtable.traverse)(&raw const (*this).body, py, &mut call)
    }
}

unsafe extern "C" fn clear(slf: *mut ffi::PyObject) -> c_int {
    // SAFETY: the collector calls this attached and holds a reference meanwhile.
    as_attached(|_py| unsafe {
        let this = slf.cast::<Object>();
        let state = (*this).state.get();
        if matches!(state, State::Created | State::Suspended) && (*this).state.take_from(state) {
            finish(this);
        }
    });
    0
}

unsafe extern "C" fn repr(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with a live coroutine.
    let qualname = unsafe { qualname_of(slf) };
    introspection::new_string(&format!("<coroutine object {qualname} at {slf:p}>"))
}
