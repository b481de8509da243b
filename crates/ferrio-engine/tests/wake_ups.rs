//! Promise: whatever other threads put in the inbox arrives, in each thread's order, however the
//! engine sleeps; and a wake-up ends the current sleep or the next.

mod host;

use std::thread;
use std::time::{Duration, Instant as RealInstant};

use ferrio_engine::{Engine, Instant, Timeout};
use host::{HANG, on_every_driver, turn};

#[test]
fn nothing_from_eight_threads_is_lost_or_reordered() {
    const THREADS: usize = 8;
    const PER_THREAD: usize = 5_000;
    on_every_driver(|driver| {
        let mut engine: Engine<(usize, usize), ()> = Engine::new(driver).unwrap();
        let start = RealInstant::now();
        let senders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let inbox = engine.inbox();
                thread::spawn(move || {
                    for number in 0..PER_THREAD {
                        inbox.push((thread, number)).unwrap();
                        if number % 64 == thread {
                            // So that the engine gets to sleep in between.
                            thread::sleep(Duration::from_micros(50));
                        }
                    }
                })
            })
            .collect();
        let mut next = [0; THREADS];
        while next.iter().sum::<usize>() < THREADS * PER_THREAD {
            assert!(start.elapsed() < HANG, "lost: {next:?}");
            for (thread, number) in turn(&mut engine, HANG, |_, _, (), _| {}) {
                assert_eq!(number, next[thread]);
                next[thread] += 1;
            }
        }
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn a_wake_up_ends_a_sleep_that_would_be_for_ever() {
    on_every_driver(|driver| {
        let mut engine: Engine<(), ()> = Engine::new(driver).unwrap();
        for round in 0..200 {
            let inbox = engine.inbox();
            let waker = thread::spawn(move || {
                if round % 2 == 0 {
                    thread::sleep(Duration::from_micros(100));
                }
                inbox.wake();
            });
            let mut wait = engine.begin_wait(Timeout::Forever, Instant::now());
            wait.block().unwrap();
            engine.end_wait(wait);
            engine.collect(Instant::now(), |_, _, (), _| {});
            waker.join().unwrap();
            // If the wake-up came before the wait began, it is still there.
            engine.collect(Instant::now(), |_, _, (), _| {});
            assert_eq!(engine.timeout(Instant::now()), Timeout::Forever);
        }
    });
}

#[test]
fn a_closed_engine_refuses_and_gives_back() {
    on_every_driver(|driver| {
        let mut engine: Engine<&str, ()> = Engine::new(driver).unwrap();
        let inbox = engine.inbox();
        inbox.push("in the inbox").unwrap();
        engine.push("ready");
        engine.add_timer(Instant::MAX, "pending");
        let drained = engine.close();
        assert_eq!(drained.ready.len(), 2);
        assert_eq!(drained.timers, ["pending"]);
        assert_eq!(inbox.push("late"), Err("late"));
        assert!(inbox.is_closed());
        inbox.wake();
        assert_eq!(engine.poll_now().unwrap(), 0);
        assert!(engine.close().ready.is_empty());
    });
}

#[test]
fn what_the_host_adds_ends_a_wait_that_was_lent() {
    on_every_driver(|driver| {
        let mut engine: Engine<u8, ()> = Engine::new(driver).unwrap();
        for add in [(|engine| engine.push(1)) as fn(&mut Engine<u8, ()>), |engine| {
            engine.add_timer(Instant::now(), 1);
        }] {
            let mut wait = engine.lend_wait(Timeout::Forever, Instant::now());
            let waiter = thread::spawn(move || wait.block().map(|_| wait));
            add(&mut engine);
            engine.end_wait(waiter.join().unwrap().unwrap());
            assert_eq!(turn(&mut engine, HANG, |_, _, (), _| {}), [1]);
        }
        // Nobody has to be roused when it is back.
        engine.push(2);
        assert!(!engine.inbox().is_notified());
        assert_eq!(turn(&mut engine, HANG, |_, _, (), _| {}), [2]);
    });
}
