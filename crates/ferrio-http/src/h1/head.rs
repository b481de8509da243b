//! A request's head: what httparse reads, and what RFC 9112 has checked beyond that.
//!
//! httparse refuses most that is malformed, quickly. It lets pass a line that ends in LF alone,
//! bytes of a target that are not ASCII, and everything that is a matter of meaning. Once it, or a
//! check of ours, has refused something, `faults.rs` goes over the bytes again and finds the words
//! for it.
//!
//! A head that is not whole yet is not used: the caller keeps it and offers it again, longer. What
//! is found does not depend on where it was cut, and the work is in proportion to the bytes, also
//! for a peer that sends one at a time ([`Scan`]).

use std::mem::MaybeUninit;

use super::faults;
use super::framing::{Coding, Framing, Length};
use super::refusal::Reason;
use crate::bytes;
use crate::limits::Limits;
use crate::target::{Form, Span, Target, TargetError, is_authority};

/// The versions that are spoken here.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

/// One field, as ranges. White space around the value is not in it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// As it came: names are the same in either case.
    pub name: Span,
    /// As it came.
    pub value: Span,
}

/// What a request wants the connection to become. HTTP/1.0 cannot ask (RFC 9110, section 7.8).
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub enum Upgrade {
    /// What it is.
    #[default]
    None,
    /// A WebSocket, among others perhaps. Whether the handshake is right is another matter.
    WebSocket,
    /// Something else, such as `h2c`. One may always go on as if it were not asked for.
    Other,
}

/// A request's head, as ranges in the bytes that it was read from.
///
/// All accessors that take `bytes` want these: the input of [`Server::receive`](super::Server::receive)
/// from its start, of which no more than the step's `used` is needed. One is used for one request
/// after another, and keeps its memory.
#[derive(Clone, Default, Debug)]
pub struct Head {
    method: Span,
    whole_target: Span,
    target: Target,
    version: Version,
    fields: Vec<Field>,
    host: Option<Span>,
    framing: Framing,
    wants_keep_alive: bool,
    expects_continue: bool,
    accepts_trailers: bool,
    upgrade: Upgrade,
}

/// How far the start of a head has been looked at, so that it is not looked at again.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Scan {
    /// There is no end of a head in so many bytes.
    searched: u32,
    /// So many bytes were given to httparse.
    parsed: u32,
}

/// As many headers fit on the stack: larger limits pay for memory.
const ON_STACK: usize = 128;
/// Ranges are 32 bits.
const MAX_HEAD: usize = 1 << 30;

impl Head {
    /// Reads a head from `input[start..]`, where its request line is to begin. Returns where it
    /// ends, or `None` if it is not whole. `scan` is new for each head, and comes along as its bytes
    /// are offered again.
    ///
    /// # Errors
    ///
    /// Why the request is refused. What `self` is then is of no use.
    pub fn parse(
        &mut self,
        input: &[u8],
        start: usize,
        scan: &mut Scan,
        limits: &Limits,
    ) -> Result<Option<usize>, Reason> {
        let text = input.get(start..).unwrap_or_default();
        let head_limit = limits.head.min(MAX_HEAD);
        let window = &text[..text.len().min(head_limit)];
        if !scan.is_due(window, text.len() >= head_limit, limits) {
            return Ok(None);
        }
        // The line is judged before what comes after it, and on no more bytes than it may have:
        // so the verdict is the same however much has come.
        let line_limit = limits.request_line.saturating_add(2);
        let line = memchr::memchr(b'\n', &window[..window.len().min(line_limit)]);
        let is_too_long = line.is_none() && window.len() >= line_limit;
        let window = if is_too_long { &window[..line_limit] } else { window };

        if limits.fields <= ON_STACK {
            let mut slots = [const { MaybeUninit::uninit() }; ON_STACK];
            self.parse_into(input, start, window, line, &mut slots[..limits.fields])
        } else {
            let mut slots = Vec::new();
            slots.resize_with(limits.fields.min(window.len()), MaybeUninit::uninit);
            self.parse_into(input, start, window, line, &mut slots)
        }
        .and_then(|end| match end {
            Some(end) => Ok(Some(start + end)),
            None if is_too_long => Err(Reason::LineTooLong),
            None if text.len() >= head_limit => Err(Reason::HeadTooLarge),
            None => Ok(None),
        })
    }

