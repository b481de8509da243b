//! A response's bytes.
//!
//! ```text
//! New -> Head -> Sized | Chunked | UntilClose | Silent -> Complete
//!                           └-> Trailers -> Complete
//!        Head -> Switched
//! ```
//!
//! The lines of the head are written as they are named, and its end is held back until the first
//! piece of the body: if that is the last one too, its length is the body's.

use std::fmt;

use super::chunked::{end_chunk, last_chunk, start_chunk};
use super::head::Version;
use crate::bytes::{self, TOKEN};
use crate::date::Date;

/// The answer to one request, as it is being written.
///
/// Every method that writes gets `out`, the buffer of what is to be sent, and only adds to it. The
/// caller may take bytes from its front whenever it likes, but for the last
/// [`held`](Self::held) of them: these are a head that is not finished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    phase: Phase,
    held: usize,
    status: u16,
    version: Version,
    /// The request was HEAD.
    is_head: bool,
    keep_alive: bool,
    awaits_continue: bool,
    may_switch: bool,
    has_date: bool,
    /// What the field says, if it was given.
    length: Option<u64>,
    has_trailers: bool,
    /// The body has no room for them.
    drops_trailers: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Phase {
    New,
    Head,
    Sized {
        left: u64,
    },
    Chunked,
    /// HTTP/1.0 without a length.
    UntilClose,
    /// The body that there would be is not sent.
    Silent,
    Trailers,
    Complete,
    /// The connection is something else from here on.
    Switched,
}

/// How a piece of a body is to be sent, after what was written before it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Piece {
    /// Whether its bytes are to be sent: not in the answer to HEAD.
    pub is_sent: bool,
    /// What is to be sent behind them.
    pub after: &'static [u8],
}

/// A response that cannot be sent as it is. Nothing of the step that failed has been written.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum SendError {
    /// A status out of 200 to 999, or of 100 to 199 where that is meant; 101 without a request for it.
    Status(u16),
    /// A head is begun for the second time.
    AlreadyStarted,
    /// A body or a field comes before [`start`](Response::start), or a field after the head.
    NotStarted,
    /// All of it has been sent.
    AlreadyComplete,
    /// A name of a field that is not a token (RFC 9110, section 5.6.2).
    Name,
    /// A value with a control character: CR, LF or NUL above all.
    Value,
    /// A `Content-Length` that is not digits, or the second one.
    Length,
    /// A `Transfer-Encoding` other than `chunked`.
    Coding,
    /// The body is longer than `Content-Length`, or the status has none. So many bytes too many.
    TooLong(u64),
    /// The body is shorter than `Content-Length`. So many bytes are missing.
    TooShort(u64),
    /// Trailers without [`expect_trailers`](Response::expect_trailers), or before the body's end.
    NoTrailers,
}

impl Response {
    pub(super) const fn new(
        version: Version,
        is_head: bool,
        keep_alive: bool,
        awaits_continue: bool,
        may_switch: bool,
    ) -> Self {
        Self {
            phase: Phase::New,
            held: 0,
            status: 0,
            version,
            is_head,
            keep_alive,
            awaits_continue,
            may_switch,
            has_date: false,
            length: None,
            has_trailers: false,
            drops_trailers: false,
        }
    }

    /// Begins the head: 200 to 999, and 101 if the request asked for it, which
    /// [`switch`](Self::switch) ends.
    ///
    /// # Errors
    ///
    /// [`SendError::Status`], [`SendError::AlreadyStarted`].
    pub fn start(&mut self, out: &mut Vec<u8>, status: u16) -> Result<(), SendError> {
        if self.phase != Phase::New {
            return Err(SendError::AlreadyStarted);
        }
        if !((200..=999).contains(&status) || (status == 101 && self.may_switch)) {
            return Err(SendError::Status(status));
        }
        let from = out.len();
        status_line(out, status);
        self.held = out.len() - from;
        self.status = status;
        self.phase = Phase::Head;
        Ok(())
    }

