//! A server's side of one connection.
//!
//! ```text
//!            ┌──────────────────── conclude, keep-alive ─────────────────┐
//!            ▼                                                          │
//!          Idle ──> Head ──> Body ──> Whole ── response complete ───────┤
//!            │        │        │        └── 101 ──> Upgraded            │
//!            │        └────────┴── refused ──> Lingering ──> Closed     │
//!            └── keep-alive is over ──> Closed <── conclude, close ─────┘
//! ```
//!
//! Requests are read one at a time: the head of the next one when the answer to this one is
//! complete. What has come of it meanwhile stays with the caller.

use std::time::Duration;

use super::chunked::{Chunk, Chunked, Trailers};
use super::encode::Response;
use super::framing::Framing;
use super::head::{Head, Scan, Upgrade, Version};
use super::known::Known;
use super::refusal::Reason;
use crate::date::Date;
use crate::limits::Limits;

/// One connection of a server, from request to request.
///
/// The caller keeps the bytes that have come and are not used yet, and offers them to
/// [`receive`](Self::receive) with what comes after them; it writes the answer by
/// [`response`](Self::response), says [`conclude`](Self::conclude) when that is complete, and looks
/// at [`closing`](Self::closing) and [`deadline`](Self::deadline) after each call. Times never go
/// back.
#[derive(Clone, Debug)]
pub struct Server {
    request: Request,
    response: Response,
    /// When the first byte of the request under way came.
    started: Duration,
    /// Since when the peer has taken nothing of what waits to be sent.
    stalled: Option<Duration>,
    /// The answer under way is the last one.
    is_ending: bool,
    requests: u64,
}

#[derive(Clone, Debug)]
enum Request {
    Idle {
        since: Duration,
        /// There was no request yet.
        is_first: bool,
    },
    Head {
        since: Duration,
        scan: Scan,
        empty_lines: u8,
    },
    Body {
        body: Body,
        pace: Pace,
        /// The answer is complete, nobody wants the body, and so many bytes of it are dropped yet.
        dropping: Option<u64>,
    },
    Whole,
    Upgraded,
    /// All that comes is dropped.
    Lingering {
        since: Duration,
    },
    Closed {
        /// The peer did not get all of an answer.
        is_cut: bool,
    },
}

#[derive(Clone, Debug)]
enum Body {
    Sized(u64),
    Chunked(Chunked),
}

/// How quickly a body comes.
#[derive(Copy, Clone, Debug)]
struct Pace {
    /// Its beginning, moved on by the time that nobody wanted to read.
    since: Duration,
    received: u64,
    paused: Option<Duration>,
}

/// What [`Server::receive`] has found, and what it has used for it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Step<'b> {
    /// How many bytes are used. The others are to be offered again.
    pub used: usize,
    /// What they are.
    pub event: Event<'b>,
}

/// What has come.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Event<'b> {
    /// Nothing more to be had out of these bytes: offer the rest again when there is more of it.
    NeedsMore,
    /// A whole head, which is in the [`Head`] now. If its framing is [`Framing::None`] the request
    /// is whole, and no other event of it follows.
    Request,
    /// A part of the body, at least one byte.
    Data(&'b [u8]),
    /// The end of the body.
    End(Trailers<'b>),
    /// These bytes are of the next request, and the answer to this one is not complete.
    Blocked,
    /// The request is refused: [`Server::refuse`] says so to the peer. What comes after it is dropped.
    Refused(Reason),
    /// These bytes are of the protocol that the connection was switched to. They are not used.
    Upgraded,
    /// The connection is over. All is used.
    Closed,
}

/// What has become of the connection after an answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The next request may come, or has come.
    Kept,
    /// It is another protocol's.
    Upgraded,
    /// It is to be closed: [`Server::closing`] says how.
    Closing,
}

/// Whether and how a connection is to be closed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Closing {
    /// Not at all.
    Open,
    /// Once all is sent.
    Flush,
    /// Once all is sent, the sending side is to be shut; what comes is read and dropped until the
    /// peer shuts its own or the [deadline](Server::deadline) passes. A peer that is still sending
    /// would else get a reset, which can take the answer from it (RFC 9112, section 9.6).
    Linger,
    /// Now. An answer is not whole, and the peer is to see that.
    Abort,
}

/// What follows from a deadline.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// Nothing: it has moved on.
    Early,
    /// The connection was waiting for a request, or lingering: it is to be [closed](Server::closing)
    /// without a word.
    Idle,
    /// As [`Event::Refused`].
    Refused(Reason),
    /// The peer takes nothing of an answer: the connection is to be aborted.
    Stalled,
}

/// How much of a request there was when the peer stopped sending.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Eof {
    /// None: the connection is to be closed.
    Idle,
    /// A part of it: nothing will come of it, and the connection is to be closed.
    Cut,
    /// All of it. The answer may go on: the peer may still listen.
    Whole,
    /// That is for the protocol to say that the connection was switched to.
    Upgraded,
}

impl Server {
    /// A new connection.
    #[must_use]
    pub const fn new(now: Duration) -> Self {
        Self {
            request: Request::Idle { since: now, is_first: true },
            response: Response::new(Version::Http11, false, true, false, false),
            started: now,
            stalled: None,
            is_ending: false,
            requests: 0,
        }
    }

