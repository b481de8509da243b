//! News from other threads: each pushes items into the engine's [`Inbox`], which wakes it.
//!
//! `cargo run --example threads`
#![allow(clippy::print_stdout)] // It is a program.

use std::io;
use std::thread;
use std::time::Duration;

use ferrio_engine::{DriverKind, Engine, Inbox, Instant, Ready, Timeout};

enum News {
    Progress { worker: u64, step: u64 },
    Done { worker: u64 },
}

const WORKERS: u64 = 3;

fn work(worker: u64, inbox: &Inbox<News>) {
    for step in 1..=3 {
        thread::sleep(Duration::from_millis(50 * worker));
        if inbox.push(News::Progress { worker, step }).is_err() {
            // The engine is closed: nobody is interested any more.
            return;
        }
    }
    let _ = inbox.push(News::Done { worker });
}

fn main() -> io::Result<()> {
    let mut engine: Engine<News, ()> = Engine::new(DriverKind::default())?;
    for worker in 1..=WORKERS {
        let inbox = engine.inbox();
        thread::spawn(move || work(worker, &inbox));
    }
    let mut at_work = WORKERS;
    while at_work > 0 {
        let now = Instant::now();
        // Sleeps until there is news, and costs nothing meanwhile.
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
                Some(Ready::Item(News::Progress { worker, step })) => {
                    println!("worker {worker}: step {step}");
                }
                Some(Ready::Item(News::Done { worker })) => {
                    println!("worker {worker}: done");
                    at_work -= 1;
                }
                Some(Ready::Task(step)) => drop(step.run()),
                None => break,
            }
        }
    }
    Ok(())
}
