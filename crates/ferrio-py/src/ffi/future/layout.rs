//! Where `_asyncio.Future` and `_asyncio.Task` keep their fields, found out at import.
//!
//! Our types inherit from these two and have no storage of their own for what those have a field
//! for: whatever C code sees of a task of ours, in this process or through `asyncio ps`, is as it
//! would be in one of theirs, and every method that we leave alone works. The structs are private
//! to `Modules/_asynciomodule.c` and differ between versions, so nothing is taken for granted:
//! objects are made and changed through their public methods, and their memory is compared. What
//! is ambiguous, missing or unlike anything known means that the C types are used.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use crate::error::WithText;
use crate::ffi::make;

/// One bit of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bit {
    offset: usize,
    mask: u8,
}

/// Offsets in bytes from the start of the object.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) looop: usize,
    pub(crate) callback0: usize,
    pub(crate) context0: usize,
    pub(crate) callbacks: usize,
    pub(crate) result: usize,
    pub(crate) exception: usize,
    pub(crate) exception_tb: usize,
    pub(crate) cancelled_exc: usize,
    /// A byte: [`PENDING`] and its like.
    pub(crate) state: usize,
    pub(crate) log_traceback: Bit,
    pub(crate) blocking: Bit,
    /// Who waits, for the call graph; since 3.14.
    pub(crate) awaited_by: Option<usize>,
    pub(crate) coro: usize,
    pub(crate) name: usize,
    pub(crate) context: usize,
    pub(crate) fut_waiter: usize,
    pub(crate) must_cancel: Bit,
    /// Is a pending task that is forgotten to be reported?
    pub(crate) log_destroy_pending: Bit,
    /// How often the task was asked to cancel, as a C int.
    pub(crate) cancels: usize,
    /// The one word of a new task that is neither zero nor a reference, and what is in it.
    pub(crate) flags: (usize, usize),
    /// Are names that nobody gave kept as a number, and written out when asked for?
    pub(crate) names_are_numbers: bool,
}

pub(crate) const PENDING: u8 = 0;
pub(crate) const CANCELLED: u8 = 1;
pub(crate) const FINISHED: u8 = 2;

impl Bit {
    /// # Safety
    /// The object has this bit.
    #[inline]
    pub(crate) unsafe fn is_set(self, object: *mut ffi::PyObject) -> bool {
        // SAFETY: passed on.
        unsafe { *object.byte_add(self.offset).cast::<u8>() & self.mask != 0 }
    }

    /// # Safety
    /// As [`is_set`](Bit::is_set).
    #[inline]
    pub(crate) unsafe fn set(self, object: *mut ffi::PyObject) {
        // SAFETY: passed on.
        unsafe { *object.byte_add(self.offset).cast::<u8>() |= self.mask }
    }

    /// # Safety
    /// As [`is_set`](Bit::is_set).
    #[inline]
    pub(crate) unsafe fn clear(self, object: *mut ffi::PyObject) {
        // SAFETY: passed on.
        unsafe { *object.byte_add(self.offset).cast::<u8>() &= !self.mask }
    }
}

impl Layout {
    /// Looks at new objects of the two types.
    ///
    /// # Errors
    /// What was not as expected, or an exception on the way.
    pub(crate) fn probe(future: &Bound<'_, PyType>, task: &Bound<'_, PyType>) -> PyResult<Layout> {
        let py = future.py();
        let probe = Probe { py, future, task, looop: stub_loop(py)? };
        let callbacks = probe.callbacks()?;
        let outcome = probe.outcome()?;
        let blocking = probe.blocking()?;
        let of_task = probe.task(callbacks.looop)?;
        let cancelled_exc = probe.cancelled_exc(outcome.state)?;
        let awaited_by = probe.awaited_by()?;
        let layout = Layout {
            looop: callbacks.looop,
            callback0: callbacks.callback0,
            context0: callbacks.context0,
            callbacks: callbacks.callbacks,
            result: outcome.result,
            exception: outcome.exception,
            exception_tb: outcome.exception_tb,
            cancelled_exc,
            state: outcome.state,
            log_traceback: outcome.log_traceback,
            blocking,
            awaited_by,
            ..of_task
        };
        layout.checked()
    }

