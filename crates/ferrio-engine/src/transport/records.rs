//! Where TLS records end in a stream of ciphertext (RFC 8446, section 5.1).
//!
//! Who feeds a TLS library with whole records never has to ask it whether there is more to decrypt:
//! the answer no is an exception in CPython's `ssl`, dearer than decrypting a kilobyte.

/// Follows a stream of TLS records, piece by piece. Looks at nothing but the headers:
///
/// ```text
///   type  version  length   payload
///   1     2        2        length
/// ```
///
/// ```
/// use ferrio_engine::{Group, Records};
///
/// let mut records = Records::new();
/// let stream = [23, 3, 3, 0, 2, b'h', b'i', 23, 3];
/// assert_eq!(records.group(&stream, 1), Group { len: 7, whole: 1 });
/// assert_eq!(records.group(&stream[7..], 1), Group { len: 2, whole: 0 });
/// assert_eq!(records.group(&[3, 0, 1, b'!'], 1), Group { len: 4, whole: 1 });
/// ```
#[derive(Debug, Default)]
pub struct Records {
    /// What there is of the header of the current record.
    header: [u8; HEADER_LEN],
    /// Bytes of `header`. `HEADER_LEN` while a payload is passing.
    have: usize,
    /// Bytes missing from the current payload.
    left: usize,
    /// Something was no TLS record: the library will say so.
    is_lost: bool,
}

/// The start of a piece of ciphertext.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// In bytes.
    pub len: usize,
    /// How many records end in it; `usize::MAX` if nobody knows.
    pub whole: usize,
}

const HEADER_LEN: usize = 5;
/// The largest payload of any version: 2^14 bytes and what encryption may add to it.
const MAX_PAYLOAD_LEN: usize = (1 << 14) + 2048;
const CONTENT_TYPES: std::ops::RangeInclusive<u8> = 20..=24;

impl Records {
    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops looking: some of the stream went another way.
    pub fn lose(&mut self) {
        self.is_lost = true;
    }

    /// The start of `bytes`, which are the next of the stream: up to the first end of a record at
    /// or behind `enough` bytes, or all.
    pub fn group(&mut self, bytes: &[u8], enough: usize) -> Group {
        let mut len = 0;
        let mut whole = 0;
        while len < bytes.len() && !self.is_lost {
            len += self.step(&bytes[len..]);
            if self.have == HEADER_LEN && self.left == 0 && !self.is_lost {
                self.have = 0;
                whole += 1;
                if len >= enough {
                    return Group { len, whole };
                }
            }
        }
        if self.is_lost {
            return Group { len: bytes.len(), whole: usize::MAX };
        }
        Group { len, whole }
    }

    /// Passes over the rest of a header or of a payload; returns how much of it there was.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.have == HEADER_LEN {
            let count = self.left.min(bytes.len());
            self.left -= count;
            return count;
        }
        let count = (HEADER_LEN - self.have).min(bytes.len());
        self.header[self.have..self.have + count].copy_from_slice(&bytes[..count]);
        self.have += count;
        if self.have == HEADER_LEN {
            let [content_type, major, _, high, low] = self.header;
            self.left = usize::from(u16::from_be_bytes([high, low]));
            self.is_lost =
                !CONTENT_TYPES.contains(&content_type) || major != 3 || self.left > MAX_PAYLOAD_LEN;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(payloads: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &len in payloads {
            let length = u16::try_from(len).expect("short").to_be_bytes();
            bytes.extend([23, 3, 3, length[0], length[1]]);
            bytes.resize(bytes.len() + len, 0);
        }
        bytes
    }

    #[test]
    fn every_record_is_counted_once_however_the_stream_is_cut() {
        let bytes = stream(&[0, 1, 300, 7, 0, 0]);
        // Miri takes its time.
        for piece in (1..=bytes.len()).step_by(if cfg!(miri) { 61 } else { 1 }) {
            for enough in [0, 1, 100, usize::MAX] {
                let mut records = Records::new();
                let mut whole = 0;
                for mut rest in bytes.chunks(piece) {
                    while !rest.is_empty() {
                        let group = records.group(rest, enough);
                        assert!(group.len > 0);
                        whole += group.whole;
                        rest = &rest[group.len..];
                    }
                }
                assert_eq!(whole, 6, "pieces of {piece}, enough at {enough}");
            }
        }
    }

    #[test]
    fn a_group_ends_with_the_record_that_makes_it_large_enough() {
        let bytes = stream(&[10, 10, 10]);
        let mut records = Records::new();
        assert_eq!(records.group(&bytes, 16), Group { len: 30, whole: 2 });
        assert_eq!(records.group(&bytes[30..44], 16), Group { len: 14, whole: 0 });
        assert_eq!(records.group(&bytes[44..], 16), Group { len: 1, whole: 1 });
    }

    #[test]
    fn what_is_no_record_is_not_held_back() {
        let with_nothing_in_it = [74, 0, 0, 0, 0];
        for bytes in [
            &b"HTTP/1.1 400 Bad Request"[..],
            &[23, 3, 3, 0xff, 0xff, 0],
            &[23, 9, 9, 0, 1],
            &with_nothing_in_it,
        ] {
            let mut records = Records::new();
            let unknown = Group { len: bytes.len(), whole: usize::MAX };
            assert_eq!(records.group(bytes, 1), unknown);
            assert_eq!(records.group(bytes, 1), unknown);
        }
    }

    #[test]
    fn lost_is_lost() {
        let mut records = Records::new();
        records.lose();
        let bytes = stream(&[1]);
        assert_eq!(records.group(&bytes, 1), Group { len: 6, whole: usize::MAX });
    }
}
