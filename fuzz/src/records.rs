//! [`Records`], fed in pieces, against a parser that sees the whole stream at once.

use ferrio_engine::Records;

use crate::input::Input;

/// The first bytes say how the rest is made into a stream and cut: as it is, or into records whose
/// headers are right.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let enough = input.size();
    let stream = if input.flag() { well_formed(&mut input) } else { rest(&mut input) };
    // The cuts are made from the same bytes, from their end.
    let backwards: Vec<u8> = bytes.iter().rev().copied().collect();
    let mut cuts = Input::new(&backwards);

    let ends = ends(&stream);
    let mut records = Records::new();
    let mut position = 0;
    let mut is_lost = false;
    while position < stream.len() {
        let piece = cuts.size().clamp(1, stream.len() - position);
        let piece_end = position + piece;
        while position < piece_end {
            let group = records.group(&stream[position..piece_end], enough);
            assert!(group.len > 0 && position + group.len <= piece_end);
            let end = position + group.len;
            if group.whole == usize::MAX {
                // From a wrong header on, and for good; nothing is held back.
                assert_eq!(end, piece_end);
                assert!(ends.lost_at.is_some_and(|at| at < end));
                is_lost = true;
            } else {
                assert!(!is_lost);
                assert!(ends.lost_at.is_none_or(|at| at >= end));
                let passed = |end: &&usize| **end > position && **end <= position + group.len;
                assert_eq!(group.whole, ends.whole.iter().filter(passed).count());
                let first_enough =
                    ends.whole.iter().find(|&&at| at > position && at - position >= enough);
                match first_enough {
                    Some(&at) if at <= piece_end => assert_eq!(end, at),
                    Some(_) | None => assert_eq!(end, piece_end),
                }
            }
            position = end;
        }
    }
}

struct Ends {
    /// Behind the last byte of each whole record.
    whole: Vec<usize>,
    /// The last byte of the first header that is none.
    lost_at: Option<usize>,
}

fn ends(stream: &[u8]) -> Ends {
    let mut whole = Vec::new();
    let mut position = 0;
    while let Some(header) = stream.get(position..position + 5) {
        let len = usize::from(header[3]) << 8 | usize::from(header[4]);
        // RFC 8446, section 5.1, and the 2048 bytes that RFC 5246 allows for encryption.
        if !(20..=24).contains(&header[0]) || header[1] != 3 || len > (1 << 14) + 2048 {
            return Ends { whole, lost_at: Some(position + 4) };
        }
        position += 5 + len;
        if position <= stream.len() {
            whole.push(position);
        }
    }
    Ends { whole, lost_at: None }
}

fn well_formed(input: &mut Input<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    while !input.is_empty() {
        let content_type = 20 + input.below(5) as u8;
        let len = input.size().min(1 << 14);
        stream.extend([content_type, 3, input.byte(), (len >> 8) as u8, len as u8]);
        stream.resize(stream.len() + len, 0xaa);
    }
    stream
}

fn rest(input: &mut Input<'_>) -> Vec<u8> {
    std::iter::from_fn(|| (!input.is_empty()).then(|| input.byte())).collect()
}