    fn parse_into<'b>(
        &mut self,
        input: &'b [u8],
        start: usize,
        window: &'b [u8],
        line: Option<usize>,
        slots: &mut [MaybeUninit<httparse::Header<'b>>],
    ) -> Result<Option<usize>, Reason> {
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(window, slots) {
            Ok(httparse::Status::Complete(end)) => {
                self.fill(input, start, &request)?;
                self.check_lines(input, start + end)?;
                self.interpret(input)?;
                Ok(Some(end))
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(httparse::Error::TooManyHeaders) => Err(Reason::TooManyFields),
            // Which version it is can be said once the line is whole.
            Err(httparse::Error::Version) => match line {
                Some(end) => Err(faults::in_version(&window[..end])),
                None => Ok(None),
            },
            Err(_) => Err(faults::in_head(window)),
        }
    }

    /// Notes where everything is.
    fn fill(
        &mut self,
        input: &[u8],
        start: usize,
        request: &httparse::Request<'_, '_>,
    ) -> Result<(), Reason> {
        let base = input.as_ptr() as usize;
        let span = |part: &[u8]| {
            let at = part.as_ptr() as usize - base;
            Span { start: at as u32, end: (at + part.len()) as u32 }
        };
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Err(Reason::Line);
        };
        // One that is empty may lie anywhere.
        if method.is_empty() || target.is_empty() {
            return Err(faults::in_head(&input[start..]));
        }
        self.method = span(method.as_bytes());
        self.whole_target = span(target.as_bytes());
        self.version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
        self.fields.clear();
        self.fields.reserve(request.headers.len());
        for header in &*request.headers {
            let name = span(header.name.as_bytes());
            let value = if header.value.is_empty() {
                Span { start: name.end, end: name.end }
            } else {
                span(header.value)
            };
            self.fields.push(Field { name, value });
        }
        Ok(())
    }

    /// Each line ends in CR LF, the last one too. A value has no LF, so looking before each name is
    /// enough.
    fn check_lines(&self, input: &[u8], end: usize) -> Result<(), Reason> {
        let starts = self.fields.iter().map(|field| field.name.start as usize);
        let is_ended = |at: usize| input[..at].ends_with(b"\r\n");
        match starts.chain([end - 2, end]).all(is_ended) {
            true => Ok(()),
            false => Err(Reason::BareLf),
        }
    }

    /// What the head means, as far as the protocol is concerned.
    fn interpret(&mut self, input: &[u8]) -> Result<(), Reason> {
        let method = self.method.of(input);
        self.target =
            Target::parse(method, input, self.whole_target).map_err(|error| match error {
                TargetError::Byte => Reason::TargetByte,
                TargetError::Form => Reason::TargetForm,
                TargetError::Authority => Reason::TargetAuthority,
            })?;
        let mut meaning = Meaning::default();
        for field in &self.fields {
            meaning.note(field, input);
        }
        self.host = match meaning.hosts {
            0 if self.version == Version::Http11 => return Err(Reason::NoHost),
            0 | 1 => meaning.host,
            _ => return Err(Reason::SeveralHosts),
        };
        if self.host.is_some_and(|host| !is_authority(host.of(input))) {
            return Err(Reason::Host);
        }
        self.framing = Framing::of_request(self.version, meaning.coding, meaning.length)?;
        if self.target.form == Form::Authority {
            return Err(Reason::Connect);
        }
        let is_new = self.version == Version::Http11;
        if meaning.expects_other && is_new {
            return Err(Reason::Expectation);
        }
        self.wants_keep_alive = !meaning.close && (is_new || meaning.keep_alive);
        self.expects_continue = meaning.expects_continue && is_new && self.framing != Framing::None;
        self.accepts_trailers = meaning.accepts_trailers && is_new;
        self.upgrade =
            if is_new && meaning.connection_upgrade { meaning.upgrade } else { Upgrade::None };
        Ok(())
    }

