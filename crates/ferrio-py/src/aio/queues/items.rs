//! What is in a queue.

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::order::Order;
use crate::ffi::call::{call1, call2};
use crate::ffi::deque::Deque;
use crate::names;

/// A container whose methods need not be looked up.
pub(super) enum Items<'py> {
    First(Deque<'py>),
    Lowest(Bound<'py, PyList>),
    Last(Bound<'py, PyList>),
}

impl<'py> Items<'py> {
    /// This container, if it is exactly what the order is kept in.
    #[inline]
    pub(super) fn of(order: Order, container: Bound<'py, PyAny>) -> Option<Items<'py>> {
        match order {
            Order::First => Deque::of(container).ok().map(Items::First),
            Order::Lowest => exact_list(container).map(Items::Lowest),
            Order::Last => exact_list(container).map(Items::Last),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> PyResult<usize> {
        match self {
            Items::First(deque) => deque.len(),
            Items::Lowest(list) | Items::Last(list) => Ok(list.len()),
        }
    }

    /// Adds an item.
    ///
    /// # Errors
    /// What comparing items raises, where the lowest comes first.
    #[inline]
    pub(super) fn push(&self, item: &Bound<'py, PyAny>) -> PyResult<()> {
        match self {
            Items::First(deque) => deque.push(item),
            Items::Lowest(list) => {
                call2(names::heappush(list.py())?, list.as_any(), item).map(drop)
            }
            Items::Last(list) => list.append(item),
        }
    }

    /// Takes out the next.
    ///
    /// # Errors
    /// IndexError if there is none; what comparing items raises, where the lowest comes first.
    #[inline]
    pub(super) fn pop(&self) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Items::First(deque) => deque.pop(),
            Items::Lowest(list) => call1(names::heappop(list.py())?, list.as_any()),
            Items::Last(list) => {
                let last = list.len().saturating_sub(1);
                let item = list.get_item(last)?;
                list.del_item(last)?;
                Ok(item)
            }
        }
    }
}

fn exact_list(container: Bound<'_, PyAny>) -> Option<Bound<'_, PyList>> {
    container.cast_into_exact::<PyList>().ok()
}
