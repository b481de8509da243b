//! `Queue`.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyTuple};

use super::items::Items;
use super::order::{
    EMPTY, FULL, GET, GET_LOOP, GET_NOWAIT, INIT, Order, PUT, PUT_NOWAIT, QSIZE, QUEUE,
};
use super::unfinished::Unfinished;
#[cfg(Py_3_13)]
use super::waking::wake_up_all;
use super::{get, join, put};
use crate::aio::argument::Argument;
use crate::aio::count::Count;
use crate::aio::loop_bound::{LoopBound, loop_bound};
use crate::aio::waiters::Waiters;
use crate::error::WithText;
use crate::ffi::call::{call_method1, python_of};
use crate::ffi::class::{self, chained};
use crate::ffi::deque::Deque;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make::{self, Returned};
use crate::ffi::refusal;
use crate::names;

/// What tasks hand things to each other through: what was put in first comes out first.
#[pyclass(module = "ferrio", subclass, frozen, weakref, dict, generic)]
pub(crate) struct Queue {
    looop: LoopBound,
    pub(super) maxsize: GilCell<Count>,
    /// The container of the items, under asyncio's name `_queue`: any object that `_init` has put
    /// there.
    pub(super) container: GilCell<Option<Py<PyAny>>>,
    pub(super) getters: Waiters,
    pub(super) putters: Waiters,
    pub(super) unfinished: Unfinished,
    /// Never set before 3.13.
    pub(super) is_shut_down: AtomicBool,
}

chained!(Queue);

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    refusal::add_class::<Queue>(module)?;
    class::chain::<Queue>(module.py());
    put::install(py)?;
    get::install(py)?;
    join::install(py)
}

impl Queue {
    /// The items, where every method is ours and has found what it expects.
    #[inline]
    pub(super) fn items<'py>(slf: &Bound<'py, Queue>) -> Option<Items<'py>> {
        Queue::items_of(slf, Order::of(slf)?)
    }

    /// The items, where these methods are ours and have found what they expect.
    fn items_with<'py>(slf: &Bound<'py, Queue>, methods: u32) -> Option<Items<'py>> {
        Queue::items_of(slf, Order::with(slf, methods | QUEUE)?)
    }

    #[inline]
    fn items_of<'py>(slf: &Bound<'py, Queue>, order: Order) -> Option<Items<'py>> {
        let py = slf.py();
        let container = slf
            .get()
            .container
            .with(py, |container| container.as_ref().map(|container| container.clone_ref(py)))?;
        Items::of(order, container.into_bound(py))
    }

    /// `self._queue`, which may be anything.
    pub(super) fn container<'py>(slf: &Bound<'py, Queue>) -> PyResult<Bound<'py, PyAny>> {
        slf.getattr(intern!(slf.py(), "_queue"))
    }

    pub(super) fn set_container(&self, container: &Bound<'_, PyAny>) {
        let new = container.clone().unbind();
        drop(self.container.with(container.py(), |container| container.replace(new)));
    }

    /// Is there no room where so many items are?
    #[inline]
    fn is_full_with(&self, py: Python<'_>, length: usize) -> PyResult<bool> {
        let maxsize = self.maxsize.with(py, |maxsize| maxsize.clone_ref(py));
        match maxsize {
            Count::Int(maxsize) => Ok(maxsize > 0 && length as i64 >= maxsize),
            Count::Other(_) => {
                Ok(!maxsize.is_nothing(py)? && Count::Int(length as i64).reaches(py, &maxsize)?)
            }
        }
    }

    /// `full()`, whoever's method that is.
    pub(super) fn is_full(slf: &Bound<'_, Queue>) -> PyResult<bool> {
        match Queue::items_with(slf, FULL | QSIZE) {
            Some(items) => slf.get().is_full_with(slf.py(), items.len()?),
            None => slf.call_method0(intern!(slf.py(), "full"))?.is_truthy(),
        }
    }

    /// `empty()`, whoever's method that is.
    pub(super) fn is_empty(slf: &Bound<'_, Queue>) -> PyResult<bool> {
        match Queue::items_with(slf, EMPTY) {
            Some(items) => Ok(items.len()? == 0),
            None => slf.call_method0(intern!(slf.py(), "empty"))?.is_truthy(),
        }
    }

    /// `_get_loop()`, whoever's method that is.
    pub(super) fn get_loop<'py>(slf: &Bound<'py, Queue>) -> PyResult<Bound<'py, PyAny>> {
        match Order::with(slf, GET_LOOP) {
            Some(_) => slf.get().looop.get(slf),
            None => slf.call_method0(intern!(slf.py(), "_get_loop")),
        }
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.is_shut_down.load(Ordering::Relaxed)
    }

    /// `put_nowait(item)`, which is ours.
    #[inline]
    pub(super) fn add<'py>(slf: &Bound<'py, Queue>, item: &Bound<'py, PyAny>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.is_shut_down() {
            return Err(shut_down(py));
        }
        let items = Queue::items(slf);
        match &items {
            Some(items) => {
                if this.is_full_with(py, items.len()?)? {
                    return Err(raised(names::queue_full(py)));
                }
                items.push(item)?;
            }
            None => {
                if Queue::is_full(slf)? {
                    return Err(raised(names::queue_full(py)));
                }
                match Queue::items_with(slf, PUT) {
                    Some(items) => items.push(item)?,
                    None => {
                        call_method1(py, slf.as_any().as_unbound(), intern!(py, "_put"), item)?;
                    }
                }
            }
        }
        this.unfinished.add(py);
        match items {
            Some(_) => Queue::wake_up_next_in(slf, &this.getters, true),
            None => Queue::wake_up_next(slf, &this.getters),
        }
    }

    /// `get_nowait()`, which is ours.
    #[inline]
    pub(super) fn take<'py>(slf: &Bound<'py, Queue>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let items = Queue::items(slf);
        let is_empty = match &items {
            Some(items) => items.len()? == 0,
            None => Queue::is_empty(slf)?,
        };
        if is_empty {
            return Err(match this.is_shut_down() {
                true => shut_down(py),
                false => raised(names::queue_empty(py)),
            });
        }
        let item = match &items {
            Some(items) => items.pop()?,
            None => match Queue::items_with(slf, GET) {
                Some(items) => items.pop()?,
                None => slf.call_method0(intern!(py, "_get"))?,
            },
        };
        match items {
            Some(_) => Queue::wake_up_next_in(slf, &this.putters, true)?,
            None => Queue::wake_up_next(slf, &this.putters)?,
        }
        Ok(item)
    }

    /// `put_nowait(item)`, whoever's method that is.
    pub(super) fn put_nowait<'py>(
        slf: &Bound<'py, Queue>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match Order::with(slf, PUT_NOWAIT) {
            Some(_) => Queue::add(slf, item).map(|()| py.None().into_bound(py)),
            None => call_method1(py, slf.as_any().as_unbound(), intern!(py, "put_nowait"), item),
        }
    }

    /// `get_nowait()`, whoever's method that is.
    pub(super) fn take_nowait<'py>(slf: &Bound<'py, Queue>) -> PyResult<Bound<'py, PyAny>> {
        match Order::with(slf, GET_NOWAIT) {
            Some(_) => Queue::take(slf),
            None => slf.call_method0(intern!(slf.py(), "get_nowait")),
        }
    }
}

