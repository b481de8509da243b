//! `Handle` and `TimerHandle` as native subclasses of asyncio's, made without running `__init__`.
//!
//! asyncio's classes keep everything in `__slots__`, so an instance is a header and a row of
//! pointers. Ours inherit that layout and write the slots directly: a handle prints, compares and
//! answers as asyncio's do, because asyncio's own methods read it; only what is called often
//! (making one, `cancel`, `cancelled`, running it) is native.
//!
//! Source: Lib/asyncio/events.py, classes Handle, TimerHandle and (3.14) _ThreadSafeHandle.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use pyo3::exceptions::{PyImportError, PyRuntimeError};
use pyo3::impl_::trampoline::get_trampoline_function;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use pyo3::{PyTypeInfo, ffi, intern};

use super::call::{self, Context};
#[cfg(not(Py_GIL_DISABLED))]
use super::gil_cell::GilCell;

/// The three classes and where asyncio's slots lie in their instances.
pub(crate) struct HandleTypes {
    handle: Class,
    timer: Class,
    threadsafe: Class,
    slots: Slots,
}

/// One native class, and the extra bytes its instances have behind asyncio's slots.
struct Class {
    ty: Py<PyType>,
    /// Where our own eight bytes lie (a timer's key, a running thread): the size of the base.
    extra: usize,
    #[cfg(not(Py_GIL_DISABLED))]
    free: GilCell<FreeList>,
}

/// Byte offsets of asyncio's slots, read from the member descriptors of its classes.
#[derive(Clone, Copy)]
struct Slots {
    callback: usize,
    args: usize,
    cancelled: usize,
    looop: usize,
    source_traceback: usize,
    repr: usize,
    context: usize,
    /// Negative on 3.12 and 3.13, where the list lies before the object (Include/internal/
    /// pycore_object.h, `MANAGED_WEAKREF_OFFSET`).
    weakrefs: isize,
    scheduled: usize,
    when: usize,
}

static TYPES: PyOnceLock<HandleTypes> = PyOnceLock::new();

/// Which of the three classes a handle is an instance of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What `call_soon` returns.
    Soon,
    /// What `call_soon_threadsafe` returns from 3.14 on; before that, a plain `Handle`.
    Threadsafe,
    /// What `call_later` and `call_at` return.
    Timer,
}

/// A handle of ours: an instance of one of the three classes.
pub(crate) struct Handle(Py<PyAny>);

/// Everything a new handle is made of.
pub(crate) struct Parts<'a, 'py> {
    pub(crate) looop: &'a Bound<'py, PyAny>,
    pub(crate) callback: Bound<'py, PyAny>,
    pub(crate) args: Bound<'py, PyTuple>,
    pub(crate) context: Context,
    /// `format_helpers.extract_stack()` in debug mode.
    pub(crate) source_traceback: Option<Bound<'py, PyAny>>,
}

