//! Frame headers (RFC 6455, section 5.2).
//!
//! ```text
//! byte 0      FIN RSV1 RSV2 RSV3 opcode(4)
//! byte 1      MASK length(7)            126: two bytes of length follow, 127: eight
//! then        length, key(4) if MASK
//! ```

use super::fault::Fault;
use super::mask::Mask;

/// What a frame is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Opcode {
    /// The next part of the message under way.
    Continuation,
    /// A text, or its first part.
    Text,
    /// Bytes, or their first part.
    Binary,
    /// The end of the connection.
    Close,
    /// A question whether the peer is there.
    Ping,
    /// The answer.
    Pong,
}

impl Opcode {
    /// Whether it may come between the parts of a message.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }
}

/// A frame without its payload.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Whether it is the last of its message.
    pub is_final: bool,
    /// RSV1: the message that begins here is compressed.
    pub is_compressed: bool,
    /// What it is.
    pub opcode: Opcode,
    /// How the payload is masked.
    pub mask: Option<Mask>,
    /// The payload's length.
    pub len: u64,
}

impl Header {
    /// Reads a header at the start of `input`: it, and its length. None if there is more of it to
    /// come.
    ///
    /// # Errors
    ///
    /// What is wrong by itself, whoever sends it and whenever.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, Fault> {
        let [first, second, rest @ ..] = input else { return Ok(None) };
        let (first, second) = (*first, *second);
        if first & (RSV2 | RSV3) != 0 {
            return Err(Fault::ReservedBits);
        }
        let bits = first & 0x0f;
        let opcode = Opcode::from_bits(bits).ok_or(Fault::Opcode(bits))?;
        let is_final = first & FIN != 0;
        let short = second & !MASK;
        if opcode.is_control() {
            if !is_final {
                return Err(Fault::ControlFragmented);
            }
            if short > MAX_SHORT {
                return Err(Fault::ControlTooLong);
            }
        }
        let (len, rest) = match short {
            LEN_16 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*bytes)), rest)
            }
            LEN_64 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*bytes), rest)
            }
            short => (u64::from(short), rest),
        };
        match short {
            LEN_16 if len <= u64::from(MAX_SHORT) => return Err(Fault::LengthNotMinimal),
            LEN_64 if len <= u64::from(u16::MAX) => return Err(Fault::LengthNotMinimal),
            LEN_64 if len > i64::MAX as u64 => return Err(Fault::LengthTooLarge),
            _ => {}
        }
        let (mask, rest) = if second & MASK == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (Some(Mask::new(*key)), rest)
        };
        let header = Self { is_final, is_compressed: first & RSV1 != 0, opcode, mask, len };
        Ok(Some((header, input.len() - rest.len())))
    }

    /// Appends it to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; MAX_HEADER];
        bytes[0] = self.opcode.bits();
        if self.is_final {
            bytes[0] |= FIN;
        }
        if self.is_compressed {
            bytes[0] |= RSV1;
        }
        let mut len = 2;
        if self.len <= u64::from(MAX_SHORT) {
            bytes[1] = self.len as u8;
        } else if let Ok(short) = u16::try_from(self.len) {
            bytes[1] = LEN_16;
            bytes[2..4].copy_from_slice(&short.to_be_bytes());
            len = 4;
        } else {
            bytes[1] = LEN_64;
            bytes[2..10].copy_from_slice(&self.len.to_be_bytes());
            len = 10;
        }
        if let Some(mask) = self.mask {
            bytes[1] |= MASK;
            bytes[len..len + 4].copy_from_slice(&mask.key());
            len += 4;
        }
        out.extend_from_slice(&bytes[..len]);
    }
}

/// The longest header.
pub const MAX_HEADER: usize = 14;

