//! Sources and what happens to them: who is registered, for what, and what the kernel said.

mod interest;
mod readiness;
mod registry;

pub use interest::{Interest, Trigger};
pub use readiness::Readiness;
pub(crate) use registry::Reactor;
pub use registry::{Key, Rearmed, RegisterError, Wait};
