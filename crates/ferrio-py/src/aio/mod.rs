//! asyncio's own classes and functions over tasks and futures, as native ones: what
//! `ferrio.aio` is made of.
//!
//! | file | noun |
//! |---|---|
//! | `loop_bound.rs` | the loop that an object is used on |
//! | `current.rs` | the loop and the task that run |
//! | `entering.rs` | the coroutine of an `__aenter__` that does not wait |
//! | `waiter.rs` | a future that a coroutine of ours waits for |
//! | `waiters.rs` | the futures of those who wait |
//! | `argument.rs` | an argument with a default |
//! | `count.rs` | a number that the program gave |
//! | `locks/` | Lock, Event, Condition, Semaphore, Barrier |
//! | `queues/` | Queue, PriorityQueue, LifoQueue |
//! | `streams/` | StreamReader, StreamWriter, StreamReaderProtocol |
//! | `timer.rs` | a timer that finishes a future |
//! | `versions.rs` | what differs between releases of asyncio |
//! | `tasks/` | sleep, gather, wait, ... |
//! | `timeouts/` | Timeout |
//! | `task_group/` | TaskGroup |
//!
//! The classes here have what costs time. Each is completed in Python (`python/ferrio/aio`) by a
//! class that inherits from it and from asyncio's, for `isinstance` and for what is rarely asked.
//! They work on any loop; what needs one of ours to be quick asks whether it is one.

mod argument;
mod count;
mod current;
mod entering;
mod locks;
mod loop_bound;
mod queues;
mod streams;
mod task_group;
mod tasks;
mod timeouts;
mod timer;
mod versions;
mod waiter;
mod waiters;

use pyo3::prelude::*;
use pyo3::types::PyModule;

pub(crate) use streams::{StreamReader, StreamReaderProtocol};
pub(crate) use timeouts::Timeout;

use crate::ffi::make::Returned;

/// Adds the classes to the module, and to them the methods that are written by hand.
pub(crate) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    locks::install(module)?;
    queues::install(module)?;
    streams::install(module)?;
    tasks::install(module)?;
    timeouts::install(module)?;
    task_group::install(module)
}

/// `<asyncio.locks.Event object at 0x...>` with more before the last bracket, as asyncio's own
/// class would say it: programs print these, and logs are searched for them.
fn repr(object: &Bound<'_, PyAny>, extra: &str) -> PyResult<Returned<String>> {
    let class = object.get_type();
    let (module, name) = (class.module()?, class.qualname()?);
    let module = module.to_str()?;
    // The class that completes ours stands for the one of asyncio's that it is named after.
    let module = match module.strip_prefix("ferrio.aio._") {
        Some(own) => format!("asyncio.{own}"),
        None => module.to_owned(),
    };
    Ok(Returned(format!("<{module}.{name} object at {:p} [{extra}]>", object.as_ptr())))
}
