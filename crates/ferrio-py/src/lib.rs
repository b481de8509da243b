//! asyncio's API over `ferrio-engine`: the extension module `ferrio._ferrio`.
//!
//! | file | noun |
//! |---|---|
//! | `event_loop/` | [`Loop`](event_loop::Loop): one file for each section of `AbstractEventLoop` |
//! | `item.rs` | what the ready queue carries and what sources are |
//! | `coroutine.rs` | coroutines written as `async` blocks |
//! | `server.rs` | [`Server`](server::Server): who is connected to a server |
//! | `aio/` | asyncio's locks, queues, streams and functions over tasks |
//! | `transport/` | asyncio's face of the engine's streams |
//! | `error.rs` | from the engine's errors to exceptions |
//! | `socket.rs` | Python's sockets and their addresses |
//! | `names.rs` | names of other modules, and when they are looked up |
//! | `build_info.rs` | how this module was built |
//! | `faults.rs` | failing system calls, in builds for `make soak` |
//! | `program.rs` | what `ferrio run` needs of the interpreter |
//! | `ffi/` | the one place with raw CPython calls |

mod aio;
mod build_info;
mod coroutine;
mod error;
mod event_loop;
#[cfg(feature = "faults")]
mod faults;
mod ffi;
mod item;
mod names;
mod program;
mod server;
mod socket;
mod transport;

use pyo3::prelude::*;

/// The native half of the package `ferrio`.
#[pymodule(gil_used = false)]
mod _ferrio {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::build_info::build_info;
    #[pymodule_export]
    use crate::event_loop::Loop;
    #[pymodule_export]
    use crate::event_loop::children::ChildWatch;
    #[cfg(feature = "faults")]
    #[pymodule_export]
    use crate::faults::{inject_faults, injected_faults};
    #[pymodule_export]
    use crate::ffi::coroutine::origin::track_coroutine_origins;
    #[pymodule_export]
    use crate::ffi::coroutine::relay::step_coroutine;
    #[pymodule_export]
    use crate::program::report_uncaught;
    #[cfg(unix)]
    #[pymodule_export]
    use crate::program::{die_after_shutdown, run_file};
    #[pymodule_export]
    use crate::server::Server;
    #[pymodule_export]
    use crate::transport::{
        DatagramTransport, ReadPipeTransport, StreamTransport, TlsProtocol, TlsTransport,
        WritePipeTransport,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::prepare(module)
    }
}

/// What has to be done before the first object of ours is made.
fn prepare(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    ffi::interpreter::claim(py)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    ffi::interned::make_all(py)?;
    ffi::done_callback::install(py)?;
    names::look_up(py)?;
    ffi::refusal::reword_module(module)?;
    ffi::handle::HandleTypes::install(py)?;
    if let Some(types) = ffi::future::install(py)? {
        module.add("Future", types.future_class(py))?;
        module.add("Task", types.task_class(py))?;
    }
    ffi::class::adopt::<transport::StreamTransport>(py)?;
    ffi::class::adopt::<transport::DatagramTransport>(py)?;
    ffi::class::adopt::<transport::ReadPipeTransport>(py)?;
    ffi::class::adopt::<transport::WritePipeTransport>(py)?;
    ffi::class::adopt::<transport::TlsTransport>(py)?;
    module.add("Coroutine", ffi::coroutine::install(py)?)?;
    aio::install(module)?;
    event_loop::install(py)
}
