//! What is wrong with a head that was refused: the first fault from the left, so that the verdict
//! does not depend on how much has come after it.

use super::refusal::Reason;
use crate::bytes::{self, TARGET, TOKEN, VALUE};

/// In a head, from its request line on.
#[cold]
pub(super) fn in_head(text: &[u8]) -> Reason {
    let rest = match after_token(text) {
        Ok(rest) => rest,
        Err(reason) => return reason,
    };
    let end = rest.iter().position(|&byte| !bytes::is(byte, TARGET)).unwrap_or(rest.len());
    match rest.get(end) {
        // None at all, or HTTP/0.9.
        Some(b'\r' | b'\n') | None => return Reason::Line,
        Some(b' ') if end == 0 => return Reason::Line,
        Some(b' ') => {}
        Some(_) => return Reason::TargetByte,
    }
    match &rest[end + 1..] {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b'\r', b'\n', fields @ ..] => {
            in_fields(fields)
        }
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b'\n', ..] => Reason::BareLf,
        _ => Reason::Line,
    }
}

/// What follows the method and its space.
fn after_token(text: &[u8]) -> Result<&[u8], Reason> {
    let end = text.iter().position(|&byte| !bytes::is(byte, TOKEN)).unwrap_or(text.len());
    match &text[end..] {
        [b' ', rest @ ..] if end > 0 => Ok(rest),
        _ => Err(Reason::Line),
    }
}

/// In a request line that is whole, but for its LF, and whose version httparse does not know.
#[cold]
pub(super) fn in_version(line: &[u8]) -> Reason {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line == b"PRI * HTTP/2.0" {
        return Reason::Http2;
    }
    let mut parts = line.split(|&byte| byte == b' ');
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    let is_line = method.is_some_and(|method| !method.is_empty())
        && target.is_some_and(|target| !target.is_empty())
        && parts.next().is_none();
    match version {
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if is_line && major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Reason::Version
        }
        _ => Reason::Line,
    }
}

/// In the fields of a head or a trailer, from the start of a line on.
#[cold]
pub(super) fn in_fields(text: &[u8]) -> Reason {
    let mut rest = text;
    loop {
        match rest {
            [b' ' | b'\t', ..] => return Reason::ObsFold,
            [b':', ..] => return Reason::EmptyName,
            [b'\n', ..] => return Reason::BareLf,
            [b'\r', next, ..] if *next != b'\n' => return Reason::BareCr,
            // The end: it was something that is not looked for here.
            [b'\r', ..] | [] => return Reason::Head,
            _ => {}
        }
        let end = rest.iter().position(|&byte| !bytes::is(byte, TOKEN)).unwrap_or(rest.len());
        let value = match &rest[end..] {
            [b':', value @ ..] => value,
            [b' ' | b'\t', ..] => return Reason::SpaceBeforeColon,
            [b'\r' | b'\n', ..] => return Reason::NoColon,
            [0, ..] => return Reason::Nul,
            [_, ..] => return Reason::NameByte,
            [] => return Reason::Head,
        };
        let end = value.iter().position(|&byte| !bytes::is(byte, VALUE)).unwrap_or(value.len());
        rest = match &value[end..] {
            [b'\r', b'\n', rest @ ..] => rest,
            [b'\r', _, ..] => return Reason::BareCr,
            [b'\n', ..] => return Reason::BareLf,
            [0, ..] => return Reason::Nul,
            [b'\r'] | [] => return Reason::Head,
            [_, ..] => return Reason::ValueByte,
        };
    }
}
