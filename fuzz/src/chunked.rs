//! The chunked coding: cut in whatever way a body is the same; what is right is read as a simple
//! parser of RFC 9112's grammar reads it, and nothing else is taken for right.

use ferrio_http::Limits;
use ferrio_http::h1::{Chunk, Chunked, Reason, end_chunk, last_chunk, start_chunk};

use crate::input::Input;

/// The first byte says whether the rest is a body as it is sent, or what makes one.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let stream = if input.flag() { well_formed(&mut input) } else { input.rest().to_vec() };
    let limits = Limits { chunk_extension: 16, trailers: 64, ..Limits::default() };

    let whole = run(&stream, &limits, std::iter::empty());
    let backwards: Vec<u8> = bytes.iter().rev().copied().collect();
    let mut cuts = Input::new(&backwards);
    let mut end = 0;
    let ends: Vec<usize> = std::iter::from_fn(|| {
        end += cuts.size().max(1);
        (end < stream.len()).then_some(end)
    })
    .collect();
    assert_eq!(run(&stream, &limits, ends.into_iter()), whole, "cut");
    assert_eq!(run(&stream, &limits, 0..stream.len()), whole, "byte by byte");

    let model = model(&stream);
    match &whole {
        Ok(Some((body, used))) => {
            let body_of_model = model.map(|(body, _)| body);
            assert_eq!(body_of_model.as_ref(), Some(body), "it took what is wrong");
            assert!(stream[..*used].ends_with(b"\r\n"));
        }
        Ok(None) | Err(_) => {
            let is_right = model.is_some_and(|(_, is_plain)| is_plain);
            assert!(!is_right, "{whole:?} is what it took for {}", stream.escape_ascii());
        }
    }
}

type Outcome = Result<Option<(Vec<u8>, usize)>, Reason>;

/// The body and how many bytes it took, if it is whole.
fn run(stream: &[u8], limits: &Limits, ends: impl Iterator<Item = usize>) -> Outcome {
    let mut decoder = Chunked::default();
    let (mut body, mut used) = (Vec::new(), 0);
    for end in ends.chain([stream.len()]) {
        loop {
            let (taken, chunk) = decoder.decode(&stream[used..end], limits)?;
            used += taken;
            assert!(used <= end);
            match chunk {
                Chunk::NeedsMore => {
                    assert!(end - used <= limits.trailers, "it keeps too much");
                    break;
                }
                Chunk::Data(data) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(data);
                }
                Chunk::End(_) => {
                    assert!(decoder.is_done());
                    return Ok(Some((body, used)));
                }
            }
        }
    }
    Ok(None)
}

/// The body by lines, if its last chunk has come, and whether it is plain: without extensions and
/// trailers, which are not looked into.
fn model(mut stream: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut body = Vec::new();
    let mut is_plain = true;
    loop {
        let end = stream.windows(2).position(|window| window == b"\r\n")?;
        let (line, rest) = (&stream[..end], &stream[end + 2..]);
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if !(1..=16).contains(&digits)
            || !matches!(line.get(digits), None | Some(b';' | b' ' | b'\t'))
        {
            return None;
        }
        is_plain &= digits == line.len();
        let size = std::str::from_utf8(&line[..digits]).expect("digits");
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some((body, is_plain && rest.starts_with(b"\r\n")));
        }
        body.extend_from_slice(rest.get(..size)?);
        stream = rest[size..].strip_prefix(b"\r\n")?;
    }
}

/// A body in pieces, as our own side sends it.
fn well_formed(input: &mut Input<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..input.below(8) {
        let size = 1 + input.below(40);
        start_chunk(&mut stream, size as u64);
        stream.resize(stream.len() + size, b'x');
        stream.extend_from_slice(end_chunk());
    }
    stream.extend_from_slice(last_chunk());
    stream.extend_from_slice(b"\r\n");
    stream
}
