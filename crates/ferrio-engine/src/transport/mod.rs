//! Byte streams, datagrams and listeners as state machines: no callbacks, no clock; the host asks and is told.

mod datagram;
mod listener;
mod read_buffer;
mod records;
mod stream;
mod write_buffer;

pub use datagram::{DatagramQueue, Queued};
pub use listener::{Accept, Listener, RETRY_DELAY};
pub use read_buffer::{ReadBuffer, find_separator};
pub use records::{Group, Records};
pub use stream::{Flushed, Io, PushError, Read, Settled, Stream, StreamKind, WriteError};
pub use write_buffer::{Flow, Limits, WriteBuffer};
