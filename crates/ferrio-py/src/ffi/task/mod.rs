//! Tasks on the ready queue: ours ([`Types`](super::future::Types)), and asyncio's own.

pub(crate) mod callback;
mod create;
pub(crate) mod current;
mod foreign;
pub(crate) mod life;
mod own;
pub(crate) mod queue;
pub(crate) mod registry;
mod step;

pub(crate) use create::new_task;
pub(crate) use foreign::is_task_callback;
pub(crate) use own::OwnTask;
pub(crate) use step::{run_step, run_wakeup};
