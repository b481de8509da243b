//! Masking (RFC 6455, section 5.3): what a client sends is combined with a key of four bytes.

use std::fmt;

/// A key, turned so that its first byte belongs to the next byte of the payload.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Mask([u8; 4]);

impl Mask {
    /// The key of a frame, at the start of its payload.
    #[must_use]
    pub const fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// The key as it stands in a header.
    #[must_use]
    pub const fn key(self) -> [u8; 4] {
        self.0
    }

    /// The key for what comes `by` bytes later.
    #[must_use]
    pub const fn advanced(self, by: usize) -> Self {
        let [a, b, c, d] = self.0;
        Self(match by % 4 {
            0 => [a, b, c, d],
            1 => [b, c, d, a],
            2 => [c, d, a, b],
            _ => [d, a, b, c],
        })
    }

    /// Masks or unmasks `data`, which is the same.
    pub fn apply(self, data: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let wide = [[a, b, c, d]; WIDTH / 4];
        let wide = wide.as_flattened();
        // Of a fixed length, so that the compiler uses the widest registers there are.
        let (chunks, rest) = data.as_chunks_mut::<WIDTH>();
        for chunk in chunks {
            for (byte, key) in chunk.iter_mut().zip(wide) {
                *byte ^= key;
            }
        }
        for (byte, key) in rest.iter_mut().zip(wide) {
            *byte ^= key;
        }
    }

    /// Appends `data` to `to`, masked or unmasked.
    pub fn append(self, data: &[u8], to: &mut Vec<u8>) {
        to.reserve(data.len());
        // In pieces that are still in the first cache when they are changed.
        for piece in data.chunks(PIECE) {
            let at = to.len();
            to.extend_from_slice(piece);
            self.apply(&mut to[at..]);
        }
    }

    /// Copies `data` to `to`, which is as long, masked or unmasked.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn copy(self, data: &[u8], to: &mut [u8]) {
        assert_eq!(data.len(), to.len(), "the copy is as long as what is copied");
        for (piece, to) in data.chunks(PIECE).zip(to.chunks_mut(PIECE)) {
            to.copy_from_slice(piece);
            self.apply(to);
        }
    }
}

/// How many bytes are combined at a time.
const WIDTH: usize = 32;

/// A multiple of four, so that the key need not be turned.
const PIECE: usize = 8 * 1024;

/// A client's keys: random, and not to be foreseen by whoever chooses the payload (RFC 6455,
/// section 10.3).
///
/// Gets its bytes from the caller's source, 64 keys at a time.
pub struct Keys {
    pool: Box<[u8; 256]>,
    at: usize,
    fill: fn(&mut [u8]),
}

impl Keys {
    /// Takes keys from `fill`, which fills all it is given with bytes of the system's random source.
    #[must_use]
    pub fn new(fill: fn(&mut [u8])) -> Self {
        Self { pool: Box::new([0; 256]), at: 256, fill }
    }

    /// A key that was not used before.
    pub(super) fn next(&mut self) -> Mask {
        if self.at == self.pool.len() {
            (self.fill)(&mut *self.pool);
            self.at = 0;
        }
        let mut key = [0; 4];
        key.copy_from_slice(&self.pool[self.at..self.at + 4]);
        self.at += 4;
        Mask(key)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: Mask = Mask([0x37, 0xfa, 0x21, 0x3d]);

    fn by_the_book(data: &[u8], at: usize) -> Vec<u8> {
        data.iter().enumerate().map(|(i, byte)| byte ^ MASK.0[(at + i) % 4]).collect()
    }

    #[test]
    fn every_length_at_every_offset_is_as_section_5_3_has_it() {
        let data: Vec<u8> = (0..200u8).collect();
        for len in 0..data.len() {
            for at in 0..5 {
                let mut masked = data[..len].to_vec();
                MASK.advanced(at).apply(&mut masked);
                assert_eq!(masked, by_the_book(&data[..len], at), "{len} bytes at {at}");
            }
        }
    }

    #[test]
    fn copies_and_appends_longer_than_a_piece() {
        let data: Vec<u8> = (0..3 * PIECE + 7).map(|i| (i * 31 % 251) as u8).collect();
        let mut appended = vec![1, 2, 3];
        MASK.append(&data, &mut appended);
        assert_eq!(appended[3..], by_the_book(&data, 0));
        let mut copied = vec![0; data.len()];
        MASK.copy(&data, &mut copied);
        assert_eq!(copied, by_the_book(&data, 0));
    }

    #[test]
    fn keys_are_taken_from_the_source_once_each() {
        let mut keys = Keys::new(|bytes| {
            for (byte, i) in bytes.iter_mut().zip(0..=u8::MAX) {
                *byte = i;
            }
        });
        for round in 0..130u8 {
            let first = (round % 64) * 4;
            assert_eq!(keys.next().key(), [first, first + 1, first + 2, first + 3]);
        }
    }
}