impl HandleTypes {
    /// Makes the classes; once an interpreter, at import.
    ///
    /// # Errors
    /// ImportError where asyncio's handles do not look as expected.
    pub(crate) fn install(py: Python<'_>) -> PyResult<&'static HandleTypes> {
        TYPES.get_or_try_init(py, || HandleTypes::new(py))
    }

    fn new(py: Python<'_>) -> PyResult<HandleTypes> {
        let events = py.import(intern!(py, "asyncio.events"))?;
        let handle = events.getattr(intern!(py, "Handle"))?.cast_into::<PyType>()?;
        let timer = events.getattr(intern!(py, "TimerHandle"))?.cast_into::<PyType>()?;
        let threadsafe = match events.getattr_opt(intern!(py, "_ThreadSafeHandle"))? {
            Some(class) => class.cast_into::<PyType>()?,
            None => handle.clone(),
        };
        let slots = Slots {
            callback: slot_offset(&handle, "_callback")?,
            args: slot_offset(&handle, "_args")?,
            cancelled: slot_offset(&handle, "_cancelled")?,
            looop: slot_offset(&handle, "_loop")?,
            source_traceback: slot_offset(&handle, "_source_traceback")?,
            repr: slot_offset(&handle, "_repr")?,
            context: slot_offset(&handle, "_context")?,
            weakrefs: weakref_offset(&handle)?,
            scheduled: slot_offset(&timer, "_scheduled")?,
            when: slot_offset(&timer, "_when")?,
        };
        Ok(HandleTypes {
            handle: Class::new(&handle, c"ferrio.Handle", HANDLE_METHODS.as_ptr())?,
            timer: Class::new(&timer, c"ferrio.TimerHandle", TIMER_METHODS.as_ptr())?,
            threadsafe: Class::new(
                &threadsafe,
                c"ferrio._ThreadSafeHandle",
                THREADSAFE_METHODS.as_ptr(),
            )?,
            slots,
        })
    }

    fn of(&self, kind: Kind) -> &Class {
        match kind {
            Kind::Soon => &self.handle,
            Kind::Threadsafe => &self.threadsafe,
            Kind::Timer => &self.timer,
        }
    }

    fn installed(py: Python<'_>) -> PyResult<&'static HandleTypes> {
        TYPES.get(py).ok_or_else(|| PyRuntimeError::new_err("ferrio._ferrio is not initialized"))
    }
}

impl Class {
    fn new(
        base: &Bound<'_, PyType>,
        name: &CStr,
        methods: *const ffi::PyMethodDef,
    ) -> PyResult<Self> {
        let py = base.py();
        // SAFETY: reading a field of a live type.
        let base_size = unsafe { (*base.as_type_ptr()).tp_basicsize };
        let mut slots = [
            ffi::PyType_Slot { slot: ffi::Py_tp_dealloc, pfunc: dealloc as *mut c_void },
            ffi::PyType_Slot { slot: ffi::Py_tp_traverse, pfunc: traverse as *mut c_void },
            ffi::PyType_Slot { slot: ffi::Py_tp_clear, pfunc: clear as *mut c_void },
            ffi::PyType_Slot { slot: ffi::Py_tp_methods, pfunc: methods as *mut c_void },
            ffi::PyType_Slot { slot: 0, pfunc: ptr::null_mut() },
        ];
        let mut spec = ffi::PyType_Spec {
            name: name.as_ptr(),
            basicsize: (base_size as usize + size_of::<AtomicU64>()) as c_int,
            itemsize: 0,
            flags: (ffi::Py_TPFLAGS_DEFAULT
                | ffi::Py_TPFLAGS_HAVE_GC
                | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION) as u32,
            slots: slots.as_mut_ptr(),
        };
        // SAFETY: name and methods are statics, the spec is read during the call only; attached.
        let ty = unsafe {
            Bound::from_owned_ptr_or_err(
                py,
                ffi::PyType_FromSpecWithBases(&raw mut spec, base.as_ptr()),
            )?
        };
        let ty = ty.cast_into::<PyType>()?;
        // SAFETY: reading fields of live types.
        let (ours, theirs) = unsafe {
            ((*ty.as_type_ptr()).tp_weaklistoffset, (*base.as_type_ptr()).tp_weaklistoffset)
        };
        if ours != theirs {
            return Err(PyImportError::new_err(format!("{base} does not pass on weak references")));
        }
        Ok(Class {
            ty: ty.unbind(),
            extra: base_size as usize,
            #[cfg(not(Py_GIL_DISABLED))]
            free: GilCell::new(FreeList(Vec::new())),
        })
    }
}

impl Handle {
    /// A new handle of this kind; `when` is what `TimerHandle.when()` will answer.
    pub(crate) fn new(
        parts: Parts<'_, '_>,
        kind: Kind,
        when: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Handle> {
        let py = parts.looop.py();
        let types = HandleTypes::installed(py)?;
        let class = types.of(kind);
        // SAFETY: `allocate` gives an instance whose fields are all NULL; each slot is written once,
        // with a reference of its own, at an offset that the class's own member descriptors gave.
        unsafe {
            let object = Bound::from_owned_ptr_or_err(py, allocate(py, class))?;
            let slots = &types.slots;
            let raw = object.as_ptr();
            write(raw, slots.callback, parts.callback.into_ptr());
            write(raw, slots.args, parts.args.into_ptr());
            write(raw, slots.cancelled, ffi::Py_NewRef(ffi::Py_False()));
            write(raw, slots.looop, parts.looop.clone().into_ptr());
            write(raw, slots.repr, ffi::Py_NewRef(ffi::Py_None()));
            write(raw, slots.context, parts.context.into_object().into_ptr());
            let traceback = match parts.source_traceback {
                Some(traceback) => traceback.into_ptr(),
                None => ffi::Py_NewRef(ffi::Py_None()),
            };
            write(raw, slots.source_traceback, traceback);
            if let Some(when) = when {
                write(raw, slots.when, when.into_ptr());
                write(raw, slots.scheduled, ffi::Py_NewRef(ffi::Py_False()));
                // Timers wait long and are mostly kept by those who made them: the collector has
                // to know them from the start (see `leave_queue`).
                ffi::PyObject_GC_Track(raw.cast());
            }
            Ok(Handle(object.unbind()))
        }
    }

    /// A handle that asyncio's own code made.
    ///
    /// # Errors
    /// TypeError for anything else.
    pub(crate) fn from_asyncio(object: &Bound<'_, PyAny>) -> PyResult<Handle> {
        // SAFETY: reading a field of a live type; ours has exactly one base, asyncio's.
        let base = unsafe {
            let ours = HandleTypes::installed(object.py())?.handle.ty.bind(object.py());
            Borrowed::from_ptr(object.py(), (*ours.as_type_ptr()).tp_base.cast())
        };
        if !object.is_instance(&base)? {
            return Err(pyo3::exceptions::PyTypeError::new_err("a Handle is required"));
        }
        // Its slots lie where those of our subclass do.
        Ok(Handle(object.clone().unbind()))
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Handle {
        Handle(self.0.clone_ref(py))
    }

    pub(crate) fn as_object(&self) -> &Py<PyAny> {
        &self.0
    }

    pub(crate) fn into_object(self) -> Py<PyAny> {
        self.0
    }

    /// Drops the reference without asking whether this thread is attached.
    pub(crate) fn drop_ref(self, py: Python<'_>) {
        self.0.drop_ref(py);
    }

    /// The loop's queues let go of the handle. Until now they kept it alive and the collector had
    /// no need to know it; if somebody else holds it, it may be part of a cycle from now on.
    ///
    /// A handle whose callback runs and which nobody kept is never tracked: with many callbacks
    /// scheduled, the collector would go through all of them again and again (bench:
    /// call_soon_batch).
    pub(crate) fn leave_queue(&self, py: Python<'_>) {
        let _attached = py;
        // SAFETY: a live object of a class with the collector's header; tracked at most once.
        unsafe {
            let raw = self.0.as_ptr();
            if ffi::Py_REFCNT(raw) > 1 && ffi::PyObject_GC_IsTracked(raw) == 0 {
                ffi::PyObject_GC_Track(raw.cast());
            }
        }
    }

    /// Shows the collector a handle in a queue of the loop: one that only the queue refers to and
    /// that is not tracked itself counts as a part of the loop.
    pub(crate) fn traverse(&self, visit: &mut dyn FnMut(*mut ffi::PyObject) -> c_int) -> c_int {
        let raw = self.0.as_ptr();
        // SAFETY: the collector runs attached; only reads.
        unsafe {
            if ffi::Py_REFCNT(raw) > 1 || ffi::PyObject_GC_IsTracked(raw) != 0 {
                return visit(raw);
            }
            let Some(types) = TYPES.get(Python::assume_attached()) else { return 0 };
            for offset in owned_slots(types, raw) {
                let object = read(raw, offset);
                if !object.is_null() {
                    let answer = visit(object);
                    if answer != 0 {
                        return answer;
                    }
                }
            }
        }
        0
    }

    /// Calls the callback in its context, unless the handle was cancelled. `Err` is what the
    /// callback raised.
    pub(crate) fn run(&self, py: Python<'_>) -> PyResult<()> {
        let types = HandleTypes::installed(py)?;
        self.leave_queue(py);
        let raw = self.0.as_ptr();
        // SAFETY: `self` keeps the handle alive; the slots hold NULL (deleted by the user) or live
        // objects, of which references of our own are taken before anything can run.
        let (callback, args, context) = unsafe {
            if read(raw, types.slots.cancelled) != ffi::Py_False() {
                return Ok(());
            }
            (
                owned(py, read(raw, types.slots.callback), "_callback")?,
                owned(py, read(raw, types.slots.args), "_args")?,
                owned(py, read(raw, types.slots.context), "_context")?,
            )
        };
        let _running = self.kind_is(py, types, Kind::Threadsafe).then(|| {
            // SAFETY: a threadsafe handle, kept alive by `self`.
            Running::enter(unsafe { extra(raw, types.threadsafe.extra) })
        });
        invoke(&context, &callback, &args)
    }

    /// `Handle.cancel()`, for a handle that is no timer's.
    pub(crate) fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        debug_assert!(!self.kind_is(py, HandleTypes::installed(py)?, Kind::Timer));
        // SAFETY: attached; `self` is a live handle.
        unsafe { mark_cancelled(py, self.0.as_ptr()) }.map(drop)
    }

    /// Was it cancelled?
    pub(crate) fn is_cancelled(&self, py: Python<'_>) -> PyResult<bool> {
        let types = HandleTypes::installed(py)?;
        // SAFETY: `self` is a live handle of ours.
        Ok(unsafe { is_cancelled(types, self.0.as_ptr()) })
    }

    fn kind_is(&self, py: Python<'_>, types: &HandleTypes, kind: Kind) -> bool {
        self.0.bind(py).get_type_ptr() == types.of(kind).ty.bind(py).as_type_ptr()
    }

    /// The key of the timer behind a `TimerHandle`, in [`TimerHandle._scheduled`]'s company:
    /// remembered so that `cancel()` finds it at once.
    pub(crate) fn set_timer(&self, py: Python<'_>, key: u64) -> PyResult<()> {
        let types = HandleTypes::installed(py)?;
        debug_assert!(self.kind_is(py, types, Kind::Timer));
        // SAFETY: a TimerHandle of ours, which has eight bytes of its own behind the base.
        unsafe {
            extra(self.0.as_ptr(), types.timer.extra).store(key, Ordering::Relaxed);
            replace(self.0.as_ptr(), types.slots.scheduled, ffi::Py_NewRef(ffi::Py_True()));
        }
        Ok(())
    }

    /// Its timer has fired: nothing to cancel any more.
    pub(crate) fn timer_fired(&self, py: Python<'_>) -> PyResult<()> {
        let types = HandleTypes::installed(py)?;
        // SAFETY: as in `set_timer`.
        unsafe {
            extra(self.0.as_ptr(), types.timer.extra).store(NO_TIMER, Ordering::Relaxed);
            replace(self.0.as_ptr(), types.slots.scheduled, ffi::Py_NewRef(ffi::Py_False()));
        }
        Ok(())
    }
}

/// The key that no timer has.
pub(crate) const NO_TIMER: u64 = u64::MAX;

fn invoke(
    context: &Bound<'_, PyAny>,
    callback: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = context.py();
    call::run_in(context, || {
        // Not `cast`: a user may have put any sequence there, which `*args` would accept.
        let Ok(args) = args.cast_exact::<PyTuple>() else {
            let args = PyTuple::type_object(py).call1((args,))?;
            return callback.call1(args.cast_into::<PyTuple>()?).map(drop);
        };
        // SAFETY: the tuple is alive and immutable; its items are an array of live objects.
        unsafe {
            let items = (&raw const (*args.as_ptr().cast::<ffi::PyTupleObject>()).ob_item).cast();
            let result =
                ffi::PyObject_Vectorcall(callback.as_ptr(), items, args.len(), ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, result).map(drop)
        }
    })
}

// ---------------------------------------------------------------- the 3.14 rule of cancellation

/// A threadsafe handle while its callback runs. `cancel()` and `cancelled()` from another thread
/// wait for its end; from the running thread they do not (CPython 3.14, `_ThreadSafeHandle`).
///
/// One mutex and condition variable serve all handles: somebody waits here only when a
/// cancellation meets the callback at work.
struct Running<'a> {
    thread: &'a AtomicU64,
    outer: u64,
}

static DONE: Condvar = Condvar::new();
/// How many threads wait for [`DONE`]. Without the count each callback would end with a system
/// call that wakes nobody.
static WAITING: Mutex<usize> = Mutex::new(0);

impl<'a> Running<'a> {
    fn enter(thread: &'a AtomicU64) -> Running<'a> {
        Running { thread, outer: thread.swap(call::thread_ident(), Ordering::AcqRel) }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        self.thread.store(self.outer, Ordering::Release);
        if *waiting > 0 {
            DONE.notify_all();
        }
    }
}

/// Waits, detached, until no other thread runs this handle's callback.
fn wait_while_running(py: Python<'_>, thread: &AtomicU64) {
    let me = call::thread_ident();
    let idle = |running: u64| running == 0 || running == me;
    if idle(thread.load(Ordering::Acquire)) {
        return;
    }
    py.detach(|| {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting += 1;
        while !idle(thread.load(Ordering::Acquire)) {
            waiting = DONE.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        *waiting -= 1;
    });
}

// ------------------------------------------------------------------------------------- methods

static HANDLE_METHODS: MethodTable<3> = MethodTable([
    method(
        c"cancel",
        get_trampoline_function!(noargs, cancel),
        c"Cancels the callback; does nothing if it has run or is cancelled.",
    ),
    method(
        c"cancelled",
        get_trampoline_function!(noargs, cancelled),
        c"True if the callback was cancelled.",
    ),
    ffi::PyMethodDef::zeroed(),
]);

static TIMER_METHODS: MethodTable<3> = MethodTable([
    method(
        c"cancel",
        get_trampoline_function!(noargs, cancel_timer),
        c"Cancels the callback; does nothing if it has run or is cancelled.",
    ),
    method(
        c"cancelled",
        get_trampoline_function!(noargs, cancelled),
        c"True if the callback was cancelled.",
    ),
    ffi::PyMethodDef::zeroed(),
]);

static THREADSAFE_METHODS: MethodTable<3> = MethodTable([
    method(
        c"cancel",
        get_trampoline_function!(noargs, cancel_threadsafe),
        c"Cancels the callback; from another thread, waits while it runs (CPython 3.14).",
    ),
    method(
        c"cancelled",
        get_trampoline_function!(noargs, cancelled_threadsafe),
        c"True if the callback was cancelled; from another thread, waits while it runs.",
    ),
    ffi::PyMethodDef::zeroed(),
]);

struct MethodTable<const N: usize>([ffi::PyMethodDef; N]);

impl<const N: usize> MethodTable<N> {
    const fn as_ptr(&self) -> *const ffi::PyMethodDef {
        self.0.as_ptr()
    }
}

// SAFETY: never written after initialization; the pointers inside name statics.
unsafe impl<const N: usize> Sync for MethodTable<N> {}

const fn method(
    name: &'static CStr,
    function: ffi::PyCFunction,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: doc.as_ptr(),
    }
}

// Each is called by CPython as a method: attached (by PyO3's trampoline, which also stops panics),
// on a live instance of the class that it was defined on.

unsafe fn cancel(py: Python<'_>, slf: *mut ffi::PyObject) -> PyResult<*mut ffi::PyObject> {
    // SAFETY: see above.
    unsafe { mark_cancelled(py, slf)? };
    Ok(py.None().into_ptr())
}

unsafe fn cancelled(py: Python<'_>, slf: *mut ffi::PyObject) -> PyResult<*mut ffi::PyObject> {
    let types = HandleTypes::installed(py)?;
    // SAFETY: see above.
    Ok(bool_object(py, unsafe { is_cancelled(types, slf) }))
}

unsafe fn cancel_timer(py: Python<'_>, slf: *mut ffi::PyObject) -> PyResult<*mut ffi::PyObject> {
    let types = HandleTypes::installed(py)?;
    // SAFETY: see above; the timer's key lies behind the base's slots.
    unsafe {
        if !is_cancelled(types, slf) {
            let key = extra(slf, types.timer.extra).swap(NO_TIMER, Ordering::Relaxed);
            let looop = owned(py, read(slf, types.slots.looop), "_loop")?;
            mark_cancelled(py, slf)?;
            if key != NO_TIMER {
                replace(slf, types.slots.scheduled, ffi::Py_NewRef(ffi::Py_False()));
                crate::event_loop::forget_timer(&looop, key);
            }
        }
    }
    Ok(py.None().into_ptr())
}

unsafe fn cancel_threadsafe(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    let types = HandleTypes::installed(py)?;
    // SAFETY: see above.
    unsafe {
        wait_while_running(py, extra(slf, types.threadsafe.extra));
        mark_cancelled(py, slf)?;
    }
    Ok(py.None().into_ptr())
}

unsafe fn cancelled_threadsafe(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    let types = HandleTypes::installed(py)?;
    // SAFETY: see above.
    unsafe {
        wait_while_running(py, extra(slf, types.threadsafe.extra));
        Ok(bool_object(py, is_cancelled(types, slf)))
    }
}

fn bool_object(py: Python<'_>, truth: bool) -> *mut ffi::PyObject {
    pyo3::types::PyBool::new(py, truth).to_owned().into_ptr()
}

/// # Safety
/// Attached; `slf` is a live handle of ours.
unsafe fn is_cancelled(types: &HandleTypes, slf: *mut ffi::PyObject) -> bool {
    // SAFETY: passed on.
    unsafe { read(slf, types.slots.cancelled) == ffi::Py_True() }
}

/// `Handle.cancel`: True if it was not cancelled before. In debug mode the handle keeps its repr,
/// to be shown when the callback turns out to have been slow.
///
/// # Safety
/// Attached; `slf` is a live handle of ours.
unsafe fn mark_cancelled(py: Python<'_>, slf: *mut ffi::PyObject) -> PyResult<bool> {
    let types = HandleTypes::installed(py)?;
    // SAFETY: passed on; each replaced object is released after its slot has its new value.
    unsafe {
        if is_cancelled(types, slf) {
            return Ok(false);
        }
        replace(slf, types.slots.cancelled, ffi::Py_NewRef(ffi::Py_True()));
        let looop = owned(py, read(slf, types.slots.looop), "_loop")?;
        if crate::event_loop::is_debug(&looop)? {
            let repr = Borrowed::from_ptr(py, slf).repr()?;
            replace(slf, types.slots.repr, repr.into_ptr());
        }
        replace(slf, types.slots.callback, ffi::Py_NewRef(ffi::Py_None()));
        replace(slf, types.slots.args, ffi::Py_NewRef(ffi::Py_None()));
    }
    Ok(true)
}

// --------------------------------------------------------------------------------- object life

unsafe extern "C" fn dealloc(slf: *mut ffi::PyObject) {
    // SAFETY: called attached with the last reference. asyncio's handles have no finalizer.
    unsafe {
        ffi::PyObject_GC_UnTrack(slf.cast());
        let py = Python::assume_attached();
        if let Ok(types) = HandleTypes::installed(py) {
            let weakrefs = slf.byte_offset(types.slots.weakrefs).cast::<*mut ffi::PyObject>();
            if !(*weakrefs).is_null() {
                ffi::PyObject_ClearWeakRefs(slf);
            }
        }
        clear(slf);
        release(slf);
    }
}

/// A new instance, untracked, with all its fields NULL: one that was freed lately, if there is.
///
/// # Safety
/// Attached.
unsafe fn allocate(py: Python<'_>, class: &Class) -> *mut ffi::PyObject {
    let ty = class.ty.bind(py).as_type_ptr();
    // SAFETY: attached; objects on the list are whole but for what PyObject_Init sets, and new ones
    // get their fields zeroed up to the size that their type says.
    unsafe {
        #[cfg(not(Py_GIL_DISABLED))]
        if let Some(object) = class.free.with(py, |free| free.0.pop()) {
            return ffi::PyObject_Init(object, ty);
        }
        let object = _PyObject_GC_New(ty);
        if !object.is_null() {
            let header = size_of::<ffi::PyObject>();
            object
                .byte_add(header)
                .cast::<u8>()
                .write_bytes(0, (*ty).tp_basicsize as usize - header);
        }
        object
    }
}

/// Gives the memory of a cleared, untracked instance back, to its class's list first.
///
/// # Safety
/// Attached; nothing refers to the object.
unsafe fn release(slf: *mut ffi::PyObject) {
    // SAFETY: passed on.
    unsafe {
        #[cfg(not(Py_GIL_DISABLED))]
        {
            let py = Python::assume_attached();
            let ty = ffi::Py_TYPE(slf);
            if let Ok(types) = HandleTypes::installed(py) {
                for class in [&types.handle, &types.timer, &types.threadsafe] {
                    if class.ty.bind(py).as_type_ptr() == ty
                        && class.free.with(py, |free| free.keep(slf))
                    {
                        ffi::Py_DECREF(ty.cast());
                        return;
                    }
                }
            }
        }
        super::class::free(slf);
    }
}

/// Freed instances of one class.
#[cfg(not(Py_GIL_DISABLED))]
struct FreeList(Vec<*mut ffi::PyObject>);

// SAFETY: memory that no thread uses; reached only through a GilCell.
#[cfg(not(Py_GIL_DISABLED))]
unsafe impl Send for FreeList {}

#[cfg(not(Py_GIL_DISABLED))]
impl FreeList {
    /// How many instances are kept: 128 bytes each.
    const MOST: usize = 512;

    fn keep(&mut self, object: *mut ffi::PyObject) -> bool {
        let has_room = self.0.len() < FreeList::MOST;
        if has_room {
            self.0.push(object);
        }
        has_room
    }
}

unsafe extern "C" {
    // Exported by every CPython, behind the macro PyObject_GC_New; pyo3-ffi has not got it.
    fn _PyObject_GC_New(ty: *mut ffi::PyTypeObject) -> *mut ffi::PyObject;
}

unsafe extern "C" fn clear(slf: *mut ffi::PyObject) -> c_int {
    // SAFETY: called attached on a live handle; the weakref list is no owned reference and stays.
    unsafe {
        let py = Python::assume_attached();
        if let Ok(types) = HandleTypes::installed(py) {
            for offset in owned_slots(types, slf) {
                replace(slf, offset, ptr::null_mut());
            }
        }
    }
    0
}

unsafe extern "C" fn traverse(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called attached by the collector; only reads, and takes no references.
    unsafe {
        let answer = visit(ffi::Py_TYPE(slf).cast(), arg);
        if answer != 0 {
            return answer;
        }
        let py = Python::assume_attached();
        if let Ok(types) = HandleTypes::installed(py) {
            for offset in owned_slots(types, slf) {
                let object = read(slf, offset);
                if !object.is_null() {
                    let answer = visit(object, arg);
                    if answer != 0 {
                        return answer;
                    }
                }
            }
        }
    }
    0
}

/// Every slot that holds a reference: between the object header and our own eight bytes, except
/// the list of weak references. Counted by layout, so that a slot which a later asyncio adds is
/// looked after too.
///
/// # Safety
/// `slf` is an instance of one of the three classes.
unsafe fn owned_slots(
    types: &HandleTypes,
    slf: *mut ffi::PyObject,
) -> impl Iterator<Item = usize> + use<> {
    // SAFETY: reading the size of a live object's type.
    let size = unsafe { (*ffi::Py_TYPE(slf)).tp_basicsize } as usize;
    let weakrefs = types.slots.weakrefs;
    let first = size_of::<ffi::PyObject>();
    (first..size - size_of::<AtomicU64>())
        .step_by(size_of::<*mut ffi::PyObject>())
        .filter(move |&offset| offset as isize != weakrefs)
}

// ------------------------------------------------------------------------------ fields by offset

/// # Safety
/// `offset` is that of a pointer field of the object.
unsafe fn read(object: *mut ffi::PyObject, offset: usize) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe { *object.byte_add(offset).cast::<*mut ffi::PyObject>() }
}

/// Sets a field that holds nothing yet.
///
/// # Safety
/// As [`read`]; `value` is an owned reference or NULL.
unsafe fn write(object: *mut ffi::PyObject, offset: usize, value: *mut ffi::PyObject) {
    // SAFETY: passed on.
    unsafe { *object.byte_add(offset).cast::<*mut ffi::PyObject>() = value }
}

/// Sets a field and releases what it held.
///
/// # Safety
/// As [`write`]; attached.
unsafe fn replace(object: *mut ffi::PyObject, offset: usize, value: *mut ffi::PyObject) {
    // SAFETY: passed on; the old value is released when the field no longer names it.
    unsafe {
        let old = read(object, offset);
        write(object, offset, value);
        ffi::Py_XDECREF(old);
    }
}

/// # Safety
/// `object` is NULL or alive.
unsafe fn owned<'py>(
    py: Python<'py>,
    object: *mut ffi::PyObject,
    name: &'static str,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: passed on.
    unsafe { Bound::from_borrowed_ptr_or_opt(py, object) }.ok_or_else(|| {
        pyo3::exceptions::PyAttributeError::new_err(format!(
            "'Handle' object has no attribute '{name}'"
        ))
    })
}

/// Our own eight bytes of a handle.
///
/// # Safety
/// The object is an instance of the class that `offset` belongs to and outlives `'a`.
unsafe fn extra<'a>(object: *mut ffi::PyObject, offset: usize) -> &'a AtomicU64 {
    // SAFETY: the classes are made eight bytes larger than their base, whose size is a multiple
    // of eight; only atomics ever touch these bytes.
    unsafe { &*object.byte_add(offset).cast::<AtomicU64>() }
}

/// Where a name of `__slots__` lies in the instances.
fn slot_offset(class: &Bound<'_, PyType>, name: &str) -> PyResult<usize> {
    let descriptor = class.getattr(name)?;
    // SAFETY: only compared, then read as the struct that its type vouches for.
    unsafe {
        if ffi::Py_TYPE(descriptor.as_ptr()) != &raw mut ffi::PyMemberDescr_Type {
            return Err(PyImportError::new_err(format!("{class}.{name} is no slot")));
        }
        let descriptor = descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>();
        Ok((*(*descriptor).d_member).offset as usize)
    }
}

fn weakref_offset(class: &Bound<'_, PyType>) -> PyResult<isize> {
    // SAFETY: reading a field of a live type.
    let offset = unsafe { (*class.as_type_ptr()).tp_weaklistoffset };
    if offset == 0 {
        return Err(PyImportError::new_err(format!("{class} has no place for weak references")));
    }
    Ok(offset)
}
