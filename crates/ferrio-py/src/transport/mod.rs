//! Transports: asyncio's face of the engine's streams and sockets.

pub(crate) mod chunk;
pub(crate) mod datagram;
pub(crate) mod extra;
pub(crate) mod foreign;
pub(crate) mod hold;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod pipe;
pub(crate) mod protocol;
pub(crate) mod stream;
pub(crate) mod telling;
pub(crate) mod tls;
pub(crate) mod waiter;

pub(crate) use datagram::DatagramTransport;
pub(crate) use listener::Listener;
pub(crate) use pipe::{ReadPipeTransport, WritePipeTransport};
pub(crate) use stream::{Endpoint, StreamTransport};
pub(crate) use tls::{TlsProtocol, TlsTransport};
