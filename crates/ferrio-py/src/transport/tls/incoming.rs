//! From received ciphertext to the protocol.

use ferrio_engine::Read;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyBytes, PyMemoryView};

use super::TlsProtocol;
use super::phase::Phase;
use super::session::Progress;
use crate::ffi::buffer::{self, Scratch};
use crate::ffi::call::call_method1;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::recursion;
use crate::transport::protocol::{Form, Protocol};

/// The buffers that all connections of a loop receive and decrypt in, one at a time. Kept, because
/// memory of this size that is allocated for each read costs 15 to 20 µs of page faults.
pub(crate) struct Workspace {
    ciphertext: Scratch,
    plaintext: Scratch,
}

/// What one receive takes at most: four full records with what encryption adds to them, so that
/// 64 KiB which were written at once arrive at once.
const CIPHERTEXT_LEN: usize = 4 * (RECORD_LEN + 256);
/// What a protocol gets at once at most. One record more than is received, for what was left over.
const PLAINTEXT_LEN: usize = CIPHERTEXT_LEN + RECORD_LEN;
/// Copying so much is cheaper than making a memoryview of it.
const SMALL_LEN: usize = 4096;
/// What one TLS record carries at most.
const RECORD_LEN: usize = 16 * 1024;

impl Workspace {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Workspace> {
        Ok(Workspace {
            ciphertext: Scratch::new(py, CIPHERTEXT_LEN)?,
            plaintext: Scratch::new(py, PLAINTEXT_LEN)?,
        })
    }

    /// Receives into the buffer for ciphertext; `read` runs no Python code.
    pub(crate) fn receive(
        &self,
        py: Python<'_>,
        read: impl FnOnce(&mut [u8]) -> std::io::Result<Read>,
    ) -> std::io::Result<Read> {
        self.ciphertext.with(py, read)
    }

    /// The first bytes of the buffer for ciphertext.
    pub(crate) fn received<'py>(&self, py: Python<'py>, len: usize) -> Feed<'_, 'py> {
        Feed { py, source: Source::Scratch(&self.ciphertext), start: 0, end: len }
    }
}

/// Ciphertext on its way to OpenSSL.
pub(crate) struct Feed<'a, 'py> {
    py: Python<'py>,
    source: Source<'a, 'py>,
    start: usize,
    end: usize,
}

enum Source<'a, 'py> {
    Scratch(&'a Scratch),
    Bytes(&'a Bound<'py, PyBytes>),
    Nothing,
}

impl<'a, 'py> Feed<'a, 'py> {
    fn bytes(bytes: &'a Bound<'py, PyBytes>) -> Feed<'a, 'py> {
        let end = bytes.as_bytes().len();
        Feed { py: bytes.py(), source: Source::Bytes(bytes), start: 0, end }
    }

    fn nothing(py: Python<'py>) -> Feed<'a, 'py> {
        Feed { py, source: Source::Nothing, start: 0, end: 0 }
    }

    fn py(&self) -> Python<'py> {
        self.py
    }

    fn len(&self) -> usize {
        self.end - self.start
    }

    /// Lends what is left; `body` runs no Python code.
    fn with<R>(&self, body: impl FnOnce(&[u8]) -> R) -> R {
        let range = self.start..self.end;
        match self.source {
            Source::Scratch(scratch) => {
                scratch.with(self.py, |bytes| body(bytes.get(range).unwrap_or_default()))
            }
            Source::Bytes(bytes) => body(bytes.as_bytes().get(range).unwrap_or_default()),
            Source::Nothing => body(&[]),
        }
    }

    /// The first `len` bytes, as an object to read from at once.
    fn take(&mut self, len: usize) -> PyResult<Bound<'py, PyAny>> {
        let (start, end) = (self.start, self.start + len);
        self.start = end;
        match self.source {
            Source::Scratch(scratch) if len > SMALL_LEN => scratch.part(self.py, start, end),
            Source::Bytes(bytes) if start == 0 && end == bytes.as_bytes().len() => {
                Ok(bytes.clone().into_any())
            }
            Source::Scratch(_) | Source::Bytes(_) | Source::Nothing => {
                self.start = start;
                let copy =
                    self.with(|bytes| make::bytes(self.py, bytes.get(..len).unwrap_or_default()));
                self.start = end;
                Ok(copy?.into_any())
            }
        }
    }
}

