//! What we take for requests is the same as what httptools (llhttp) and h11 take for requests, in
//! the corpus of request smuggling and thousands of variations of it.
//!
//! They may refuse what we accept, and accept what we refuse: most of the corpus is such. They may
//! not see another request, or another body, where we have accepted one.
//!
//! ```console
//! $ pip install httptools h11
//! $ FERRIO_HTTP_PYTHON=python3 cargo test -p ferrio-http --test smuggling -- --ignored
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ferrio_http::Limits;

use crate::{corpus, host};

const VARIATIONS: usize = 20;

#[test]
#[ignore = "needs a Python with httptools and h11, named by FERRIO_HTTP_PYTHON"]
fn others_see_the_same_requests() {
    let mut streams: Vec<Vec<u8>> = corpus::all().into_iter().map(|case| case.bytes).collect();
    let mut random = Random(0x5eed);
    for at in 0..streams.len() {
        for _ in 0..VARIATIONS {
            let mut stream = streams[at].clone();
            random.vary(&mut stream);
            streams.push(stream);
        }
    }
    let answers = ask(&streams);
    assert_eq!(answers.lines().count(), streams.len(), "an answer for each");
    let (mut compared, mut different) = (BTreeMap::new(), Vec::new());
    for (stream, answer) in streams.iter().zip(answers.lines()) {
        let (ours, is_refused) = requests(stream);
        for (who, (theirs, they_refused)) in ["httptools", "h11"].into_iter().zip(parse(answer)) {
            let both = ours.len().min(theirs.len());
            let is_same = ours[..both] == theirs[..both]
                && (is_refused || they_refused || ours.len() == theirs.len());
            *compared.entry(who).or_insert(0) += both;
            if !is_same {
                different
                    .push(format!("{who}: {theirs:?}, ours: {ours:?}, {}", stream.escape_ascii()));
            }
        }
    }
    assert!(
        different.is_empty(),
        "{} differ\n{}",
        different.len(),
        different[..different.len().min(20)].join("\n")
    );
    assert!(compared.values().all(|&count| count > 1000), "{compared:?}");
}

type Request = [String; 3];

/// Ours, and whether something was refused after them or the connection closed.
fn requests(stream: &[u8]) -> (Vec<Request>, bool) {
    let outcome = host::run(stream, &Limits::default(), std::iter::empty());
    let requests = outcome.verdicts.iter().zip(&outcome.bodies).map(|(verdict, (body, _))| {
        let mut parts = verdict.split(' ');
        let mut part = || hex(parts.next().unwrap_or_default().as_bytes());
        [part(), part(), hex(body)]
    });
    let requests: Vec<_> = requests.collect();
    let is_over = outcome.verdicts.len() > requests.len()
        && outcome.verdicts.last().is_some_and(|last| last != "waits");
    (requests, is_over)
}

fn ask(streams: &[Vec<u8>]) -> String {
    let python = std::env::var("FERRIO_HTTP_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/others.py");
    let mut child = Command::new(&python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{python}: {error}"));
    let lines: String = streams.iter().map(|stream| hex(stream) + "\n").collect();
    let mut stdin = child.stdin.take().expect("it is piped");
    // It answers while it reads: the pipe would be full.
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it has read all");
    assert!(output.status.success(), "{python} failed: {}", output.status);
    String::from_utf8(output.stdout).expect("JSON")
}

/// `[[[["47", "2f", ""], ...], false], ...]`, as `json.dumps` writes it.
fn parse(answer: &str) -> Vec<(Vec<Request>, bool)> {
    let mut strings = Vec::new();
    let mut answers = Vec::new();
    let mut rest = answer;
    while let Some(at) = rest.find(['"', 't', 'f']) {
        if let Some(text) = rest[at..].strip_prefix('"') {
            let end = text.find('"').expect("a string ends");
            strings.push(text[..end].to_owned());
            rest = &text[end + 1..];
            continue;
        }
        let requests = std::mem::take(&mut strings);
        let requests = requests.chunks(3).map(|parts| parts.to_vec().try_into().expect("three"));
        answers.push((requests.collect(), rest[at..].starts_with("true")));
        rest = &rest[at + 4..];
    }
    answers
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// xorshift64*: the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    /// Changes, inserts and removes a few bytes, mostly those that mean something.
    fn vary(&mut self, bytes: &mut Vec<u8>) {
        const KEEN: &[u8] = b"\r\n\t :;,0123456789aA+-_=\"\0\x0b\x7f\x80/?#%@\\[]";
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            let byte = KEEN[self.below(KEEN.len())];
            match self.below(4) {
                0 => bytes[at] = byte,
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => {
                    // Two bytes change places.
                    let other = (at + 1) % bytes.len();
                    bytes.swap(at, other);
                }
                _ => bytes.insert(at, byte),
            }
        }
    }
}