    /// Adds a field to the head.
    ///
    /// `Connection: close` is obeyed, and `Transfer-Encoding: chunked` is left to us, as is `Date` if
    /// there is none. A `Content-Length` is held to.
    ///
    /// # Errors
    ///
    /// [`SendError::Name`], [`SendError::Value`], [`SendError::Length`], [`SendError::Coding`],
    /// [`SendError::NotStarted`]. The head is as it was.
    pub fn field(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), SendError> {
        if self.phase != Phase::Head {
            return Err(SendError::NotStarted);
        }
        check(name, value)?;
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        match name.len() {
            4 if is(b"date") => self.has_date = true,
            10 if is(b"connection") => {
                let has = |option: &[u8]| {
                    bytes::members(value).any(|member| member.eq_ignore_ascii_case(option))
                };
                let (closes, keeps) = (has(b"close"), has(b"keep-alive"));
                self.keep_alive &= !closes;
                // Ours is written at the end of the head.
                if closes || keeps || self.status == 101 {
                    return Ok(());
                }
            }
            14 if is(b"content-length") => {
                let length = bytes::decimal(bytes::trim(value)).map_err(|_| SendError::Length)?;
                if self.length.is_some() {
                    return Err(SendError::Length);
                }
                self.length = Some(length);
                // RFC 9110, section 8.6.
                if matches!(self.status, 101 | 204) {
                    return Ok(());
                }
            }
            17 if is(b"transfer-encoding") => {
                return match value.eq_ignore_ascii_case(b"chunked") {
                    true => Ok(()),
                    false => Err(SendError::Coding),
                };
            }
            _ => {}
        }
        let from = out.len();
        line(out, name, value);
        self.held += out.len() - from;
        Ok(())
    }

    /// Says that trailers come after the body: [`trailer`](Self::trailer),
    /// [`finish_trailers`](Self::finish_trailers). They are sent where the coding has room for them,
    /// in a chunked body, and dropped elsewhere.
    ///
    /// # Errors
    ///
    /// [`SendError::NotStarted`].
    pub fn expect_trailers(&mut self) -> Result<(), SendError> {
        match self.phase {
            Phase::Head => {
                self.has_trailers = true;
                Ok(())
            }
            Phase::New
            | Phase::Sized { .. }
            | Phase::Chunked
            | Phase::UntilClose
            | Phase::Silent
            | Phase::Trailers
            | Phase::Complete
            | Phase::Switched => Err(SendError::NotStarted),
        }
    }

    /// Adds a piece of the body, copied. `more` says whether another one follows.
    ///
    /// # Errors
    ///
    /// As [`begin_piece`](Self::begin_piece).
    pub fn body(
        &mut self,
        out: &mut Vec<u8>,
        data: &[u8],
        more: bool,
        date: &Date,
    ) -> Result<(), SendError> {
        let piece = self.begin_piece(out, data.len() as u64, more, date)?;
        if piece.is_sent {
            out.extend_from_slice(data);
        }
        out.extend_from_slice(piece.after);
        Ok(())
    }

    /// Writes what comes before a piece of the body of `len` bytes, which the caller sends by itself,
    /// without a copy, and behind it [`Piece::after`].
    ///
    /// # Errors
    ///
    /// [`SendError::TooLong`], [`SendError::TooShort`]: after the first of them the head is still
    /// [held](Self::held), if this was the first piece, and [`retract`](Self::retract) makes room for
    /// another answer. [`SendError::NotStarted`], [`SendError::AlreadyComplete`].
    pub fn begin_piece(
        &mut self,
        out: &mut Vec<u8>,
        len: u64,
        more: bool,
        date: &Date,
    ) -> Result<Piece, SendError> {
        let phase = match self.phase {
            Phase::Head => self.frame(len, more),
            Phase::New => return Err(SendError::NotStarted),
            Phase::Complete | Phase::Switched | Phase::Trailers => {
                return Err(SendError::AlreadyComplete);
            }
            phase @ (Phase::Sized { .. } | Phase::Chunked | Phase::UntilClose | Phase::Silent) => {
                phase
            }
        };
        if let Phase::Sized { left } = phase {
            if len > left {
                return Err(SendError::TooLong(len - left));
            }
            if len < left && !more {
                return Err(SendError::TooShort(left - len));
            }
        }
        if self.phase == Phase::Head {
            self.finish_head(out, phase, len, more, date);
        }
        let after: &[u8] = match phase {
            Phase::Chunked => {
                if len > 0 {
                    start_chunk(out, len);
                }
                match (len > 0, more, self.has_trailers) {
                    (true, true, _) => end_chunk(),
                    (false, true, _) => b"",
                    (true, false, true) => b"\r\n0\r\n",
                    (true, false, false) => b"\r\n0\r\n\r\n",
                    (false, false, true) => last_chunk(),
                    (false, false, false) => b"0\r\n\r\n",
                }
            }
            Phase::New
            | Phase::Head
            | Phase::Sized { .. }
            | Phase::UntilClose
            | Phase::Silent
            | Phase::Trailers
            | Phase::Complete
            | Phase::Switched => b"",
        };
        self.phase = match phase {
            // Also where there is no room for them: whoever has announced them gives them.
            _ if !more && self.has_trailers => Phase::Trailers,
            _ if !more => Phase::Complete,
            Phase::Sized { left } => Phase::Sized { left: left - len },
            phase => phase,
        };
        self.drops_trailers = phase != Phase::Chunked;
        Ok(Piece { is_sent: phase != Phase::Silent, after })
    }

