//! What a peer does wrong, and the close code that tells it.

use std::fmt;

/// Why a connection failed. [`code`](Self::code) went to the peer in a close frame.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A reserved bit is set that no extension has given a meaning (RFC 6455, section 5.2; RFC 7692,
    /// section 6).
    ReservedBits,
    /// An opcode that nothing has given a meaning (section 5.2).
    Opcode(u8),
    /// A control frame that is one of several fragments (section 5.5).
    ControlFragmented,
    /// A control frame of more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A client's frame without a mask (section 5.1).
    NotMasked,
    /// A server's frame with a mask (section 5.1).
    Masked,
    /// A length written with more bytes than it needs (section 5.2).
    LengthNotMinimal,
    /// A length of 2⁶³ or more (section 5.2).
    LengthTooLarge,
    /// A continuation of nothing (section 5.4).
    NothingToContinue,
    /// A message that begins inside another one (section 5.4).
    MessageInMessage,
    /// A text, or the reason in a close frame, that is not UTF-8 (section 8.1).
    NotUtf8,
    /// A close frame with half a code (section 5.5.1).
    CloseTooShort,
    /// A close code that is not to be sent (section 7.4).
    CloseCode(u16),
    /// A message larger than [`Limits::message`](super::Limits::message), after it was decompressed.
    MessageTooLarge,
    /// Compressed data that is none (RFC 7692).
    NotDeflate,
    /// No sign of life within [`Limits::ping_timeout`](super::Limits::ping_timeout) of a ping.
    NoPong,
}

impl Fault {
    /// The close code for it (RFC 6455, section 7.4.1).
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::ReservedBits
            | Self::Opcode(_)
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::NotMasked
            | Self::Masked
            | Self::LengthNotMinimal
            | Self::LengthTooLarge
            | Self::NothingToContinue
            | Self::MessageInMessage
            | Self::CloseTooShort
            | Self::CloseCode(_)
            | Self::NotDeflate => 1002,
            Self::NotUtf8 => 1007,
            Self::MessageTooLarge => 1009,
            Self::NoPong => 1011,
        }
    }

    /// What the close frame says. Fits a control frame.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bits are set",
            Self::Opcode(_) => "reserved opcode",
            Self::ControlFragmented => "fragmented control frame",
            Self::ControlTooLong => "control frame above 125 bytes",
            Self::NotMasked => "frame is not masked",
            Self::Masked => "frame is masked",
            Self::LengthNotMinimal => "length is not in its shortest form",
            Self::LengthTooLarge => "length above 63 bits",
            Self::NothingToContinue => "nothing to continue",
            Self::MessageInMessage => "new message inside a fragmented one",
            Self::NotUtf8 => "invalid UTF-8",
            Self::CloseTooShort => "close frame with half a code",
            Self::CloseCode(_) => "invalid close code",
            Self::MessageTooLarge => "message too big",
            Self::NotDeflate => "invalid compressed data",
            Self::NoPong => "keepalive ping timeout",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opcode(opcode) => write!(f, "{} {opcode:#x}", self.reason()),
            Self::CloseCode(code) => write!(f, "{} {code}", self.reason()),
            _ => f.write_str(self.reason()),
        }
    }
}

impl std::error::Error for Fault {}
