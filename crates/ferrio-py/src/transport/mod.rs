//! Transports: asyncio's face of the engine's streams.

pub(crate) mod chunk;
pub(crate) mod extra;
pub(crate) mod foreign;
pub(crate) mod listener;
pub(crate) mod stream;

pub(crate) use listener::Listener;
pub(crate) use stream::{Endpoint, StreamTransport};
