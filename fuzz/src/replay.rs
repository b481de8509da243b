//! Every target over its corpus and over random bytes, without libFuzzer.
//!
//! ```text
//! replay [--seconds N] [--seed N] [CORPUS]
//! ```
//!
//! Runs each history in `CORPUS/TARGET.txt`, then random histories, and variations of the corpus, for `N`
//! seconds over all targets (5). What fails is printed as hexadecimal digits; the seed, which is
//! printed too, gives the same histories again.

use std::fmt::Write as _;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferrio_fuzz::{TARGETS, Target};

struct Options {
    seconds: u64,
    seed: u64,
    corpus: PathBuf,
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(options) => options,
        Err(what) => {
            eprintln!("{what}\nusage: replay [--seconds N] [--seed N] [CORPUS]");
            return ExitCode::from(2);
        }
    };
    println!("seed {}", options.seed);
    let mut random = Random(options.seed | 1);
    let mut has_failed = false;
    for target in &TARGETS {
        let corpus = match read(&options.corpus.join(target.0).with_extension("txt")) {
            Ok(corpus) => corpus,
            Err(error) => {
                eprintln!("{}/{}.txt: {error}", options.corpus.display(), target.0);
                return ExitCode::from(2);
            }
        };
        let share = Duration::from_secs(options.seconds) / TARGETS.len() as u32;
        has_failed |= !run(target, &corpus, share, &mut random);
    }
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse() -> Result<Options, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut options = Options { seconds: 5, seed: now.as_nanos() as u64, corpus };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().unwrap_or_default();
            value.parse().map_err(|_| format!("{argument} needs a number, not {value:?}"))
        };
        match argument.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            flag if flag.starts_with('-') => return Err(format!("no such option: {flag}")),
            path => options.corpus = path.into(),
        }
    }
    Ok(options)
}

/// One history a line, in hexadecimal digits.
fn read(path: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let byte = |pair: &[u8]| -> Option<u8> {
        u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()
    };
    let history = |line: &str| -> Option<Vec<u8>> { line.as_bytes().chunks(2).map(byte).collect() };
    let histories: Option<_> = fs::read_to_string(path)?.lines().map(history).collect();
    histories.ok_or_else(|| std::io::Error::other("a line is not made of hexadecimal digits"))
}

/// Returns whether all was well.
fn run(target: &Target, corpus: &[Vec<u8>], time: Duration, random: &mut Random) -> bool {
    let (name, check) = target;
    for bytes in corpus {
        if !holds(name, *check, bytes) {
            return false;
        }
    }
    let start = Instant::now();
    let mut histories = 0;
    while start.elapsed() < time {
        for _ in 0..64 {
            let bytes = if random.below(2) == 0 || corpus.is_empty() {
                random.bytes(1 + 2 * histories % 512)
            } else {
                let mut bytes = corpus[random.below(corpus.len())].clone();
                random.vary(&mut bytes);
                bytes
            };
            if !holds(name, *check, &bytes) {
                return false;
            }
            histories += 1;
        }
    }
    println!("{name:14} {} of the corpus, {histories} random", corpus.len());
    true
}

fn holds(name: &str, check: fn(&[u8]), bytes: &[u8]) -> bool {
    let result = panic::catch_unwind(|| check(bytes));
    if result.is_err() {
        let digits = bytes.iter().fold(String::new(), |mut digits, byte| {
            // Writing to a string cannot fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        });
        println!("{name:14} FAILED: {digits}");
    }
    result.is_ok()
}

/// xorshift64*: repeatable, and good enough to choose bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Changes, inserts and removes a few bytes.
    fn vary(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len() + 1);
            let byte = self.next() as u8;
            match self.below(3) {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
    }
}
