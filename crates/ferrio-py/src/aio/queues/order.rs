//! Which item comes out of a queue next.

use pyo3::prelude::*;

use super::ordered::{LifoQueue, PriorityQueue};
use super::queue::Queue;
use crate::ffi::deque::Deque;
use crate::ffi::inherited::{Inherited, has_all};
use crate::ffi::make;

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

    /// The order in which items come out, unless a subclass or the program has a say in it.
    #[inline]
    pub(super) fn of(slf: &Bound<'_, Queue>) -> Option<Order> {
        match ORDER.by(slf) {
            1 => Some(Order::First),
            2 => Some(Order::Lowest),
            3 => Some(Order::Last),
            _ => None,
        }
    }
}

/// The order of a class whose methods that call each other are all ours; 0 of any other.
static ORDER: Inherited = Inherited::new(|class| {
    let py = class.py();
    let queue = py.get_type::<Queue>();
    let names = [
        "full",
        "empty",
        "qsize",
        "put_nowait",
        "get_nowait",
        "_wakeup_next",
        "_get_loop",
        "_queue",
    ];
    if !has_all(class, &queue, &names) {
        return 0;
    }
    let classes = [queue, py.get_type::<PriorityQueue>(), py.get_type::<LifoQueue>()];
    let orders = Order::ALL.into_iter().zip(classes);
    orders
        .filter(|(_, base)| has_all(class, base, &["_init", "_put", "_get"]))
        .map(|(order, _)| order as u32)
        .next()
        .unwrap_or(0)
});