    /// No two fields may lie in the same place.
    fn checked(self) -> PyResult<Layout> {
        let mut offsets = vec![
            self.looop,
            self.callback0,
            self.context0,
            self.callbacks,
            self.result,
            self.exception,
            self.exception_tb,
            self.cancelled_exc,
            self.coro,
            self.name,
            self.context,
            self.fut_waiter,
        ];
        offsets.extend(self.awaited_by);
        let scalars =
            [self.state, self.log_traceback.offset, self.blocking.offset, self.must_cancel.offset];
        let count = offsets.len();
        let overlaps = scalars.iter().any(|scalar| offsets.contains(&word_of(*scalar)));
        offsets.sort_unstable();
        offsets.dedup();
        if overlaps || offsets.len() != count {
            return Err(unexpected("fields overlap"));
        }
        Ok(self)
    }
}

fn unexpected(what: &str) -> PyErr {
    pyo3::exceptions::PyRuntimeError::with_text(format!("layout of asyncio's C types: {what}"))
}

/// What has no debug mode and takes what is scheduled on it, without keeping it.
fn stub_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let methods = make::dict(py)?;
    let builtins = py.import("builtins")?;
    methods.set_item("get_debug", builtins.getattr("bool")?)?;
    methods.set_item("call_exception_handler", builtins.getattr("id")?)?;
    // Takes a callable and any keywords.
    methods.set_item("call_soon", py.import("functools")?.getattr("partial")?)?;
    py.import("types")?.getattr("SimpleNamespace")?.call((), Some(&methods))
}

/// The memory of one object at one time, without the header.
struct Image(Vec<u8>);

const HEADER: usize = size_of::<ffi::PyObject>();
const WORD: usize = size_of::<usize>();

fn word_of(offset: usize) -> usize {
    offset / WORD * WORD
}

impl Image {
    fn of(object: &Bound<'_, PyAny>) -> Image {
        // SAFETY: an object is as long as its type says at least, and nobody changes it now.
        unsafe {
            let size = (*object.get_type_ptr()).tp_basicsize as usize;
            let start = object.as_ptr().cast::<u8>();
            Image(std::slice::from_raw_parts(start.add(HEADER), size - HEADER).to_vec())
        }
    }

    fn word(&self, offset: usize) -> usize {
        let mut bytes = [0; WORD];
        bytes.copy_from_slice(&self.0[offset - HEADER..offset - HEADER + WORD]);
        usize::from_ne_bytes(bytes)
    }

    fn byte(&self, offset: usize) -> u8 {
        self.0[offset - HEADER]
    }

    /// The offsets of all words.
    fn words(&self) -> impl Iterator<Item = usize> {
        (HEADER..HEADER + self.0.len() / WORD * WORD).step_by(WORD)
    }

    /// The one place of a reference to `value`.
    fn find(&self, value: &Bound<'_, PyAny>, what: &str) -> PyResult<usize> {
        let mut found = self.words().filter(|&word| self.word(word) == value.as_ptr() as usize);
        match (found.next(), found.next()) {
            (Some(offset), None) => Ok(offset),
            (None, _) => Err(unexpected(&format!("{what} not found"))),
            (Some(_), Some(_)) => Err(unexpected(&format!("{what} found twice"))),
        }
    }

    /// The bytes that differ, leaving out these words.
    fn changed(&self, after: &Image, without: &[usize]) -> Vec<usize> {
        (HEADER..HEADER + self.0.len())
            .filter(|&offset| self.byte(offset) != after.byte(offset))
            .filter(|&offset| !without.contains(&word_of(offset)))
            .collect()
    }

    /// The one bit that differs.
    fn bit(&self, after: &Image, without: &[usize], what: &str) -> PyResult<Bit> {
        if let [offset] = self.changed(after, without)[..] {
            let mask = self.byte(offset) ^ after.byte(offset);
            if mask.is_power_of_two() {
                return Ok(Bit { offset, mask });
            }
        }
        Err(unexpected(&format!("{what} is no single bit")))
    }
}

/// The objects that are looked at.
struct Probe<'a, 'py> {
    py: Python<'py>,
    future: &'a Bound<'py, PyType>,
    task: &'a Bound<'py, PyType>,
    looop: Bound<'py, PyAny>,
}

