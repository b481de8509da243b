//! Promise: a signal ends a sleep that would be for ever, and those that come while nothing runs
//! are there for the next turn.
//!
//! One test to a process: signals are the process's.

mod host;

use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use ferrio_engine::{Engine, Instant, Interest, SignalPipe, Timeout, Trigger};
use host::on_every_driver;
use rustix::process::{Signal, getpid, kill_process};

#[test]
fn signals_end_a_sleep_and_are_kept_between_turns() {
    on_every_driver(|driver| {
        let mut engine: Engine<(), ()> = Engine::new(driver).unwrap();
        let mut pipe = SignalPipe::new().unwrap();
        pipe.catch(Signal::USR1.as_raw()).unwrap();
        engine.register(pipe.read_fd(), Interest::READ, Trigger::Level, ()).unwrap();
        assert!(pipe.read_fd().as_raw_fd() >= 0);

        let sender = thread::spawn(|| {
            thread::sleep(Duration::from_millis(20));
            kill_process(getpid(), Signal::USR1).unwrap();
        });
        let mut signals = Vec::new();
        while signals.is_empty() {
            let mut wait = engine.begin_wait(Timeout::Forever, Instant::now());
            wait.block().unwrap();
            engine.end_wait(wait);
            engine.collect(Instant::now(), |_, _, (), ready| ready.push(()));
            while engine.pop().is_some() {
                pipe.drain(&mut signals).unwrap();
            }
        }
        sender.join().unwrap();

        kill_process(getpid(), Signal::USR1).unwrap();
        while engine.poll_now().unwrap() == 0 {}
        pipe.drain(&mut signals).unwrap();
        assert_eq!(signals, [Signal::USR1.as_raw() as u8; 2]);
    });
}
