//! What is in a queue, and which comes out next.

use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::ffi::call::{call1, call2};
use crate::ffi::deque::Deque;
use crate::ffi::make;
use crate::names;

/// The rule by which the next is chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    First = 1,
    Lowest,
    Last,
}

impl Order {
    pub(super) const ALL: [Order; 3] = [Order::First, Order::Lowest, Order::Last];

    /// An empty container for the items, as asyncio's class has it.
    pub(super) fn container(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        match self {
            Order::First => Deque::new(py).map(Deque::into_any),
            Order::Lowest | Order::Last => Ok(make::list(py)?.into_any()),
        }
    }
}

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
    pub(super) fn len(&self) -> usize {
        match self {
            Items::First(deque) => deque.len(),
            Items::Lowest(list) | Items::Last(list) => list.len(),
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
