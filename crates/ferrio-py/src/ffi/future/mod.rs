//! `ferrio.Future` and `ferrio.Task`: heap types that inherit from asyncio's C types.
//!
//! `isinstance`, `all_tasks`, the call graph, `asyncio ps` and every method that is not written
//! here are the base's own: our types keep what they know in the base's fields
//! ([`layout`]). What is ours is what runs for every await: making the objects, `set_result`, the
//! iterator behind `await`, and the steps of tasks ([`task`](super::task)), which go from the loop's
//! ready queue to the coroutine without a handle, a method call or a builtin made in between.
//!
//! Instances of the C types, too, are read and written by their fields where they meet ours.
//! Subclasses written in Python are asked by methods: they may have overridden any.
//!
//! On free-threaded builds, and where the layout is not as expected, there are no types of ours.

pub(crate) mod awaited_by;
pub(crate) mod awaiting;
pub(crate) mod fields;
pub(crate) mod gathering;
pub(crate) mod iter;
pub(crate) mod layout;
mod methods;
pub(crate) mod state;

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use self::layout::Layout;
use super::task::{callback, current, life, registry};
use crate::error::WithText;
use crate::ffi::interned::intern;

pub(crate) use methods::{new_future, schedule_callbacks};

/// Everything that is looked up or made once. Never freed.
pub(crate) struct Types {
    pub(crate) layout: Layout,
    pub(crate) future: *mut ffi::PyTypeObject,
    pub(crate) task: *mut ffi::PyTypeObject,
    pub(crate) c_future: *mut ffi::PyTypeObject,
    pub(crate) c_task: *mut ffi::PyTypeObject,
    pub(crate) iter: iter::IterType,
    pub(crate) step: *mut ffi::PyTypeObject,
    pub(crate) wakeup: *mut ffi::PyTypeObject,
    /// The size of asyncio's task, behind which ours has a field.
    pub(crate) c_task_size: usize,
    pub(crate) descriptors: Descriptors,
    pub(crate) current: current::Current,
    pub(crate) registry: registry::Registry,
}

/// Methods of `_asyncio.Future`, to be called on futures and tasks alike.
pub(crate) struct Descriptors {
    pub(crate) result: Py<PyAny>,
    pub(crate) set_result: Py<PyAny>,
    pub(crate) set_exception: Py<PyAny>,
    pub(crate) cancel: Py<PyAny>,
    pub(crate) add_done_callback: Py<PyAny>,
    pub(crate) make_cancelled_error: Py<PyAny>,
    pub(crate) cancel_message: Py<PyAny>,
}

/// asyncio's `_GatheringFuture` in our form: a class written in Python that overrides `cancel` alone,
/// so that its instances are read and written as those of [`Types::future`]. See [`adopt`].
static GATHERING: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

static TYPES: AtomicPtr<Types> = AtomicPtr::new(ptr::null_mut());

/// The types, where there are any.
#[inline(always)]
pub(crate) fn types(_py: Python<'_>) -> Option<&'static Types> {
    // SAFETY: NULL or leaked by `install`, and never changed.
    unsafe { TYPES.load(Ordering::Relaxed).as_ref() }
}

/// Makes the types, once; None where the C types have to do.
///
/// # Errors
/// Never for what the interpreter looks like, only for what happens while looking: MemoryError.
pub(crate) fn install(py: Python<'_>) -> PyResult<Option<&'static Types>> {
    if cfg!(Py_GIL_DISABLED) {
        return Ok(None);
    }
    if types(py).is_none() {
        // An interpreter that asyncio's types look different in: the reason is of no use to a
        // program, and `ferrio info` says whether there are types of ours.
        let Ok(made) = Types::new(py) else { return Ok(None) };
        TYPES.store(Box::into_raw(Box::new(made)), Ordering::Relaxed);
    }
    Ok(types(py))
}

impl Types {
    fn new(py: Python<'_>) -> PyResult<Types> {
        let module = py.import("_asyncio")?;
        let c_future = module.getattr("Future")?.cast_into::<PyType>()?;
        let c_task = module.getattr("Task")?.cast_into::<PyType>()?;
        let layout = Layout::probe(&c_future, &c_task)?;
        let of_future = |name: &str| c_future.getattr(name).map(Bound::unbind);
        let descriptors = Descriptors {
            result: of_future("result")?,
            set_result: of_future("set_result")?,
            set_exception: of_future("set_exception")?,
            cancel: of_future("cancel")?,
            add_done_callback: of_future("add_done_callback")?,
            make_cancelled_error: of_future("_make_cancelled_error")?,
            cancel_message: of_future("_cancel_message")?.bind(py).getattr("__get__")?.unbind(),
        };
        let iter = iter::IterType::new(py)?;
        let (step, wakeup) = callback::new_types(py)?;
        let current = current::Current::new(&module)?;
        let registry = registry::Registry::new(&module)?;
        let future = new_type(&c_future, &FUTURE, methods::FUTURE_METHODS.as_ptr())?;
        let task = new_type(&c_task, &TASK, methods::TASK_METHODS.as_ptr())?;
        // SAFETY: reading a field of a live type.
        let c_task_size = unsafe { (*c_task.as_type_ptr()).tp_basicsize as usize };
        Ok(Types {
            layout,
            future: future.into_ptr().cast(),
            task: task.into_ptr().cast(),
            c_future: c_future.into_ptr().cast(),
            c_task: c_task.into_ptr().cast(),
            iter,
            step,
            wakeup,
            c_task_size,
            descriptors,
            current,
            registry,
        })
    }

    /// Is this exactly one of asyncio's two types or of ours, whose fields may be used directly?
    ///
    /// # Safety
    /// `object` is alive.
    #[inline(always)]
    pub(crate) unsafe fn is_exact(&self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: passed on.
        let ty = unsafe { ffi::Py_TYPE(object) };
        ty == self.future
            || ty == self.task
            || ty == self.c_future
            || ty == self.c_task
            || ty == GATHERING.load(Ordering::Relaxed)
    }

    /// `_asyncio.Future`.
    pub(crate) fn c_future_class<'a, 'py>(&self, py: Python<'py>) -> Borrowed<'a, 'py, PyAny> {
        // SAFETY: a type that lives for ever.
        unsafe { Borrowed::from_ptr(py, self.c_future.cast()) }
    }

    /// `_asyncio.Task`.
    pub(crate) fn c_task_class<'a, 'py>(&self, py: Python<'py>) -> Borrowed<'a, 'py, PyAny> {
        // SAFETY: a type that lives for ever.
        unsafe { Borrowed::from_ptr(py, self.c_task.cast()) }
    }

    /// The class, for Python.
    pub(crate) fn future_class<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        // SAFETY: a type that lives for ever.
        unsafe { Bound::from_borrowed_ptr(py, self.future.cast()) }
    }

    /// The class, for Python.
    pub(crate) fn task_class<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        // SAFETY: a type that lives for ever.
        unsafe { Bound::from_borrowed_ptr(py, self.task.cast()) }
    }
}

