//! Bytes that were received and not yet asked for, in the pieces they came in.
//!
//! Pure state: no descriptor, no clock, no Python. A reader that takes exactly what came in one
//! piece gets that very piece; whatever else is taken is copied once. There are three questions:
//! how much is there, where does a separator end, and the first so many bytes, please.

use std::collections::VecDeque;

use memchr::memchr;

/// Pieces up to this size in bytes are put together: each by itself would cost more memory for its
/// bookkeeping than for its bytes.
const SMALL: usize = 512;

/// `B` is any owned byte container: a binding keeps a Python `bytes` as it is, and this crate still
/// does not know what Python is. Its bytes must not change while it is in here.
///
/// ```
/// use ferrio_engine::ReadBuffer;
///
/// let mut buffer = ReadBuffer::new();
/// buffer.push("GET / HTTP/1.1\r");
/// buffer.push("\nHost: ");
/// assert_eq!(buffer.find(b"\r\n", 0), Some(14));
/// assert_eq!(buffer.take_piece(16), None);
/// assert_eq!(buffer.pieces().flatten().take(3).copied().collect::<Vec<u8>>(), b"GET");
/// buffer.advance(16);
/// assert_eq!(buffer.len(), 6);
/// ```
#[derive(Debug)]
pub struct ReadBuffer<B> {
    /// None of them empty.
    pieces: VecDeque<Piece<B>>,
    /// Bytes of the first piece already taken. Invariant: less than its length; 0 if there are no
    /// pieces.
    head: usize,
    /// Bytes not yet taken, over all pieces.
    len: usize,
}

#[derive(Debug)]
enum Piece<B> {
    /// As it came.
    Whole(B),
    /// Small ones, put together.
    Joined(Vec<u8>),
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Piece<B> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Piece::Whole(bytes) => bytes.as_ref(),
            Piece::Joined(bytes) => bytes,
        }
    }
}

impl<B> Default for ReadBuffer<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> ReadBuffer<B> {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { pieces: VecDeque::new(), head: 0, len: 0 }
    }

    /// Bytes not yet taken.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether everything was taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<B: AsRef<[u8]>> ReadBuffer<B> {
    /// Appends what was received; an empty piece is nothing.
    #[inline]
    pub fn push(&mut self, piece: B) {
        let bytes = piece.as_ref();
        if bytes.is_empty() {
            return;
        }
        self.len += bytes.len();
        if bytes.len() > SMALL {
            self.pieces.push_back(Piece::Whole(piece));
            return;
        }
        let has_one = self.pieces.len() == 1;
        match self.pieces.back_mut() {
            Some(Piece::Joined(joined)) => joined.extend_from_slice(bytes),
            // The first two stay as they are: each may be asked for as a whole.
            Some(Piece::Whole(last)) if last.as_ref().len() <= SMALL && !has_one => {
                let mut joined = Vec::with_capacity(2 * SMALL);
                joined.extend_from_slice(bytes);
                self.pieces.push_back(Piece::Joined(joined));
            }
            Some(Piece::Whole(_)) | None => self.pieces.push_back(Piece::Whole(piece)),
        }
    }

    /// What is there, in order, as slices none of which is empty.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.head;
        self.pieces.iter().map(move |piece| &piece.as_ref()[std::mem::take(&mut skip)..])
    }

    /// Where `separator` first begins, at or behind `from`. An empty one is found nowhere.
    #[must_use]
    #[inline]
    pub fn find(&self, separator: &[u8], from: usize) -> Option<usize> {
        // Most buffers are one piece.
        if let [piece] = self.pieces.as_slices().0
            && self.pieces.len() == 1
        {
            return find_separator(std::iter::once(&piece.as_ref()[self.head..]), separator, from);
        }
        find_separator(self.pieces(), separator, from)
    }

    /// Takes the first piece, if it came as exactly these `count` bytes.
    #[inline]
    pub fn take_piece(&mut self, count: usize) -> Option<B> {
        match self.pieces.front() {
            Some(Piece::Whole(bytes)) if self.head == 0 && bytes.as_ref().len() == count => {}
            Some(Piece::Whole(_) | Piece::Joined(_)) | None => return None,
        }
        self.len -= count;
        match self.pieces.pop_front() {
            Some(Piece::Whole(bytes)) => Some(bytes),
            Some(Piece::Joined(_)) | None => None,
        }
    }

    /// Drops the first `count` bytes, which were taken. Dropping more than there are empties the
    /// buffer.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        let mut left = count.min(self.len);
        self.len -= left;
        while let Some(piece) = self.pieces.front() {
            let rest = piece.as_ref().len() - self.head;
            if left < rest {
                self.head += left;
                break;
            }
            left -= rest;
            self.head = 0;
            self.pieces.pop_front();
        }
    }

    /// Drops everything, and the memory it took.
    pub fn clear(&mut self) {
        *self = Self::new();
    }
}