    /// Adds a trailer, after the last piece of the body.
    ///
    /// # Errors
    ///
    /// [`SendError::NoTrailers`], [`SendError::Name`], [`SendError::Value`].
    pub fn trailer(
        &mut self,
        out: &mut Vec<u8>,
        name: &[u8],
        value: &[u8],
    ) -> Result<(), SendError> {
        if self.phase != Phase::Trailers {
            return Err(SendError::NoTrailers);
        }
        check(name, value)?;
        if !self.drops_trailers {
            line(out, name, value);
        }
        Ok(())
    }

    /// Ends the trailers, and with them the response.
    ///
    /// # Errors
    ///
    /// [`SendError::NoTrailers`].
    pub fn finish_trailers(&mut self, out: &mut Vec<u8>) -> Result<(), SendError> {
        if self.phase != Phase::Trailers {
            return Err(SendError::NoTrailers);
        }
        if !self.drops_trailers {
            out.extend_from_slice(b"\r\n");
        }
        self.phase = Phase::Complete;
        Ok(())
    }

    /// Ends the head of a 101: from here on the connection is what the client asked for.
    ///
    /// # Errors
    ///
    /// [`SendError::NotStarted`], unless a head with this status was begun.
    pub fn switch(&mut self, out: &mut Vec<u8>, date: &Date) -> Result<(), SendError> {
        if self.phase != Phase::Head || self.status != 101 {
            return Err(SendError::NotStarted);
        }
        self.finish_head(out, Phase::Switched, 0, false, date);
        self.phase = Phase::Switched;
        Ok(())
    }