/// An instance of one of asyncio's exceptions, without arguments.
fn raised(class: PyResult<Bound<'_, PyAny>>) -> PyErr {
    match class {
        Ok(class) => PyErr::from_value(class),
        Err(error) => error,
    }
}

/// The exception for a queue that has been shut down.
pub(super) fn shut_down(py: Python<'_>) -> PyErr {
    #[cfg(Py_3_13)]
    return raised(names::queue_shut_down(py));
    #[cfg(not(Py_3_13))]
    return raised(names::queue_empty(py));
}

#[pymethods]
impl Queue {
    /// Takes whatever a subclass is made with; `__init__` says what a Queue is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(maxsize=0)")]
    pub(super) fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Queue {
        let _ = (args, kwargs);
        Queue {
            looop: LoopBound::new(),
            maxsize: GilCell::new(Count::Int(0)),
            container: GilCell::new(None),
            getters: Waiters::default(),
            putters: Waiters::default(),
            unfinished: Unfinished::new(),
            is_shut_down: AtomicBool::new(false),
        }
    }

    /// An empty queue for `maxsize` items; for any number of them if that is zero or less.
    #[pyo3(signature = (maxsize=Argument::Missing))]
    fn __init__(slf: &Bound<'_, Self>, maxsize: Argument<'_>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let maxsize = maxsize.or(py, 0)?;
        let new = Count::of(&maxsize);
        drop(this.maxsize.with(py, |maxsize| std::mem::replace(maxsize, new)));
        this.getters.clear(py);
        this.putters.clear(py);
        this.unfinished.reset(py);
        if names::has_foreign_event(py)? {
            // Else it is made for the first who waits for it.
            this.unfinished.event(py)?;
        }
        match Order::with(slf, INIT | QUEUE) {
            Some(order) => this.set_container(&order.container(py)?),
            None => drop(slf.call_method1(intern!(py, "_init"), (maxsize,))?),
        }
        this.is_shut_down.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Makes the container of the items; may be overridden, as `_put` and `_get`.
    fn _init(&self, maxsize: &Bound<'_, PyAny>) -> PyResult<()> {
        self.set_container(&Order::First.container(maxsize.py())?);
        Ok(())
    }

    fn _get<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match Deque::of(Queue::container(slf)?) {
            Ok(items) => items.pop(),
            Err(items) => items.call_method0(intern!(slf.py(), "popleft")),
        }
    }

