//! Close frames and the closing handshake (RFC 6455, section 7).
//!
//! ```text
//!           close() ──> Asked ── the peer's close frame ──┐
//!          /              └── close timeout ──────────────┤
//! Open ───┼── the peer's close frame, answered ───────────┼──> Over
//!          \                                              │
//!           └── a fault, told in a close frame ───────────┘
//! ```

use std::time::Duration;

use super::fault::Fault;
use super::frame::MAX_CONTROL;
use super::utf8;

/// What a close frame says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Close<'b> {
    /// The code, if it has one. An API says 1005 where it has none.
    pub code: Option<u16>,
    /// The reason, often empty.
    pub reason: &'b str,
}

impl<'b> Close<'b> {
    /// Reads the payload of a close frame.
    ///
    /// # Errors
    ///
    /// Half a code, one that is not to be sent, a reason that is not UTF-8.
    pub fn parse(payload: &'b [u8]) -> Result<Self, Fault> {
        match payload {
            [] => Ok(Self { code: None, reason: "" }),
            [_] => Err(Fault::CloseTooShort),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !is_sendable(code) {
                    return Err(Fault::CloseCode(code));
                }
                Ok(Self { code: Some(code), reason: utf8::whole(reason)? })
            }
        }
    }

    /// Appends the payload of a close frame to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Some(code) = self.code {
            out.extend_from_slice(&code.to_be_bytes());
            out.extend_from_slice(self.reason.as_bytes());
        }
    }
}

/// Whether a close frame may have this code: those of RFC 6455, section 7.4.1, that are not only for
/// an API; those that IANA has registered since (1012, 1013, 1014); and 3000 to 4999.
#[must_use]
pub const fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The longest reason that a close frame has room for.
pub const MAX_REASON: usize = MAX_CONTROL - 2;

/// How far the end of a connection has come.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    Open,
    /// Our close frame went out, the peer's has not come.
    Asked {
        since: Duration,
    },
    Over {
        since: Duration,
        closing: Closing,
        /// Both close frames were there.
        is_clean: bool,
    },
}

/// Whether and how the connection below is to be closed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Closing {
    /// Not at all.
    Open,
    /// Once all is sent. A server closes first (RFC 6455, section 7.1.1).
    Flush,
    /// By the peer, a server: it is waited for until the
    /// [deadline](super::Connection::deadline).
    Wait,
    /// Once all is sent, the sending side is to be shut; what comes is read and dropped until the
    /// peer shuts its own or the [deadline](super::Connection::deadline) passes. A peer that is
    /// still sending would else get a reset, which can take the close frame from it.
    Linger,
    /// Now.
    Abort,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_section_7_4() {
        // Autobahn's groups 7.7 and 7.9.
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
            let payload = u16::to_be_bytes(code);
            assert_eq!(Close::parse(&payload), Ok(Close { code: Some(code), reason: "" }));
        }
        for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert_eq!(Close::parse(&u16::to_be_bytes(code)), Err(Fault::CloseCode(code)));
        }
    }

    #[test]
    fn payloads_of_section_5_5_1() {
        assert_eq!(Close::parse(b""), Ok(Close { code: None, reason: "" }));
        assert_eq!(Close::parse(b"\x03"), Err(Fault::CloseTooShort));
        let close = Close { code: Some(1001), reason: "gone \u{2708}" };
        let mut payload = Vec::new();
        close.write(&mut payload);
        assert_eq!(Close::parse(&payload), Ok(close));
        assert_eq!(Close::parse(b"\x03\xe8\xce\xba\xed\xa0\x80"), Err(Fault::NotUtf8));
        // A reason that ends inside a character.
        assert_eq!(Close::parse(b"\x03\xe8\xe2\x9c"), Err(Fault::NotUtf8));
    }
}