struct Callbacks {
    looop: usize,
    callback0: usize,
    context0: usize,
    callbacks: usize,
}

struct Outcome {
    state: usize,
    result: usize,
    exception: usize,
    exception_tb: usize,
    log_traceback: Bit,
}

impl<'py> Probe<'_, 'py> {
    fn new_future(&self) -> PyResult<Bound<'py, PyAny>> {
        self.future.call((), Some(&self.options()?))
    }

    fn options(&self) -> PyResult<Bound<'py, PyDict>> {
        let options = make::dict(self.py)?;
        options.set_item("loop", &self.looop)?;
        Ok(options)
    }

    /// An object that is nowhere else.
    fn unique(&self) -> PyResult<Bound<'py, PyAny>> {
        self.py.import("types")?.getattr("SimpleNamespace")?.call0()
    }

    fn new_context(&self) -> PyResult<Bound<'py, PyAny>> {
        self.py.import("contextvars")?.getattr("Context")?.call0()
    }

    fn callbacks(&self) -> PyResult<Callbacks> {
        let future = self.new_future()?;
        let fresh = Image::of(&future);
        let looop = fresh.find(&self.looop, "loop")?;
        if fresh.words().any(|word| word != looop && fresh.word(word) != 0) {
            return Err(unexpected("a new future is not blank"));
        }
        let callback = self.unique()?;
        let options = make::dict(self.py)?;
        options.set_item("context", self.new_context()?)?;
        future.call_method("add_done_callback", (&callback,), Some(&options))?;
        let one = Image::of(&future);
        let callback0 = one.find(&callback, "callback")?;
        let context = options.get_item("context")?.ok_or_else(|| unexpected("context"))?;
        let context0 = one.find(&context, "context of a callback")?;
        if !fresh.changed(&one, &[callback0, context0]).is_empty() {
            return Err(unexpected("a callback changes more than its fields"));
        }
        future.call_method("add_done_callback", (self.unique()?,), Some(&options))?;
        let two = Image::of(&future);
        let callbacks = match one.changed(&two, &[]).first() {
            Some(&offset) => word_of(offset),
            None => return Err(unexpected("no list of callbacks")),
        };
        let is_list = one.word(callbacks) == 0
            && one.changed(&two, &[callbacks]).is_empty()
            // SAFETY: the word was NULL and is not any more: a reference to something alive.
            && unsafe { ffi::PyList_CheckExact(two.word(callbacks) as *mut ffi::PyObject) } != 0;
        if !is_list {
            return Err(unexpected("callbacks are no list"));
        }
        Ok(Callbacks { looop, callback0, context0, callbacks })
    }

    fn blocking(&self) -> PyResult<Bit> {
        let future = self.new_future()?;
        let before = Image::of(&future);
        future.setattr("_asyncio_future_blocking", true)?;
        before.bit(&Image::of(&future), &[], "_asyncio_future_blocking")
    }

    fn outcome(&self) -> PyResult<Outcome> {
        let future = self.new_future()?;
        let before = Image::of(&future);
        let value = self.unique()?;
        future.call_method1("set_result", (&value,))?;
        let after = Image::of(&future);
        let result = after.find(&value, "result")?;
        let [state] = before.changed(&after, &[result])[..] else {
            return Err(unexpected("state is not one byte"));
        };
        if (before.byte(state), after.byte(state)) != (PENDING, FINISHED) {
            return Err(unexpected("state has other values"));
        }

        let cancelled = self.new_future()?;
        let before = Image::of(&cancelled);
        let message = self.unique()?;
        cancelled.call_method1("cancel", (&message,))?;
        let after = Image::of(&cancelled);
        let cancel_message = after.find(&message, "cancel message")?;
        let only_state = before.changed(&after, &[cancel_message]) == [state];
        if !only_state || after.byte(state) != CANCELLED {
            return Err(unexpected("cancelled state has another value"));
        }

        let failed = self.new_future()?;
        let before = Image::of(&failed);
        let Err(error) = self.py.eval(c"1/0", None, None) else {
            return Err(unexpected("1/0"));
        };
        // With its traceback: up to 3.11 an exception gets it only when it is caught.
        let error = error.into_value(self.py).into_bound(self.py).into_any();
        let traceback = error.getattr("__traceback__")?;
        failed.call_method1("set_exception", (&error,))?;
        let after = Image::of(&failed);
        failed.setattr("_log_traceback", false)?;
        let silenced = Image::of(&failed);
        let exception = after.find(&error, "exception")?;
        let exception_tb = after.find(&traceback, "traceback")?;
        let log_traceback = silenced.bit(&after, &[], "_log_traceback")?;
        if before.changed(&silenced, &[exception, exception_tb]) != [state] {
            return Err(unexpected("an exception changes more than its fields"));
        }
        Ok(Outcome { state, result, exception, exception_tb, log_traceback })
    }

    /// There is no way to see this field: it is filled, and a method has to find what was put in.
    fn cancelled_exc(&self, state: usize) -> PyResult<usize> {
        let future = self.new_future()?;
        let make = self.future.getattr("_make_cancelled_error")?;
        future.call_method0("cancel")?;
        let image = Image::of(&future);
        let error = self.py.get_type::<pyo3::exceptions::PyException>().call0()?;
        for offset in self.blank_words(&image, word_of(state)) {
            // SAFETY: the word is NULL and no part of what the attribute access below uses; it
            // gets a reference of its own, which is taken back unless the method has taken it.
            let taken = unsafe {
                let place = future.as_ptr().byte_add(offset).cast::<*mut ffi::PyObject>();
                *place = error.clone().into_ptr();
                let made = make.call1((&future,));
                let is_taken = (*place).is_null();
                if !is_taken {
                    *place = std::ptr::null_mut();
                    ffi::Py_DECREF(error.as_ptr());
                }
                is_taken && made?.is(&error)
            };
            if taken {
                return Ok(offset);
            }
        }
        Err(unexpected("the raised CancelledError not found"))
    }

    /// Words in which there is nothing, and that are neither dictionary nor list of weakrefs.
    fn blank_words(&self, image: &Image, state: usize) -> Vec<usize> {
        let special = |ty: &Bound<'_, PyType>| {
            // SAFETY: reading fields of a live type.
            unsafe {
                let ty = ty.as_type_ptr();
                [(*ty).tp_dictoffset, (*ty).tp_weaklistoffset]
            }
        };
        let special: Vec<isize> = [self.future, self.task].into_iter().flat_map(special).collect();
        image
            .words()
            .filter(|&word| image.word(word) == 0 && word != state)
            .filter(|&word| !special.contains(&(word as isize)))
            .collect()
    }

    fn awaited_by(&self) -> PyResult<Option<usize>> {
        let module = self.py.import("_asyncio")?;
        let Some(add) = module.getattr_opt("future_add_to_awaited_by")? else { return Ok(None) };
        let future = self.new_future()?;
        let waiter = self.new_future()?;
        let before = Image::of(&future);
        add.call1((&future, &waiter))?;
        let after = Image::of(&future);
        let awaited_by = after.find(&waiter, "awaited_by")?;
        if !before.changed(&after, &[awaited_by]).is_empty() {
            return Err(unexpected("awaited_by is more than a reference"));
        }
        module.getattr("future_discard_from_awaited_by")?.call1((&future, &waiter))?;
        if !before.changed(&Image::of(&future), &[]).is_empty() {
            return Err(unexpected("awaited_by is not cleared"));
        }
        Ok(Some(awaited_by))
    }

    /// What only tasks have; the rest of the layout is filled in by the caller.
    fn task(&self, looop: usize) -> PyResult<Layout> {
        let coro = self.py.import("asyncio")?.getattr("sleep")?.call1((0,))?;
        let result = self.task_of(&coro, looop);
        coro.call_method0("close")?;
        result
    }

    fn task_of(&self, coro: &Bound<'py, PyAny>, looop: usize) -> PyResult<Layout> {
        let options = self.options()?;
        let name = make::text(self.py, "probe of ferrio")?;
        let context = self.new_context()?;
        options.set_item("name", &name)?;
        options.set_item("context", &context)?;
        let task = self.task.call((coro,), Some(&options))?;
        // The list of tasks runs through it on some versions.
        self.py.import("_asyncio")?.call_method1("_unregister_task", (&task,))?;
        let fresh = Image::of(&task);
        task.setattr("_log_destroy_pending", false)?;
        let silenced = Image::of(&task);
        let log_destroy_pending = fresh.bit(&silenced, &[], "_log_destroy_pending")?;
        if fresh.find(&self.looop, "loop of a task")? != looop {
            return Err(unexpected("a task's loop is not where a future's is"));
        }
        let offsets = (
            fresh.find(coro, "coroutine")?,
            fresh.find(name.as_any(), "name")?,
            fresh.find(&context, "context of a task")?,
        );
        let known = [looop, offsets.0, offsets.1, offsets.2];
        let scalars: Vec<usize> =
            fresh.words().filter(|word| fresh.word(*word) != 0 && !known.contains(word)).collect();
        let [flags] = scalars[..] else {
            return Err(unexpected("a new task has more than one word of flags"));
        };
        let is_plain = fresh.word(flags).to_ne_bytes().iter().all(|&byte| byte <= 0x10);
        if !is_plain {
            return Err(unexpected("the flags of a new task are no flags"));
        }

        let message = self.unique()?;
        task.call_method1("cancel", (&message,))?;
        let once = Image::of(&task);
        let cancel_message = once.find(&message, "cancel message of a task")?;
        task.call_method1("cancel", (&message,))?;
        let twice = Image::of(&task);
        let count = once.changed(&twice, &[]);
        let [count] = count[..] else { return Err(unexpected("no count of cancellations")) };
        let mut without_count = once;
        without_count.0[count - HEADER] = silenced.byte(count);
        let must_cancel = silenced.bit(&without_count, &[cancel_message], "_must_cancel")?;

        Ok(Layout {
            looop,
            callback0: 0,
            context0: 0,
            callbacks: 0,
            result: 0,
            exception: 0,
            exception_tb: 0,
            cancelled_exc: 0,
            state: 0,
            log_traceback: must_cancel,
            blocking: must_cancel,
            awaited_by: None,
            coro: offsets.0,
            name: offsets.1,
            context: offsets.2,
            fut_waiter: self.fut_waiter(&task, &twice, flags)?,
            must_cancel,
            log_destroy_pending,
            cancels: count,
            flags: (flags, fresh.word(flags)),
            names_are_numbers: self.names_are_numbers(&task, offsets.1)?,
        })
    }

    /// The word that the getter of `_fut_waiter` shows.
    fn fut_waiter(&self, task: &Bound<'_, PyAny>, image: &Image, flags: usize) -> PyResult<usize> {
        let getter = self.task.getattr("_fut_waiter")?;
        let future = self.new_future()?;
        let mut found = Vec::new();
        for offset in self.blank_words(image, flags) {
            // SAFETY: as in `cancelled_exc`; the getter only reads.
            let shown = unsafe {
                let place = task.as_ptr().byte_add(offset).cast::<*mut ffi::PyObject>();
                *place = future.as_ptr();
                let shown = getter.call_method1("__get__", (task,));
                *place = std::ptr::null_mut();
                shown?
            };
            if shown.is(&future) {
                found.push(offset);
            }
        }
        match found[..] {
            [offset] => Ok(offset),
            _ => Err(unexpected("_fut_waiter not found")),
        }
    }

    /// Puts a number where the name is. A task without a name would tell as well, but the numbers of
    /// the program's tasks would begin at 2.
    fn names_are_numbers(&self, task: &Bound<'py, PyAny>, name: usize) -> PyResult<bool> {
        let number = pyo3::types::PyInt::new(self.py, 7).into_any();
        // SAFETY: the word is a reference to the name, whose place the number's takes; what the
        // method leaves there is a reference of the task's again.
        let shown = unsafe {
            let place = task.as_ptr().byte_add(name).cast::<*mut ffi::PyObject>();
            ffi::Py_DECREF(std::mem::replace(&mut *place, number.clone().into_ptr()));
            task.call_method0("get_name")?
        };
        task.call_method1("set_name", ("probe of ferrio",))?;
        if shown.is(&number) {
            return Ok(false);
        }
        if shown.extract::<&str>()? == "Task-7" {
            return Ok(true);
        }
        Err(unexpected("a name is neither text nor number"))
    }
}