    fn _put(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        match Deque::of(Queue::container(slf)?) {
            Ok(items) => items.push(item),
            Err(items) => items.call_method1(intern!(slf.py(), "append"), (item,)).map(drop),
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let name = slf.get_type().name()?;
        let format = slf.call_method0(intern!(slf.py(), "_format"))?;
        Ok(Returned(format!("<{name} at {:p} {format}>", slf.as_ptr())))
    }

    fn __str__(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let name = slf.get_type().name()?;
        let format = slf.call_method0(intern!(slf.py(), "_format"))?;
        Ok(Returned(format!("<{name} {format}>")))
    }

    /// What a repr says of the queue.
    fn _format(slf: &Bound<'_, Self>) -> PyResult<Returned<String>> {
        let (py, this) = (slf.py(), slf.get());
        let mut text = format!("maxsize={}", this._maxsize(py)?.repr()?);
        if let Some(container) = slf.getattr_opt(intern!(py, "_queue"))?
            && container.is_truthy()?
        {
            let items = make::list(py)?;
            for item in container.try_iter()? {
                items.append(item?)?;
            }
            text += &format!(" _queue={}", items.repr()?);
        }
        for (name, waiters) in [(" _getters[", &this.getters), (" _putters[", &this.putters)] {
            let count = waiters.len(py)?;
            if count > 0 {
                text += &format!("{name}{count}]");
            }
        }
        if this.unfinished.count() != 0 {
            text += &format!(" tasks={}", this.unfinished.count());
        }
        if this.is_shut_down() {
            text += " shutdown";
        }
        Ok(Returned(text))
    }

    /// How many items there are.
    fn qsize(slf: &Bound<'_, Self>) -> PyResult<Returned<usize>> {
        Ok(Returned(match Queue::items_with(slf, 0) {
            Some(items) => items.len()?,
            None => Queue::container(slf)?.len()?,
        }))
    }

    /// How many items there may be; zero or less: any number.
    #[getter]
    fn maxsize<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self._maxsize(py)
    }

    /// True if there is no item.
    fn empty(slf: &Bound<'_, Self>) -> PyResult<bool> {
        match Queue::items_with(slf, 0) {
            Some(items) => Ok(items.len()? == 0),
            None => Ok(!Queue::container(slf)?.is_truthy()?),
        }
    }

    /// True if there are as many items as there may be.
    fn full(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        if let Some(items) = Queue::items_with(slf, QSIZE) {
            return this.is_full_with(py, items.len()?);
        }
        let maxsize = this.maxsize.with(py, |maxsize| maxsize.clone_ref(py));
        if maxsize.is_nothing(py)? {
            return Ok(false);
        }
        slf.call_method0(intern!(py, "qsize"))?.ge(maxsize.to_object(py)?)
    }

    /// Takes the next item out and returns it. QueueEmpty if there is none; QueueShutDown if there
    /// will be none either.
    fn get_nowait<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Queue::take(slf)
    }

    /// Says that an item that was taken out has been dealt with. ValueError if that was said of all
    /// that were put in.
    fn task_done(&self, py: Python<'_>) -> PyResult<()> {
        let left = self.unfinished.count() - 1;
        if left < 0 {
            return Err(PyValueError::with_text("task_done() called too many times"));
        }
        self.unfinished.set_count(left);
        if left == 0 { self.unfinished.finish(py) } else { Ok(()) }
    }

    /// From now on `put` raises QueueShutDown, and `get` too once the queue is empty. With
    /// `immediate` it is emptied at once, and what was in it counts as done.
    #[cfg(Py_3_13)]
    #[pyo3(signature = (immediate=Argument::Missing), text_signature = "($self, immediate=False)")]
    fn shutdown(slf: &Bound<'_, Self>, immediate: Argument<'_>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        this.is_shut_down.store(true, Ordering::Relaxed);
        if immediate.or(py, 0)?.is_truthy()? {
            while !Queue::is_empty(slf)? {
                match Queue::items(slf) {
                    Some(items) => drop(items.pop()?),
                    None => drop(slf.call_method0(intern!(py, "_get"))?),
                }
                if this.unfinished.count() > 0 {
                    this.unfinished.set_count(this.unfinished.count() - 1);
                }
            }
            if this.unfinished.count() == 0 {
                this.unfinished.finish(py)?;
            }
        }
        wake_up_all(py, &this.getters)?;
        wake_up_all(py, &this.putters)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let py = python_of(&visit);
        self.looop.traverse(&visit)?;
        self.getters.traverse(&visit)?;
        self.putters.traverse(&visit)?;
        self.maxsize.try_with(py, |maxsize| maxsize.traverse(&visit)).unwrap_or(Ok(()))?;
        self.container.try_with(py, |container| visit.call(&*container)).unwrap_or(Ok(()))?;
        self.unfinished.traverse(&visit)
    }

    fn __clear__(&self, py: Python<'_>) {
        self.looop.clear(py);
        self.getters.clear(py);
        self.putters.clear(py);
        drop(self.maxsize.with(py, |maxsize| std::mem::replace(maxsize, Count::Int(0))));
        drop(self.container.with(py, Option::take));
        self.unfinished.clear(py);
    }
}

loop_bound!(Queue);
