//! The primitives that `mailbox.rs` is built on, in one place so that they can be exchanged: the
//! loom test (`tests/loom_mailbox.rs`) compiles that very file with a `sync` module of its own,
//! made of loom's types.

pub(crate) use std::sync::atomic::{AtomicU8, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