    /// Takes bytes, up to the next [`Event`]. `input` is all that has come and is not used; a head
    /// is put into `head`, with ranges of `input`.
    ///
    /// To be called until it [needs more](Event::NeedsMore), is [blocked](Event::Blocked) or the
    /// connection is not HTTP any more.
    pub fn receive<'b>(
        &mut self,
        input: &'b [u8],
        head: &mut Head,
        limits: &Limits,
        now: Duration,
    ) -> Step<'b> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let (taken, event) = match self.request {
                Request::Idle { .. } | Request::Head { .. } => {
                    return self.receive_head(input, used, head, limits, now);
                }
                Request::Body { .. } => self.receive_body(rest, limits, now),
                Request::Whole if rest.is_empty() => (0, Some(Event::NeedsMore)),
                Request::Whole => (0, Some(Event::Blocked)),
                Request::Upgraded => (0, Some(Event::Upgraded)),
                Request::Lingering { .. } => (rest.len(), Some(Event::NeedsMore)),
                Request::Closed { .. } => (rest.len(), Some(Event::Closed)),
            };
            used += taken;
            if let Some(event) = event {
                return Step { used, event };
            }
        }
    }

    /// As [`receive`](Self::receive), where the connection waits for a request and a head comes that is
    /// [known](Known) already: it is [`known.head()`](Known::head), and so many bytes are used for it.
    /// `None` if it is not so; nothing has happened then.
    pub fn receive_known(
        &mut self,
        input: &[u8],
        known: &Known,
        limits: &Limits,
        now: Duration,
    ) -> Option<Step<'static>> {
        if !self.is_idle() || !known.begins(input) {
            return None;
        }
        self.started = now;
        Some(match self.accept(input, known.head(), limits, now) {
            Ok(()) => Step { used: known.len(), event: Event::Request },
            Err(reason) => self.refused(reason, input, now),
        })
    }

    /// `input[at..]` is not used yet; ranges count from the start of `input`.
    fn receive_head<'b>(
        &mut self,
        input: &'b [u8],
        mut at: usize,
        head: &mut Head,
        limits: &Limits,
        now: Duration,
    ) -> Step<'b> {
        let (since, mut scan, mut empty_lines) = match self.request {
            _ if at == input.len() => return Step { used: at, event: Event::NeedsMore },
            Request::Head { since, scan, empty_lines } => (since, scan, empty_lines),
            Request::Idle { since, is_first } => {
                self.started = now;
                (if is_first { since } else { now }, Scan::default(), 0)
            }
            Request::Body { .. }
            | Request::Whole
            | Request::Upgraded
            | Request::Lingering { .. }
            | Request::Closed { .. } => return Step { used: at, event: Event::NeedsMore },
        };
        // RFC 9112, section 2.2: some clients send one more line end than they have to.
        while input[at..].starts_with(b"\r\n") && empty_lines <= limits.empty_lines {
            at += 2;
            empty_lines += 1;
        }
        let found = match &input[at..] {
            _ if empty_lines > limits.empty_lines => Err(Reason::EmptyLines),
            [] | [b'\r'] => Ok(None),
            [b'\r', ..] => Err(Reason::BareCr),
            [b'\n', ..] => Err(Reason::BareLf),
            _ => head.parse(input, at, &mut scan, limits),
        };
        match found {
            Ok(None) => {
                self.request = Request::Head { since, scan, empty_lines };
                Step { used: at, event: Event::NeedsMore }
            }
            Ok(Some(end)) => match self.accept(input, head, limits, now) {
                Ok(()) => Step { used: end, event: Event::Request },
                Err(reason) => self.refused(reason, input, now),
            },
            Err(reason) => {
                // On no more bytes than it was refused on, so that it does not depend on a cut.
                let seen = limits.head.min(limits.request_line.saturating_add(2));
                let is_head =
                    seen >= 5 && reason != Reason::EmptyLines && input[at..].starts_with(b"HEAD ");
                self.response = Response::new(Version::Http11, is_head, false, false, false);
                self.refused(reason, input, now)
            }
        }
    }

    /// A head has come.
    fn accept(
        &mut self,
        input: &[u8],
        head: &Head,
        limits: &Limits,
        now: Duration,
    ) -> Result<(), Reason> {
        let framing = head.framing();
        self.requests += 1;
        self.response = Response::new(
            head.version(),
            head.method(input) == b"HEAD",
            head.wants_keep_alive() && !self.is_ending,
            head.expects_continue(),
            // With a body under way nothing can be switched.
            head.upgrade() != Upgrade::None && framing == Framing::None,
        );
        let body = match framing {
            Framing::None => {
                self.request = Request::Whole;
                return Ok(());
            }
            Framing::Sized(size) if limits.body.is_some_and(|limit| size > limit) => {
                return Err(Reason::BodyTooLarge);
            }
            Framing::Sized(size) => Body::Sized(size),
            Framing::Chunked => Body::Chunked(Chunked::default()),
        };
        let pace = Pace { since: now, received: 0, paused: None };
        self.request = Request::Body { body, pace, dropping: None };
        Ok(())
    }

    fn receive_body<'b>(
        &mut self,
        input: &'b [u8],
        limits: &Limits,
        now: Duration,
    ) -> (usize, Option<Event<'b>>) {
        let Request::Body { body, pace, dropping } = &mut self.request else {
            return (0, Some(Event::NeedsMore));
        };
        let (used, chunk) = match body {
            Body::Sized(0) => (0, Chunk::End(Trailers::default())),
            Body::Sized(_) if input.is_empty() => (0, Chunk::NeedsMore),
            Body::Sized(left) => {
                let taken =
                    usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= taken as u64;
                (taken, Chunk::Data(&input[..taken]))
            }
            Body::Chunked(decoder) => match decoder.decode(input, limits) {
                Ok(decoded) => decoded,
                Err(reason) => {
                    let Step { used, event } = self.refused(reason, input, now);
                    return (used, Some(event));
                }
            },
        };
        match (chunk, dropping) {
            (Chunk::NeedsMore, _) => (used, Some(Event::NeedsMore)),
            (Chunk::Data(data), None) => {
                pace.received += data.len() as u64;
                self.response.body_comes();
                (used, Some(Event::Data(data)))
            }
            (Chunk::Data(data), Some(left)) => {
                pace.received += data.len() as u64;
                match left.checked_sub(data.len() as u64) {
                    Some(less) => *left = less,
                    None => self.request = Request::Lingering { since: now },
                }
                (used, None)
            }
            (Chunk::End(trailers), None) => {
                self.request = Request::Whole;
                (used, Some(Event::End(trailers)))
            }
            (Chunk::End(_), Some(_)) => {
                self.request = match self.is_ending {
                    true => Request::Closed { is_cut: false },
                    false => Request::Idle { since: now, is_first: false },
                };
                (used, None)
            }
        }
    }

    /// Nothing is read any more.
    fn refused(&mut self, reason: Reason, input: &[u8], now: Duration) -> Step<'static> {
        let is_dropping = matches!(self.request, Request::Body { dropping: Some(_), .. });
        self.response.close();
        self.request = Request::Lingering { since: now };
        // Of a body that nobody wants, nobody wants to hear.
        let event = if is_dropping { Event::NeedsMore } else { Event::Refused(reason) };
        Step { used: input.len(), event }
    }

    /// Answers a request that was refused, in place of the caller. Returns whether that could be said:
    /// if another answer is on its way already, it is cut instead.
    pub fn refuse(&mut self, out: &mut Vec<u8>, reason: Reason, date: &Date) -> bool {
        let response = &mut self.response;
        response.retract(out);
        if response.is_committed() {
            if !response.is_complete() {
                self.request = Request::Closed { is_cut: true };
            }
            return false;
        }
        response.close();
        let words = [reason.words(), "\n"].concat();
        let said = response
            .start(out, reason.status())
            .and_then(|()| response.field(out, b"content-type", b"text/plain; charset=utf-8"))
            .and_then(|()| response.body(out, words.as_bytes(), false, date));
        debug_assert_eq!(said, Ok(()), "a new response, with a status and a field of ours");
        said.is_ok()
    }

    /// The answer to the request under way.
    pub const fn response(&mut self) -> &mut Response {
        &mut self.response
    }

    /// Writes `100 Continue`, if the client waits for it: to be called when somebody wants to read the
    /// body, and none of it is there. Returns whether it was written.
    pub fn send_continue(&mut self, out: &mut Vec<u8>, now: Duration) -> bool {
        let Request::Body { pace, .. } = &mut self.request else { return false };
        if !self.response.awaits_continue() || self.response.interim(out, 100, []).is_err() {
            return false;
        }
        pace.since = now;
        true
    }

    /// The answer is complete: what becomes of the connection. One that is not complete is cut.
    pub fn conclude(&mut self, limits: &Limits, now: Duration) -> Ended {
        if !self.response.is_complete() {
            self.request = Request::Closed { is_cut: true };
            return Ended::Closing;
        }
        let keeps_alive = self.response.keeps_alive();
        match &mut self.request {
            Request::Whole if self.response.is_switched() => {
                self.request = Request::Upgraded;
                return Ended::Upgraded;
            }
            Request::Whole if keeps_alive => {
                self.request = Request::Idle { since: now, is_first: false };
                return Ended::Kept;
            }
            Request::Whole => self.request = Request::Closed { is_cut: false },
            Request::Body { body: Body::Sized(left), .. } if *left > limits.dropped_body => {
                self.request = Request::Lingering { since: now };
            }
            Request::Body { dropping, pace, .. } if keeps_alive => {
                pace.resume(now);
                *dropping = Some(limits.dropped_body);
                return Ended::Kept;
            }
            Request::Body { .. } => self.request = Request::Lingering { since: now },
            // Concluded already.
            Request::Idle { .. } | Request::Head { .. } => return Ended::Kept,
            Request::Upgraded => return Ended::Upgraded,
            Request::Lingering { .. } | Request::Closed { .. } => {}
        }
        Ended::Closing
    }

    /// The server is to end: a connection that waits for a request is closed, and any other one when
    /// its answer is complete.
    pub fn finish(&mut self) {
        self.is_ending = true;
        match self.request {
            Request::Idle { .. } => self.request = Request::Closed { is_cut: false },
            Request::Head { .. } | Request::Body { .. } | Request::Whole => self.response.close(),
            Request::Upgraded | Request::Lingering { .. } | Request::Closed { .. } => {}
        }
    }

    /// The peer has stopped sending.
    pub fn eof(&mut self) -> Eof {
        let (eof, is_cut) = match self.request {
            Request::Idle { .. } | Request::Lingering { .. } => (Eof::Idle, false),
            Request::Closed { .. } => return Eof::Idle,
            Request::Body { dropping: Some(_), .. } => (Eof::Idle, false),
            Request::Head { .. } => (Eof::Cut, false),
            Request::Body { .. } => (Eof::Cut, true),
            Request::Whole => {
                self.finish();
                return Eof::Whole;
            }
            Request::Upgraded => return Eof::Upgraded,
        };
        self.request = Request::Closed { is_cut };
        eof
    }

    /// Whether and how it is to be closed.
    #[must_use]
    pub const fn closing(&self) -> Closing {
        match self.request {
            Request::Closed { is_cut: true } => Closing::Abort,
            Request::Closed { is_cut: false } => Closing::Flush,
            Request::Lingering { .. } => Closing::Linger,
            Request::Idle { .. }
            | Request::Head { .. }
            | Request::Body { .. }
            | Request::Whole
            | Request::Upgraded => Closing::Open,
        }
    }

    /// Whether more bytes are of any use now, given that the caller has so many that are not used.
    /// Where nobody takes what there is of a body, the caller knows that itself.
    #[must_use]
    pub const fn wants_data(&self, kept: usize, limits: &Limits) -> bool {
        match self.request {
            Request::Idle { .. }
            | Request::Head { .. }
            | Request::Body { .. }
            | Request::Upgraded
            | Request::Lingering { .. } => true,
            Request::Whole => kept < limits.read_ahead,
            Request::Closed { .. } => false,
        }
    }

    /// How many requests have been accepted.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether it waits for a request, and not a byte of it has come.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.request, Request::Idle { .. })
    }

    /// When [`expire`](Self::expire) is to be called, if nothing happens before. It moves with every
    /// call; to call it early does nothing, so one timer for many connections will do.
    #[must_use]
    pub fn deadline(&self, limits: &Limits) -> Option<Duration> {
        let stall = self.stalled.map(|since| since.saturating_add(limits.stall));
        let request = limits.request_time.map(|time| self.started.saturating_add(time));
        let own = match &self.request {
            Request::Idle { since, is_first: true } | Request::Head { since, .. } => {
                Some(since.saturating_add(limits.head_time))
            }
            Request::Idle { since, is_first: false } => {
                Some(since.saturating_add(limits.keep_alive))
            }
            // Who waits for 100 Continue cannot be slow.
            Request::Body { .. } if self.response.awaits_continue() => request,
            Request::Body { pace, .. } => earliest(pace.deadline(limits), request),
            Request::Whole => request,
            // It begins when all is sent.
            Request::Lingering { .. } if self.stalled.is_some() => None,
            Request::Lingering { since } => Some(since.saturating_add(limits.linger)),
            Request::Upgraded | Request::Closed { .. } => None,
        };
        earliest(own, stall)
    }

    /// Time has passed: what follows from it.
    pub fn expire(&mut self, limits: &Limits, now: Duration) -> Expiry {
        if self.deadline(limits).is_none_or(|deadline| deadline > now) {
            return Expiry::Early;
        }
        if self.stalled.is_some_and(|since| since.saturating_add(limits.stall) <= now) {
            self.request = Request::Closed { is_cut: true };
            return Expiry::Stalled;
        }
        let is_late =
            limits.request_time.is_some_and(|time| self.started.saturating_add(time) <= now);
        let reason = match &self.request {
            Request::Idle { .. }
            | Request::Lingering { .. }
            | Request::Body { dropping: Some(_), .. } => {
                self.request = Request::Closed { is_cut: false };
                return Expiry::Idle;
            }
            Request::Head { .. } => {
                self.response = Response::new(Version::Http11, false, false, false, false);
                Reason::SlowHead
            }
            Request::Body { .. } if !is_late => Reason::SlowBody,
            Request::Body { .. } | Request::Whole => Reason::SlowRequest,
            Request::Upgraded | Request::Closed { .. } => return Expiry::Early,
        };
        self.response.close();
        self.request = Request::Lingering { since: now };
        Expiry::Refused(reason)
    }

    /// Nobody wants to read the body for now: its pace is not the peer's fault.
    pub const fn pause(&mut self, now: Duration) {
        if let Request::Body { pace, .. } = &mut self.request
            && pace.paused.is_none()
        {
            pace.paused = Some(now);
        }
    }

    /// Somebody does again.
    pub fn resume(&mut self, now: Duration) {
        if let Request::Body { pace, .. } = &mut self.request {
            pace.resume(now);
        }
    }

    /// The caller has tried to send: whether the peer took anything, and whether anything is left.
    pub const fn wrote(&mut self, has_progress: bool, is_left: bool, now: Duration) {
        if !is_left {
            if let (Request::Lingering { since }, true) =
                (&mut self.request, self.stalled.is_some())
            {
                *since = now;
            }
            self.stalled = None;
        } else if has_progress || self.stalled.is_none() {
            self.stalled = Some(now);
        }
    }
}