    /// The method as it came: methods differ by case.
    #[must_use]
    pub fn method<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        self.method.of(bytes)
    }

    /// Whether there is one, and nothing before it.
    pub(super) const fn begins_at_start(&self) -> bool {
        self.method.start == 0 && !self.method.is_empty()
    }

    /// The whole target as it came.
    #[must_use]
    pub fn raw_target<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        self.whole_target.of(bytes)
    }

    /// The parts of the target.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The path as it came, percent-encoded: see [`decode_percent`](crate::decode_percent).
    #[must_use]
    pub fn path<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        self.target.path(bytes)
    }

    /// What comes after the `?`, as it came.
    #[must_use]
    pub fn query<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        self.target.query.of(bytes)
    }

    /// Host and port that the request is for. A target in absolute form has them, and then `Host`
    /// is to be ignored (RFC 9112, section 3.2.2): whoever hands the fields on has to put this in
    /// the place of its value. Nothing in a request of HTTP/1.0 that has neither.
    #[must_use]
    pub fn authority<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        match self.target.form {
            Form::Absolute | Form::Authority => self.target.authority.of(bytes),
            Form::Origin | Form::Asterisk => self.host.unwrap_or_default().of(bytes),
        }
    }

    /// The version of the request.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The fields, in their order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Names and values of the fields, in their order.
    pub fn iter<'b>(&self, bytes: &'b [u8]) -> impl ExactSizeIterator<Item = (&'b [u8], &'b [u8])> {
        self.fields.iter().map(|field| (field.name.of(bytes), field.value.of(bytes)))
    }

    /// How the body's end is told.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the connection may be kept, as far as the client is concerned.
    #[must_use]
    pub const fn wants_keep_alive(&self) -> bool {
        self.wants_keep_alive
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    #[must_use]
    pub const fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether the client has said that it keeps trailers (`TE: trailers`).
    #[must_use]
    pub const fn accepts_trailers(&self) -> bool {
        self.accepts_trailers
    }

    /// What the connection is to become.
    #[must_use]
    pub const fn upgrade(&self) -> Upgrade {
        self.upgrade
    }
}

/// What the fields that concern the protocol say.
#[derive(Default)]
struct Meaning {
    hosts: usize,
    host: Option<Span>,
    coding: Coding,
    length: Length,
    close: bool,
    keep_alive: bool,
    connection_upgrade: bool,
    upgrade: Upgrade,
    expects_continue: bool,
    expects_other: bool,
    accepts_trailers: bool,
}

impl Meaning {
    #[inline]
    fn note(&mut self, field: &Field, input: &[u8]) {
        let name = field.name.of(input);
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        // By length first: most fields are none of these, and are asked no more than that.
        match name.len() {
            2 if is(b"te") => {
                let mut members = bytes::members(field.value.of(input));
                self.accepts_trailers |= members.any(|m| m.eq_ignore_ascii_case(b"trailers"));
            }
            4 if is(b"host") => {
                self.hosts += 1;
                self.host = Some(field.value);
            }
            6 if is(b"expect") => {
                for member in bytes::members(field.value.of(input)) {
                    let is_known = member.eq_ignore_ascii_case(b"100-continue");
                    self.expects_continue |= is_known;
                    self.expects_other |= !is_known;
                }
            }
            7 if is(b"upgrade") => {
                for member in bytes::members(field.value.of(input)) {
                    match member.eq_ignore_ascii_case(b"websocket") {
                        true => self.upgrade = Upgrade::WebSocket,
                        false if self.upgrade == Upgrade::None => self.upgrade = Upgrade::Other,
                        false => {}
                    }
                }
            }
            10 if is(b"connection") => {
                for member in bytes::members(field.value.of(input)) {
                    self.close |= member.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
                    self.connection_upgrade |= member.eq_ignore_ascii_case(b"upgrade");
                }
            }
            14 if is(b"content-length") => {
                self.length = self.length.line(field.value.of(input));
            }
            17 if is(b"transfer-encoding") => {
                self.coding = self.coding.line(field.value.of(input));
            }
            _ => {}
        }
    }
}

