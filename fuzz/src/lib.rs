//! What is fuzzed: the state machines of the engine and of HTTP, each against a model that is too simple to be wrong.
//!
//! A target is a function of some bytes, which it takes for a history of operations, and which
//! panics if the machine and its model part ways. `targets/` gives them to libFuzzer, `replay` runs
//! them over the kept corpus and random bytes without it.

pub mod chunked;
pub mod datagrams;
pub mod deflate;
pub mod engine;
pub mod h1_server;
mod input;
mod kernel;
pub mod read_buffer;
pub mod records;
pub mod session;
pub mod stream;
pub mod target;
pub mod write_buffer;
pub mod ws_frames;

/// A target: its name, which is that of its corpus too, and what it does with some bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 12] = [
    ("engine", engine::check),
    ("stream", stream::check),
    ("write_buffer", write_buffer::check),
    ("read_buffer", read_buffer::check),
    ("records", records::check),
    ("datagrams", datagrams::check),
    ("session", session::check),
    ("h1_server", h1_server::check),
    ("chunked", chunked::check),
    ("target", target::check),
    ("ws_frames", ws_frames::check),
    ("deflate", deflate::check),
];