/// Where `separator` first begins in `pieces`, seen as one, at or behind `from`. An empty one is
/// found nowhere.
///
/// A separator is short and its first byte is rare, in protocols that have one: that byte is
/// searched for, a piece at a time, and the rest is compared.
#[must_use]
pub fn find_separator<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    separator: &[u8],
    from: usize,
) -> Option<usize> {
    let (&first, rest) = separator.split_first()?;
    let mut base = 0;
    // Separators that have begun and reach into the next piece: where, and what is missing of them.
    // Nothing is allocated unless there are some.
    let mut begun: Vec<(usize, &[u8])> = Vec::new();
    for piece in pieces {
        let mut found = None;
        begun.retain_mut(|(start, missing)| {
            let len = missing.len().min(piece.len());
            let (now, later) = missing.split_at(len);
            if found.is_some() || piece[..len] != *now {
                return false;
            }
            *missing = later;
            if later.is_empty() {
                found = Some(*start);
            }
            !later.is_empty()
        });
        // They begin before anything that begins in this piece.
        if found.is_some() {
            return found;
        }
        let mut at = from.saturating_sub(base).min(piece.len());
        while let Some(index) = memchr(first, &piece[at..]) {
            let start = at + index;
            let behind = &piece[start + 1..];
            if behind.starts_with(rest) {
                // What has begun before it and is not whole yet would end behind it.
                return Some(base + start);
            }
            if rest.starts_with(behind) {
                begun.push((base + start, &rest[behind.len()..]));
            }
            at = start + 1;
        }
        base += piece.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(buffer: &ReadBuffer<Vec<u8>>) -> Vec<u8> {
        buffer.pieces().flatten().copied().collect()
    }

    #[test]
    fn a_piece_is_given_back_as_it_came() {
        let mut buffer = ReadBuffer::new();
        buffer.push(vec![1; 10]);
        buffer.push(vec![2; 1000]);
        assert_eq!(buffer.take_piece(9), None);
        assert_eq!(buffer.take_piece(10), Some(vec![1; 10]));
        buffer.advance(1);
        assert_eq!(buffer.take_piece(999), None);
        assert_eq!(contents(&buffer), [2; 999]);
    }

    #[test]
    fn small_pieces_are_put_together_behind_the_first_two() {
        let mut buffer = ReadBuffer::new();
        for byte in 0..200u8 {
            buffer.push(vec![byte; 3]);
        }
        assert!(buffer.pieces().count() <= 3);
        let expected: Vec<u8> = (0..200u8).flat_map(|byte| [byte; 3]).collect();
        assert_eq!(contents(&buffer), expected);
        assert_eq!(buffer.take_piece(3), Some(vec![0; 3]));
    }

    #[test]
    fn an_empty_separator_is_found_nowhere() {
        let mut buffer = ReadBuffer::new();
        buffer.push(b"abc".to_vec());
        assert_eq!(buffer.find(b"", 0), None);
    }

    #[test]
    fn clear_forgets_what_was_taken_of_the_first_piece() {
        let mut buffer = ReadBuffer::new();
        buffer.push(b"abc".to_vec());
        buffer.advance(2);
        buffer.clear();
        buffer.push(b"def".to_vec());
        assert_eq!(contents(&buffer), b"def");
    }

    /// Every text of up to eight letters of two, cut in three in every way, and every separator of
    /// up to four letters from everywhere: as in one flat text.
    #[test]
    #[cfg_attr(miri, ignore = "takes Miri longer than all the others")]
    fn separators_are_found_wherever_pieces_end() {
        let text = |bits: usize, len: usize| -> Vec<u8> {
            (0..len).map(|index| b'a' + (bits >> index & 1) as u8).collect()
        };
        let separators: Vec<Vec<u8>> =
            (1..=4).flat_map(|len| (0..1 << len).map(move |bits| text(bits, len))).collect();
        for bits in 0..1 << 8 {
            let flat = text(bits, 8);
            for first in 0..=8 {
                for second in first..=8 {
                    let pieces = [&flat[..first], &flat[first..second], &flat[second..]];
                    for separator in &separators {
                        for from in [0, 1, 5] {
                            let expected = flat[from..]
                                .windows(separator.len())
                                .position(|window| window == separator)
                                .map(|index| index + from);
                            assert_eq!(
                                find_separator(pieces.into_iter(), separator, from),
                                expected
                            );
                        }
                    }
                }
            }
        }
    }
}
