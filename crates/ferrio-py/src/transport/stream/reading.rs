//! Receiving: from the descriptor to the protocol.

use ferrio_engine::{Read, Readiness};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{State, StreamTransport};
use crate::aio::{StreamReader, StreamReaderProtocol};
use crate::error::{WithText, os_error};
use crate::event_loop::{Loop, report};
use crate::ffi::buffer::View;
use crate::ffi::bytes::Receiving;
use crate::ffi::call::{Context, call_method1};
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::item::Item;
use crate::transport::TlsProtocol;
use crate::transport::protocol::{Form, Protocol};
use crate::transport::telling;

/// From which size of the last read on the next one goes straight into its object.
const LARGE_READ: usize = 16 * 1024;

/// Below the 128 KiB from which on malloc asks the kernel for fresh pages, each of which then costs
/// a fault (mallopt(3), M_MMAP_THRESHOLD).
const MOST_READ_DIRECTLY: usize = 120 * 1024;

const PAGE: usize = 4096;

/// After how many reads in a row below [`LARGE_READ`] a stream counts as one of small messages.
const SMALL_READS: u8 = 8;

/// What came of one read.
enum Received<'py> {
    Data(Bound<'py, PyBytes>),
    /// Not yet.
    Nothing,
    Eof,
}

impl State {
    /// Learns from a read of `len` bytes how much to make room for.
    ///
    /// Room that is too small cuts a message into more reads than it needs, which costs far more
    /// than room that is too large; so it grows at once and is given up late.
    fn expect(&mut self, len: usize) {
        if len < LARGE_READ {
            self.small_reads = self.small_reads.saturating_add(1);
            if self.small_reads >= SMALL_READS {
                self.expected_read = 0;
            }
            return;
        }
        self.small_reads = 0;
        // One that filled its memory may have left more behind.
        let room = if len >= self.expected_read { len * 2 } else { len };
        self.expected_read =
            self.expected_read.max(room.next_multiple_of(PAGE)).min(MOST_READ_DIRECTLY);
    }
}

impl StreamTransport {
    pub(super) fn receive(&self, slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        let Some((protocol, context)) = self.with(py, |state| {
            let protocol = state.protocol.as_ref()?;
            Some((protocol.clone_ref(py), state.context.clone_ref(py)))
        }) else {
            return Ok(());
        };
        // No Python code runs in a reader of ours (bench: echo_streams_1k).
        let reader = protocol.as_streams(py).and_then(StreamReaderProtocol::plain_reader);
        if let Some(reader) = reader {
            return self.receive_for(slf, looop, &protocol, &context, &reader);
        }
        let result = context.run(py, || match protocol.form {
            Form::Bytes | Form::Streams => self.receive_bytes(slf, looop, &protocol),
            Form::Buffered => self.receive_into(slf, looop, &protocol.object),
            Form::Tls => self.receive_tls(slf, looop, &protocol),
        });
        self.after_receiving(slf, looop, result)
    }

    /// The common end: what was not read yet is read in the next turn.
    fn after_receiving(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        result: PyResult<()>,
    ) -> PyResult<()> {
        let py = slf.py();
        // Only what must leave `run_forever` comes back from these; a context that cannot be entered
        // is the loop's user's error.
        let result = match result {
            Err(error) if !report::is_fatal(py, &error) => {
                self.fatal_error(slf, looop, error, "Fatal read error on socket transport")
            }
            result => result,
        };
        // The loop may be run again after that.
        if self.with(py, |state| state.stream.is_readable()) {
            looop.get().push(py, Item::Stream(slf.clone().unbind(), Readiness::NONE));
        }
        result
    }

    /// For a stream reader, in no context as long as all goes well.
    fn receive_for(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        protocol: &Protocol,
        context: &Context,
        reader: &Bound<'_, StreamReader>,
    ) -> PyResult<()> {
        let py = slf.py();
        let received = self.receive_data(looop);
        let fed = match &received {
            Ok(Received::Data(data)) => Some(StreamReader::feed(reader, data)),
            Ok(Received::Nothing) => Some(Ok(())),
            Ok(Received::Eof) | Err(_) => None,
        };
        let result = match fed {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => context.run(py, || self.failed_to_receive(slf, looop, error)),
            None => context.run(py, || self.deliver(slf, looop, protocol, received)),
        };
        self.after_receiving(slf, looop, result)
    }

    pub(super) fn receive_bytes(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        protocol: &Protocol,
    ) -> PyResult<()> {
        let received = self.receive_data(looop);
        self.deliver(slf, looop, protocol, received)
    }

    fn deliver(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        protocol: &Protocol,
        received: PyResult<Received<'_>>,
    ) -> PyResult<()> {
        match received {
            Ok(Received::Data(data)) => match protocol.receive(&data) {
                Ok(()) => Ok(()),
                Err(error) => self.failed_to_receive(slf, looop, error),
            },
            Ok(Received::Eof) => self.eof(slf, looop, &protocol.object),
            Ok(Received::Nothing) => Ok(()),
            Err(error) => {
                self.fatal_error(slf, looop, error, "Fatal read error on socket transport")
            }
        }
    }

    fn failed_to_receive(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        error: PyErr,
    ) -> PyResult<()> {
        let text = "Fatal error: protocol.data_received() call failed.";
        self.fatal_error(slf, looop, error, text)
    }

