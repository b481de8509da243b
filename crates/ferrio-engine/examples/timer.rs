//! Timers and a Rust future on one engine: the loop that every host writes, at its smallest.
//!
//! `cargo run --example timer`
#![allow(clippy::print_stdout)] // It is a program.

use std::io;
use std::time::Duration;

use ferrio_engine::{DriverKind, Engine, Instant, Ready, Timeout};

fn main() -> io::Result<()> {
    let mut engine: Engine<String, ()> = Engine::new(DriverKind::default())?;
    let start = Instant::now();
    for number in 1..=3 {
        let deadline = start.saturating_add(Duration::from_millis(200 * number));
        engine.add_timer(deadline, format!("timer {number}"));
    }
    let deadline = start.saturating_add(Duration::from_millis(500));
    let sleep = engine.inbox().sleep_until(deadline);
    let inbox = engine.inbox();
    let future = engine.spawn(async move {
        sleep.await;
        // Refused by an engine that was closed, which is not interested any more.
        let _ = inbox.push("a future has slept".into());
    });
    future.detach();

    let mut left = 4;
    while left > 0 {
        let now = Instant::now();
        let timeout = engine.timeout(now);
        if engine.poll_now()? == 0 && timeout != Timeout::Zero {
            let mut wait = engine.begin_wait(timeout, now);
            let blocked = wait.block();
            engine.end_wait(wait);
            blocked?;
        }
        engine.collect(Instant::now(), |_key, _readiness, _source, _ready| {});
        for _ in 0..engine.ready_len() {
            match engine.pop() {
                Some(Ready::Item(text)) => {
                    let passed = Instant::now().duration_since(start);
                    println!("{:4} ms: {text}", passed.as_millis());
                    left -= 1;
                }
                Some(Ready::Task(step)) => drop(step.run()),
                None => break,
            }
        }
    }
    Ok(())
}
