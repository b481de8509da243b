//! A message that arrives in parts (RFC 6455, section 5.4).

use super::deflate::{Compression, Spare, grow};
use super::fault::Fault;
use super::frame::{Header, Opcode};
use super::limits::Limits;
use super::mask::Mask;
use super::utf8::Utf8;

/// What a message is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// What has come of the message under way.
#[derive(Default, Debug)]
pub(super) struct Incoming {
    /// None between two messages.
    kind: Option<Kind>,
    is_compressed: bool,
    /// Decompressed. A text is checked up to a character that is cut.
    buffer: Vec<u8>,
    utf8: Utf8,
}

impl Incoming {
    /// Takes the header of a data frame. Returns the kind of the message that it belongs to.
    pub(super) fn begin(
        &mut self,
        header: &Header,
        has_deflate: bool,
        limits: &Limits,
    ) -> Result<Kind, Fault> {
        let begun = match (header.opcode, self.kind) {
            (Opcode::Continuation, None) => return Err(Fault::NothingToContinue),
            (Opcode::Continuation, Some(_)) if header.is_compressed => {
                return Err(Fault::ReservedBits);
            }
            (Opcode::Continuation, Some(kind)) => kind,
            (_, Some(_)) => return Err(Fault::MessageInMessage),
            (_, None) if header.is_compressed && !has_deflate => return Err(Fault::ReservedBits),
            (opcode, None) => {
                self.is_compressed = header.is_compressed;
                self.utf8 = Utf8::default();
                if opcode == Opcode::Text { Kind::Text } else { Kind::Binary }
            }
        };
        self.kind = Some(begun);
        // Of compressed data nothing is kept, so only what it holds counts.
        if !self.is_compressed
            && header.len > limits.message.saturating_sub(self.buffer.len()) as u64
        {
            return Err(Fault::MessageTooLarge);
        }
        Ok(begun)
    }

    /// The header that [`begin`](Self::begin) took is of a message in one frame, all of which is
    /// there.
    pub(super) const fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// That message was handed out where it lies.
    pub(super) fn skip(&mut self) {
        self.kind = None;
    }

    /// A buffer to use, whose memory is there already.
    pub(super) fn lend(&mut self, buffer: Vec<u8>) {
        debug_assert!(buffer.is_empty() && self.buffer.is_empty(), "a message begins");
        self.buffer = buffer;
    }

    /// Takes a part of the payload. `left` is how much of the frame comes after it.
    pub(super) fn push(
        &mut self,
        data: &[u8],
        mask: Option<Mask>,
        left: u64,
        compression: Option<&mut Compression>,
        (scratch, spare): (&mut Vec<u8>, &mut Spare),
        limits: &Limits,
    ) -> Result<(), Fault> {
        let Some(compression) = compression.filter(|_| self.is_compressed) else {
            // To the end of the frame, if that is near; a peer that only says how much will come
            // gets no memory for it.
            let end = self.buffer.len() + data.len();
            let near = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
            grow(&mut self.buffer, end + near, limits.message);
            match mask {
                Some(mask) => mask.append(data, &mut self.buffer),
                None => self.buffer.extend_from_slice(data),
            }
            return self.check();
        };
        let mut mask = mask;
        for piece in data.chunks(PIECE) {
            let mut plain = piece;
            if let Some(mask) = &mut mask {
                scratch.clear();
                mask.append(piece, scratch);
                *mask = mask.advanced(piece.len());
                plain = scratch;
            }
            let result = compression.inflate(plain, &mut self.buffer, limits.message, spare);
            self.check_inflated(result, limits)?;
        }
        Ok(())
    }

    /// The last frame of the message is whole.
    pub(super) fn finish(
        &mut self,
        compression: Option<&mut Compression>,
        spare: &mut Spare,
        limits: &Limits,
    ) -> Result<(Kind, Vec<u8>), Fault> {
        if let Some(compression) = compression.filter(|_| self.is_compressed) {
            let result = compression.finish_inflate(&mut self.buffer, limits.message, spare);
            self.check_inflated(result, limits)?;
        }
        let kind = self.kind.take().unwrap_or(Kind::Binary);
        Ok((kind, std::mem::take(&mut self.buffer)))
    }

    pub(super) const fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// All that was let in is checked before another fault is told: then it is the same fault
    /// however the bytes were cut.
    fn check_inflated(&mut self, result: Result<(), Fault>, limits: &Limits) -> Result<(), Fault> {
        if result.is_err() {
            self.buffer.truncate(limits.message);
        }
        self.check()?;
        result
    }

    fn check(&mut self) -> Result<(), Fault> {
        match self.kind {
            Some(Kind::Text) => self.utf8.check(&self.buffer),
            Some(Kind::Binary) | None => Ok(()),
        }
    }
}

/// What is unmasked at a time before it is inflated.
const PIECE: usize = 8 * 1024;
