//! Text that is checked as it arrives.

use super::fault::Fault;

/// How far a text that grows has been checked.
///
/// A text in which a character is cut is no fault as long as it may go on; one that cannot become
/// valid whatever follows is found at once.
#[derive(Copy, Clone, Default, Debug)]
pub(super) struct Utf8 {
    /// All before this is UTF-8. At most three bytes, the start of a character, lie behind it once
    /// [`check`](Self::check) has returned.
    valid: usize,
}

impl Utf8 {
    /// Checks what was appended to `text`.
    pub(super) fn check(&mut self, text: &[u8]) -> Result<(), Fault> {
        match simdutf8::compat::from_utf8(&text[self.valid..]) {
            Ok(_) => self.valid = text.len(),
            Err(error) if error.error_len().is_some() => return Err(Fault::NotUtf8),
            Err(error) => self.valid += error.valid_up_to(),
        }
        Ok(())
    }
}

/// `text` as a whole.
pub(super) fn whole(text: &[u8]) -> Result<&str, Fault> {
    simdutf8::basic::from_utf8(text).map_err(|_| Fault::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many bytes, given one by one, it is found to be wrong.
    fn wrong_after(text: &[u8]) -> Option<usize> {
        let mut utf8 = Utf8::default();
        (1..=text.len()).find(|&end| utf8.check(&text[..end]).is_err())
    }

    #[test]
    fn valid_text_may_be_cut_anywhere() {
        let text = "κόσμε, ÿ ߿ ࠀ \u{ffff} 𐀀 \u{10ffff} and a long line of plain letters to go by"
            .as_bytes();
        for from in 0..=text.len() {
            for to in from..=text.len() {
                let mut utf8 = Utf8::default();
                for end in [from, to, text.len()] {
                    assert_eq!(utf8.check(&text[..end]), Ok(()), "cut at {from} and {to}");
                }
                assert!(whole(text).is_ok());
            }
        }
    }

    #[test]
    fn what_cannot_become_valid_is_found_at_the_first_such_byte() {
        // Autobahn's groups 6.3 to 6.22: surrogates, overlong forms, lone bytes, beyond the last.
        let cases: [(&[u8], usize); 14] = [
            (b"\xce\xba\xed\xa0\x80edited", 4),
            (b"ab\x80", 3),
            (b"\xbf", 1),
            (b"\xc0\xaf", 1),
            (b"\xc1\xbf", 1),
            (b"\xe0\x80\xaf", 2),
            (b"\xe0\x9f\xbf", 2),
            (b"\xf0\x80\x80\xaf", 2),
            (b"\xf0\x8f\xbf\xbf", 2),
            (b"\xf4\x90\x80\x80", 2),
            (b"\xf5\x80\x80\x80", 1),
            (b"\xfe", 1),
            (b"\xff", 1),
            (b"\xe2\x28\xa1", 2),
        ];
        for (text, after) in cases {
            assert_eq!(wrong_after(text), Some(after), "{text:x?}");
            assert_eq!(whole(text), Err(Fault::NotUtf8));
        }
    }

    #[test]
    fn agrees_with_the_standard_library_on_all_that_is_short() {
        // All leads, and for the next bytes the edges of every range in the table of RFC 3629.
        let edges = [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xff];
        for lead in 0..=u8::MAX {
            for second in edges {
                for third in edges {
                    for fourth in edges {
                        let text = [lead, second, third, fourth];
                        let expected = std::str::from_utf8(&text);
                        let error = expected.err().and_then(|error| error.error_len());
                        assert_eq!(wrong_after(&text).is_some(), error.is_some(), "{text:x?}");
                        assert_eq!(whole(&text).is_ok(), expected.is_ok(), "{text:x?}");
                    }
                }
            }
        }
    }
}
