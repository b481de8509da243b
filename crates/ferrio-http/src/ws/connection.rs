//! One connection after its handshake, as a server or as a client.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::close::{Close, Closing, MAX_REASON, State, is_sendable};
use super::deflate::{Agreed, Compression};
use super::fault::Fault;
use super::frame::{Header, MAX_CONTROL, MAX_HEADER, Opcode};
use super::keepalive::{Due, KeepAlive};
use super::limits::Limits;
use super::mask::{Keys, Mask};
use super::message::{Incoming, Kind};
use super::utf8;
use super::workspace::Workspace;

/// Which side of a connection this is.
#[derive(Debug)]
pub enum Role {
    /// Gets masked frames, sends plain ones.
    Server,
    /// Gets plain frames, sends masked ones.
    Client(Keys),
}

/// One connection, from the end of its handshake on.
///
/// The caller gives [`receive`](Self::receive) what comes, puts what is left in `out` on the wire,
/// and looks at [`closing`](Self::closing) and [`deadline`](Self::deadline) after each call. Times
/// are counted from a beginning of the caller's choice, and never go back.
pub struct Connection {
    role: Role,
    state: State,
    /// The first bytes of a header that was cut.
    header: Cut,
    /// The frame whose payload has not come as a whole.
    frame: Option<Frame>,
    /// What has come of a control frame that was cut, unmasked.
    control: Vec<u8>,
    incoming: Incoming,
    /// The message that is being sent in parts.
    outgoing: Option<Outgoing>,
    compression: Option<Box<Compression>>,
    keepalive: KeepAlive,
    /// Whether a message was compressed since our last ping.
    is_compressing: bool,
}

#[derive(Copy, Clone, Default, Debug)]
struct Cut {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

#[derive(Copy, Clone, Debug)]
struct Frame {
    opcode: Opcode,
    is_final: bool,
    /// For the next byte.
    mask: Option<Mask>,
    /// What has not come of the payload.
    left: u64,
}

#[derive(Copy, Clone, Debug)]
struct Outgoing {
    kind: Kind,
    is_compressed: bool,
}

/// What [`Connection::receive`] has found, and what it has used for it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Step<'b> {
    /// How many bytes are used. The others are to be offered again.
    pub used: usize,
    /// What they are.
    pub event: Event<'b>,
}

/// What has come.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Event<'b> {
    /// Nothing more to be had out of these bytes. All are used: what is not whole yet is kept.
    NeedsMore,
    /// A whole text.
    Text(&'b str),
    /// A whole message of bytes.
    Binary(Data<'b>),
    /// A ping, which is answered.
    Ping(&'b [u8]),
    /// A pong, asked for or not.
    Pong(&'b [u8]),
    /// The peer's close frame. It is answered, if it is not an answer itself. Nothing follows.
    Close(Close<'b>),
    /// The connection has failed: a close frame says so to the peer. Nothing follows.
    Failed(Fault),
}

/// A message of bytes, as it lies in the input.
///
/// It is unmasked when it is copied to where it shall live, so that is the only copy.
#[derive(Copy, Clone)]
pub struct Data<'b> {
    bytes: &'b [u8],
    mask: Option<Mask>,
}

impl<'b> Data<'b> {
    /// How many bytes it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes, if they are not masked.
    #[must_use]
    pub const fn plain(&self) -> Option<&'b [u8]> {
        match self.mask {
            None => Some(self.bytes),
            Some(_) => None,
        }
    }

    /// Copies it to `to`, which is as long.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn copy(&self, to: &mut [u8]) {
        match self.mask {
            None => to.copy_from_slice(self.bytes),
            Some(mask) => mask.copy(self.bytes, to),
        }
    }

    /// Appends it to `to`.
    pub fn append(&self, to: &mut Vec<u8>) {
        match self.mask {
            None => to.extend_from_slice(self.bytes),
            Some(mask) => mask.append(self.bytes, to),
        }
    }

    /// A copy.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut copy = Vec::new();
        self.append(&mut copy);
        copy
    }
}

