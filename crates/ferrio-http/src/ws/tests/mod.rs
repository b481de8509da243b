//! Both roles of a [`Connection`], by section of RFC 6455 and RFC 7692, and Autobahn's cases as far
//! as they can be said without a socket.

mod autobahn;
mod compression;
mod cut;
mod deadlines;
mod handshake;
mod sending;

use std::time::Duration;

use super::{
    Agreed, Client, Close, Config, Connection, Event, Fault, Header, Keys, Kind, Limits, Mask,
    Opcode, Request, Role, Workspace,
};

/// What has come, as values.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Said {
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
            Event::Binary(data) => {
                let bytes = data.to_vec();
                let mut copy = vec![0; data.len()];
                data.copy(&mut copy);
                assert_eq!(copy, bytes);
                Self::Binary(bytes)
            }
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close(Close { code, reason }) => Self::Close(code, reason.to_owned()),
            Event::Failed(fault) => Self::Failed(fault),
        })
    }
}

/// A connection with what it needs.
struct Side {
    connection: Connection,
    workspace: Workspace,
    limits: Limits,
    out: Vec<u8>,
    now: Duration,
}

impl Side {
    fn new(role: Role, deflate: Option<Agreed>) -> Self {
        Self {
            connection: Connection::new(role, deflate, Duration::ZERO),
            workspace: Workspace::default(),
            limits: Limits::default(),
            out: Vec::new(),
            now: Duration::ZERO,
        }
    }

    fn server() -> Self {
        Self::new(Role::Server, None)
    }

    fn client() -> Self {
        Self::new(Role::Client(keys()), None)
    }

    /// All events of `input`, of which everything is used.
    fn receive(&mut self, input: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        let mut at = 0;
        loop {
            let Self { connection, workspace, limits, out, now } = self;
            let step = connection.receive(&input[at..], out, workspace, limits, *now);
            at += step.used;
            match Said::of(step.event) {
                Some(event) => said.push(event),
                None => break,
            }
        }
        assert_eq!(at, input.len(), "what is not whole is kept");
        said
    }

    fn send(&mut self, kind: Kind, data: &[u8]) {
        let Self { connection, workspace, out, .. } = self;
        connection.send(kind, data, out, workspace).expect("it is open");
    }

    fn send_part(&mut self, kind: Kind, data: &[u8], is_last: bool) {
        let Self { connection, workspace, out, .. } = self;
        connection.send_part(kind, data, is_last, out, workspace).expect("it is open");
    }

    fn close(&mut self, code: Option<u16>, reason: &str) {
        let Self { connection, out, now, .. } = self;
        connection.close(Close { code, reason }, out, *now).expect("it is open");
    }

    fn sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

/// Keys that tell from which byte they are.
fn keys() -> Keys {
    Keys::new(|bytes| {
        for (byte, value) in bytes.iter_mut().zip((1..=u8::MAX).cycle()) {
            *byte = value.wrapping_mul(37);
        }
    })
}

/// A frame as a client sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = Mask::new([0x37, 0xfa, 0x21, 0x3d]);
    let mut frame = plain(first, payload);
    frame[1] |= 0x80;
    let at = frame.len() - payload.len();
    frame.truncate(at);
    frame.extend_from_slice(&mask.key());
    mask.append(payload, &mut frame);
    frame
}

/// A frame as a server sends it, with any first byte.
fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let len = payload.len() as u64;
    let opcode = Opcode::Binary;
    Header { is_final: true, is_compressed: false, opcode, mask: None, len }.write(&mut frame);
    frame[0] = first;
    frame.extend_from_slice(payload);
    frame
}

/// A client and a server that have shaken hands with these wishes.
fn pair(client: &Config, server: &Config) -> (Side, Side) {
    let handshake = Client::new(*b"0123456789abcdef");
    let mut request = Vec::new();
    handshake
        .write((b"/chat", b"example.org"), &[], Some(client), [], &mut request)
        .expect("the fields are valid");
    let request = Request::parse(b"GET", true, fields(&request)).expect("it is a handshake");
    let accepted = request.accept(None, Some(server)).expect("no subprotocol is named");
    let mut response = Vec::new();
    accepted.write([], &mut response).expect("the fields are valid");
    let (_, deflate) = handshake
        .confirm(101, fields(&response), &[], Some(client))
        .expect("the answer belongs to the request");
    assert_eq!(deflate.is_some(), accepted.deflate().is_some());
    (Side::new(Role::Client(keys()), deflate), Side::new(Role::Server, accepted.deflate()))
}

/// The fields of a head that is as plain as ours are.
fn fields(head: &[u8]) -> Vec<(&[u8], &[u8])> {
    let head = std::str::from_utf8(head).expect("ascii");
    let lines = head.split("\r\n").skip(1).take_while(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.as_bytes(), value.as_bytes())
        })
        .collect()
}

/// A loop may be made on one thread and run on another, with all its connections.
#[test]
fn connections_and_workspaces_go_to_other_threads() {
    const fn is_send<T: Send>() {}
    is_send::<Connection>();
    is_send::<Workspace>();
}

/// Sizes at the edges of the three forms of a length, and of what is done in pieces.
const SIZES: [usize; 18] = [
    0, 1, 2, 63, 64, 65, 124, 125, 126, 127, 128, 8191, 8192, 8193, 65_535, 65_536, 65_537, 200_000,
];

/// Text that compresses as text does.
fn text(len: usize) -> String {
    const WORDS: [&str; 7] =
        ["alpha ", "beta ", "κόσμε ", "loop ", "frame ", "\u{1f980} ", "turn "];
    let mut text = String::new();
    let mut at = 7usize;
    while text.len() < len {
        at = at.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        text.push_str(WORDS[(at >> 33) % WORDS.len()]);
    }
    while text.len() > len {
        text.pop();
    }
    while text.len() < len {
        text.push('.');
    }
    text
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