/// How a series of reads ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// There is no more to read now.
    Dry,
    /// The buffer is full; there may be more.
    Full,
    /// The peer's close_notify.
    Closed,
}

impl TlsProtocol {
    /// Ciphertext has come, and lies in the loop's workspace or in a bytes object.
    pub(crate) fn received<'py>(
        slf: &Bound<'py, Self>,
        workspace: &Workspace,
        mut feed: Feed<'_, 'py>,
    ) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let phase = this.phase(py);
        match phase {
            Phase::Wrapped => this.read_from(slf, Some(workspace), feed),
            Phase::Unwrapped | Phase::DoHandshake | Phase::Flushing | Phase::Shutdown => {
                this.feed_all(&mut feed)?;
                match phase {
                    Phase::DoHandshake => this.do_handshake(slf),
                    Phase::Flushing => this.flush(slf),
                    Phase::Shutdown => this.shut_down(slf),
                    Phase::Unwrapped | Phase::Wrapped => Ok(()),
                }
            }
        }
    }

    /// Ciphertext has come by way of another TLS.
    fn received_bytes(slf: &Bound<'_, Self>, ciphertext: &Bound<'_, PyBytes>) -> PyResult<()> {
        let py = slf.py();
        let _level = recursion::enter(py, c"")?;
        slf.get().looop.bind(py).get().with_tls_workspace(py, |workspace| {
            TlsProtocol::received(slf, workspace, Feed::bytes(ciphertext))
        })
    }

    /// `_do_read`: decrypts what has come and gives it to the protocol.
    pub(super) fn read(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        if self.with(py, |state| state.unread == 0) {
            return self.read_from(slf, None, Feed::nothing(py));
        }
        self.looop.bind(py).get().with_tls_workspace(py, |workspace| {
            self.read_from(slf, Some(workspace), Feed::nothing(py))
        })
    }

    fn read_from<'py>(
        &self,
        slf: &Bound<'py, Self>,
        workspace: Option<&Workspace>,
        feed: Feed<'_, 'py>,
    ) -> PyResult<()> {
        let py = slf.py();
        if !matches!(self.phase(py), Phase::Wrapped | Phase::Flushing) {
            return Ok(());
        }
        match self.read_and_answer(slf, workspace, feed) {
            Err(error) if error.is_instance_of::<PyException>(py) => {
                self.fatal_error(slf, &error, "Fatal error on SSL protocol")
            }
            result => result,
        }
    }

    fn read_and_answer<'py>(
        &self,
        slf: &Bound<'py, Self>,
        workspace: Option<&Workspace>,
        mut feed: Feed<'_, 'py>,
    ) -> PyResult<()> {
        let py = slf.py();
        let is_paused = self.with(py, |state| state.is_app_reading_paused);
        let result = if is_paused { Ok(()) } else { self.deliver(slf, workspace, &mut feed) };
        // What the protocol did not want yet stays with OpenSSL, whose buffer's size is watched.
        let fed = self.feed_all(&mut feed);
        // (An alert of OpenSSL's is not sent then, as in asyncio.)
        result.and(fed)?;
        if !is_paused {
            if self.with(py, |state| state.backlog.is_empty()) {
                self.send_collected(slf)?;
            } else {
                self.encrypt_backlog(slf)?;
            }
        }
        self.control_lower_reading(py)
    }

    fn deliver<'py>(
        &self,
        slf: &Bound<'py, Self>,
        workspace: Option<&Workspace>,
        feed: &mut Feed<'_, 'py>,
    ) -> PyResult<()> {
        let py = slf.py();
        loop {
            if feed.len() == 0 && self.with(py, |state| state.unread == 0) {
                return Ok(());
            }
            let Some(protocol) = self.protocol(py) else { return Ok(()) };
            let stop = match (protocol.form, workspace) {
                (Form::Buffered, _) => return self.deliver_buffered(slf, feed, &protocol),
                (Form::Bytes | Form::Tls | Form::Streams, Some(workspace)) => {
                    self.deliver_bytes(workspace, feed, &protocol)?
                }
                // `read` brings one whenever there is something to read.
                (Form::Bytes | Form::Tls | Form::Streams, None) => return Ok(()),
            };
            match stop {
                Stop::Dry => return Ok(()),
                Stop::Full => {}
                Stop::Closed => return self.closed_by_peer(slf),
            }
            // The protocol may have paused us, or begun the end.
            let goes_on = self.with(py, |state| {
                let is_open = matches!(state.phase, Phase::Wrapped | Phase::Flushing);
                is_open && !state.is_app_reading_paused
            });
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Decrypts into the workspace, and gives the protocol a copy of the size it has.
    fn deliver_bytes<'py>(
        &self,
        workspace: &Workspace,
        feed: &mut Feed<'_, 'py>,
        protocol: &Protocol,
    ) -> PyResult<Stop> {
        let py = feed.py();
        let scratch = &workspace.plaintext;
        let part = |start| scratch.part(py, start, scratch.len());
        // No record is cut in two.
        let (len, stop) = self.decrypt(feed, scratch.len(), RECORD_LEN, part)?;
        if len == 0 {
            return Ok(stop);
        }
        let data = scratch.bytes(py, len)?;
        match protocol.as_tls(py) {
            Some(upper) => TlsProtocol::received_bytes(upper, &data)?,
            None => protocol.receive(&data)?,
        }
        Ok(stop)
    }

    /// Decrypts into the protocol's own buffer, once.
    fn deliver_buffered<'py>(
        &self,
        slf: &Bound<'py, Self>,
        feed: &mut Feed<'_, 'py>,
        protocol: &Protocol,
    ) -> PyResult<()> {
        let py = slf.py();
        let hint = make::count(py, self.session.incoming_len(py)? + feed.len())?;
        let method = intern!(py, "get_buffer");
        let buffer = call_method1(py, &protocol.object, method, hint.as_any())?;
        let capacity = buffer.len()?;
        let part = |start| match start {
            0 => Ok(buffer.clone()),
            // (asyncio slices the buffer itself, which copies if it is a bytearray.)
            _ => buffer::part(&PyMemoryView::from(&buffer)?, start, capacity),
        };
        let (len, stop) = match capacity {
            // OpenSSL's answer to it looks like close_notify.
            0 => (0, Stop::Closed),
            _ => self.decrypt(feed, capacity, 1, part)?,
        };
        if stop == Stop::Full {
            self.call_soon(slf, intern!(py, "_do_read"))?;
        }
        if len > 0 {
            let count = make::count(py, len)?;
            let method = intern!(py, "buffer_updated");
            call_method1(py, &protocol.object, method, count.as_any())?;
        }
        if stop == Stop::Closed { self.closed_by_peer(slf) } else { Ok(()) }
    }

    /// Decrypts all there is into a buffer of `capacity` bytes, of which `part` gives what is
    /// behind an offset, as long as at least `margin` are free.
    fn decrypt<'py>(
        &self,
        feed: &mut Feed<'_, 'py>,
        capacity: usize,
        margin: usize,
        part: impl Fn(usize) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<(usize, Stop)> {
        let py = feed.py();
        let mut len = 0;
        loop {
            if self.with(py, |state| state.unread == 0) {
                if feed.len() == 0 {
                    return Ok((len, Stop::Dry));
                }
                self.feed_group(feed)?;
                continue;
            }
            let free = capacity - len;
            if free < margin {
                return Ok((len, Stop::Full));
            }
            match self.session.read_into(free, &part(len)?)? {
                Progress::Again => self.with(py, |state| state.unread = 0),
                Progress::Done(0) => return Ok((len, Stop::Closed)),
                Progress::Done(count) => {
                    len += count.min(free);
                    // With the buffer full, there may be more of the same record.
                    if count < free {
                        self.with(py, |state| state.unread = state.unread.saturating_sub(1));
                    }
                }
            }
        }
    }

    fn closed_by_peer(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        self.tell_eof(slf)?;
        self.start_shutdown(slf)
    }

    // ------------------------------------------------------------------------- input for OpenSSL

    /// Passes on whole records, about one full one's worth.
    fn feed_group(&self, feed: &mut Feed<'_, '_>) -> PyResult<()> {
        let py = feed.py();
        let group =
            feed.with(|bytes| self.with(py, |state| state.records.group(bytes, RECORD_LEN)));
        self.session.feed(&feed.take(group.len)?)?;
        self.with(py, |state| state.unread = state.unread.saturating_add(group.whole));
        Ok(())
    }

    fn feed_all(&self, feed: &mut Feed<'_, '_>) -> PyResult<()> {
        while feed.len() > 0 {
            self.feed_group(feed)?;
        }
        Ok(())
    }

    // ------------------------------------------------------------------------------- flow control

    /// `pause_reading()` of the program.
    pub(super) fn pause_app_reading(&self, py: Python<'_>) {
        self.with(py, |state| state.is_app_reading_paused = true);
    }

    /// `resume_reading()` of the program: goes on in the next turn.
    pub(super) fn resume_app_reading(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let was_paused =
            self.with(py, |state| std::mem::replace(&mut state.is_app_reading_paused, false));
        if was_paused { self.call_soon(slf, intern!(py, "_resumed")) } else { Ok(()) }
    }

    /// Reading was resumed a turn ago.
    pub(super) fn go_on(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        match self.phase(slf.py()) {
            Phase::Wrapped => self.read(slf),
            Phase::Flushing => self.flush(slf),
            Phase::Shutdown => self.shut_down(slf),
            Phase::Unwrapped | Phase::DoHandshake => Ok(()),
        }
    }

    /// `_control_ssl_reading`: pauses the transport below while too much waits for the program.
    pub(super) fn control_lower_reading(&self, py: Python<'_>) -> PyResult<()> {
        let quick = self.with(py, |state| {
            // Then there is a piece of a record at most.
            let is_dry = state.unread == 0 && state.incoming_limits.high() > 2 * RECORD_LEN;
            is_dry && !state.is_lower_paused
        });
        if quick {
            return Ok(());
        }
        let size = self.session.incoming_len(py)?;
        let edge = self.with(py, |state| {
            let is_pause = match state.is_lower_paused {
                false if size >= state.incoming_limits.high() => true,
                true if size <= state.incoming_limits.low() => false,
                false | true => return None,
            };
            state.is_lower_paused = is_pause;
            Some((state.lower.as_ref()?.clone_ref(py), is_pause))
        });
        match edge {
            Some((lower, true)) => lower.pause_reading(py),
            Some((lower, false)) => lower.resume_reading(py),
            None => Ok(()),
        }
    }

    // ------------------------------------------------------ a transport below that is not a stream

    /// A buffer of the connection's own: others may receive while this one is being filled.
    pub(super) fn ingress(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let view = |state: &mut super::State| {
            state.ingress.as_ref().map(|ingress| ingress.view().clone_ref(py))
        };
        if let Some(view) = self.with(py, view) {
            return Ok(view.into_any());
        }
        let ingress = Scratch::new(py, CIPHERTEXT_LEN)?;
        let view = ingress.view().clone_ref(py);
        drop(self.with(py, |state| state.ingress.replace(ingress)));
        Ok(view.into_any())
    }

    pub(super) fn received_in_ingress(&self, slf: &Bound<'_, Self>, len: usize) -> PyResult<()> {
        let py = slf.py();
        let Some(ingress) = self.with(py, |state| state.ingress.take()) else { return Ok(()) };
        // Whoever counts more than there is room for means all of it.
        let end = len.min(ingress.len());
        let feed = Feed { py, source: Source::Scratch(&ingress), start: 0, end };
        let result = self
            .looop
            .bind(py)
            .get()
            .with_tls_workspace(py, |workspace| TlsProtocol::received(slf, workspace, feed));
        let spare = self.with(py, |state| match (&state.ingress, &state.lower) {
            (None, Some(_)) => state.ingress.replace(ingress),
            (Some(_), _) | (None, None) => Some(ingress),
        });
        drop(spare);
        result
    }
}
