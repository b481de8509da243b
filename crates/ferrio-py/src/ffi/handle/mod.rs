//! `Handle` and `TimerHandle` as native subclasses of asyncio's, made without running `__init__`.
//!
//! asyncio's classes keep everything in `__slots__`, so an instance is a header and a row of
//! pointers. Ours inherit that layout and write the slots directly: a handle prints, compares and
//! answers as asyncio's do, because asyncio's own methods read it; only what is called often
//! (making one, `cancel`, `cancelled`, running it) is native.
//!
//! Source: Lib/asyncio/events.py, classes Handle, TimerHandle and (3.14) _ThreadSafeHandle.

mod fields;
mod later;
mod life;
mod methods;
mod running;
mod soon;

use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::{PyImportError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use pyo3::{PyTypeInfo, ffi};

use self::fields::{Fields, extra, locked, owned, read, replace, weakref_offset, write};
pub(crate) use self::later::{call_at, call_later};
#[cfg(not(Py_GIL_DISABLED))]
use self::life::FreeList;
use self::life::{allocate, clear, dealloc, traverse};
use self::methods::{HANDLE_METHODS, THREADSAFE_METHODS, TIMER_METHODS};
use self::methods::{is_cancelled, mark_cancelled};
use self::running::Running;
pub(crate) use self::soon::{call_soon, call_soon_threadsafe};
use super::call::{self, Context};
#[cfg(not(Py_GIL_DISABLED))]
use super::gil_cell::GilCell;
use super::heap_type::immortalize;
use super::refusal;
use super::slots::{all_slots, own_slot};
use crate::error::WithText;
use crate::ffi::interned::intern;

/// The three classes and where asyncio's slots lie in their instances.
pub(crate) struct HandleTypes {
    handle: Class,
    timer: Class,
    threadsafe: Class,
    slots: Slots,
    /// Whether a plain handle is [`Fields`] and nothing more.
    is_as_expected: bool,
    /// Whether a timer's is that and the two slots of its own.
    is_timer_as_expected: bool,
    no_args: Py<PyTuple>,
}

/// One native class, and the extra bytes its instances have behind asyncio's slots.
struct Class {
    ty: Py<PyType>,
    /// Where our own eight bytes lie (a timer's key, a running thread): the size of the base.
    extra: usize,
    /// Where the slots with references lie: all that the base and its bases have, so that one which
    /// a later asyncio adds is looked after too.
    owned: Box<[usize]>,
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
    /// Of `call_soon_threadsafe`, from 3.14 on.
    Threadsafe,
    /// What `call_later` and `call_at` return.
    Timer,
}

impl Kind {
    /// What `call_soon_threadsafe` returns.
    pub(crate) const OF_ANOTHER_THREAD: Kind =
        if cfg!(Py_3_14) { Kind::Threadsafe } else { Kind::Soon };
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
            callback: own_slot(&handle, "_callback")?,
            args: own_slot(&handle, "_args")?,
            cancelled: own_slot(&handle, "_cancelled")?,
            looop: own_slot(&handle, "_loop")?,
            source_traceback: own_slot(&handle, "_source_traceback")?,
            repr: own_slot(&handle, "_repr")?,
            context: own_slot(&handle, "_context")?,
            weakrefs: weakref_offset(&handle)?,
            scheduled: own_slot(&timer, "_scheduled")?,
            when: own_slot(&timer, "_when")?,
        };
        let expected = [
            (slots.args, offset_of!(Fields, args)),
            (slots.callback, offset_of!(Fields, callback)),
            (slots.cancelled, offset_of!(Fields, cancelled)),
            (slots.context, offset_of!(Fields, context)),
            (slots.looop, offset_of!(Fields, looop)),
            (slots.repr, offset_of!(Fields, repr)),
            (slots.source_traceback, offset_of!(Fields, source_traceback)),
        ];
        let handle_class = Class::new(&handle, c"ferrio.Handle", HANDLE_METHODS.as_ptr())?;
        let is_as_expected = expected.iter().all(|(found, expected)| found == expected)
            && handle_class.owned.len() == expected.len();
        let timer_class = Class::new(&timer, c"ferrio.TimerHandle", TIMER_METHODS.as_ptr())?;
        Ok(HandleTypes {
            is_as_expected,
            is_timer_as_expected: is_as_expected && timer_class.owned.len() == expected.len() + 2,
            no_args: PyTuple::empty(py).unbind(),
            handle: handle_class,
            timer: timer_class,
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

    /// Which of the three it is an instance of; None for one of asyncio's.
    ///
    /// # Safety
    /// `object` is alive.
    unsafe fn class_of(&self, object: *mut ffi::PyObject) -> Option<&Class> {
        // SAFETY: passed on.
        let ty = unsafe { ffi::Py_TYPE(object) };
        [&self.handle, &self.timer, &self.threadsafe]
            .into_iter()
            .find(|class| class.ty.as_ptr() == ty.cast())
    }

    fn installed(py: Python<'_>) -> PyResult<&'static HandleTypes> {
        TYPES.get(py).ok_or_else(|| PyRuntimeError::with_text("ferrio._ferrio is not initialized"))
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
        refusal::reword_class(&ty)?;
        // SAFETY: attached; a new type, which is kept for ever.
        unsafe { immortalize(ty.as_type_ptr()) };
        // SAFETY: reading fields of live types.
        let (ours, theirs) = unsafe {
            ((*ty.as_type_ptr()).tp_weaklistoffset, (*base.as_type_ptr()).tp_weaklistoffset)
        };
        if ours != theirs {
            return Err(PyImportError::with_text(format!(
                "{base} does not pass on weak references"
            )));
        }
        let extra = base_size as usize;
        let owned = all_slots(base)?.into();
        Ok(Class {
            ty: ty.unbind(),
            extra,
            owned,
            #[cfg(not(Py_GIL_DISABLED))]
            free: GilCell::new(FreeList::new()),
        })
    }
}

impl Class {
    /// Lets go of everything that the instance refers to.
    ///
    /// # Safety
    /// Attached; `object` is an instance of this class.
    unsafe fn clear(&self, object: *mut ffi::PyObject) {
        for &offset in &self.owned {
            // SAFETY: passed on; each is the offset of a pointer field.
            unsafe { replace(object, offset, ptr::null_mut()) };
        }
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
        // SAFETY: `allocate` gives an instance that nobody else knows and that the collector does
        // not see; each slot is written with a reference of its own, at an offset that the class's
        // own member descriptors gave, before either changes.
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

    /// This object, if it is one of the handles that `call_soon` makes, ours or asyncio's: by its
    /// type, for `isinstance` believes whatever an object says of itself. A subclass may have
    /// methods of its own, and is none.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Option<Handle>> {
        let ours = &HandleTypes::installed(object.py())?.handle.ty;
        let class = object.get_type_ptr();
        // SAFETY: reading a field of a live type; ours has exactly one base, asyncio's.
        let theirs = unsafe { (*ours.bind(object.py()).as_type_ptr()).tp_base };
        // Its slots lie where those of ours do.
        let is_handle = class == ours.as_ptr().cast() || class == theirs;
        Ok(is_handle.then(|| Handle(object.clone().unbind())))
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
            let types = TYPES.get(Python::assume_attached());
            let Some(class) = types.and_then(|types| types.class_of(raw)) else {
                return visit(raw);
            };
            for &offset in &class.owned {
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
        if let Some(result) = soon::run_unshared(py, types, self) {
            return result;
        }
        self.leave_queue(py);
        let raw = self.0.as_ptr();
        // SAFETY: `self` keeps the handle alive; a threadsafe one has the thread that runs it behind
        // the base's slots.
        unsafe {
            if !is_pending(types, raw) {
                return Ok(());
            }
            // Before it is asked once more: who cancels it marks it first, under the same lock, and
            // then looks here.
            let _running = self
                .kind_is(py, types, Kind::Threadsafe)
                .then(|| Running::enter(extra(raw, types.threadsafe.extra)));
            if !is_pending(types, raw) {
                return Ok(());
            }
            // NULL where the user has deleted them; otherwise references of our own are taken before
            // anything can run.
            let callback = owned(py, raw, types.slots.callback, "_callback")?;
            let args = owned(py, raw, types.slots.args, "_args")?;
            let context = owned(py, raw, types.slots.context, "_context")?;
            invoke(&context, &callback, &args)
        }
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

/// Is what says whether the handle was cancelled as it was at first?
///
/// # Safety
/// A live handle.
unsafe fn is_pending(types: &HandleTypes, object: *mut ffi::PyObject) -> bool {
    // SAFETY: passed on; only compared.
    unsafe { locked(object, || read(object, types.slots.cancelled) == ffi::Py_False()) }
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
            return callback.call1(args.cast_into::<PyTuple>()?);
        };
        // SAFETY: the tuple is alive and immutable; its items are an array of live objects.
        unsafe {
            let items = (&raw const (*args.as_ptr().cast::<ffi::PyTupleObject>()).ob_item).cast();
            let result =
                ffi::PyObject_Vectorcall(callback.as_ptr(), items, args.len(), ptr::null_mut());
            Bound::from_owned_ptr_or_err(py, result)
        }
    })
    .map(drop)
}