impl Scan {
    /// Whether there is anything to learn from these bytes: at first, when the head has ended, when
    /// a limit is reached, and, so that garbage does not wait for a deadline, whenever there is
    /// twice as much.
    fn is_due(&mut self, window: &[u8], is_full: bool, limits: &Limits) -> bool {
        let len = window.len();
        let (searched, parsed) = (self.searched as usize, self.parsed as usize);
        let line_limit = limits.request_line.saturating_add(2);
        let is_due = parsed == 0
            || is_full
            || len >= parsed.saturating_mul(2)
            || (searched < line_limit && len >= line_limit)
            || has_end(&window[searched.saturating_sub(3).min(len)..]);
        self.searched = len as u32;
        if is_due {
            self.parsed = len as u32;
        }
        is_due
    }
}

/// Whether there is an empty line.
fn has_end(text: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', text)
        .any(|at| matches!(&text[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses it as it comes, in pieces that end at these places; the length of the head.
    fn parse_in(
        input: &[u8],
        limits: &Limits,
        ends: impl Iterator<Item = usize>,
    ) -> Result<(Head, usize), Reason> {
        let (mut head, mut scan) = (Head::default(), Scan::default());
        for end in ends.chain([input.len()]) {
            if let Some(len) = head.parse(&input[..end], 0, &mut scan, limits)? {
                assert!(len <= end);
                return Ok((head, len));
            }
        }
        panic!("it is not whole: {}", String::from_utf8_lossy(input))
    }

    /// The verdict, which is the same wherever it is cut.
    fn parse_bytes(input: &[u8], limits: &Limits) -> Result<(Head, usize), Reason> {
        let whole = parse_in(input, limits, std::iter::empty());
        let verdict = |result: &Result<(Head, usize), Reason>| {
            result.as_ref().map(|(head, len)| (format!("{head:?}"), *len)).map_err(|&reason| reason)
        };
        for at in 0..input.len() {
            let cut = parse_in(input, limits, [at].into_iter());
            assert_eq!(verdict(&cut), verdict(&whole), "cut at {at}");
        }
        let drip = parse_in(input, limits, 0..input.len());
        assert_eq!(verdict(&drip), verdict(&whole), "byte by byte");
        whole
    }

    fn parse(input: &str) -> Result<Head, Reason> {
        parse_bytes(input.as_bytes(), &Limits::default()).map(|(head, _)| head)
    }

    fn refused(input: &str) -> Reason {
        match parse(input) {
            Ok(head) => panic!("{input:?} is taken for {head:?}"),
            Err(reason) => reason,
        }
    }

    /// With a request line and a Host before it, and the empty line after it.
    fn with(fields: &str) -> String {
        format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n")
    }

    #[test]
    fn rfc9112_3_a_request_in_ranges() {
        let input =
            b"POST /a%20b?c=d HTTP/1.1\r\nHost: h:80\r\nX-One:\t 1 2 \t\r\nempty:\r\n\r\nbody";
        let (head, len) = parse_bytes(input, &Limits::default()).expect("right");
        assert_eq!(&input[len..], b"body");
        assert_eq!(head.method(input), b"POST");
        assert_eq!(head.raw_target(input), b"/a%20b?c=d");
        assert_eq!(head.path(input), b"/a%20b");
        assert_eq!(head.query(input), b"c=d");
        assert_eq!(head.authority(input), b"h:80");
        assert_eq!(head.version(), Version::Http11);
        let fields: Vec<_> = head.iter(input).collect();
        assert_eq!(fields, [(&b"Host"[..], &b"h:80"[..]), (b"X-One", b"1 2"), (b"empty", b"")]);
        assert_eq!(head.framing(), Framing::None);
        assert!(head.wants_keep_alive());
    }

    #[test]
    fn rfc9112_3_ranges_count_from_the_start() {
        let input = b"beforeGET / HTTP/1.1\r\nHost: h\r\n\r\n";
        let mut head = Head::default();
        let end = head.parse(input, 6, &mut Scan::default(), &Limits::default());
        assert_eq!(end, Ok(Some(input.len())));
        assert_eq!(head.method(input), b"GET");
        assert_eq!(head.authority(input), b"h");
    }

    #[test]
    fn rfc9112_3_request_lines_that_are_none() {
        for line in [
            "GET /",
            "GET",
            "",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            " GET / HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/1.1 x",
            "GET / http/1.1",
            "GET / HTTP/1",
            "GET / HTTP/11",
            "GET / HTTP/1.1.1",
            "GET / HTTP/1.10",
            "GET / HTP/1.1",
            "GET / HTTP /1.1",
            "G\u{e9}T / HTTP/1.1",
            "G(T / HTTP/1.1",
            "/ HTTP/1.1",
            "GET /a b HTTP/1.1",
            "\u{16}\u{3}\u{1}\u{2}",
        ] {
            let reason = refused(&format!("{line}\r\nHost: h\r\n\r\n"));
            assert_eq!(reason, Reason::Line, "{line:?}");
        }
    }

    #[test]
    fn rfc9112_2_3_versions() {
        for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.7"] {
            let reason = refused(&format!("GET / {version}\r\nHost: h\r\n\r\n"));
            assert_eq!(reason, Reason::Version, "{version}");
        }
        assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Reason::Http2);
        let head = parse("GET / HTTP/1.0\r\n\r\n").expect("no Host is needed");
        assert_eq!(head.version(), Version::Http10);
        assert!(!head.wants_keep_alive());
    }

    #[test]
    fn rfc9112_3_2_targets() {
        assert_eq!(refused("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"), Reason::TargetByte);
        assert_eq!(refused("GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n"), Reason::TargetByte);
        assert_eq!(refused("GET /\u{1} HTTP/1.1\r\nHost: h\r\n\r\n"), Reason::TargetByte);
        assert_eq!(refused("GET /\u{7f} HTTP/1.1\r\nHost: h\r\n\r\n"), Reason::TargetByte);
        assert_eq!(refused("GET a HTTP/1.1\r\nHost: h\r\n\r\n"), Reason::TargetForm);
        assert_eq!(refused("GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n"), Reason::TargetAuthority);
        assert_eq!(refused("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"), Reason::Connect);
    }

    #[test]
    fn rfc9112_3_2_2_the_host_of_an_absolute_target_counts() {
        let input = "GET http://one/a HTTP/1.1\r\nHost: two\r\n\r\n";
        let head = parse(input).expect("right");
        assert_eq!(head.authority(input.as_bytes()), b"one");
    }

    #[test]
    fn rfc9112_3_2_host() {
        assert_eq!(refused("GET / HTTP/1.1\r\nA: b\r\n\r\n"), Reason::NoHost);
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), Reason::NoHost);
        assert_eq!(refused("GET http://h/ HTTP/1.1\r\n\r\n"), Reason::NoHost);
        for version in ["1.0", "1.1"] {
            let twice = format!("GET / HTTP/{version}\r\nHost: h\r\nhost: h\r\n\r\n");
            assert_eq!(refused(&twice), Reason::SeveralHosts);
        }
        for host in ["a b", "u@h", "h/", "h:x", "h, i/", "h\u{e9}"] {
            assert_eq!(refused(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), Reason::Host);
        }
        assert!(parse("GET / HTTP/1.1\r\nHost:\r\n\r\n").is_ok());
    }

    #[test]
    fn rfc9112_2_2_lines_end_in_crlf() {
        for input in [
            "GET / HTTP/1.1\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\n\n",
            "GET / HTTP/1.1\r\nHost: h\n\n",
            "GET / HTTP/1.1\r\nHost: h\r\nA:\nB: c\r\n\r\n",
            "GET / HTTP/1.0\n\r\n",
            "GET / HTTP/1.0\n\n",
            "GET / HTTP/1.1\nHost : h\r\n\r\n",
        ] {
            assert_eq!(refused(input), Reason::BareLf, "{input:?}");
        }
        assert_eq!(refused(&with("A: b\rc")), Reason::BareCr);
        assert_eq!(refused(&with("A: b\r\r")), Reason::BareCr);
        assert_eq!(refused(&with("\rA: b")), Reason::BareCr);
        assert_eq!(refused("GET / HTTP/1.1\rHost: h\r\n\r\n"), Reason::Line);
    }

    #[test]
    fn rfc9112_5_1_names() {
        assert_eq!(refused(&with("A : b")), Reason::SpaceBeforeColon);
        assert_eq!(refused(&with("A\t: b")), Reason::SpaceBeforeColon);
        assert_eq!(refused(&with("A b: c")), Reason::SpaceBeforeColon);
        assert_eq!(refused(&with(": b")), Reason::EmptyName);
        assert_eq!(refused(&with("A")), Reason::NoColon);
        assert_eq!(refused(&with("A(: b")), Reason::NameByte);
        assert_eq!(refused(&with("\u{e9}: b")), Reason::NameByte);
        assert_eq!(refused(&with("A\0: b")), Reason::Nul);
        assert_eq!(refused(&with("A\u{b}: b")), Reason::NameByte);
    }

    #[test]
    fn rfc9112_5_2_lines_do_not_go_on() {
        assert_eq!(refused(&with("A: b\r\n c")), Reason::ObsFold);
        assert_eq!(refused(&with("A: b\r\n\tc: d")), Reason::ObsFold);
        // Nor the request line: section 2.2.
        assert_eq!(refused("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), Reason::ObsFold);
    }

    #[test]
    fn rfc9110_5_5_values() {
        assert_eq!(refused(&with("A: b\0c")), Reason::Nul);
        for byte in (1..0x20).chain([0x7f]) {
            if matches!(byte, b'\t' | b'\n' | b'\r') {
                continue;
            }
            let line = format!("A: b{}c", byte as char);
            assert_eq!(refused(&with(&line)), Reason::ValueByte, "{line:?}");
        }
        assert!(parse(&with("A: b\tc\u{e9} \u{a0}")).is_ok());
        let mut input = with("A: ?").into_bytes();
        for byte in 0x80..=0xff {
            let at = input.len() - 5;
            input[at] = byte;
            assert!(parse_bytes(&input, &Limits::default()).is_ok(), "{byte:#x}");
        }
    }

    #[test]
    fn rfc9112_6_framing() {
        let framing = |fields: &str| parse(&with(fields)).map(|head| head.framing());
        assert_eq!(framing("Content-Length: 5"), Ok(Framing::Sized(5)));
        assert_eq!(framing("content-LENGTH:5"), Ok(Framing::Sized(5)));
        assert_eq!(framing("Content-Length: 0"), Ok(Framing::None));
        assert_eq!(framing("Transfer-Encoding: chunked"), Ok(Framing::Chunked));
        assert_eq!(framing("Content-Length: 5\r\nContent-Length: 5"), Err(Reason::SeveralLengths));
        assert_eq!(framing("Content-Length: +5"), Err(Reason::Length));
        assert_eq!(framing("Content-Length:"), Err(Reason::Length));
        let both = "Content-Length: 5\r\nTransfer-Encoding: chunked";
        assert_eq!(framing(both), Err(Reason::LengthAndCoding));
        assert_eq!(framing("Transfer-Encoding: gzip"), Err(Reason::CodingNotChunked));
        assert_eq!(framing("Transfer-Encoding: gzip, chunked"), Err(Reason::CodingUnknown));
        assert_eq!(framing("Transfer-Encoding:"), Err(Reason::CodingNotChunked));
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(old), Reason::CodingIn10);
    }

    #[test]
    fn request_lines_are_bounded() {
        let limits = Limits { request_line: 20, ..Limits::default() };
        let verdict = |target: &str, rest: &str| {
            let input = format!("GET /{target} HTTP/1.1{rest}");
            parse_bytes(input.as_bytes(), &limits).map(|_| ()).map_err(|reason| reason.status())
        };
        assert_eq!(verdict("123456", "\r\nHost: h\r\n\r\n"), Ok(()));
        assert_eq!(verdict("1234567", "\r\nHost: h\r\n\r\n"), Err(414));
        assert_eq!(verdict(&"x".repeat(50), ""), Err(414));
        // What is wrong before the limit is what is told, but for the version.
        assert_eq!(verdict("12 4567", "\r\nHost: h\r\n\r\n"), Err(414));
        assert_eq!(verdict("1234567\0", "\r\nHost: h\r\n\r\n"), Err(400));
        assert_eq!(verdict("1234567890123456789\0", "\r\nHost: h\r\n\r\n"), Err(414));
    }

    #[test]
    fn heads_are_bounded() {
        let input = with("A: 12345");
        let len = input.len();
        let verdict = |head: usize| {
            parse_bytes(input.as_bytes(), &Limits { head, ..Limits::default() }).map(|(_, len)| len)
        };
        assert_eq!(verdict(len), Ok(len));
        assert_eq!(verdict(len - 1), Err(Reason::HeadTooLarge));
        assert_eq!(verdict(30), Err(Reason::HeadTooLarge));
    }

    #[test]
    fn fields_are_counted() {
        for limit in [0, 3, 127, 128, 129, 300] {
            let limits = Limits { fields: limit, ..Limits::default() };
            let request = |count: usize| {
                let host = if count > 0 { "Host: h\r\n" } else { "" };
                let more = "A: b\r\n".repeat(count.saturating_sub(1));
                format!("GET / HTTP/1.0\r\n{host}{more}\r\n")
            };
            let verdict = |count: usize| {
                let input = request(count);
                parse_in(input.as_bytes(), &limits, (0..input.len()).step_by(7))
                    .map(|(head, _)| head.fields().len())
            };
            assert_eq!(verdict(limit), Ok(limit));
            assert_eq!(verdict(limit + 1), Err(Reason::TooManyFields));
        }
    }

    #[test]
    fn a_head_in_single_bytes_is_parsed_seldom() {
        let input = with(&format!("A: {}", "x".repeat(4000)));
        let (mut head, mut scan) = (Head::default(), Scan::default());
        let mut parsed = 0;
        for end in 1..=input.len() {
            let before = scan.parsed;
            let _ = head.parse(&input.as_bytes()[..end], 0, &mut scan, &Limits::default());
            parsed += u32::from(scan.parsed != before);
        }
        assert!(parsed < 20, "{parsed} times");
    }

    #[test]
    fn expectations_and_options() {
        let head = parse(&with("Content-Length: 1\r\nExpect: 100-continue")).expect("right");
        assert!(head.expects_continue());
        // Without a body there is nothing to wait with.
        let head = parse(&with("Expect: 100-continue\r\nTE: deflate, Trailers")).expect("right");
        assert!(!head.expects_continue());
        assert!(head.accepts_trailers());
        assert_eq!(refused(&with("Expect: 100-continue, x")), Reason::Expectation);
    }
}
