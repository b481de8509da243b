//! [`ReadBuffer`] against a flat list of bytes.

use ferrio_engine::ReadBuffer;

use crate::input::Input;

/// Pushes, takes, advances, searches and clears, as `bytes` say.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut buffer: ReadBuffer<Vec<u8>> = ReadBuffer::new();
    let mut flat: Vec<u8> = Vec::new();
    while !input.is_empty() {
        match input.below(8) {
            0..=2 => {
                // Two letters, so that separators are met with.
                let size = input.size();
                let seed = input.byte();
                let piece: Vec<u8> =
                    (0..size).map(|index| b'a' + (seed >> (index % 8) & 1)).collect();
                flat.extend_from_slice(&piece);
                buffer.push(piece);
            }
            3 => {
                let count = input.size();
                if let Some(piece) = buffer.take_piece(count) {
                    assert_eq!(piece.len(), count);
                    assert_eq!(piece, flat[..count]);
                    flat.drain(..count);
                }
            }
            4 | 5 => {
                let count = input.size();
                flat.drain(..count.min(flat.len()));
                buffer.advance(count);
            }
            6 => {
                let len = input.below(5);
                let seed = input.byte();
                let separator: Vec<u8> = (0..len).map(|index| b'a' + (seed >> index & 1)).collect();
                let from = input.size();
                let expected = (len > 0 && from <= flat.len())
                    .then(|| flat[from..].windows(len.max(1)).position(|it| it == separator))
                    .flatten()
                    .map(|index| index + from);
                assert_eq!(buffer.find(&separator, from), expected);
            }
            _ => {
                buffer.clear();
                flat.clear();
            }
        }
        assert_eq!(buffer.len(), flat.len());
        assert_eq!(buffer.is_empty(), flat.is_empty());
        assert!(buffer.pieces().all(|piece| !piece.is_empty()));
        assert!(buffer.pieces().flatten().eq(&flat));
    }
}