impl Pace {
    /// When it will have been too slow, if nothing comes before.
    fn deadline(&self, limits: &Limits) -> Option<Duration> {
        if self.paused.is_some() {
            return None;
        }
        let earned = self.received.checked_div(limits.body_rate)?;
        let end = self.since.saturating_add(limits.body_grace);
        Some(end.saturating_add(Duration::from_secs(earned)))
    }

    fn resume(&mut self, now: Duration) {
        if let Some(since) = self.paused.take() {
            self.since = self.since.saturating_add(now.saturating_sub(since));
        }
    }
}

fn earliest(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    fn at(seconds: f64) -> Duration {
        START + Duration::from_secs_f64(seconds)
    }

    /// A connection and its buffers, as a caller has them.
    struct Host {
        server: Server,
        head: Head,
        limits: Limits,
        input: Vec<u8>,
        out: Vec<u8>,
    }

    impl Host {
        fn new() -> Self {
            Self::with(Limits::default())
        }

        fn with(limits: Limits) -> Self {
            Self {
                server: Server::new(START),
                head: Head::default(),
                limits,
                input: Vec::new(),
                out: Vec::new(),
            }
        }

        /// Gives it bytes; the events, in words.
        fn give(&mut self, bytes: &str, now: Duration) -> String {
            self.input.extend_from_slice(bytes.as_bytes());
            let mut events = Vec::new();
            loop {
                let step = self.server.receive(&self.input, &mut self.head, &self.limits, now);
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let (event, is_last) = match step.event {
                    Event::NeedsMore => ("more".into(), true),
                    Event::Request => (text(self.head.raw_target(&self.input)), false),
                    Event::Data(data) => (format!("[{}]", text(data)), false),
                    Event::End(trailers) => (format!("end{}", trailers.iter().count()), false),
                    Event::Blocked => ("blocked".into(), true),
                    Event::Refused(reason) => (format!("{reason:?}"), true),
                    Event::Upgraded => ("upgraded".into(), true),
                    Event::Closed => ("closed".into(), true),
                };
                self.input.drain(..step.used);
                events.push(event);
                if is_last {
                    return events.join(" ");
                }
            }
        }

        /// A whole answer.
        fn answer(&mut self, fields: &[(&str, &str)], now: Duration) -> Ended {
            let response = self.server.response();
            response.start(&mut self.out, 200).expect("the first one");
            for (name, value) in fields {
                response.field(&mut self.out, name.as_bytes(), value.as_bytes()).expect("clean");
            }
            response.body(&mut self.out, b"ok", false, &Date::at(0)).expect("started");
            self.server.conclude(&self.limits, now)
        }

        fn refuse(&mut self, reason: Reason) -> (bool, String) {
            let from = self.out.len();
            let is_said = self.server.refuse(&mut self.out, reason, &Date::at(0));
            (is_said, String::from_utf8_lossy(&self.out[from..]).into_owned())
        }

        fn deadline(&self) -> Option<f64> {
            Some((self.server.deadline(&self.limits)? - START).as_secs_f64())
        }
    }

    const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

    #[test]
    fn rfc9112_9_3_a_connection_is_kept() {
        let mut host = Host::new();
        for _ in 0..3 {
            assert_eq!(host.give(GET, START), "/a more");
            assert_eq!(host.answer(&[], START), Ended::Kept);
            assert_eq!(host.server.closing(), Closing::Open);
        }
        assert_eq!(host.server.requests(), 3);
    }

    #[test]
    fn rfc9112_9_3_who_wants_it_closed() {
        for (request, is_kept) in [
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\nconnection: close\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: closer\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", true),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
            ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false),
        ] {
            let mut host = Host::new();
            assert_eq!(host.give(request, START), "/ more");
            let ended = host.answer(&[], START);
            assert_eq!(ended == Ended::Kept, is_kept, "{request}");
            let closing = if is_kept { Closing::Open } else { Closing::Flush };
            assert_eq!(host.server.closing(), closing);
        }
        let mut host = Host::new();
        assert_eq!(host.give(GET, START), "/a more");
        assert_eq!(host.answer(&[("Connection", "close")], START), Ended::Closing);
        assert_eq!(host.give(GET, START), "closed");
        assert!(host.input.is_empty());
    }

    #[test]
    fn rfc9112_9_3_2_pipelined_requests_wait_their_turn() {
        let mut host = Host::new();
        let two = format!("{GET}POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc{GET}");
        assert_eq!(host.give(&two, START), "/a blocked");
        assert!(host.server.wants_data(host.input.len(), &host.limits));
        assert!(!host.server.wants_data(host.limits.read_ahead, &host.limits));
        host.answer(&[], START);
        assert_eq!(host.give("", START), "/b [abc] end0 blocked");
        host.answer(&[], START);
        assert_eq!(host.give("", START), "/a more");
    }

    #[test]
    fn rfc9112_2_2_empty_lines_before_a_request() {
        let mut host = Host::new();
        assert_eq!(host.give("\r\n\r\n", START), "more");
        assert!(host.input.is_empty());
        assert_eq!(host.give(&format!("\r\n\r\n{GET}"), START), "/a more");
        host.answer(&[], START);
        assert_eq!(host.give("\r\n\r\n\r\n\r\n\r\n", START), "EmptyLines");
        for (start, reason) in
            [("\n", "BareLf"), ("\rG", "BareCr"), ("\r\r\n", "BareCr"), (" ", "Line")]
        {
            let mut host = Host::new();
            assert_eq!(host.give(&format!("{start}{GET}"), START), reason);
        }
    }

    #[test]
    fn rfc9110_10_1_1_continue_is_sent_when_somebody_reads() {
        let ask = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n";
        let mut host = Host::new();
        assert_eq!(host.give(ask, START), "/ more");
        // Nobody is slow while the server is asked.
        assert_eq!(host.deadline(), None);
        assert!(host.server.send_continue(&mut host.out, at(20.0)));
        assert!(!host.server.send_continue(&mut host.out, at(20.0)));
        assert_eq!(host.out, b"HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(host.deadline(), Some(30.0));
        assert_eq!(host.give("ab", at(21.0)), "[ab] end0 more");
        assert_eq!(host.answer(&[], START), Ended::Kept);
        // Who does not wait needs none.
        assert_eq!(host.give(&format!("{ask}a"), START), "/ [a] more");
        assert!(!host.server.send_continue(&mut host.out, START));
        assert_eq!(host.give("b", START), "[b] end0 more");
        assert_eq!(host.answer(&[], START), Ended::Kept);
        // Refused without it, a client may send the body all the same: nobody can tell.
        assert_eq!(host.give(ask, START), "/ more");
        assert_eq!(host.answer(&[], START), Ended::Closing);
        assert_eq!(host.server.closing(), Closing::Linger);
        assert!(String::from_utf8_lossy(&host.out).ends_with("connection: close\r\n\r\nok"));
    }

    #[test]
    fn rfc9110_10_1_1_expectations_that_are_none() {
        let mut host = Host::new();
        let old = "PUT / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        assert_eq!(host.give(old, START), "/ more");
        assert!(!host.server.send_continue(&mut host.out, START));
        let mut host = Host::new();
        let other = "GET / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n";
        assert_eq!(host.give(other, START), "Expectation");
    }

    #[test]
    fn a_body_that_nobody_wants_is_dropped() {
        let mut host = Host::with(Limits { dropped_body: 4, ..Limits::default() });
        let post =
            |len: usize| format!("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n");
        assert_eq!(host.give(&post(4), START), "/p more");
        assert_eq!(host.answer(&[], START), Ended::Kept);
        assert_eq!(host.give(&format!("abcd{GET}"), START), "/a more");
        host.answer(&[], START);
        assert_eq!(host.give(&post(5), START), "/p more");
        assert_eq!(host.answer(&[], START), Ended::Closing);
        assert_eq!(host.server.closing(), Closing::Linger);
        assert_eq!(host.give(&format!("abcde{GET}"), START), "more");
        assert!(host.input.is_empty());

        let mut host = Host::with(Limits { dropped_body: 4, ..Limits::default() });
        let chunked = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(host.give(chunked, START), "/c more");
        assert_eq!(host.answer(&[], START), Ended::Kept);
        assert_eq!(host.give("4\r\nabcd\r\n", START), "more");
        assert_eq!(host.server.closing(), Closing::Open);
        assert_eq!(host.give("1\r\ne\r\n0\r\n\r\n", START), "more");
        assert_eq!(host.server.closing(), Closing::Linger);
    }

    #[test]
    fn what_is_refused_is_answered_and_closed() {
        let mut host = Host::new();
        assert_eq!(host.give("GET / HTTP/1.1\r\n\r\nGET", START), "NoHost");
        assert_eq!(host.server.closing(), Closing::Linger);
        let (is_said, text) = host.refuse(Reason::NoHost);
        assert!(is_said);
        assert_eq!(
            text,
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
             content-length: 8\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nconnection: close\r\n\r\n\
             no Host\n"
        );
        assert_eq!(host.give(GET, START), "more");
        assert_eq!(host.deadline(), Some(1.0));
        assert_eq!(host.server.expire(&host.limits, at(1.0)), Expiry::Idle);
        assert_eq!(host.server.closing(), Closing::Flush);
    }

    #[test]
    fn rfc9110_9_3_2_what_is_refused_of_head_has_no_body() {
        let mut host = Host::new();
        assert_eq!(host.give("HEAD / HTTP/1.1\r\n\r\n", START), "NoHost");
        assert!(host.refuse(Reason::NoHost).1.ends_with("\r\n\r\n"));
    }

    #[test]
    fn whether_it_was_head_does_not_depend_on_a_cut() {
        let line = "HEAD / HTTP/1.1\r\n\r\n";
        for (limits, bytes) in [
            (Limits { head: 1, ..Limits::default() }, line.to_owned()),
            (Limits { request_line: 1, ..Limits::default() }, line.to_owned()),
            (Limits { empty_lines: 0, ..Limits::default() }, format!("\r\n{line}")),
            (Limits { request_line: 8, ..Limits::default() }, line.to_owned()),
        ] {
            let mut whole = Host::with(limits.clone());
            let reason = whole.give(&bytes, START);
            let answer = whole.refuse(Reason::Line);
            let mut cut = Host::with(limits);
            let mut bytes = bytes.chars();
            let reason_of_cut = bytes
                .by_ref()
                .map(|byte| cut.give(&byte.to_string(), START))
                .find(|event| event != "more");
            assert_eq!(reason_of_cut, Some(reason));
            assert_eq!(cut.refuse(Reason::Line), answer);
        }
    }

    #[test]
    fn an_answer_under_way_is_cut_if_the_body_is_refused() {
        let mut host = Host::new();
        let chunked = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(host.give(chunked, START), "/c more");
        let response = host.server.response();
        response.start(&mut host.out, 200).expect("the first one");
        response.body(&mut host.out, b"a", true, &Date::at(0)).expect("started");
        assert_eq!(host.give("z\r\n", START), "ChunkSize");
        assert_eq!(host.refuse(Reason::ChunkSize), (false, String::new()));
        assert_eq!(host.server.closing(), Closing::Abort);
        // A head that is held is not under way.
        let mut host = Host::new();
        assert_eq!(host.give(chunked, START), "/c more");
        host.server.response().start(&mut host.out, 200).expect("the first one");
        assert_eq!(host.give("z\r\n", START), "ChunkSize");
        let (is_said, _) = host.refuse(Reason::ChunkSize);
        assert!(is_said && host.out.starts_with(b"HTTP/1.1 400 "));
    }

    #[test]
    fn bodies_are_bounded() {
        let mut host = Host::with(Limits { body: Some(3), ..Limits::default() });
        let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(host.give(post, START), "BodyTooLarge");
        assert_eq!(Reason::BodyTooLarge.status(), 413);
    }

    #[test]
    fn an_answer_that_is_not_complete_is_cut() {
        let mut host = Host::new();
        assert_eq!(host.give(GET, START), "/a more");
        host.server.response().start(&mut host.out, 200).expect("the first one");
        assert_eq!(host.server.conclude(&host.limits, START), Ended::Closing);
        assert_eq!(host.server.closing(), Closing::Abort);
    }

    #[test]
    fn rfc9110_7_8_upgrades() {
        let ask = "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let mut host = Host::new();
        assert_eq!(host.give(&format!("{ask}frames"), START), "/ blocked");
        assert_eq!(host.head.upgrade(), Upgrade::WebSocket);
        let response = host.server.response();
        response.start(&mut host.out, 101).expect("it was asked for");
        response.field(&mut host.out, b"upgrade", b"websocket").expect("clean");
        response.switch(&mut host.out, &Date::at(0)).expect("started");
        assert!(host.out.ends_with(b"\r\nconnection: upgrade\r\n\r\n"));
        assert_eq!(host.server.conclude(&host.limits, START), Ended::Upgraded);
        assert_eq!(host.give("", START), "upgraded");
        assert_eq!(host.input, b"frames");
        assert_eq!(host.server.eof(), Eof::Upgraded);
    }

    #[test]
    fn rfc9110_7_8_upgrades_that_are_none() {
        for (fields, upgrade) in [
            ("Upgrade: websocket", Upgrade::None),
            ("Upgrade: websocket\r\nConnection: close", Upgrade::None),
            ("Upgrade: h2c\r\nConnection: upgrade", Upgrade::Other),
            ("Upgrade: h2c, WebSocket\r\nConnection: upgrade", Upgrade::WebSocket),
            ("Connection: upgrade", Upgrade::None),
        ] {
            let mut host = Host::new();
            host.give(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n"), START);
            assert_eq!(host.head.upgrade(), upgrade, "{fields}");
            let can = host.server.response().start(&mut host.out, 101).is_ok();
            assert_eq!(can, upgrade != Upgrade::None);
        }
        let mut host = Host::new();
        host.give("GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", START);
        assert_eq!(host.head.upgrade(), Upgrade::None);
    }

    #[test]
    fn a_head_has_ten_seconds_however_it_comes() {
        let mut host = Host::new();
        assert_eq!(host.deadline(), Some(10.0));
        host.give("GET", at(9.0));
        assert_eq!(host.deadline(), Some(10.0));
        assert_eq!(host.server.expire(&host.limits, at(9.9)), Expiry::Early);
        assert_eq!(host.server.expire(&host.limits, at(10.0)), Expiry::Refused(Reason::SlowHead));
        assert!(host.refuse(Reason::SlowHead).1.starts_with("HTTP/1.1 408 "));
        // The second one has them from its first byte on.
        let mut host = Host::new();
        host.give(GET, at(1.0));
        assert_eq!(host.deadline(), None);
        host.answer(&[], at(2.0));
        assert_eq!(host.deadline(), Some(7.0));
        host.give("\r\n", at(6.0));
        assert_eq!(host.deadline(), Some(16.0));
        // A byte now and then does not help.
        host.give("G", at(15.0));
        assert_eq!(host.deadline(), Some(16.0));
    }

    #[test]
    fn an_idle_connection_is_closed_without_a_word() {
        let mut host = Host::new();
        assert_eq!(host.server.expire(&host.limits, at(10.0)), Expiry::Idle);
        assert_eq!(host.server.closing(), Closing::Flush);
        let mut host = Host::new();
        host.give(GET, START);
        host.answer(&[], START);
        assert_eq!(host.server.expire(&host.limits, at(4.9)), Expiry::Early);
        assert_eq!(host.server.expire(&host.limits, at(5.0)), Expiry::Idle);
    }

    #[test]
    fn a_body_has_a_least_pace() {
        let mut host = Host::new();
        let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
        host.give(post, START);
        assert_eq!(host.deadline(), Some(10.0));
        host.give(&"x".repeat(512), at(5.0));
        assert_eq!(host.deadline(), Some(12.0));
        // While nobody reads, nobody is slow.
        host.server.pause(at(6.0));
        assert_eq!(host.deadline(), None);
        host.server.pause(at(7.0));
        host.server.resume(at(106.0));
        assert_eq!(host.deadline(), Some(112.0));
        let expiry = host.server.expire(&host.limits, at(112.0));
        assert_eq!(expiry, Expiry::Refused(Reason::SlowBody));
    }

    #[test]
    fn a_request_may_have_a_deadline() {
        let limits = Limits { request_time: Some(Duration::from_secs(30)), ..Limits::default() };
        let mut host = Host::with(limits);
        host.give("GET", at(5.0));
        host.give(&GET[3..], at(6.0));
        assert_eq!(host.deadline(), Some(35.0));
        let expiry = host.server.expire(&host.limits, at(35.0));
        assert_eq!(expiry, Expiry::Refused(Reason::SlowRequest));
    }

    #[test]
    fn who_takes_nothing_is_aborted() {
        let mut host = Host::new();
        host.give(GET, START);
        host.server.wrote(true, true, at(1.0));
        host.server.wrote(false, true, at(2.0));
        assert_eq!(host.deadline(), Some(61.0));
        host.server.wrote(true, true, at(50.0));
        assert_eq!(host.deadline(), Some(110.0));
        host.server.wrote(true, false, at(51.0));
        assert_eq!(host.deadline(), None);
        host.server.wrote(true, true, at(52.0));
        assert_eq!(host.server.expire(&host.limits, at(112.0)), Expiry::Stalled);
        assert_eq!(host.server.closing(), Closing::Abort);
    }

    #[test]
    fn lingering_begins_when_all_is_sent() {
        let mut host = Host::new();
        host.give("bad\r\n\r\n", START);
        host.server.wrote(true, true, START);
        assert_eq!(host.deadline(), Some(60.0));
        host.server.wrote(true, false, at(20.0));
        assert_eq!(host.deadline(), Some(21.0));
    }

    #[test]
    fn the_end_of_what_the_peer_sends() {
        let mut host = Host::new();
        assert_eq!((host.server.eof(), host.server.closing()), (Eof::Idle, Closing::Flush));
        let mut host = Host::new();
        host.give("GET", START);
        assert_eq!((host.server.eof(), host.server.closing()), (Eof::Cut, Closing::Flush));
        let mut host = Host::new();
        host.give("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na", START);
        assert_eq!((host.server.eof(), host.server.closing()), (Eof::Cut, Closing::Abort));
        let mut host = Host::new();
        host.give(GET, START);
        assert_eq!((host.server.eof(), host.server.closing()), (Eof::Whole, Closing::Open));
        assert_eq!(host.answer(&[], START), Ended::Closing);
    }

    #[test]
    fn a_head_that_is_known_is_not_read_again() {
        let post = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n";
        let mut known = Known::default();
        let mut host = Host::new();
        let give = |host: &mut Host, known: &Known, bytes: &str| {
            let step = host.server.receive_known(bytes.as_bytes(), known, &host.limits, START)?;
            assert_eq!(step.event, Event::Request);
            Some(step.used)
        };
        assert_eq!(give(&mut host, &known, post), None);
        assert_eq!(host.give(post, START), "/p more");
        known.remember(&host.head, post.as_bytes(), 100);
        // A request is under way.
        assert_eq!(give(&mut host, &known, post), None);
        assert_eq!(host.give("ab", START), "[ab] end0 more");
        host.answer(&[], START);
        // Not all of it has come; another one has.
        assert_eq!(give(&mut host, &known, &post[..post.len() - 1]), None);
        assert_eq!(give(&mut host, &known, GET), None);
        assert_eq!(give(&mut host, &known, &format!("{post}cd")), Some(post.len()));
        assert_eq!(known.head().path(post.as_bytes()), b"/p");
        assert_eq!(host.give("cd", START), "[cd] end0 more");
        assert_eq!(host.answer(&[], START), Ended::Kept);
        assert_eq!(host.server.requests(), 2);
        // Too large to be kept, or not at the start.
        known.remember(&host.head, post.as_bytes(), post.len() - 1);
        assert!(!known.begins(post.as_bytes()));
        let late = format!("\r\n{GET}");
        assert_eq!(host.give(&late, START), "/a more");
        known.remember(&host.head, late.as_bytes(), 100);
        assert!(!known.begins(late.as_bytes()));
    }

    #[test]
    fn a_server_that_ends_lets_requests_end() {
        let mut host = Host::new();
        host.server.finish();
        assert_eq!(host.server.closing(), Closing::Flush);
        // With a body that nobody wants, when that is whole.
        let mut host = Host::new();
        host.give("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na", START);
        assert_eq!(host.answer(&[], START), Ended::Kept);
        host.server.finish();
        assert_eq!(host.server.closing(), Closing::Open);
        assert_eq!(host.give(&format!("b{GET}"), START), "closed");
        assert_eq!(host.server.closing(), Closing::Flush);
        for start in ["G", GET] {
            let mut host = Host::new();
            host.give(start, START);
            host.server.finish();
            assert_eq!(host.server.closing(), Closing::Open);
            host.give(&GET[start.len()..], START);
            assert_eq!(host.answer(&[], START), Ended::Closing);
            assert!(String::from_utf8_lossy(&host.out).contains("\r\nconnection: close\r\n"));
        }
    }
}