impl PartialEq for Data<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.to_vec() == other.to_vec()
    }
}

impl Eq for Data<'_> {}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.bytes.len())
    }
}

/// What follows from a deadline.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// Nothing: it has moved on.
    Early,
    /// A ping is to be sent.
    Pinged,
    /// As [`Event::Failed`].
    Failed(Fault),
    /// The peer did not do its part of the close: the connection is to be [aborted](Closing::Abort).
    CloseTimeout,
}

/// How far the closing handshake was when the peer stopped sending.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Eof {
    /// It was complete.
    Clean,
    /// It was not: an API says 1006.
    Cut,
}

/// Why something was not sent. Nothing of it was.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum SendError {
    /// A close frame went out before it, or the peer's has come.
    Closed,
    /// A message that is sent in parts is not at its end; or the next part is of another kind.
    InMessage,
    /// The parts of a text are not UTF-8 each, or what is sent as a text is not.
    NotUtf8,
    /// A control frame has room for 125 bytes, and a reason to close for 123.
    TooLong,
    /// This close code is not to be sent.
    CloseCode(u16),
    /// zlib has failed.
    Deflate,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the WebSocket is closing or closed"),
            Self::InMessage => {
                f.write_str("a message is being sent in parts: finish it first, in its own kind")
            }
            Self::NotUtf8 => f.write_str("a text has to be UTF-8"),
            Self::TooLong => f.write_str(
                "too long: at most 125 bytes in a ping or pong, 123 in the reason of a close",
            ),
            Self::CloseCode(code) => write!(
                f,
                "close code {code} must not be sent: use 1000 to 1003, 1007 to 1014, or 3000 to 4999",
            ),
            Self::Deflate => f.write_str("the message could not be compressed"),
        }
    }
}

impl std::error::Error for SendError {}

/// What lies where, once a frame was looked at.
enum Found {
    NeedsMore,
    /// A message where it came.
    InInput(Kind, Range<usize>, Option<Mask>),
    /// A message in the workspace.
    InWorkspace(Kind),
    /// A control frame, whose payload is in the workspace.
    Control(Opcode),
}

impl Connection {
    /// A connection whose handshake is done.
    #[must_use]
    pub fn new(role: Role, deflate: Option<Agreed>, now: Duration) -> Self {
        Self {
            role,
            state: State::Open,
            header: Cut::default(),
            frame: None,
            control: Vec::new(),
            incoming: Incoming::default(),
            outgoing: None,
            compression: deflate.map(|agreed| Box::new(Compression::new(agreed))),
            keepalive: KeepAlive::new(now),
            is_compressing: false,
        }
    }

