//! From `write()` to ciphertext for the transport below, and the protocol's being told to pause.

use std::collections::VecDeque;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};

use super::TlsProtocol;
use super::phase::Phase;
use super::session::Progress;
use crate::event_loop::report;
use crate::ffi::buffer;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::transport::telling;

/// Plaintext that OpenSSL has not taken: the handshake is not over, or the transport below is full.
#[derive(Default)]
pub(super) struct Backlog {
    /// None of them empty.
    pieces: VecDeque<Py<PyBytes>>,
    /// Bytes of `pieces[0]` taken already; less than its length.
    start: usize,
    /// Bytes not taken, over all pieces.
    len: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, piece: Py<PyBytes>, start: usize, len: usize) {
        // Only the first can have lost its front.
        debug_assert!(start == 0 || self.pieces.is_empty(), "the middle of a write cannot wait");
        if self.pieces.is_empty() {
            self.start = start;
        }
        self.pieces.push_back(piece);
        self.len += len - start;
    }

    /// The first piece and how much of it was taken.
    fn front(&self, py: Python<'_>) -> Option<(Py<PyBytes>, usize)> {
        self.pieces.front().map(|piece| (piece.clone_ref(py), self.start))
    }

    /// So much of the first piece, which has `len` bytes, was taken. Gives it back when it is used
    /// up.
    fn advance(&mut self, count: usize, len: usize) -> Option<Py<PyBytes>> {
        self.len -= count;
        self.start += count;
        if self.start < len {
            return None;
        }
        self.start = 0;
        self.pieces.pop_front()
    }
}

/// What one TLS record carries at most. OpenSSL cuts writes here; so do we, and collect the
/// ciphertext in between, for a memory BIO keeps the size it once had.
const RECORD_LEN: usize = 16 * 1024;

/// How many pieces of ciphertext are given to the transport below at once: as many records as a
/// write of 64 KiB makes.
const PIECES_PER_SEND: usize = 4;

/// Ciphertext on its way from OpenSSL to the transport below, in order.
type Pieces<'py> = Vec<Bound<'py, PyBytes>>;

/// The bytes of a buffer that its owner may change before they are sent.
fn copied<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    match data.cast_exact::<PyBytes>() {
        Ok(bytes) => Ok(bytes.clone()),
        Err(_) => buffer::View::readable(data)?.read(|bytes| make::bytes(data.py(), bytes)),
    }
}

impl TlsProtocol {
    /// `write()`.
    ///
    /// The transport below has the records when it returns, unless it is full.
    pub(super) fn write(&self, slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.is_too_late(slf)? {
            return Ok(());
        }
        let mut pieces = Pieces::new();
        let written = self.encrypt(slf, data, &mut pieces);
        self.after_write(slf, written, pieces)
    }

    /// `writelines()`.
    pub(super) fn write_lines(
        &self,
        slf: &Bound<'_, Self>,
        lines: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if self.is_too_late(slf)? {
            return Ok(());
        }
        // asyncio queues all of them before it encrypts the first, and counts their bytes.
        let mut iterator = lines.try_iter()?;
        let mut lines = Vec::new();
        let queued = iterator.try_for_each(|line| {
            let line = line?;
            line.len()?;
            lines.push(line);
            Ok(())
        });
        if let Err(error) = queued {
            // What came before it goes with the next write.
            for line in &lines {
                self.wait(slf.py(), &copied(line)?, 0);
            }
            return Err(error);
        }
        let mut pieces = Pieces::new();
        let written = lines.iter().try_for_each(|line| self.encrypt(slf, line, &mut pieces));
        self.after_write(slf, written, pieces)
    }

    fn is_too_late(&self, slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        let late = self.with(py, |state| {
            let late = state.phase.is_ending().then_some(state.late_writes);
            state.late_writes += u32::from(late.is_some());
            late
        });
        let Some(count) = late else { return Ok(false) };
        let text = "SSL connection is closed";
        telling::warn_of_late_write_by(crate::names::sslproto_logger, py, count, text)?;
        Ok(true)
    }