    /// Sends a whole interim response, such as 103 (Early Hints), before the head. HTTP/1.0 has none:
    /// nothing is written for it.
    ///
    /// # Errors
    ///
    /// [`SendError::Status`], [`SendError::AlreadyStarted`], [`SendError::Name`],
    /// [`SendError::Value`].
    pub fn interim<'f>(
        &mut self,
        out: &mut Vec<u8>,
        status: u16,
        fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
    ) -> Result<(), SendError> {
        if self.phase != Phase::New {
            return Err(SendError::AlreadyStarted);
        }
        if !(100..200).contains(&status) || status == 101 {
            return Err(SendError::Status(status));
        }
        let from = out.len();
        status_line(out, status);
        for (name, value) in fields {
            if let Err(error) = check(name, value) {
                out.truncate(from);
                return Err(error);
            }
            line(out, name, value);
        }
        out.extend_from_slice(b"\r\n");
        if self.version == Version::Http10 {
            out.truncate(from);
        } else if status == 100 {
            self.awaits_continue = false;
        }
        Ok(())
    }

    /// Takes a head back that is still held, and its lines out of `out`.
    pub fn retract(&mut self, out: &mut Vec<u8>) {
        if self.phase == Phase::Head {
            out.truncate(out.len().saturating_sub(self.held));
            let Self { version, is_head, keep_alive, awaits_continue, may_switch, .. } = *self;
            *self = Self::new(version, is_head, keep_alive, awaits_continue, may_switch);
        }
    }

    /// Has the connection closed after this response, which says so if its head is not finished.
    pub const fn close(&mut self) {
        self.keep_alive = false;
    }

    /// How many bytes at the end of the output are not to be sent yet.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// The status, once there is one.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self.status {
            0 => None,
            status => Some(status),
        }
    }

    /// Whether a part of it may have been sent, so that no other answer can be given.
    #[must_use]
    pub const fn is_committed(&self) -> bool {
        !matches!(self.phase, Phase::New | Phase::Head)
    }

    /// Whether all of it has been written.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self.phase, Phase::Complete | Phase::Switched)
    }

    pub(super) const fn is_switched(&self) -> bool {
        matches!(self.phase, Phase::Switched)
    }

    pub(super) const fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    pub(super) const fn awaits_continue(&self) -> bool {
        self.awaits_continue
    }

    /// The body comes without having been asked for.
    pub(super) const fn body_comes(&mut self) {
        self.awaits_continue = false;
    }

    /// What the body will be, given its first piece.
    const fn frame(&self, len: u64, more: bool) -> Phase {
        match (self.status, self.length) {
            _ if self.is_head => Phase::Silent,
            // RFC 9112, section 6.3: no body, whatever the fields say.
            (101 | 204 | 304, _) => Phase::Sized { left: 0 },
            (_, Some(left)) => Phase::Sized { left },
            (_, None) if !more && !self.has_trailers => Phase::Sized { left: len },
            (_, None) => match self.version {
                Version::Http11 => Phase::Chunked,
                Version::Http10 => Phase::UntilClose,
            },
        }
    }

    fn finish_head(&mut self, out: &mut Vec<u8>, phase: Phase, len: u64, more: bool, date: &Date) {
        // What GET would say, as far as it is known: HEAD mostly comes with no body at all.
        let is_whole = !more && !self.has_trailers && self.length.is_none();
        match phase {
            Phase::Sized { .. } if is_whole && !matches!(self.status, 101 | 204 | 304) => {
                length_line(out, len);
            }
            Phase::Silent if is_whole && len > 0 && !matches!(self.status, 204 | 304) => {
                length_line(out, len);
            }
            Phase::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Phase::UntilClose => self.keep_alive = false,
            Phase::New
            | Phase::Head
            | Phase::Sized { .. }
            | Phase::Silent
            | Phase::Trailers
            | Phase::Complete
            | Phase::Switched => {}
        }
        // Whether the body comes after all, nobody knows (RFC 9110, section 10.1.1).
        if self.awaits_continue {
            self.keep_alive = false;
        }
        if !self.has_date {
            line(out, b"date", date.as_bytes());
        }
        out.extend_from_slice(match (phase, self.keep_alive, self.version) {
            (Phase::Switched, ..) => b"connection: upgrade\r\n\r\n",
            (_, false, _) => b"connection: close\r\n\r\n",
            (_, true, Version::Http10) => b"connection: keep-alive\r\n\r\n",
            (_, true, Version::Http11) => b"\r\n",
        });
        self.held = 0;
    }
}

fn check(name: &[u8], value: &[u8]) -> Result<(), SendError> {
    if name.is_empty() || !bytes::are(name, TOKEN) {
        return Err(SendError::Name);
    }
    // Without an early exit, which the compiler makes vectors of.
    let has_control = value
        .iter()
        .fold(false, |has, &byte| has | (byte < b' ' && byte != b'\t') | (byte == 0x7f));
    if has_control { Err(SendError::Value) } else { Ok(()) }
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn length_line(out: &mut Vec<u8>, len: u64) {
    line(out, b"content-length", itoa::Buffer::new().format(len).as_bytes());
}

fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    // The space is there without a phrase too (RFC 9112, section 4).
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What a status is called; nothing, if it is not registered.
#[must_use]
#[rustfmt::skip]
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a Teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "a response cannot have the status {status} here"),
            Self::AlreadyStarted => f.write_str("the response has been started already"),
            Self::NotStarted => f.write_str("the response's head is to come first"),
            Self::AlreadyComplete => f.write_str("the response is complete already"),
            Self::Name => f.write_str("the name of a header field is not a token"),
            Self::Value => f.write_str("the value of a header field has a control character"),
            Self::Length => f.write_str("Content-Length is not one decimal number"),
            Self::Coding => f.write_str("Transfer-Encoding is something else than chunked"),
            Self::TooLong(by) => {
                write!(f, "the response's body is {by} bytes longer than its length")
            }
            Self::TooShort(by) => {
                write!(f, "the response's body is {by} bytes shorter than its length")
            }
            Self::NoTrailers => f.write_str("trailers that were not announced, or not at the end"),
        }
    }
}

