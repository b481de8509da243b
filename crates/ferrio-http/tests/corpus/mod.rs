//! The corpus of request smuggling.
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
//! is what [`Outcome`] lists, joined by ` + `.

use std::fs;
use std::path::Path;

pub(crate) struct Case {
    /// Where it is: file and line.
    pub place: String,
    pub verdict: String,
    pub bytes: Vec<u8>,
}

/// All cases, in the order of the files.
pub(crate) fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smuggling");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    files.sort();
    assert!(files.len() >= 20, "a file for each class");
    let read = |file: &std::path::PathBuf| {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        cases(&fs::read_to_string(file).expect("a text"), &name)
    };
    files.iter().flat_map(read).collect()
}

fn cases(text: &str, name: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut says_why = false;
    for (at, line) in text.lines().enumerate() {
        if let Some(verdict) = line.strip_prefix("== ") {
            let place = format!("{name}:{}", at + 1);
            cases.push(Case { place, verdict: verdict.trim().into(), bytes: vec![] });
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
