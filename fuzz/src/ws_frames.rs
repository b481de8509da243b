//! A WebSocket's frames, cut anywhere, against a reading of RFC 6455 that has all bytes at once and
//! looks at one at a time.

use std::time::Duration;

use ferrio_http::ws::{
    Close, Connection, Data, Event, Fault, Keys, Limits, Role, Workspace, is_sendable,
};

use crate::input::Input;

/// What has come, as values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Failed(Fault),
}

impl Said {
    fn of(event: Event<'_>) -> Option<Self> {
        Some(match event {
            Event::NeedsMore => return None,
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(data) => Self::Binary(Data::to_vec(&data)),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close(Close { code, reason }) => Self::Close(code, reason.to_owned()),
            Event::Failed(fault) => Self::Failed(fault),
        })
    }
}

/// Frames as the bytes say, to a server or to a client.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let is_server = input.flag();
    let limits = Limits { message: input.size(), ..Limits::default() };
    let cuts = input.byte();
    let mut stream = Vec::new();
    while !input.is_empty() {
        frame(&mut input, is_server, &mut stream);
    }
    let expected = by_the_book(&stream, is_server, limits.message);
    let role = || if is_server { Role::Server } else { Role::Client(keys()) };
    let (said, sent) = receive(Connection::new(role(), None, NOW), &stream, 0, &limits);
    assert_eq!(said, expected);
    let cut = receive(Connection::new(role(), None, NOW), &stream, cuts, &limits);
    assert_eq!(cut, (said, sent));
}

const NOW: Duration = Duration::ZERO;

/// The same keys each time: what is sent has to be the same.
pub(crate) fn keys() -> Keys {
    Keys::new(|bytes| bytes.fill(0x5a))
}

/// All events of a stream that comes in pieces, at once if `cuts` is zero, and all that is answered.
pub(crate) fn receive(
    mut connection: Connection,
    stream: &[u8],
    cuts: u8,
    limits: &Limits,
) -> (Vec<Said>, Vec<u8>) {
    let mut workspace = Workspace::default();
    let (mut said, mut out) = (Vec::new(), Vec::new());
    let mut at = 0;
    let mut seed = u32::from(cuts);
    let mut end = 0;
    loop {
        if at == end {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let len = match cuts {
                0 => stream.len(),
                _ => 1 + (seed >> 16) as usize % usize::from(cuts),
            };
            end = stream.len().min(end + len);
        }
        let step = connection.receive(&stream[at..end], &mut out, &mut workspace, limits, NOW);
        assert!(step.used <= end - at);
        at += step.used;
        match Said::of(step.event) {
            Some(event) => said.push(event),
            None => assert_eq!(at, end, "all is used"),
        }
        // A control frame has 125 bytes, and its buffer doubles.
        assert!(connection.buffered() <= limits.message + 1 + 256);
        if at == stream.len() && step.used == 0 {
            return (said, out);
        }
    }
}

/// A frame, mostly one that is as it has to be.
fn frame(input: &mut Input<'_>, is_server: bool, stream: &mut Vec<u8>) {
    let first = match input.below(16) {
        0 => input.byte(),
        kind => [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88][kind % 9],
    };
    let is_control = first & 8 != 0;
    let size = input.size();
    let payload = payload(input, first, if is_control { size.min(126) } else { size });
    let odd = input.below(32);
    let mask = if (odd == 0) == is_server { 0 } else { 0x80 };
    let len = payload.len();
    stream.push(first);
    match len {
        0..=125 if odd != 1 => stream.push(mask | len as u8),
        0..=0xffff if odd != 2 => {
            stream.push(mask | 126);
            stream.extend((len as u16).to_be_bytes());
        }
        _ => {
            stream.push(mask | 127);
            let top = u64::from(odd == 3) << 63;
            stream.extend((top | len as u64).to_be_bytes());
        }
    }
    if mask != 0 {
        let key = [input.byte(), 0x55, 0xaa, 0x0f];
        stream.extend(key);
        stream.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        stream.extend(payload);
    }
}

fn payload(input: &mut Input<'_>, first: u8, size: usize) -> Vec<u8> {
    let text = "aé\u{20ac}\u{1f980}".as_bytes();
    let start = input.below(16);
    let mut payload: Vec<u8> = text.iter().cycle().skip(start).take(size).copied().collect();
    if first & 0x0f == 8 && size >= 2 {
        payload[0] = input.byte() & 0x1f;
        payload[1] = input.byte();
    }
    if input.below(4) == 0 && size > 0 {
        let at = input.below(256) % size;
        payload[at] = input.byte();
    }
    payload
}

