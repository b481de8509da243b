//! The event loop under ferrio: a complete single-threaded runtime that knows neither Python nor
//! any other runtime.
//!
//! Its user, the *host*, chooses what a ready item is (`T`) and what a registered source is (`S`),
//! and runs the items; the [`Engine`] says which are ready. Rust futures run beside them, on the
//! same queue.
//!
//! # One turn
//!
//! 1. [`Engine::timeout`]: zero if anything is ready, else the nearest deadline, else for ever.
//! 2. [`Engine::poll_now`]: look for events without waiting. If there are none and the timeout
//!    allows, block: [`Engine::begin_wait`] gives a [`Wait`], which blocks by itself while the
//!    engine may be used (a binding gives up its interpreter lock here and nowhere else), and
//!    [`Engine::end_wait`] takes it back.
//! 3. [`Engine::collect`]: the inbox's items, then events by way of their sources, then due timers
//!    go to the ready queue, in this order. Timers are never early.
//! 4. [`Engine::ready_len`] once, then [`Engine::pop`] exactly as often, running each entry while
//!    the engine is not borrowed. What they add runs in the next turn.
//! 5. The host flushes what was written to in this turn, looks at its signals, and begins again.
//!
//! ```
//! use std::time::Duration;
//! use ferrio_engine::{DriverKind, Engine, Instant, Ready, Timeout};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut engine: Engine<&str, ()> = Engine::new(DriverKind::default())?;
//! let start = Instant::now();
//! engine.add_timer(start.saturating_add(Duration::from_millis(5)), "later");
//! engine.push("now");
//! let mut seen = Vec::new();
//!
//! while seen.len() < 2 {
//!     let now = Instant::now();
//!     let timeout = engine.timeout(now);
//!     if engine.poll_now()? == 0 && timeout != Timeout::Zero {
//!         let mut wait = engine.begin_wait(timeout, now);
//!         wait.block()?;
//!         engine.end_wait(wait);
//!     }
//!     engine.collect(Instant::now(), |_key, _readiness, _source, _ready| {});
//!     for _ in 0..engine.ready_len() {
//!         match engine.pop() {
//!             Some(Ready::Item(item)) => seen.push(item),
//!             Some(Ready::Task(step)) => drop(step.run()),
//!             None => break,
//!         }
//!     }
//! }
//! assert_eq!(seen, ["now", "later"]);
//! assert!(Instant::now().duration_since(start) >= Duration::from_millis(5));
//! # Ok(())
//! # }
//! ```
//!
//! # Where what lives
//!
//! | file | noun |
//! |---|---|
//! | `engine.rs` | [`Engine`]: owns the parts below, runs one turn |
//! | `ready.rs` | [`ReadyQueue`]: what runs next |
//! | `timer.rs` | deadlines; `slots.rs`: keys that go stale |
//! | `inbox.rs` | [`Inbox`], the only `Send` door; `mailbox.rs`: how it wakes |
//! | `reactor/` | [`Interest`], [`Readiness`], the registry of sources |
//! | `task/` | [`Sleep`] and [`Watched`], for Rust futures |
//! | `transport/` | [`Stream`], [`WriteBuffer`], [`ReadBuffer`], [`DatagramQueue`], [`Listener`]: state machines; [`Records`] of TLS |
//! | `session/` | [`session::Session`]: protocols in Rust, and what drives them |
//! | `net/` | addresses and names; `pool.rs`: [`Pool`], threads for calls that block |
//! | `signal.rs` | [`SignalPipe`]; `process.rs`: [`Child`] |
//! | `sys/` | drivers; every system call and all `unsafe` |

#![warn(missing_docs)]

mod engine;
mod inbox;
mod mailbox;
pub mod net;
mod pool;
mod process;
mod reactor;
mod ready;
pub mod session;
mod signal;
mod slots;
mod sync;
mod sys;
mod task;
mod time;
mod timer;
mod transport;

pub use async_task::{Runnable, Task};
/// Injection of failing system calls, for tests (cargo feature `faults`).
#[cfg(feature = "faults")]
pub mod faults {
    pub use crate::sys::faults::{Faults, Injected, Injection, inject};
}

pub use engine::{Drained, Engine, Timeout};
pub use inbox::Inbox;
pub use pool::{Job, Pool, SubmitError, Ticket};
pub use process::{Child, Exit};
pub use reactor::{Interest, Key, Readiness, Rearmed, RegisterError, Trigger, Wait};
pub use ready::{Ready, ReadyQueue};
pub use signal::SignalPipe;
pub use sys::{DriverKind, FileKind, LentFd, PipeFd, Simulation};
pub use task::{Sleep, Watched};
pub use time::Instant;
pub use timer::TimerKey;
/// [`ReadBuffer::find`] for bytes that lie elsewhere.
pub use transport::find_separator;
pub use transport::{
    Accept, DatagramQueue, Flow, Flushed, Group, Io, Limits, Listener, PushError, Queued,
    RETRY_DELAY, Read, ReadBuffer, Records, Settled, Stream, StreamKind, WriteBuffer, WriteError,
};
