//! A caller of a server's connection, with an application that answers every request that is whole.

use std::time::Duration;

use ferrio_http::h1::{Closing, Event, Framing, Head, Server};
use ferrio_http::{Date, Limits};

/// What became of some bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Outcome {
    /// Each request that was accepted, `METHOD target length-of-body`, or refused, `status Reason`;
    /// then `closed` if the connection is, or `waits` if the last one is not whole.
    pub verdicts: Vec<String>,
    /// Each body, and its trailers as `name=value`.
    pub bodies: Vec<(Vec<u8>, Vec<String>)>,
    /// The answers.
    pub out: Vec<u8>,
}

/// Gives `input` to a new connection, in pieces that end at these places.
pub(crate) fn run(input: &[u8], limits: &Limits, ends: impl Iterator<Item = usize>) -> Outcome {
    let now = Duration::ZERO;
    let date = Date::at(0);
    let mut server = Server::new(now);
    let mut head = Head::default();
    let mut outcome = Outcome { verdicts: vec![], bodies: vec![], out: vec![] };
    let mut used = 0;
    let mut request = String::new();
    let mut body = Vec::new();
    for end in ends.chain([input.len()]) {
        loop {
            let step = server.receive(&input[used..end], &mut head, limits, now);
            let base = used;
            used += step.used;
            assert!(used <= end, "more was used than there is");
            let trailers = match step.event {
                Event::NeedsMore => {
                    let kept = end - used;
                    assert!(kept <= limits.head.max(limits.trailers), "{kept} bytes are kept");
                    break;
                }
                Event::Request => {
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    let head_bytes = &input[base..used];
                    request = format!(
                        "{} {}",
                        text(head.method(head_bytes)),
                        text(head.raw_target(head_bytes))
                    );
                    body = Vec::new();
                    if head.framing() != Framing::None {
                        continue;
                    }
                    vec![]
                }
                Event::Data(data) => {
                    body.extend_from_slice(data);
                    continue;
                }
                Event::End(trailers) => trailers
                    .iter()
                    .map(|(name, value)| {
                        format!("{}={}", name.escape_ascii(), value.escape_ascii())
                    })
                    .collect(),
                Event::Refused(reason) => {
                    outcome.verdicts.push(format!("{} {reason:?}", reason.status()));
                    assert!(
                        server.refuse(&mut outcome.out, reason, &date),
                        "nothing else was said"
                    );
                    assert_eq!(server.closing(), Closing::Linger);
                    return outcome;
                }
                Event::Blocked | Event::Upgraded => panic!("an answer is missing"),
                Event::Closed => break,
            };
            outcome.verdicts.push(format!("{request} {}", body.len()));
            outcome.bodies.push((std::mem::take(&mut body), trailers));
            let response = server.response();
            response.start(&mut outcome.out, 200).expect("the only answer");
            response.body(&mut outcome.out, b"ok", false, &date).expect("a head has come");
            server.conclude(limits, now);
        }
    }
    match server.closing() {
        Closing::Open if server.is_idle() => {}
        Closing::Open => outcome.verdicts.push("waits".into()),
        Closing::Flush | Closing::Linger => outcome.verdicts.push("closed".into()),
        Closing::Abort => panic!("all answers were complete"),
    }
    outcome
}

/// The outcome, which is the same wherever the bytes are cut.
pub(crate) fn run_cut_anywhere(input: &[u8], limits: &Limits) -> Outcome {
    let whole = run(input, limits, std::iter::empty());
    for at in 0..input.len() {
        assert_eq!(run(input, limits, [at].into_iter()), whole, "cut at {at}");
    }
    assert_eq!(run(input, limits, 0..input.len()), whole, "byte by byte");
    whole
}
