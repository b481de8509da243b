//! Promise: the end of a child is an event, told once, with the status of that child and no other.
#![cfg(target_os = "linux")]
#![expect(clippy::zombie_processes, reason = "what is tested waits for them")]

mod host;

use std::process::{Command, Stdio};

use ferrio_engine::{Child, DriverKind, Engine, Exit, Interest, Key, Readiness, Trigger};
use host::{events_until, on_every_driver, register};

type Events = Engine<(Key, Readiness, ()), ()>;

fn spawn(script: &str) -> std::process::Child {
    Command::new("/bin/sh").arg("-c").arg(script).stdin(Stdio::piped()).spawn().unwrap()
}

fn wait(driver: DriverKind, child: &Child) -> Exit {
    let mut engine: Events = Engine::new(driver).unwrap();
    register(&mut engine, child, Interest::READ, Trigger::Level, ());
    events_until(&mut engine, |seen| !seen.is_empty());
    child.try_wait().unwrap()
}

#[test]
fn statuses_and_signals_are_told_apart() {
    on_every_driver(|driver| {
        for (script, expected) in [
            ("exit 0", Exit::Status(0)),
            ("exit 7", Exit::Status(7)),
            ("kill -9 $$", Exit::Signal(9)),
            ("kill -15 $$", Exit::Signal(15)),
        ] {
            let process = spawn(script);
            let child = Child::open(process.id().cast_signed()).unwrap();
            assert_eq!(wait(driver, &child), expected, "{script}");
            assert_eq!(child.try_wait().unwrap(), Exit::Unknown, "waited for twice");
        }
    });
}

#[test]
fn a_living_child_is_left_alone() {
    let mut process = spawn("read line; exit 3");
    let child = Child::open(process.id().cast_signed()).unwrap();
    assert_eq!(child.try_wait().unwrap(), Exit::Running);
    drop(process.stdin.take());
    assert_eq!(wait(DriverKind::default(), &child), Exit::Status(3));
}

#[test]
fn who_was_waited_for_elsewhere_is_unknown() {
    let mut process = spawn("exit 5");
    let child = Child::open(process.id().cast_signed()).unwrap();
    assert!(process.wait().unwrap().code() == Some(5));
    assert_eq!(child.try_wait().unwrap(), Exit::Unknown);
}

#[test]
fn there_is_no_such_child() {
    let mut process = spawn("exit 0");
    process.wait().unwrap();
    let error = Child::open(process.id().cast_signed()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::SRCH.raw_os_error()));
}
