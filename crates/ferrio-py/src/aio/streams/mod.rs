//! Streams (Lib/asyncio/streams.py): `StreamReader`, `StreamWriter` and the protocol in between.
//!
//! | file | noun |
//! |---|---|
//! | `buffer.rs` | what a reader has received and nobody has read |
//! | `reader.rs` | [`StreamReader`]: its attributes, and how it is fed |
//! | `reading.rs` | a coroutine that reads: attempts, and waits in between |
//! | `amount.rs` | `read`, `readexactly` |
//! | `until.rs` | `readuntil`, `readline`, `async for` |
//! | `borrowed.rs` | a coroutine of asyncio's own, in the place of one of ours |
//! | `lower.rs` | calls on the transport, by way of no method where it is ours |
//! | `writer.rs` | [`StreamWriter`]; `drain.rs`: its coroutines |
//! | `protocol.rs` | [`StreamReaderProtocol`] |
//!
//! What runs for each message is here; what runs once for a connection is asyncio's own code, which
//! `python/ferrio/aio/_streams.py` has these classes inherit, and which works on their attributes.
//! Short cuts are taken where nobody could tell. What a subclass overrides, `feed_data` or
//! `_wait_for_data` say, is called by its name; asyncio's own methods take the place of ours only
//! where they are made of the overridden one, as `readline` is of `readuntil`.

mod amount;
mod borrowed;
mod buffer;
mod drain;
mod lower;
mod protocol;
mod reader;
mod reading;
mod until;
mod writer;

use pyo3::prelude::*;
use pyo3::types::PyModule;

pub(crate) use protocol::StreamReaderProtocol;
pub(crate) use reader::StreamReader;
use writer::StreamWriter;

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    lower::install(module.py())?;
    reader::install(module)?;
    protocol::install(module)?;
    writer::install(module)
}
