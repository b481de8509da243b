//! Which item comes out of a queue next.

use pyo3::prelude::*;
use pyo3::types::PyType;

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
    /// An empty container for the items, as asyncio's class has it.
    pub(super) fn container(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        match self {
            Order::First => Deque::make(py),
            Order::Lowest | Order::Last => Ok(make::list(py)?.into_any()),
        }
    }

    /// The order in which items come out, unless a subclass or the program has a say in it.
    #[inline]
    pub(super) fn of(slf: &Bound<'_, Queue>) -> Option<Order> {
        Order::with(slf, ALL)
    }

    /// The order of the class that a subclass is made of, where all these [methods](METHODS) are
    /// still that one's.
    #[inline]
    pub(super) fn with(slf: &Bound<'_, Queue>, methods: u32) -> Option<Order> {
        let answer = ORDER.by(slf);
        if answer & methods != methods {
            return None;
        }
        match answer & 3 {
            1 => Some(Order::First),
            2 => Some(Order::Lowest),
            3 => Some(Order::Last),
            _ => None,
        }
    }
}

pub(super) const FULL: u32 = 1 << 2;
pub(super) const EMPTY: u32 = 1 << 3;
pub(super) const QSIZE: u32 = 1 << 4;
pub(super) const PUT_NOWAIT: u32 = 1 << 5;
pub(super) const GET_NOWAIT: u32 = 1 << 6;
pub(super) const WAKEUP_NEXT: u32 = 1 << 7;
pub(super) const GET_LOOP: u32 = 1 << 8;
pub(super) const INIT: u32 = 1 << 9;
pub(super) const PUT: u32 = 1 << 10;
pub(super) const GET: u32 = 1 << 11;
/// The attribute `_queue`: whoever has another has the items elsewhere.
pub(super) const QUEUE: u32 = 1 << 12;

/// What the methods call and use by its name in asyncio.
const METHODS: [(&str, u32); 11] = [
    ("full", FULL),
    ("empty", EMPTY),
    ("qsize", QSIZE),
    ("put_nowait", PUT_NOWAIT),
    ("get_nowait", GET_NOWAIT),
    ("_wakeup_next", WAKEUP_NEXT),
    ("_get_loop", GET_LOOP),
    ("_init", INIT),
    ("_put", PUT),
    ("_get", GET),
    ("_queue", QUEUE),
];

const ALL: u32 = {
    let mut all = 0;
    let mut at = 0;
    while at < METHODS.len() {
        all |= METHODS[at].1;
        at += 1;
    }
    all
};

/// Which methods of a class are still those of ours that it is made of, and in the lowest bits which
/// one that is.
static ORDER: Inherited = Inherited::new(|class| {
    let py = class.py();
    let classes = [
        (Order::Lowest, py.get_type::<PriorityQueue>()),
        (Order::Last, py.get_type::<LifoQueue>()),
        (Order::First, py.get_type::<Queue>()),
    ];
    let is_made_of = |base: &Bound<'_, PyType>| class.is_subclass(base).unwrap_or(false);
    let Some((order, base)) = classes.into_iter().find(|(_, base)| is_made_of(base)) else {
        return 0;
    };
    let ours = METHODS.iter().filter(|(name, _)| has_all(class, &base, &[name]));
    ours.fold(order as u32, |all, (_, method)| all | method)
});
