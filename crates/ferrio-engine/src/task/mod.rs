//! What Rust futures need of an engine: time and readiness.
//!
//! A future runs while its host has the engine, and cannot have it too. It asks by letter, through
//! the [`Inbox`](crate::Inbox), and is answered through its waker: [`Sleep`] sets an `Alarm`,
//! [`Watched`] keeps a `Watch`. Both are shared between the future and the engine, each is told of
//! the other's end, and neither keeps the other alive.

mod sleep;
mod watch;

pub(crate) use sleep::Alarm;
pub use sleep::Sleep;
pub(crate) use watch::Watch;
pub use watch::Watched;