/// The longest payload of a control frame (RFC 6455, section 5.5).
pub const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const MASK: u8 = 0x80;
const MAX_SHORT: u8 = 125;
const LEN_16: u8 = 126;
const LEN_64: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    const OPCODES: [Opcode; 6] = [
        Opcode::Continuation,
        Opcode::Text,
        Opcode::Binary,
        Opcode::Close,
        Opcode::Ping,
        Opcode::Pong,
    ];

    #[test]
    fn what_is_written_is_read_and_no_part_of_it_is() {
        let lens = [0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, i64::MAX as u64];
        for opcode in OPCODES {
            for len in lens {
                for bits in 0..8 {
                    let header = Header {
                        is_final: bits & 1 != 0 || opcode.is_control(),
                        is_compressed: bits & 2 != 0,
                        opcode,
                        mask: (bits & 4 != 0).then_some(Mask::new([1, 2, 3, 0xff])),
                        len: if opcode.is_control() { len.min(125) } else { len },
                    };
                    let mut out = Vec::new();
                    header.write(&mut out);
                    assert_eq!(Header::parse(&out), Ok(Some((header, out.len()))));
                    for end in 0..out.len() {
                        assert_eq!(Header::parse(&out[..end]), Ok(None), "{header:?} at {end}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_examples_of_section_5_7() {
        let parse = |bytes: &[u8]| Header::parse(bytes).expect("valid").expect("whole");
        let header = |opcode, is_final, mask, len| Header {
            is_final,
            is_compressed: false,
            opcode,
            mask,
            len,
        };
        let mask = Some(Mask::new([0x37, 0xfa, 0x21, 0x3d]));
        assert_eq!(parse(b"\x81\x05Hello"), (header(Opcode::Text, true, None, 5), 2));
        assert_eq!(parse(b"\x81\x85\x37\xfa\x21\x3d"), (header(Opcode::Text, true, mask, 5), 6));
        assert_eq!(parse(b"\x01\x03Hel"), (header(Opcode::Text, false, None, 3), 2));
        assert_eq!(parse(b"\x80\x02lo"), (header(Opcode::Continuation, true, None, 2), 2));
        assert_eq!(parse(b"\x89\x05Hello"), (header(Opcode::Ping, true, None, 5), 2));
        assert_eq!(parse(b"\x8a\x85\x37\xfa\x21\x3d"), (header(Opcode::Pong, true, mask, 5), 6));
        assert_eq!(parse(b"\x82\x7e\x01\x00"), (header(Opcode::Binary, true, None, 256), 4));
        assert_eq!(
            parse(b"\x82\x7f\0\0\0\0\0\x01\0\0"),
            (header(Opcode::Binary, true, None, 65536), 10)
        );
    }

    #[test]
    fn lengths_have_their_shortest_form() {
        assert_eq!(Header::parse(&[0x82, 126, 0, 125]), Err(Fault::LengthNotMinimal));
        assert!(Header::parse(&[0x82, 126, 0, 126]).is_ok_and(|header| header.is_some()));
        let long = |len: u64| Header::parse(&[&[0x82, 127], &len.to_be_bytes()[..]].concat());
        assert_eq!(long(65535), Err(Fault::LengthNotMinimal));
        assert!(long(65536).is_ok_and(|header| header.is_some()));
        assert_eq!(long(1 << 63), Err(Fault::LengthTooLarge));
    }

    #[test]
    fn reserved_bits_and_opcodes_are_refused() {
        for first in 0..=u8::MAX {
            let found = Header::parse(&[first, 0]);
            let opcode = first & 0x0f;
            if first & 0x30 != 0 {
                assert_eq!(found, Err(Fault::ReservedBits));
            } else if matches!(opcode, 3..=7 | 11..) {
                assert_eq!(found, Err(Fault::Opcode(opcode)));
            } else if opcode >= 8 && first & 0x80 == 0 {
                assert_eq!(found, Err(Fault::ControlFragmented));
            } else {
                assert!(found.is_ok());
            }
        }
        for opcode in [8, 9, 10] {
            assert_eq!(Header::parse(&[0x80 | opcode, 126]), Err(Fault::ControlTooLong));
            assert_eq!(Header::parse(&[0x80 | opcode, 0xff]), Err(Fault::ControlTooLong));
        }
    }
}
