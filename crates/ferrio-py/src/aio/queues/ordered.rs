//! `PriorityQueue` and `LifoQueue`.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyTuple};

use super::order::Order;
use super::queue::Queue;
use crate::ffi::class::{self, chained};
use crate::ffi::interned::intern;
use crate::ffi::refusal;
use crate::names;

/// A queue out of which the lowest comes first.
#[pyclass(module = "ferrio", subclass, frozen, extends = Queue)]
pub(crate) struct PriorityQueue;

/// A queue out of which comes first what was put in last.
#[pyclass(module = "ferrio", subclass, frozen, extends = Queue)]
pub(crate) struct LifoQueue;

chained!(PriorityQueue);
chained!(LifoQueue);

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refusal::add_class::<PriorityQueue>(module)?;
    class::chain::<PriorityQueue>(module.py());
    refusal::add_class::<LifoQueue>(module)?;
    class::chain::<LifoQueue>(module.py());
    Ok(())
}

#[pymethods]
impl PriorityQueue {
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(maxsize=0)")]
    fn new(
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<PriorityQueue> {
        PyClassInitializer::from(Queue::new(args, kwargs)).add_subclass(PriorityQueue)
    }

    fn _init(slf: &Bound<'_, Self>, maxsize: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.as_super().get().set_container(&Order::Lowest.container(maxsize.py())?);
        Ok(())
    }

    fn _get<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        names::heappop(slf.py())?.call1((Queue::container(slf.as_super())?,))
    }

    fn _put(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        names::heappush(slf.py())?.call1((Queue::container(slf.as_super())?, item)).map(drop)
    }
}

#[pymethods]
impl LifoQueue {
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(maxsize=0)")]
    fn new(
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyClassInitializer<LifoQueue> {
        PyClassInitializer::from(Queue::new(args, kwargs)).add_subclass(LifoQueue)
    }

    fn _init(slf: &Bound<'_, Self>, maxsize: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.as_super().get().set_container(&Order::Last.container(maxsize.py())?);
        Ok(())
    }

    fn _get<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Queue::container(slf.as_super())?.call_method0(intern!(slf.py(), "pop"))
    }

    fn _put(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        Queue::container(slf.as_super())?.call_method1(intern!(py, "append"), (item,)).map(drop)
    }
}
