//! [`WriteBuffer`] against a flat list of bytes.

use std::io::IoSlice;

use ferrio_engine::{Flow, WriteBuffer};

use crate::input::Input;

/// Pushes, advances, clears and changes limits, as `bytes` say.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut limits = input.limits();
    let mut buffer: WriteBuffer<Vec<u8>> = WriteBuffer::new(limits);
    let mut flat: Vec<u8> = Vec::new();
    let mut is_paused = false;
    let mut next = 0u8;
    while !input.is_empty() {
        let edge;
        match input.below(8) {
            0..=3 => {
                let mut chunk = vec![0; input.size()];
                for byte in &mut chunk {
                    *byte = next;
                    next = next.wrapping_add(1);
                }
                flat.extend_from_slice(&chunk);
                edge = buffer.push(chunk);
            }
            4 | 5 => {
                let count = input.size();
                flat.drain(..count.min(flat.len()));
                edge = buffer.advance(count);
                let resumes = is_paused && flat.len() <= limits.low();
                is_paused &= !resumes;
                assert_eq!(edge, resumes.then_some(Flow::Resume));
                agree(&buffer, &flat, is_paused);
                continue;
            }
            6 => {
                limits = input.limits();
                edge = buffer.set_limits(limits);
            }
            _ => {
                buffer.clear();
                flat.clear();
                agree(&buffer, &flat, is_paused);
                continue;
            }
        }
        let pauses = !is_paused && flat.len() > limits.high();
        is_paused |= pauses;
        assert_eq!(edge, pauses.then_some(Flow::Pause));
        agree(&buffer, &flat, is_paused);
    }
}

fn agree(buffer: &WriteBuffer<Vec<u8>>, flat: &[u8], is_paused: bool) {
    assert_eq!(buffer.len(), flat.len());
    assert_eq!(buffer.is_empty(), flat.is_empty());
    assert_eq!(buffer.is_paused(), is_paused);
    assert_eq!(buffer.front().is_none(), flat.is_empty());
    assert!(buffer.front().is_none_or(|front| !front.is_empty() && flat.starts_with(front)));
    let mut slices = [IoSlice::new(&[]); 64];
    let (count, offered) = buffer.slices(&mut slices);
    assert_eq!(count, buffer.chunk_count().min(64));
    let joined: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
    assert_eq!(joined.len(), offered);
    assert!(flat.starts_with(&joined));
    assert!(count == 64 || joined.len() == flat.len());
}