/// Takes the class for gather's futures: a subclass of ours with these two in its `__slots__`.
///
/// # Errors
/// TypeError if it is something else.
pub(crate) fn adopt_gathering(class: &Bound<'_, PyType>) -> PyResult<gathering::Slots> {
    let slots = gathering::Slots::of(class)?;
    GATHERING.store(class.clone().into_ptr().cast(), Ordering::Relaxed);
    Ok(slots)
}

/// What differs between the two types.
struct Kind {
    name: &'static CStr,
    doc: &'static CStr,
    /// Bytes of our own behind the base's.
    own: usize,
    /// None: the base's.
    dealloc: Option<ffi::destructor>,
}

const FUTURE: Kind = Kind {
    name: c"ferrio.Future",
    doc: c"An asyncio.Future that ferrio's loop makes and knows how to wake quickly.",
    own: 0,
    dealloc: if cfg!(Py_3_14) { None } else { Some(life::dealloc_future) },
};

const TASK: Kind = Kind {
    name: c"ferrio.Task",
    doc: c"An asyncio.Task that ferrio's loop steps itself.",
    own: size_of::<*mut ffi::PyObject>(),
    dealloc: if cfg!(Py_3_14) { None } else { Some(life::dealloc_task) },
};

fn new_type<'py>(
    base: &Bound<'py, PyType>,
    kind: &Kind,
    methods: *const ffi::PyMethodDef,
) -> PyResult<Bound<'py, PyAny>> {
    let py = base.py();
    // SAFETY: reading fields of a live type.
    let (size, base_dealloc) =
        unsafe { ((*base.as_type_ptr()).tp_basicsize as usize, (*base.as_type_ptr()).tp_dealloc) };
    let dealloc = kind.dealloc.or(base_dealloc);
    let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
    let mut slots = vec![
        slot(ffi::Py_tp_doc, kind.doc.as_ptr().cast_mut().cast()),
        slot(ffi::Py_tp_methods, methods.cast_mut().cast()),
        slot(ffi::Py_tp_iter, iter::new_iter as *mut c_void),
        slot(ffi::Py_am_await, iter::new_iter as *mut c_void),
    ];
    if let Some(dealloc) = dealloc {
        slots.push(slot(ffi::Py_tp_dealloc, dealloc as *mut c_void));
    }
    let mut flags = ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE | IMMUTABLE;
    if cfg!(not(Py_3_12)) {
        // The base is a static type there, which does not show its subclass to the collector.
        flags |= ffi::Py_TPFLAGS_HAVE_GC;
        slots.push(slot(ffi::Py_tp_traverse, life::traverse as *mut c_void));
        slots.push(slot(ffi::Py_tp_clear, life::clear as *mut c_void));
    }
    slots.push(slot(0, ptr::null_mut()));
    let mut spec = ffi::PyType_Spec {
        name: kind.name.as_ptr(),
        basicsize: (size + kind.own) as c_int,
        itemsize: 0,
        flags: flags as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: names, docs and methods are statics, the spec is read during the call only; attached.
    let ty = unsafe {
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyType_FromSpecWithBases(&raw mut spec, base.as_ptr()),
        )?
    };
    let same: [fn(&ffi::PyTypeObject) -> usize; 4] = [
        |ty| ty.tp_weaklistoffset as usize,
        |ty| ty.tp_dictoffset as usize,
        |ty| ty.tp_init.map_or(0, |f| f as usize),
        |ty| ty.tp_finalize.map_or(0, |f| f as usize),
    ];
    // SAFETY: reading fields of live types.
    let inherits = unsafe {
        let (ours, theirs) = (&*ty.as_ptr().cast(), &*base.as_type_ptr());
        same.iter().all(|of| of(ours) == of(theirs))
            && ffi::PyType_HasFeature(ty.as_ptr().cast(), ffi::Py_TPFLAGS_HAVE_GC) != 0
    };
    if !inherits || !ty.hasattr(intern!(py, "__class_getitem__"))? {
        return Err(pyo3::exceptions::PyRuntimeError::with_text("the base passes too little on"));
    }
    Ok(ty)
}

/// As asyncio's types are. Since 3.10; not in pyo3-ffi for all versions.
const IMMUTABLE: std::ffi::c_ulong = 1 << 8;
