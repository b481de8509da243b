//! Signals as bytes in a pipe, which the engine watches like any other source.
//!
//! A handler may do next to nothing, but it may write(2); so it writes the signal's number to a
//! pipe, and the loop reads it in its own time. CPython has that handler already: give
//! [`write_fd`](SignalPipe::write_fd) to `signal.set_wakeup_fd` and it writes a byte per signal
//! (`trip_signal` in `Modules/signalmodule.c`). A host without Python uses
//! [`catch`](SignalPipe::catch).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::sys;

/// A non-blocking pipe whose bytes are signal numbers.
///
/// Register [`read_fd`](Self::read_fd) for reading, level-triggered, and [`drain`](Self::drain) it
/// when told. Signals that come while no turn runs stay in the pipe for the next one. 64 KiB of
/// them fit; what comes on top is lost, as signals of a kind are when they come in bursts.
#[derive(Debug)]
pub struct SignalPipe {
    /// Fields are dropped in this order: handlers are taken back before the descriptor that they
    /// write to is closed.
    caught: Vec<sys::Caught>,
    reader: OwnedFd,
    writer: OwnedFd,
}

impl SignalPipe {
    /// A pipe that nobody writes to yet.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = sys::pipe()?;
        Ok(Self { caught: Vec::new(), reader, writer })
    }

    /// The end to register.
    #[must_use]
    pub fn read_fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// The end for the handler. Take it back from the handler (`signal.set_wakeup_fd(-1)`) before
    /// the pipe is dropped.
    #[must_use]
    pub fn write_fd(&self) -> RawFd {
        self.writer.as_raw_fd()
    }

    /// Catches a signal by a handler of ours until the pipe is dropped, which restores what was
    /// there before. For hosts without signal handling of their own: only one pipe of a process can
    /// catch signals at a time.
    ///
    /// # Errors
    ///
    /// EINVAL for numbers that are no signal or cannot be caught; EBUSY if another pipe catches
    /// signals.
    pub fn catch(&mut self, signal: i32) -> io::Result<()> {
        self.caught.push(sys::Caught::new(signal, self.write_fd())?);
        Ok(())
    }

    /// Appends the numbers of the signals that came, oldest first, repeated ones repeated.
    ///
    /// # Errors
    ///
    /// None that a correct program could cause.
    pub fn drain(&mut self, signals: &mut Vec<u8>) -> io::Result<()> {
        let mut buffer = [0_u8; 256];
        loop {
            match sys::read(&self.reader, &mut buffer) {
                Ok(count) => {
                    signals.extend_from_slice(&buffer[..count]);
                    if count < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, since the pipe that catches is the process's only one.
    #[test]
    fn caught_signals_come_out_in_order_and_handlers_are_restored() {
        let mut pipe = SignalPipe::new().unwrap();
        let mut signals = Vec::new();
        pipe.drain(&mut signals).unwrap();
        assert_eq!(signals, []);

        pipe.catch(libc::SIGUSR1).unwrap();
        pipe.catch(libc::SIGUSR2).unwrap();
        for signal in [libc::SIGUSR2, libc::SIGUSR1, libc::SIGUSR1] {
            sys::raise(signal);
        }
        pipe.drain(&mut signals).unwrap();
        let expected = [libc::SIGUSR2, libc::SIGUSR1, libc::SIGUSR1].map(|signal| signal as u8);
        assert_eq!(signals, expected);

        let mut other = SignalPipe::new().unwrap();
        let error = other.catch(libc::SIGUSR1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
        drop(pipe);
        other.catch(libc::SIGUSR1).unwrap();
        sys::raise(libc::SIGUSR1);
        signals.clear();
        other.drain(&mut signals).unwrap();
        assert_eq!(signals, [libc::SIGUSR1 as u8]);

        for bad in [0, -1, 1_000, libc::SIGKILL] {
            assert_eq!(other.catch(bad).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        }
    }

    #[test]
    fn more_signals_than_one_read_takes() {
        let mut pipe = SignalPipe::new().unwrap();
        for _ in 0..1_000 {
            sys::write(&pipe.writer, &[7]).unwrap();
        }
        let mut signals = Vec::new();
        pipe.drain(&mut signals).unwrap();
        assert_eq!(signals, [7; 1_000]);
    }
}