impl std::error::Error for SendError {}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTP11: Version = Version::Http11;

    fn new(version: Version, is_head: bool) -> Response {
        Response::new(version, is_head, true, false, false)
    }

    /// What is sent for a status, fields and pieces of a body, with the date left out.
    fn sent(
        mut response: Response,
        status: u16,
        fields: &[(&str, &str)],
        pieces: &[&str],
    ) -> Result<(String, bool), SendError> {
        let date = Date::at(0);
        let mut out = Vec::new();
        response.start(&mut out, status)?;
        for (name, value) in fields {
            response.field(&mut out, name.as_bytes(), value.as_bytes())?;
            assert_eq!(response.held(), out.len());
        }
        for (at, piece) in pieces.iter().enumerate() {
            response.body(&mut out, piece.as_bytes(), at + 1 < pieces.len(), &date)?;
            assert_eq!(response.held(), 0);
        }
        assert_eq!(response.is_complete(), !pieces.is_empty());
        let text = String::from_utf8(out).expect("ours is text");
        Ok((text.replace("date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", ""), response.keeps_alive()))
    }

    #[test]
    fn rfc9112_6_2_a_body_known_whole_has_its_length() {
        let (text, keeps) = sent(new(HTTP11, false), 200, &[("a", "b")], &["hello"]).expect("sent");
        assert_eq!(text, "HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 5\r\n\r\nhello");
        assert!(keeps);
        let (text, _) = sent(new(HTTP11, false), 404, &[], &[""]).expect("sent");
        assert_eq!(text, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    }

    #[test]
    fn rfc9112_7_1_a_body_in_pieces_is_chunked() {
        let (text, keeps) = sent(new(HTTP11, false), 200, &[], &["", "ab", "", "c"]).expect("sent");
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(text, format!("{head}2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"));
        assert!(keeps);
        let (text, _) =
            sent(new(HTTP11, false), 200, &[("Transfer-Encoding", "Chunked")], &["ab", ""])
                .expect("sent");
        assert_eq!(text, format!("{head}2\r\nab\r\n0\r\n\r\n"));
    }

    #[test]
    fn rfc9112_6_3_in_http10_the_end_is_the_end() {
        let (text, keeps) =
            sent(new(Version::Http10, false), 200, &[], &["ab", "c"]).expect("sent");
        assert_eq!(text, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc");
        assert!(!keeps);
        let (text, keeps) = sent(new(Version::Http10, false), 200, &[], &["ab"]).expect("sent");
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n";
        assert_eq!(text, format!("{head}ab"));
        assert!(keeps);
    }

    #[test]
    fn rfc9110_9_3_2_head_has_no_body() {
        let (text, _) = sent(new(HTTP11, true), 200, &[], &["hello"]).expect("sent");
        assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
        let (text, _) =
            sent(new(HTTP11, true), 200, &[("content-length", "7")], &[""]).expect("sent");
        assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
        let (text, _) = sent(new(HTTP11, true), 200, &[], &[""]).expect("sent");
        assert_eq!(text, "HTTP/1.1 200 OK\r\n\r\n");
        let (text, keeps) = sent(new(HTTP11, true), 200, &[], &["a", "b"]).expect("sent");
        assert_eq!(text, "HTTP/1.1 200 OK\r\n\r\n");
        assert!(keeps);
    }

    #[test]
    fn rfc9112_6_3_statuses_without_a_body() {
        let (text, _) =
            sent(new(HTTP11, false), 204, &[("content-length", "0")], &[""]).expect("sent");
        assert_eq!(text, "HTTP/1.1 204 No Content\r\n\r\n");
        let (text, _) =
            sent(new(HTTP11, false), 304, &[("content-length", "9")], &[""]).expect("sent");
        assert_eq!(text, "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n");
        let (text, _) = sent(new(HTTP11, false), 304, &[], &["", ""]).expect("sent");
        assert_eq!(text, "HTTP/1.1 304 Not Modified\r\n\r\n");
        assert_eq!(sent(new(HTTP11, false), 204, &[], &["ab"]), Err(SendError::TooLong(2)));
    }

    #[test]
    fn a_length_that_was_named_is_held_to() {
        let fields = [("Content-Length", "3")];
        let (text, _) = sent(new(HTTP11, false), 200, &fields, &["a", "bc"]).expect("sent");
        assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(
            sent(new(HTTP11, false), 200, &fields, &["a", "bcd"]),
            Err(SendError::TooLong(1))
        );
        assert_eq!(
            sent(new(HTTP11, false), 200, &fields, &["a", "b"]),
            Err(SendError::TooShort(1))
        );
        for value in ["", "+3", "x", "3, 3", "99999999999999999999"] {
            let fields = [("content-length", value)];
            assert_eq!(
                sent(new(HTTP11, false), 200, &fields, &[]),
                Err(SendError::Length),
                "{value}"
            );
        }
        let twice = [("content-length", "3"), ("content-length", "3")];
        assert_eq!(sent(new(HTTP11, false), 200, &twice, &[]), Err(SendError::Length));
    }

    #[test]
    fn rfc9112_11_1_no_response_is_split() {
        for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "\x7f", "\x1b[0m"] {
            let fields = [("a", value)];
            assert_eq!(
                sent(new(HTTP11, false), 200, &fields, &[]),
                Err(SendError::Value),
                "{value:?}"
            );
        }
        for name in ["", "a b", "a:", "a\r\n", "é", "a\0"] {
            let fields = [(name, "b")];
            assert_eq!(
                sent(new(HTTP11, false), 200, &fields, &[]),
                Err(SendError::Name),
                "{name:?}"
            );
        }
        for value in ["", "tab\there", "é"] {
            assert!(sent(new(HTTP11, false), 200, &[("a", value)], &[]).is_ok(), "{value:?}");
        }
        let coding = [("transfer-encoding", "gzip")];
        assert_eq!(sent(new(HTTP11, false), 200, &coding, &[]), Err(SendError::Coding));
    }

    #[test]
    fn rfc9112_9_6_close_is_said_and_obeyed() {
        for value in ["close", "Close", "x, close"] {
            let (text, keeps) =
                sent(new(HTTP11, false), 200, &[("Connection", value)], &[""]).expect("sent");
            assert!(text.ends_with("\r\nconnection: close\r\n\r\n"), "{text}");
            assert_eq!(text.to_lowercase().matches("connection").count(), 1);
            assert!(!keeps);
        }
        let (text, keeps) =
            sent(new(HTTP11, false), 426, &[("connection", "upgrade")], &[""]).expect("sent");
        assert!(keeps && text.contains("\r\nconnection: upgrade\r\n"), "{text}");
    }

    #[test]
    fn rfc9110_15_statuses() {
        for status in [0, 99, 100, 101, 199, 1000] {
            let error = Err(SendError::Status(status));
            assert_eq!(sent(new(HTTP11, false), status, &[], &[]), error);
        }
        let (text, _) = sent(new(HTTP11, false), 299, &[], &[""]).expect("sent");
        assert!(text.starts_with("HTTP/1.1 299 \r\n"));
    }

    #[test]
    fn rfc9110_6_6_1_a_date_unless_there_is_one() {
        let mut response = new(HTTP11, false);
        let mut out = Vec::new();
        response.start(&mut out, 200).expect("new");
        response.field(&mut out, b"Date", b"mine").expect("clean");
        response.body(&mut out, b"", false, &Date::at(0)).expect("started");
        assert_eq!(out, b"HTTP/1.1 200 OK\r\nDate: mine\r\ncontent-length: 0\r\n\r\n");
    }

    #[test]
    fn steps_out_of_order_are_refused() {
        let date = Date::at(0);
        let mut out = Vec::new();
        let mut response = new(HTTP11, false);
        assert_eq!(response.field(&mut out, b"a", b"b"), Err(SendError::NotStarted));
        assert_eq!(response.body(&mut out, b"", false, &date), Err(SendError::NotStarted));
        assert_eq!(response.switch(&mut out, &date), Err(SendError::NotStarted));
        assert_eq!(response.expect_trailers(), Err(SendError::NotStarted));
        assert!(out.is_empty());
        response.start(&mut out, 200).expect("new");
        assert_eq!(response.start(&mut out, 200), Err(SendError::AlreadyStarted));
        assert_eq!(response.interim(&mut out, 103, []), Err(SendError::AlreadyStarted));
        response.body(&mut out, b"", false, &date).expect("started");
        let len = out.len();
        assert_eq!(response.body(&mut out, b"", false, &date), Err(SendError::AlreadyComplete));
        assert_eq!(response.field(&mut out, b"a", b"b"), Err(SendError::NotStarted));
        assert_eq!(response.trailer(&mut out, b"a", b"b"), Err(SendError::NoTrailers));
        assert_eq!(out.len(), len);
    }

    #[test]
    fn a_held_head_can_be_taken_back() {
        let date = Date::at(0);
        let mut out = b"of the response before".to_vec();
        let mut response = new(HTTP11, false);
        response.start(&mut out, 200).expect("new");
        response.field(&mut out, b"content-length", b"9").expect("clean");
        // What came before has been sent meanwhile.
        out.drain(..10);
        assert_eq!(response.body(&mut out, b"", false, &date), Err(SendError::TooShort(9)));
        assert!(!response.is_committed());
        response.retract(&mut out);
        assert_eq!(out, b"ponse before");
        response.start(&mut out, 500).expect("new again");
        response.body(&mut out, b"", false, &date).expect("started");
        assert!(response.is_committed());
    }

    #[test]
    fn rfc9112_7_1_2_trailers_after_chunks() {
        let date = Date::at(0);
        let send = |version, length: Option<&[u8]>| {
            let mut response = new(version, false);
            let mut out = Vec::new();
            response.start(&mut out, 200).expect("new");
            if let Some(length) = length {
                response.field(&mut out, b"content-length", length).expect("clean");
            }
            response.expect_trailers().expect("in the head");
            response.body(&mut out, b"a", false, &date).expect("started");
            assert!(!response.is_complete());
            assert_eq!(response.trailer(&mut out, b"x\r", b"y"), Err(SendError::Name));
            assert_eq!(response.trailer(&mut out, b"x", b"y\n"), Err(SendError::Value));
            response.trailer(&mut out, b"x", b"y").expect("clean");
            response.finish_trailers(&mut out).expect("after the body");
            assert!(response.is_complete());
            String::from_utf8(out).expect("ours is text")
        };
        assert!(send(HTTP11, None).ends_with("\r\n\r\n1\r\na\r\n0\r\nx: y\r\n\r\n"));
        assert!(send(HTTP11, Some(b"1")).ends_with("\r\n\r\na"));
        assert!(send(Version::Http10, None).ends_with("connection: close\r\n\r\na"));
    }

    #[test]
    fn rfc9110_15_2_interim_responses() {
        let mut out = Vec::new();
        let mut response = new(HTTP11, false);
        let link: [(&[u8], &[u8]); 1] = [(b"link", b"</a.css>")];
        response.interim(&mut out, 103, link).expect("before the head");
        assert_eq!(out, b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
        for status in [99, 101, 200] {
            assert_eq!(response.interim(&mut out, status, []), Err(SendError::Status(status)));
        }
        let split: [(&[u8], &[u8]); 1] = [(b"link", b"a\r\n")];
        let len = out.len();
        assert_eq!(response.interim(&mut out, 103, split), Err(SendError::Value));
        assert_eq!(out.len(), len);
        assert_eq!(new(Version::Http10, false).interim(&mut out, 103, link), Ok(()));
        assert_eq!(out.len(), len);
    }

    #[test]
    fn a_piece_can_be_sent_without_a_copy() {
        let date = Date::at(0);
        let mut out = Vec::new();
        let mut response = new(HTTP11, false);
        response.start(&mut out, 200).expect("new");
        let piece = response.begin_piece(&mut out, 4096, true, &date).expect("started");
        assert!(out.ends_with(b"\r\n\r\n1000\r\n"));
        assert_eq!(piece, Piece { is_sent: true, after: b"\r\n" });
        let piece = response.begin_piece(&mut out, 1, false, &date).expect("started");
        assert_eq!(piece, Piece { is_sent: true, after: b"\r\n0\r\n\r\n" });
    }
}