    fn after_write<'py>(
        &self,
        slf: &Bound<'py, Self>,
        written: PyResult<()>,
        pieces: Pieces<'py>,
    ) -> PyResult<()> {
        let py = slf.py();
        let written = written.and_then(|()| match self.phase(py) {
            Phase::Wrapped => self.send(slf, pieces),
            // Nothing was encrypted.
            Phase::Unwrapped | Phase::DoHandshake | Phase::Flushing | Phase::Shutdown => {
                self.control_app_writing(slf)
            }
        });
        match written {
            Err(error) if error.is_instance_of::<PyException>(py) => {
                self.fatal_error(slf, &error, "Fatal error on SSL protocol")
            }
            written => written,
        }
    }

    /// Encrypts data, as far as there is room; the rest waits.
    fn encrypt<'py>(
        &self,
        slf: &Bound<'py, Self>,
        data: &Bound<'py, PyAny>,
        pieces: &mut Pieces<'py>,
    ) -> PyResult<()> {
        let py = slf.py();
        let can_encrypt = self.with(py, |state| {
            state.phase == Phase::Wrapped && !state.is_lower_full && state.backlog.is_empty()
        });
        if can_encrypt && let Ok(bytes) = data.cast_exact::<PyBytes>() {
            return self.encrypt_bytes(slf, bytes, pieces);
        }
        let bytes = copied(data)?;
        if can_encrypt {
            self.encrypt_bytes(slf, &bytes, pieces)
        } else {
            self.wait(py, &bytes, 0);
            Ok(())
        }
    }

    pub(super) fn wait(&self, py: Python<'_>, bytes: &Bound<'_, PyBytes>, start: usize) {
        let len = bytes.as_bytes().len();
        if start < len {
            let piece = bytes.clone().unbind();
            self.with(py, |state| state.backlog.push(piece, start, len));
        }
    }

    fn encrypt_bytes<'py>(
        &self,
        slf: &Bound<'py, Self>,
        bytes: &Bound<'py, PyBytes>,
        pieces: &mut Pieces<'py>,
    ) -> PyResult<()> {
        let py = slf.py();
        let mut plaintext = Plaintext::new(bytes);
        let mut start = 0;
        while start < plaintext.len {
            let is_full = self.with(py, |state| state.is_lower_full);
            let taken = if is_full { None } else { self.encrypt_record(&mut plaintext, start)? };
            let Some(count) = taken else { break };
            start += count;
            if start < plaintext.len {
                self.collect_full(slf, pieces)?;
            }
        }
        self.wait(py, bytes, start);
        Ok(())
    }

    /// Encrypts what one record holds; None if OpenSSL wants to read first.
    fn encrypt_record(
        &self,
        plaintext: &mut Plaintext<'_, '_>,
        start: usize,
    ) -> PyResult<Option<usize>> {
        let py = plaintext.bytes.py();
        let record = plaintext.part(start, plaintext.len.min(start + RECORD_LEN))?;
        match self.session.write(&record)? {
            Progress::Done(count) => {
                self.with(py, |state| state.uncollected += count);
                Ok(Some(count))
            }
            Progress::Again => Ok(None),
        }
    }

    /// `_do_write`: encrypts what waits, as far as there is room.
    pub(super) fn encrypt_backlog(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let mut pieces = Pieces::new();
        self.drain_backlog(slf, false, &mut pieces)?;
        self.send(slf, pieces)
    }

    /// Encrypts all that waits, room or not: close_notify comes after it.
    pub(super) fn encrypt_all(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        if self.with(slf.py(), |state| state.backlog.is_empty()) {
            return Ok(());
        }
        let mut pieces = Pieces::new();
        self.drain_backlog(slf, true, &mut pieces)?;
        self.send(slf, pieces)
    }

    fn drain_backlog<'py>(
        &self,
        slf: &Bound<'py, Self>,
        is_urgent: bool,
        pieces: &mut Pieces<'py>,
    ) -> PyResult<()> {
        let py = slf.py();
        loop {
            let front = self.with(py, |state| {
                (is_urgent || !state.is_lower_full).then(|| state.backlog.front(py)).flatten()
            });
            let Some((bytes, start)) = front else { return Ok(()) };
            let bytes = bytes.bind(py);
            let mut plaintext = Plaintext::new(bytes);
            let Some(count) = self.encrypt_record(&mut plaintext, start)? else { return Ok(()) };
            let used_up = self.with(py, |state| state.backlog.advance(count, plaintext.len));
            drop(used_up);
            self.collect_full(slf, pieces)?;
        }
    }

    /// Takes ciphertext out of OpenSSL once there is a record's worth, and passes it on once there
    /// are some of these.
    fn collect_full<'py>(&self, slf: &Bound<'py, Self>, pieces: &mut Pieces<'py>) -> PyResult<()> {
        let py = slf.py();
        if self.with(py, |state| state.uncollected < RECORD_LEN) {
            return Ok(());
        }
        self.collect(py, pieces)?;
        if pieces.len() < PIECES_PER_SEND { Ok(()) } else { self.pass_on(py, pieces) }
    }

    /// Takes ciphertext out of OpenSSL, unless the transport below is full.
    fn collect<'py>(&self, py: Python<'py>, pieces: &mut Pieces<'py>) -> PyResult<()> {
        let is_open = self.with(py, |state| {
            let is_open = !state.is_lower_full && state.lower.is_some();
            if is_open {
                state.uncollected = 0;
            }
            is_open
        });
        if is_open {
            let ciphertext = self.session.take_outgoing(py)?;
            if !ciphertext.as_bytes().is_empty() {
                pieces.push(ciphertext);
            }
        }
        Ok(())
    }

    /// Gives ciphertext to the transport below, which may be full after that.
    fn pass_on<'py>(&self, py: Python<'py>, pieces: &mut Pieces<'py>) -> PyResult<()> {
        let pieces = std::mem::take(pieces);
        match self.lower(py) {
            Some(lower) => lower.write(py, &pieces),
            None => Ok(()),
        }
    }

    /// `_process_outgoing`, after what was collected already.
    fn send<'py>(&self, slf: &Bound<'py, Self>, mut pieces: Pieces<'py>) -> PyResult<()> {
        let py = slf.py();
        self.collect(py, &mut pieces)?;
        self.pass_on(py, &mut pieces)?;
        self.control_app_writing(slf)
    }

    /// `_process_outgoing`.
    pub(super) fn send_collected(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        self.send(slf, Pieces::new())
    }

    /// The transport below is full already, with what this protocol has written before there was TLS
    /// and was told to pause for. It will tell us when there is room, and asyncio's takes no notice: who
    /// waits there waits for ever.
    pub(crate) fn take_pause_over(&self, py: Python<'_>, old: Option<&Py<PyAny>>) {
        self.with(py, |state| {
            state.is_lower_full = true;
            let app = state.protocol.as_ref().map(|protocol| &protocol.object);
            state.is_app_writing_paused = app.zip(old).is_some_and(|(app, old)| app.is(old));
        });
    }

    /// There is room below.
    pub(super) fn room_below(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        self.send_collected(slf)?;
        let is_wrapped = self.phase(slf.py()) == Phase::Wrapped;
        if is_wrapped { self.encrypt_backlog(slf) } else { Ok(()) }
    }

    /// Bytes written and not yet taken by the transport below.
    pub(super) fn write_buffer_size(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.session.outgoing_len(py)? + self.with(py, |state| state.backlog.len()))
    }

    /// `_control_app_writing`: tells the protocol to pause or to go on, once for each crossing.
    pub(super) fn control_app_writing(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let quick = self.with(py, |state| {
            let is_idle = !state.is_lower_full && !state.is_app_writing_paused;
            // What is not collected yet is a few records at most.
            is_idle && state.outgoing_limits.high() > state.backlog.len() + 4 * RECORD_LEN
        });
        if quick {
            return Ok(());
        }
        let size = self.write_buffer_size(py)?;
        let told = self.with(py, |state| {
            let limits = state.outgoing_limits;
            let is_pause = match state.is_app_writing_paused {
                false if size >= limits.high() => true,
                true if size <= limits.low() => false,
                false | true => return None,
            };
            state.is_app_writing_paused = is_pause;
            let protocol = state.protocol.as_ref()?.object.clone_ref(py);
            Some((protocol, is_pause))
        });
        let Some((protocol, is_pause)) = told else { return Ok(()) };
        let method =
            if is_pause { intern!(py, "pause_writing") } else { intern!(py, "resume_writing") };
        let Err(error) = protocol.call_method0(py, method) else { return Ok(()) };
        if report::is_fatal(py, &error) {
            return Err(error);
        }
        let context = make::dict(py)?;
        context.set_item(
            intern!(py, "message"),
            make::text(py, format!("protocol.{method}() failed"))?,
        )?;
        context.set_item(intern!(py, "exception"), error.value(py))?;
        context.set_item(intern!(py, "transport"), self.transport(slf)?)?;
        context.set_item(intern!(py, "protocol"), slf)?;
        report::call_exception_handler(self.looop.bind(py), &error, &context)
    }
}

/// Bytes to be encrypted in parts.
struct Plaintext<'a, 'py> {
    bytes: &'a Bound<'py, PyBytes>,
    len: usize,
    /// Made when first needed.
    view: Option<Bound<'py, PyMemoryView>>,
}

impl<'a, 'py> Plaintext<'a, 'py> {
    fn new(bytes: &'a Bound<'py, PyBytes>) -> Plaintext<'a, 'py> {
        Plaintext { bytes, len: bytes.as_bytes().len(), view: None }
    }

    fn part(&mut self, start: usize, end: usize) -> PyResult<Bound<'py, PyAny>> {
        if start == 0 && end == self.len {
            return Ok(self.bytes.clone().into_any());
        }
        let view = match self.view.take() {
            Some(view) => view,
            None => PyMemoryView::from(self.bytes.as_any())?,
        };
        buffer::part(self.view.insert(view), start, end)
    }
}
