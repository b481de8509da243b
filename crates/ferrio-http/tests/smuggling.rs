//! Request smuggling: every class that is known, and what RFC 9112 has a server do about it.
//!
//! A file of `tests/smuggling` is a class. Its first lines say what it is, with the section that
//! judges it; then come cases, each a verdict and the bytes:
//!
//! ```text
//! == POST /a 5 + 400 LengthAndCoding
//! POST /a HTTP/1.1\r\n
//! ```
//!
//! Ends of lines are not bytes; `\r`, `\n`, `\t`, `\0`, `\\`, `\s` (a space) and `\xNN` are. A verdict
//! is what [`host::Outcome`] lists, joined by ` + `, or `nothing`.

mod host;

use std::fs;
use std::path::Path;

use ferrio_http::Limits;

struct Case {
    line: usize,
    verdict: String,
    bytes: Vec<u8>,
}

#[test]
fn every_class_has_its_verdict() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smuggling");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    files.sort();
    let (mut count, mut wrong) = (0, Vec::new());
    for file in &files {
        let text = fs::read_to_string(file).expect("a text");
        let name = file.file_name().expect("a file").to_string_lossy();
        for case in cases(&text, &name) {
            let outcome = host::run_cut_anywhere(&case.bytes, &Limits::default());
            let verdict = match outcome.verdicts.as_slice() {
                [] => "nothing".into(),
                verdicts => verdicts.join(" + "),
            };
            if verdict != case.verdict {
                wrong.push(format!("{name}:{}: {verdict}, not {}", case.line, case.verdict));
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(files.len() >= 20 && count >= 150, "{count} cases in {} files", files.len());
}

fn cases(text: &str, name: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut says_why = false;
    for (at, line) in text.lines().enumerate() {
        if let Some(verdict) = line.strip_prefix("== ") {
            cases.push(Case { line: at + 1, verdict: verdict.trim().into(), bytes: vec![] });
        } else if let Some(case) = cases.last_mut() {
            case.bytes
                .extend(unescape(line).unwrap_or_else(|| panic!("{name}:{}: {line}", at + 1)));
        } else {
            says_why |= line.contains("RFC ");
        }
    }
    assert!(says_why, "{name} names no RFC");
    assert!(!cases.is_empty(), "{name} has no case");
    assert!(cases.iter().all(|case| !case.bytes.is_empty()), "{name} has an empty case");
    cases
}

fn unescape(line: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b's' => b' ',
                b'0' => 0,
                b'\\' => b'\\',
                b'x' => {
                    let mut digit = || (*rest.next()? as char).to_digit(16);
                    (digit()? * 16 + digit()?) as u8
                }
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(bytes)
}
