//! Promise: Rust futures run beside the host's items on one queue, sleep, watch descriptors, are
//! woken from any thread, and leave nothing behind.

mod host;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as RealInstant};

use ferrio_engine::{Engine, Instant, Task};
use host::{HANG, on_every_driver, tcp_pair, turn};

/// Makes turns until `task` has ended.
fn finish<T: Send + 'static, R: Send>(engine: &mut Engine<T, ()>, task: Task<R>) -> R {
    let start = RealInstant::now();
    while !task.is_finished() {
        assert!(start.elapsed() < HANG);
        turn(engine, HANG, |_, _, (), _| {});
    }
    poll_ready(task)
}

fn poll_ready<R>(mut task: Task<R>) -> R {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match Future::poll(std::pin::Pin::new(&mut task), &mut context) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => panic!("the task said that it had ended"),
    }
}

#[test]
fn steps_and_items_take_turns_on_one_queue() {
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut engine: Engine<&str, ()> = Engine::new(Default::default()).unwrap();
    engine.push("first");
    let entry = Arc::clone(&log);
    engine.spawn(async move { entry.lock().unwrap().push("second") }).detach();
    engine.push("third");
    while let Some(ready) = engine.pop() {
        match ready {
            ferrio_engine::Ready::Item(item) => log.lock().unwrap().push(item),
            ferrio_engine::Ready::Task(step) => drop(step.run()),
        }
    }
    assert_eq!(*log.lock().unwrap(), ["first", "second", "third"]);
}

#[test]
fn a_sleep_is_never_early_and_takes_its_timer_back() {
    on_every_driver(|driver| {
        let mut engine: Engine<(), ()> = Engine::new(driver).unwrap();
        let inbox = engine.inbox();
        let deadline = Instant::now().saturating_add(Duration::from_millis(3));
        let task = engine.spawn({
            let inbox = inbox.clone();
            async move {
                inbox.sleep_until(deadline).await;
                Instant::now()
            }
        });
        assert!(finish(&mut engine, task) >= deadline);

        let hour = Instant::now().saturating_add(Duration::from_secs(3600));
        let task = engine.spawn(async move { inbox.sleep_until(hour).await });
        turn(&mut engine, Duration::ZERO, |_, _, (), _| {});
        turn(&mut engine, Duration::ZERO, |_, _, (), _| {});
        assert_eq!(engine.timer_len(), 1);
        drop(task);
        turn(&mut engine, Duration::ZERO, |_, _, (), _| {});
        turn(&mut engine, Duration::ZERO, |_, _, (), _| {});
        assert_eq!(engine.timer_len(), 0);
    });
}

#[test]
fn watched_descriptors_echo_more_than_the_kernel_holds() {
    const TOTAL: usize = 4_000_000;
    on_every_driver(|driver| {
        let mut engine: Engine<(), ()> = Engine::new(driver).unwrap();
        let (ours, mut theirs) = tcp_pair();
        let inbox = engine.inbox();
        let echo = engine.spawn(async move {
            let watched = inbox.watch(ours);
            let mut buf = vec![0; 65_536];
            loop {
                let count = watched.read_with(|mut file: &TcpStream| file.read(&mut buf)).await?;
                if count == 0 {
                    return std::io::Result::Ok(());
                }
                let mut sent = 0;
                while sent < count {
                    let rest = &buf[sent..count];
                    sent += watched.write_with(|mut file: &TcpStream| file.write(rest)).await?;
                }
            }
        });
        let mut sender = theirs.try_clone().unwrap();
        let client = std::thread::spawn(move || {
            let sending = std::thread::spawn(move || {
                sender.write_all(&vec![9; TOTAL]).unwrap();
                sender.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let mut echoed = Vec::new();
            std::thread::sleep(Duration::from_millis(20));
            theirs.read_to_end(&mut echoed).unwrap();
            sending.join().unwrap();
            echoed.len()
        });
        finish(&mut engine, echo).unwrap();
        assert_eq!(client.join().unwrap(), TOTAL);
        turn(&mut engine, Duration::ZERO, |_, _, (), _| {});
        assert_eq!(engine.source_len(), 0);
    });
}

#[test]
fn a_descriptor_that_cannot_be_watched_is_an_error_of_the_wait() {
    let mut engine: Engine<(), ()> = Engine::new(Default::default()).unwrap();
    let inbox = engine.inbox();
    let task = engine.spawn(async move {
        let file = std::fs::File::open("Cargo.toml").unwrap();
        let blocks = |_: &std::fs::File| Err::<(), _>(std::io::ErrorKind::WouldBlock.into());
        inbox.watch(file).read_with(blocks).await
    });
    let error = finish(&mut engine, task).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
}

#[test]
fn wakers_work_from_other_threads() {
    on_every_driver(|driver| {
        let mut engine: Engine<(), ()> = Engine::new(driver).unwrap();
        let task = engine.spawn(async {
            for _ in 0..100 {
                let mut is_second = false;
                std::future::poll_fn(|context| {
                    if std::mem::replace(&mut is_second, true) {
                        return std::task::Poll::Ready(());
                    }
                    let waker = context.waker().clone();
                    std::thread::spawn(move || waker.wake());
                    std::task::Poll::Pending
                })
                .await;
            }
        });
        finish(&mut engine, task);
    });
}

/// Futures that wait for an engine that is closed are dropped with it, cycles through their wakers
/// notwithstanding.
#[test]
fn closing_drops_the_futures() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let mut engine: Engine<(), ()> = Engine::new(Default::default()).unwrap();
    let (ours, _theirs) = tcp_pair();
    for kind in 0..3 {
        let (counted, inbox) = (Counted(Arc::clone(&drops)), engine.inbox());
        let file = ours.try_clone().unwrap();
        engine
            .spawn(async move {
                let _counted = counted;
                match kind {
                    0 => inbox.sleep_until(Instant::MAX).await,
                    1 => {
                        let mut buf = [0; 8];
                        let watched = inbox.watch(file);
                        let _ = watched.read_with(|mut file: &TcpStream| file.read(&mut buf)).await;
                    }
                    _ => {}
                }
            })
            .detach();
    }
    for _ in 0..3 {
        turn(&mut engine, Duration::ZERO, |_, _, (), _| {});
    }
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    // One whose wish has not been read yet, and one that has not begun.
    let (counted, inbox) = (Counted(Arc::clone(&drops)), engine.inbox());
    let sleep = async move {
        let _counted = counted;
        inbox.sleep_until(Instant::MAX).await;
    };
    engine.spawn(sleep).detach();
    turn(&mut engine, Duration::ZERO, |_, _, (), _| {});
    let counted = Counted(Arc::clone(&drops));
    engine.spawn(async move { drop(counted) }).detach();
    drop(engine.close());
    assert_eq!(drops.load(Ordering::Relaxed), 5);
}
