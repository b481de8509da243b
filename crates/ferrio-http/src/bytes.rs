//! Which byte may stand where, as one table.

/// `tchar` of RFC 9110, section 5.6.2: names of fields, methods, codings.
pub(crate) const TOKEN: u8 = 1;
/// `unreserved`, `sub-delims` and `%` of RFC 3986: a host's name.
pub(crate) const HOST: u8 = 2;
/// `HEXDIG`.
pub(crate) const HEX: u8 = 4;
/// Visible ASCII but for `#`: see [`Target`](crate::Target).
pub(crate) const TARGET: u8 = 8;
/// What a field's value may have: all but control characters, of which a tab is none here.
pub(crate) const VALUE: u8 = 16;

static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric() {
            kinds[byte] |= TOKEN | HOST;
        }
        if b.is_ascii_hexdigit() {
            kinds[byte] |= HEX;
        }
        if b.is_ascii_graphic() && b != b'#' {
            kinds[byte] |= TARGET;
        }
        if b == b'\t' || (b >= b' ' && b != 0x7f) {
            kinds[byte] |= VALUE;
        }
        byte += 1;
    }
    set(&mut kinds, b"!#$%&'*+-.^_`|~", TOKEN);
    set(&mut kinds, b"-._~!$&'()*+,;=%", HOST);
    kinds
};

const fn set(kinds: &mut [u8; 256], bytes: &[u8], kind: u8) {
    let mut at = 0;
    while at < bytes.len() {
        kinds[bytes[at] as usize] |= kind;
        at += 1;
    }
}

#[inline]
pub(crate) fn is(byte: u8, kind: u8) -> bool {
    KINDS[usize::from(byte)] & kind != 0
}

#[inline]
pub(crate) fn are(bytes: &[u8], kind: u8) -> bool {
    bytes.iter().all(|&byte| is(byte, kind))
}

/// The number that these digits are, of which there is at least one and which are nothing else.
/// Not `str::parse`, which takes a sign.
pub(crate) fn decimal(digits: &[u8]) -> Result<u64, DecimalError> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::NotDigits);
    }
    digits
        .iter()
        .try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        .ok_or(DecimalError::Overflow)
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum DecimalError {
    NotDigits,
    Overflow,
}

/// The members of a list (RFC 9110, section 5.6.1), without the white space around them. Empty ones
/// are left out, as section 5.6.1.2 has it.
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// Without the `OWS` around it.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_5_6_2_tokens() {
        let tokens: Vec<u8> = (0..=255).filter(|&byte| is(byte, TOKEN)).collect();
        let text = "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~";
        assert_eq!(tokens, text.as_bytes());
    }

    #[test]
    fn rfc9110_8_6_digits_and_nothing_else() {
        assert_eq!(decimal(b"0"), Ok(0));
        assert_eq!(decimal(b"0042"), Ok(42));
        assert_eq!(decimal(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(decimal(b"18446744073709551616"), Err(DecimalError::Overflow));
        for digits in ["", "+2", "-0", " 2", "2 ", "0x2", "1_0", "2.0", "2,2", "\u{662}"] {
            assert_eq!(decimal(digits.as_bytes()), Err(DecimalError::NotDigits), "{digits:?}");
        }
    }

    #[test]
    fn rfc9110_5_6_1_lists() {
        let all: Vec<_> = members(b"a, b\t,,c ,").collect();
        assert_eq!(all, [&b"a"[..], b"b", b"c"]);
        assert_eq!(members(b" , ").count(), 0);
    }
}