    /// Reads once.
    fn receive_data<'py>(&self, looop: &Bound<'py, Loop>) -> PyResult<Received<'py>> {
        let py = looop.py();
        let expected = self.with(py, |state| state.expected_read);
        let received = if expected < LARGE_READ {
            self.receive_small(looop)
        } else {
            self.receive_large(py, expected)
        };
        if let Ok(Received::Data(data)) = &received {
            let len = data.as_bytes().len();
            self.with(py, |state| state.expect(len));
        }
        received
    }

    /// Through the loop's buffer, then copied into an object of the right size.
    fn receive_small<'py>(&self, looop: &Bound<'py, Loop>) -> PyResult<Received<'py>> {
        let py = looop.py();
        looop.get().with_read_buffer(py, |buffer| {
            match self.with(py, |state| state.stream.read(buffer)).map_err(os_error)? {
                Read::Data(count) => Ok(Received::Data(make::bytes(py, &buffer[..count])?)),
                Read::Blocked => Ok(Received::Nothing),
                Read::Eof => Ok(Received::Eof),
            }
        })
    }

    /// Into the object that the protocol gets, `expected` bytes at most: a copy of this size costs
    /// more than the call (bench: echo_protocol_64k).
    fn receive_large<'py>(&self, py: Python<'py>, expected: usize) -> PyResult<Received<'py>> {
        let mut bytes = Receiving::new(py, expected)?;
        match self.with(py, |state| bytes.read(&mut state.stream)).map_err(os_error)? {
            Read::Data(_) => Ok(Received::Data(bytes.finish()?)),
            Read::Blocked => Ok(Received::Nothing),
            Read::Eof => Ok(Received::Eof),
        }
    }

    pub(super) fn receive_into(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        protocol: &Py<PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let buffer = call_method1(
            py,
            protocol,
            intern!(py, "get_buffer"),
            (-1i32).into_pyobject(py)?.as_any(),
        )
        .and_then(|buffer| match buffer.len()? {
            0 => Err(PyRuntimeError::with_text("get_buffer() returned an empty buffer")),
            _ => Ok(buffer),
        });
        let buffer = match buffer {
            Ok(buffer) => buffer,
            Err(error) => {
                let text = "Fatal error: protocol.get_buffer() call failed.";
                return self.fatal_error(slf, looop, error, text);
            }
        };
        let Ok(mut view) = View::writable(&buffer) else {
            // In asyncio it is the socket's recv_into() that refuses it.
            let kind = buffer.get_type().name()?;
            let error = PyTypeError::with_text(format!(
                "recv_into() argument 1 must be read-write bytes-like object, not {kind}"
            ));
            return self.fatal_error(slf, looop, error, "Fatal read error on socket transport");
        };
        let received = view.fill(|memory| self.with(py, |state| state.stream.read(memory)));
        drop(view);
        match received {
            Ok(Read::Data(count)) => {
                // Otherwise there would be a call of `get_buffer()` for nothing.
                self.with(py, |state| state.stream.resolve_doubt());
                let count = make::count(py, count)?;
                match call_method1(py, protocol, intern!(py, "buffer_updated"), count.as_any()) {
                    Ok(_) => Ok(()),
                    Err(error) => self.fatal_error(
                        slf,
                        looop,
                        error,
                        "Fatal error: protocol.buffer_updated() call failed.",
                    ),
                }
            }
            Ok(Read::Eof) => self.eof(slf, looop, protocol),
            Ok(Read::Blocked) => Ok(()),
            Err(error) => self.fatal_error(
                slf,
                looop,
                os_error(error),
                "Fatal read error on socket transport",
            ),
        }
    }

    /// From the kernel to OpenSSL.
    fn receive_tls(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        protocol: &Protocol,
    ) -> PyResult<()> {
        let py = slf.py();
        let Some(tls) = protocol.as_tls(py) else { return Ok(()) };
        let received = looop.get().with_tls_workspace(py, |workspace| {
            let read = workspace.receive(py, |memory| self.with(py, |s| s.stream.read(memory)));
            let read = match read {
                Ok(Read::Data(count)) => {
                    TlsProtocol::received(tls, workspace, workspace.received(py, count))?;
                    None
                }
                read => Some(read),
            };
            Ok(read)
        });
        match received {
            Ok(None | Some(Ok(Read::Blocked | Read::Data(_)))) => Ok(()),
            Ok(Some(Ok(Read::Eof))) => self.eof(slf, looop, &protocol.object),
            Ok(Some(Err(error))) => self.fatal_error(
                slf,
                looop,
                os_error(error),
                "Fatal read error on socket transport",
            ),
            Err(error) => self.fatal_error(
                slf,
                looop,
                error,
                "Fatal error: protocol.buffer_updated() call failed.",
            ),
        }
    }

    pub(super) fn eof(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        protocol: &Py<PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        telling::log(looop, slf.as_any(), "debug", "%r received EOF")?;
        let keep_open = protocol
            .call_method0(py, intern!(py, "eof_received"))
            .and_then(|answer| answer.is_truthy(py));
        match keep_open {
            Ok(true) => self.hold(slf),
            Ok(false) => StreamTransport::close(slf),
            Err(error) if report::is_fatal(py, &error) => {
                // asyncio's selector would report it again, should the loop be run again.
                self.with(py, |state| state.stream.repeat_eof());
                Err(error)
            }
            Err(error) => self.fatal_error(
                slf,
                looop,
                error,
                "Fatal error: protocol.eof_received() call failed.",
            ),
        }
    }
}