    /// Takes bytes, up to the next [`Event`]. Answers to pings and close frames are appended to
    /// `out`.
    ///
    /// To be called, with what is not used, until it [needs more](Event::NeedsMore).
    pub fn receive<'b>(
        &mut self,
        input: &'b [u8],
        out: &mut Vec<u8>,
        workspace: &'b mut Workspace,
        limits: &Limits,
        now: Duration,
    ) -> Step<'b> {
        workspace.clear();
        if let State::Over { .. } = self.state {
            return Step { used: input.len(), event: Event::NeedsMore };
        }
        if !input.is_empty() {
            self.keepalive.heard(now);
        }
        let mut used = 0;
        let event = self
            .advance(input, &mut used, workspace, limits)
            .and_then(|found| self.event(found, input, out, workspace, now));
        let event = event.unwrap_or_else(|fault| {
            self.fail(fault, out, now);
            Event::Failed(fault)
        });
        Step { used, event }
    }

    /// Goes on to the end of the next message or control frame.
    fn advance(
        &mut self,
        input: &[u8],
        used: &mut usize,
        workspace: &mut Workspace,
        limits: &Limits,
    ) -> Result<Found, Fault> {
        loop {
            let frame = match self.frame.take() {
                Some(frame) => frame,
                None => {
                    let Some(header) = self.read_header(input, used)? else {
                        return Ok(Found::NeedsMore);
                    };
                    let frame = self.accept(&header, limits)?;
                    let rest = &input[*used..];
                    if let Ok(len) = usize::try_from(header.len)
                        && rest.len() >= len
                        && header.is_final
                        && matches!(header.opcode, Opcode::Text | Opcode::Binary)
                    {
                        if !self.incoming.is_compressed() {
                            let range = *used..*used + len;
                            *used += len;
                            self.incoming.skip();
                            return Ok(whole(frame, range, input, &mut workspace.message));
                        }
                        self.incoming.lend(std::mem::take(&mut workspace.message));
                    }
                    frame
                }
            };
            if let Some(found) = self.take_payload(frame, input, used, workspace, limits)? {
                return Ok(found);
            }
        }
    }

    /// A header, if it is whole.
    fn read_header(&mut self, input: &[u8], used: &mut usize) -> Result<Option<Header>, Fault> {
        let rest = &input[*used..];
        let kept = usize::from(self.header.len);
        if kept == 0
            && let Some((header, len)) = Header::parse(rest)?
        {
            *used += len;
            return Ok(Some(header));
        }
        // Less than a header is kept, so there is room for the rest of it.
        let taken = rest.len().min(MAX_HEADER - kept);
        self.header.bytes[kept..kept + taken].copy_from_slice(&rest[..taken]);
        let Some((header, len)) = Header::parse(&self.header.bytes[..kept + taken])? else {
            self.header.len += taken as u8;
            *used += taken;
            return Ok(None);
        };
        self.header.len = 0;
        *used += len - kept;
        Ok(Some(header))
    }

    /// Whether this frame may come now.
    fn accept(&mut self, header: &Header, limits: &Limits) -> Result<Frame, Fault> {
        match (&self.role, header.mask) {
            (Role::Server, None) => return Err(Fault::NotMasked),
            (Role::Client(_), Some(_)) => return Err(Fault::Masked),
            (Role::Server, Some(_)) | (Role::Client(_), None) => {}
        }
        if !header.opcode.is_control() {
            self.incoming.begin(header, self.compression.is_some(), limits)?;
        } else if header.is_compressed {
            return Err(Fault::ReservedBits);
        }
        Ok(Frame {
            opcode: header.opcode,
            is_final: header.is_final,
            mask: header.mask,
            left: header.len,
        })
    }

    /// What has come of a payload. Puts the frame back if there is more of it to come.
    fn take_payload(
        &mut self,
        mut frame: Frame,
        input: &[u8],
        used: &mut usize,
        workspace: &mut Workspace,
        limits: &Limits,
    ) -> Result<Option<Found>, Fault> {
        let rest = &input[*used..];
        let len = usize::try_from(frame.left).unwrap_or(usize::MAX).min(rest.len());
        let data = &rest[..len];
        *used += len;
        frame.left -= len as u64;
        let mask = frame.mask;
        frame.mask = mask.map(|mask| mask.advanced(len));

        let Workspace { message, control, scratch, spare } = workspace;
        let is_control = frame.opcode.is_control();
        if is_control && frame.left == 0 && self.control.is_empty() {
            let payload = control.set(data);
            if let Some(mask) = mask {
                mask.apply(payload);
            }
            return Ok(Some(Found::Control(frame.opcode)));
        }
        if is_control {
            match mask {
                Some(mask) => mask.append(data, &mut self.control),
                None => self.control.extend_from_slice(data),
            }
        } else if len > 0 {
            let buffers = (scratch, &mut *spare);
            let compression = self.compression.as_deref_mut();
            self.incoming.push(data, mask, frame.left, compression, buffers, limits)?;
        }
        if frame.left > 0 {
            self.frame = Some(frame);
            return Ok(Some(Found::NeedsMore));
        }
        if is_control {
            control.set(&std::mem::take(&mut self.control));
            return Ok(Some(Found::Control(frame.opcode)));
        }
        if !frame.is_final {
            return Ok(None);
        }
        let (kind, buffer) =
            self.incoming.finish(self.compression.as_deref_mut(), spare, limits)?;
        *message = buffer;
        Ok(Some(Found::InWorkspace(kind)))
    }

    /// Says what was found, and answers it.
    fn event<'b>(
        &mut self,
        found: Found,
        input: &'b [u8],
        out: &mut Vec<u8>,
        workspace: &'b Workspace,
        now: Duration,
    ) -> Result<Event<'b>, Fault> {
        let control = workspace.control.as_slice();
        Ok(match found {
            Found::NeedsMore => Event::NeedsMore,
            Found::InInput(Kind::Text, range, _) => Event::Text(utf8::whole(&input[range])?),
            Found::InWorkspace(Kind::Text) => Event::Text(utf8::whole(&workspace.message)?),
            Found::InInput(Kind::Binary, range, mask) => {
                Event::Binary(Data { bytes: &input[range], mask })
            }
            Found::InWorkspace(Kind::Binary) => {
                Event::Binary(Data { bytes: &workspace.message, mask: None })
            }
            Found::Control(Opcode::Ping) => {
                // RFC 6455, section 5.5.1: after a close frame nothing more is sent.
                if self.state == State::Open {
                    self.write(Opcode::Pong, control, out);
                }
                Event::Ping(control)
            }
            Found::Control(Opcode::Close) => {
                let close = Close::parse(control)?;
                if self.state == State::Open {
                    self.write(Opcode::Close, &control[..control.len().min(2)], out);
                }
                let closing = match self.role {
                    Role::Server => Closing::Flush,
                    Role::Client(_) => Closing::Wait,
                };
                self.end(closing, true, now);
                Event::Close(close)
            }
            Found::Control(_) => {
                self.keepalive.pong(control, now);
                Event::Pong(control)
            }
        })
    }

    /// Appends a message to `out`.
    ///
    /// # Errors
    ///
    /// The connection is closing, a message is being sent in parts, or a text is not UTF-8.
    pub fn send(
        &mut self,
        kind: Kind,
        data: &[u8],
        out: &mut Vec<u8>,
        workspace: &mut Workspace,
    ) -> Result<(), SendError> {
        if self.outgoing.is_some() {
            return Err(SendError::InMessage);
        }
        self.send_part(kind, data, true, out, workspace)
    }

    /// Appends the next part of a message to `out`. Control frames may go between two parts, other
    /// messages may not. The parts of a text are UTF-8 each.
    ///
    /// # Errors
    ///
    /// The connection is closing, the message under way is of another kind, or a text is not UTF-8.
    pub fn send_part(
        &mut self,
        kind: Kind,
        data: &[u8],
        is_last: bool,
        out: &mut Vec<u8>,
        workspace: &mut Workspace,
    ) -> Result<(), SendError> {
        self.check_sendable(kind)?;
        if kind == Kind::Text && utf8::whole(data).is_err() {
            return Err(SendError::NotUtf8);
        }
        let compression = self.compression.as_deref_mut();
        let is_compressed = match self.outgoing {
            Some(outgoing) => outgoing.is_compressed,
            // How large a message in parts will be nobody knows.
            None => compression.as_ref().is_some_and(|deflate| {
                deflate.wants(if is_last { data.len() } else { usize::MAX })
            }),
        };
        if let Some(compression) = compression.filter(|_| is_compressed) {
            let Workspace { scratch, spare, .. } = workspace;
            let mut deflated = std::mem::take(scratch);
            deflated.clear();
            let result = compression.deflate(data, is_last, &mut deflated, spare);
            if result.is_ok() {
                self.is_compressing = true;
                self.write_data(kind, &deflated, is_last, true, out);
            }
            workspace.scratch = deflated;
            return result;
        }
        self.write_data(kind, data, is_last, false, out);
        Ok(())
    }

    /// Appends only the header of a message of `len` bytes to `out`, which the caller sends after
    /// it by reference. Returns false, and appends nothing, if the message has to be changed to be
    /// sent, as it is masked or compressed: then it is for [`send`](Self::send).
    ///
    /// That a text is UTF-8 is for the caller to see to.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_header(
        &mut self,
        kind: Kind,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, SendError> {
        if self.outgoing.is_some() {
            return Err(SendError::InMessage);
        }
        self.check_sendable(kind)?;
        let is_plain = matches!(self.role, Role::Server)
            && !self.compression.as_ref().is_some_and(|deflate| deflate.wants(len));
        if is_plain {
            let header = Header {
                is_final: true,
                is_compressed: false,
                opcode: opcode(kind),
                mask: None,
                len: len as u64,
            };
            header.write(out);
        }
        Ok(is_plain)
    }

    /// Appends a ping to `out`.
    ///
    /// # Errors
    ///
    /// The connection is closing, or `payload` is longer than 125 bytes.
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, payload, out)
    }

    /// Appends a pong that nobody has asked for to `out`: a sign of life without an answer (RFC
    /// 6455, section 5.5.3).
    ///
    /// # Errors
    ///
    /// The connection is closing, or `payload` is longer than 125 bytes.
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload, out)
    }

    /// Begins the closing handshake. The peer's answer comes as [`Event::Close`].
    ///
    /// # Errors
    ///
    /// The connection is closing already, the code is not to be sent, or the reason is longer than
    /// 123 bytes or has no code.
    pub fn close(
        &mut self,
        close: Close<'_>,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        match close.code {
            Some(code) if !is_sendable(code) => return Err(SendError::CloseCode(code)),
            None if !close.reason.is_empty() => return Err(SendError::CloseCode(1005)),
            Some(_) | None => {}
        }
        if close.reason.len() > MAX_REASON {
            return Err(SendError::TooLong);
        }
        let mut payload = Vec::with_capacity(MAX_CONTROL);
        close.write(&mut payload);
        self.write(Opcode::Close, &payload, out);
        self.state = State::Asked { since: now };
        Ok(())
    }

    /// The peer has stopped sending.
    pub fn eof(&mut self, now: Duration) -> Eof {
        let is_clean = matches!(self.state, State::Over { is_clean: true, .. });
        self.end(Closing::Flush, is_clean, now);
        if is_clean { Eof::Clean } else { Eof::Cut }
    }

    /// The caller stops reading for a while: silence says nothing until [`resume`](Self::resume).
    pub fn pause(&mut self) {
        self.keepalive.pause();
    }

    /// The caller reads again.
    pub fn resume(&mut self, now: Duration) {
        self.keepalive.resume(now);
    }

    /// How long the last ping of the [keep-alive](Limits::ping_interval) took to be answered.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.keepalive.latency()
    }

    /// The memory that is held for a message or control frame of which a part has come, in bytes.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.incoming.capacity() + self.control.capacity()
    }

    /// Whether messages can be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the connection below is to be closed, and how.
    #[must_use]
    pub const fn closing(&self) -> Closing {
        match self.state {
            State::Open | State::Asked { .. } => Closing::Open,
            State::Over { closing, .. } => closing,
        }
    }

    /// When [`expire`](Self::expire) is to be called, unless something else comes before it.
    #[must_use]
    pub fn deadline(&self, limits: &Limits) -> Option<Duration> {
        match self.state {
            State::Open => self.keepalive.deadline(limits),
            State::Asked { since } => Some(since.saturating_add(limits.close_timeout)),
            State::Over { since, closing, .. } => match closing {
                Closing::Wait => Some(since.saturating_add(limits.close_timeout)),
                Closing::Linger => Some(since.saturating_add(limits.linger)),
                Closing::Open | Closing::Flush | Closing::Abort => None,
            },
        }
    }

    /// The [deadline](Self::deadline) may have passed. A ping, or a close frame, is appended to
    /// `out`.
    pub fn expire(
        &mut self,
        out: &mut Vec<u8>,
        workspace: &mut Workspace,
        limits: &Limits,
        now: Duration,
    ) -> Expiry {
        if self.deadline(limits).is_none_or(|deadline| now < deadline) {
            return Expiry::Early;
        }
        match self.state {
            State::Open => match self.keepalive.expire(limits, now) {
                Due::Nothing => Expiry::Early,
                Due::Ping(payload) => {
                    self.write(Opcode::Ping, &payload, out);
                    let was_compressing = std::mem::replace(&mut self.is_compressing, false);
                    if let Some(compression) = &mut self.compression
                        && !was_compressing
                        && self.outgoing.is_none()
                    {
                        compression.release(&mut workspace.spare);
                    }
                    Expiry::Pinged
                }
                Due::Timeout => {
                    self.fail(Fault::NoPong, out, now);
                    Expiry::Failed(Fault::NoPong)
                }
            },
            State::Asked { .. } | State::Over { .. } => {
                let is_clean = matches!(self.state, State::Over { is_clean: true, .. });
                self.end(Closing::Abort, is_clean, now);
                Expiry::CloseTimeout
            }
        }
    }

    #[cfg(test)]
    pub(super) fn has_compressor(&self) -> bool {
        self.compression.as_ref().is_some_and(|compression| compression.has_compressor())
    }

    fn check_sendable(&self, kind: Kind) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        match self.outgoing {
            Some(outgoing) if outgoing.kind != kind => Err(SendError::InMessage),
            Some(_) | None => Ok(()),
        }
    }

    fn send_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        if payload.len() > MAX_CONTROL {
            return Err(SendError::TooLong);
        }
        self.write(opcode, payload, out);
        Ok(())
    }

    /// Writes the next frame of the message under way, or the first of one.
    fn write_data(
        &mut self,
        kind: Kind,
        payload: &[u8],
        is_last: bool,
        is_compressed: bool,
        out: &mut Vec<u8>,
    ) {
        let is_first = self.outgoing.is_none();
        let header = Header {
            is_final: is_last,
            is_compressed: is_compressed && is_first,
            opcode: if is_first { opcode(kind) } else { Opcode::Continuation },
            mask: None,
            len: payload.len() as u64,
        };
        self.outgoing = (!is_last).then_some(Outgoing { kind, is_compressed });
        self.write_frame(header, payload, out);
    }

    /// Writes a control frame.
    fn write(&mut self, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
        let len = payload.len() as u64;
        let header = Header { is_final: true, is_compressed: false, opcode, mask: None, len };
        self.write_frame(header, payload, out);
    }

    fn write_frame(&mut self, header: Header, payload: &[u8], out: &mut Vec<u8>) {
        match &mut self.role {
            Role::Server => {
                header.write(out);
                out.extend_from_slice(payload);
            }
            Role::Client(keys) => {
                let mask = keys.next();
                Header { mask: Some(mask), ..header }.write(out);
                mask.append(payload, out);
            }
        }
    }

    /// RFC 6455, section 7.1.7.
    fn fail(&mut self, fault: Fault, out: &mut Vec<u8>, now: Duration) {
        if self.state == State::Open {
            let mut payload = Vec::with_capacity(MAX_CONTROL);
            Close { code: Some(fault.code()), reason: fault.reason() }.write(&mut payload);
            self.write(Opcode::Close, &payload, out);
        }
        self.end(Closing::Linger, false, now);
    }

    /// Nothing more is sent or received: all memory goes.
    fn end(&mut self, closing: Closing, is_clean: bool, now: Duration) {
        self.state = State::Over { since: now, closing, is_clean };
        self.header = Cut::default();
        self.frame = None;
        self.control = Vec::new();
        self.incoming = Incoming::default();
        self.outgoing = None;
        self.compression = None;
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("state", &self.state)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

const fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}

/// A message in one frame that is there as a whole: bytes stay where they are, a masked text is
/// unmasked to be looked at.
fn whole(frame: Frame, range: Range<usize>, input: &[u8], message: &mut Vec<u8>) -> Found {
    match (frame.opcode, frame.mask) {
        (Opcode::Text, Some(mask)) => {
            mask.append(&input[range], message);
            Found::InWorkspace(Kind::Text)
        }
        (Opcode::Text, None) => Found::InInput(Kind::Text, range, None),
        (_, mask) => Found::InInput(Kind::Binary, range, mask),
    }
}
