//! [`Server`]: what it makes of some bytes does not depend on how they are cut, it keeps no more of
//! them than its limits allow, and its answers are as many as its requests.

use std::time::Duration;

use ferrio_http::h1::{Closing, Event, Expiry, Framing, Head, Known, Server};
use ferrio_http::{Date, Limits};

use crate::input::Input;

const NOW: Duration = Duration::ZERO;
/// Of a script: heads that have come before are not read again.
const KNOWN: u8 = 16;

/// The first bytes are limits and what the application does; then comes what the client sends, cut
/// by the same bytes from their end.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let limits = limits(&mut input);
    let script = input.byte();
    let mut stream = input.rest().to_vec();
    // A head that is not whole may be judged early or not: all of them are whole.
    stream.extend_from_slice(b"\r\n\r\n");

    let whole = run(&stream, &limits, script & !KNOWN, std::iter::empty());
    assert_eq!(run(&stream, &limits, script | KNOWN, std::iter::empty()), whole, "known");
    let backwards: Vec<u8> = bytes.iter().rev().copied().collect();
    let mut cuts = Input::new(&backwards);
    let mut end = 0;
    let ends: Vec<usize> = std::iter::from_fn(|| {
        end += cuts.size().max(1);
        (end < stream.len()).then_some(end)
    })
    .collect();
    assert_eq!(run(&stream, &limits, script, ends.into_iter()), whole, "cut");
    assert_eq!(run(&stream, &limits, script, 0..stream.len()), whole, "byte by byte");
}

/// Mostly the default ones: small limits end a history early.
fn limits(input: &mut Input<'_>) -> Limits {
    let defaults = Limits::default();
    if input.below(4) != 0 {
        return defaults;
    }
    Limits {
        request_line: input.size(),
        head: input.size(),
        fields: input.below(8),
        empty_lines: input.below(4) as u8,
        body: input.flag().then(|| input.size() as u64),
        chunk_extension: input.below(8),
        chunk_extensions: input.size(),
        trailers: input.size(),
        trailer_fields: input.below(4),
        dropped_body: input.size() as u64,
        ..defaults
    }
}

#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    seen: Vec<String>,
    out: Vec<u8>,
    closing: Closing,
}

/// Bits of `script`: answer before the body has come; in pieces; with a length of its own; close.
fn run(stream: &[u8], limits: &Limits, script: u8, ends: impl Iterator<Item = usize>) -> Outcome {
    let mut server = Server::new(NOW);
    let (mut head, mut known) = (Head::default(), Known::default());
    let mut outcome = Outcome { seen: vec![], out: vec![], closing: Closing::Open };
    let mut used = 0;
    let mut body = Vec::new();
    let mut answers = 0;
    for end in ends.chain([stream.len()]) {
        loop {
            let rest = &stream[used..end];
            // Nothing is known unless the script has it so.
            let known_step = server.receive_known(rest, &known, limits, NOW);
            let step = match known_step {
                Some(step) => {
                    head.clone_from(known.head());
                    step
                }
                None => server.receive(rest, &mut head, limits, NOW),
            };
            let request = &stream[used..used + step.used];
            used += step.used;
            assert!(used <= end);
            let is_whole = match step.event {
                Event::NeedsMore => {
                    assert!(
                        end - used <= limits.head.max(limits.trailers.max(2)),
                        "it keeps too much"
                    );
                    break;
                }
                Event::Request => {
                    see(&mut outcome.seen, &head, request, limits);
                    if script & KNOWN != 0 {
                        known.remember(&head, request, 4096);
                    }
                    body.clear();
                    head.framing() == Framing::None
                }
                Event::Data(data) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(data);
                    assert!(limits.body.is_none_or(|limit| body.len() as u64 <= limit));
                    false
                }
                Event::End(trailers) => {
                    outcome.seen.push(format!(
                        "{} {}",
                        body.escape_ascii(),
                        trailers.iter().count()
                    ));
                    assert!(trailers.iter().count() <= limits.trailer_fields);
                    true
                }
                Event::Refused(reason) => {
                    outcome.seen.push(format!("{reason:?}"));
                    assert!(server.refuse(&mut outcome.out, reason, &Date::at(0)));
                    assert_eq!(server.closing(), Closing::Linger);
                    answers += 1;
                    continue;
                }
                Event::Closed => {
                    assert_eq!(used, end);
                    break;
                }
                Event::Blocked | Event::Upgraded => panic!("every request is answered at once"),
            };
            let is_early = script & 1 == 1 && matches!(step.event, Event::Request);
            if is_whole || is_early {
                answer(&mut server, &mut outcome.out, script, limits);
                answers += 1;
            }
        }
        check_deadline(&mut server, limits);
    }
    let heads = outcome.out.windows(9).filter(|window| window == b"HTTP/1.1 ").count();
    assert_eq!(heads, answers);
    outcome.closing = server.closing();
    outcome
}

/// What the head says; every range lies in it, and its fields are clean.
fn see(seen: &mut Vec<String>, head: &Head, request: &[u8], limits: &Limits) {
    assert!(head.fields().len() <= limits.fields);
    assert!(head.raw_target(request).len() <= limits.request_line);
    assert!(request.ends_with(b"\r\n\r\n"));
    let mut text = format!(
        "{} {} {:?} {:?} {:?} {}",
        head.method(request).escape_ascii(),
        head.raw_target(request).escape_ascii(),
        head.target().form,
        head.version(),
        head.framing(),
        head.authority(request).escape_ascii(),
    );
    for (name, value) in head.iter(request) {
        assert!(!name.is_empty() && name.iter().all(u8::is_ascii_graphic));
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        text.push_str(&format!(" {}={}", name.escape_ascii(), value.escape_ascii()));
    }
    seen.push(text);
}

fn answer(server: &mut Server, out: &mut Vec<u8>, script: u8, limits: &Limits) {
    let date = Date::at(0);
    let response = server.response();
    response.start(out, 200).expect("the only answer");
    if script & 4 != 0 {
        response.field(out, b"content-length", b"2").expect("clean");
    }
    if script & 8 != 0 {
        response.field(out, b"connection", b"close").expect("clean");
    }
    if script & 2 != 0 {
        response.body(out, b"o", true, &date).expect("started");
        response.body(out, b"k", false, &date).expect("not complete");
    } else {
        response.body(out, b"ok", false, &date).expect("started");
    }
    assert!(response.is_complete() && response.held() == 0);
    server.conclude(limits, NOW);
}

/// A deadline is in the future, and expires when it says so, on a copy.
fn check_deadline(server: &mut Server, limits: &Limits) {
    assert_eq!(server.expire(limits, NOW), Expiry::Early);
    if let Some(deadline) = server.deadline(limits) {
        assert!(deadline > NOW);
        assert_ne!(server.clone().expire(limits, deadline), Expiry::Early);
    }
}
