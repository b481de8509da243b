//! Promise: a signal's byte goes to the pipe that caught it or nowhere, never to a file that was
//! given its number.
//!
//! One test to a process: signals are the process's.

#![expect(unsafe_code, reason = "signals are ignored and raised")]

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ferrio_engine::SignalPipe;

#[test]
fn no_byte_goes_to_who_has_the_number_next() {
    // SAFETY: to ignore a signal runs no code.
    unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // SAFETY: it is caught or ignored at all times.
                    unsafe { libc::raise(libc::SIGUSR1) };
                }
            });
        }
        let start = Instant::now();
        let mut foreign = 0;
        while start.elapsed() < Duration::from_secs(2) && foreign == 0 {
            let mut pipe = SignalPipe::new().unwrap();
            pipe.catch(libc::SIGUSR1).unwrap();
            drop(pipe);
            // The numbers that were just closed.
            let (mut one, mut two) = UnixStream::pair().unwrap();
            for end in [&one, &two] {
                end.set_nonblocking(true).unwrap();
            }
            thread::yield_now();
            for end in [&mut one, &mut two] {
                match end.read(&mut [0; 16]) {
                    Ok(count) => foreign += count,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(foreign, 0, "a signal's bytes in another file");
    });
}