/// RFC 6455, section 5, without regard to time or memory.
fn by_the_book(stream: &[u8], is_server: bool, limit: usize) -> Vec<Said> {
    let mut said = Vec::new();
    let mut rest = stream;
    let mut message: Option<(bool, Vec<u8>)> = None;
    loop {
        match one(&mut rest, &mut message, is_server, limit) {
            Ok(None) => return said,
            Ok(Some(None)) => {}
            Ok(Some(Some(event))) => {
                let is_last = matches!(event, Said::Close(..));
                said.push(event);
                if is_last {
                    return said;
                }
            }
            Err(fault) => {
                said.push(Said::Failed(fault));
                return said;
            }
        }
    }
}

/// One frame: None if it is not whole, Some(None) if it says nothing yet.
fn one(
    rest: &mut &[u8],
    message: &mut Option<(bool, Vec<u8>)>,
    is_server: bool,
    limit: usize,
) -> Result<Option<Option<Said>>, Fault> {
    if rest.len() < 2 {
        return Ok(None);
    }
    let (first, second) = (rest[0], rest[1]);
    if first & 0x30 != 0 {
        return Err(Fault::ReservedBits);
    }
    let opcode = first & 15;
    if (3..8).contains(&opcode) || opcode > 10 {
        return Err(Fault::Opcode(opcode));
    }
    let is_final = first >= 128;
    if opcode >= 8 && !is_final {
        return Err(Fault::ControlFragmented);
    }
    if opcode >= 8 && second & 127 > 125 {
        return Err(Fault::ControlTooLong);
    }
    let size = match second & 127 {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if rest.len() < 2 + size {
        return Ok(None);
    }
    let mut len = u128::from(second & 127);
    if size > 0 {
        len = rest[2..2 + size].iter().fold(0, |len, byte| len * 256 + u128::from(*byte));
        if len < 126 || (size == 8 && len < 65_536) {
            return Err(Fault::LengthNotMinimal);
        }
        if len >= 1 << 63 {
            return Err(Fault::LengthTooLarge);
        }
    }
    let is_masked = second >= 128;
    let start = 2 + size + if is_masked { 4 } else { 0 };
    if rest.len() < start {
        return Ok(None);
    }
    if is_masked != is_server {
        return Err(if is_server { Fault::NotMasked } else { Fault::Masked });
    }
    if opcode >= 8 {
        if first & 0x40 != 0 {
            return Err(Fault::ReservedBits);
        }
    } else {
        match (opcode, &*message) {
            (0, None) => return Err(Fault::NothingToContinue),
            (1 | 2, Some(_)) => return Err(Fault::MessageInMessage),
            _ if first & 0x40 != 0 => return Err(Fault::ReservedBits),
            _ => {}
        }
        let (_, so_far) = message.get_or_insert((opcode == 1, Vec::new()));
        if so_far.len() as u128 + len > limit as u128 {
            return Err(Fault::MessageTooLarge);
        }
    }
    let there = (rest.len() - start).min(usize::try_from(len).unwrap_or(usize::MAX));
    let mut payload = rest[start..start + there].to_vec();
    if is_masked {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= rest[start - 4 + i % 4];
        }
    }
    let is_whole = there as u128 == len;
    if opcode >= 8 {
        if !is_whole {
            return Ok(None);
        }
        *rest = &rest[start + there..];
        return control(opcode, payload).map(|event| Some(Some(event)));
    }
    let (is_text, so_far) = message.as_mut().expect("begun above");
    so_far.extend(payload);
    let is_text = *is_text;
    let error = std::str::from_utf8(so_far).err().filter(|_| is_text);
    let is_end = is_whole && is_final;
    if error.is_some_and(|error| error.error_len().is_some() || is_end) {
        return Err(Fault::NotUtf8);
    }
    if !is_whole {
        return Ok(None);
    }
    *rest = &rest[start + there..];
    if !is_final {
        return Ok(Some(None));
    }
    let (_, bytes) = message.take().expect("begun above");
    Ok(Some(Some(match is_text {
        true => Said::Text(String::from_utf8(bytes).expect("checked above")),
        false => Said::Binary(bytes),
    })))
}

fn control(opcode: u8, payload: Vec<u8>) -> Result<Said, Fault> {
    match opcode {
        9 => return Ok(Said::Ping(payload)),
        10 => return Ok(Said::Pong(payload)),
        _ => {}
    }
    if payload.is_empty() {
        return Ok(Said::Close(None, String::new()));
    }
    if payload.len() == 1 {
        return Err(Fault::CloseTooShort);
    }
    let code = u16::from(payload[0]) * 256 + u16::from(payload[1]);
    if !is_sendable(code) {
        return Err(Fault::CloseCode(code));
    }
    let reason = String::from_utf8(payload[2..].to_vec()).map_err(|_| Fault::NotUtf8)?;
    Ok(Said::Close(Some(code), reason))
}
