//! The one place that calls CPython's C API directly; the rest of the crate sees safe functions
//! with PyO3 types.
#![allow(unsafe_code)]

pub(crate) mod audit;
pub(crate) mod buffer;
pub(crate) mod bytes;
pub(crate) mod call;
pub(crate) mod class;
pub(crate) mod clock;
pub(crate) mod coroutine;
pub(crate) mod deque;
pub(crate) mod done_callback;
pub(crate) mod fastcall;
pub(crate) mod free_list;
pub(crate) mod future;
pub(crate) mod gil_cell;
pub(crate) mod handle;
pub(crate) mod heap_type;
pub(crate) mod inherited;
pub(crate) mod interned;
pub(crate) mod interpreter;
pub(crate) mod iter;
pub(crate) mod make;
pub(crate) mod overrides;
mod page;
#[cfg(unix)]
pub(crate) mod process;
pub(crate) mod raise;
pub(crate) mod recursion;
pub(crate) mod refusal;
pub(crate) mod signal;
pub(crate) mod signature;
pub(crate) mod slots;
pub(crate) mod stack;
pub(crate) mod stop_iteration;
pub(crate) mod task;
pub(crate) mod trash;
pub(crate) mod version;

pub(crate) use call::{Context, call_in_context};
