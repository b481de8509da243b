//! Promise: turns come out in asyncio's order, whatever the clock does; played on a simulated
//! kernel.

use std::time::Duration;

use ferrio_engine::{Engine, Interest, Readiness, Ready, Simulation, Timeout, Trigger};

type Simulated = Engine<String, &'static str>;

/// One turn in virtual time; returns what it ran, or the error of a wait that nothing could end.
fn turn(engine: &mut Simulated, simulation: &Simulation) -> std::io::Result<Vec<String>> {
    let now = simulation.now();
    let timeout = engine.timeout(now);
    if engine.poll_now()? == 0 && timeout != Timeout::Zero {
        let mut wait = engine.begin_wait(timeout, now);
        let blocked = wait.block();
        engine.end_wait(wait);
        blocked?;
    }
    engine.collect(simulation.now(), |_, readiness, source, ready| {
        ready.push(format!("{source} {}", if readiness.is_readable() { "in" } else { "out" }));
    });
    let mut items = Vec::new();
    for _ in 0..engine.ready_len() {
        match engine.pop() {
            Some(Ready::Item(item)) => items.push(item),
            Some(Ready::Task(step)) => drop(step.run()),
            None => break,
        }
    }
    Ok(items)
}

#[test]
fn a_turn_runs_the_queue_the_inbox_events_and_timers_in_this_order() {
    let (mut engine, simulation) = Simulated::simulated();
    engine.register(5, Interest::READ, Trigger::Level, "source").unwrap();
    let now = simulation.now();
    engine.add_timer(now, "timer".into());
    assert!(simulation.set_ready(5, Readiness::READABLE));
    engine.inbox().push("thread".into()).unwrap();
    engine.push("soon".into());
    assert_eq!(turn(&mut engine, &simulation).unwrap(), ["soon", "thread", "source in", "timer"]);
}

#[test]
fn an_hour_passes_at_once_and_timers_fire_in_order() {
    let (mut engine, simulation) = Simulated::simulated();
    let start = simulation.now();
    for minutes in [60, 1, 30, 1] {
        let deadline = start.saturating_add(Duration::from_secs(60 * minutes));
        engine.add_timer(deadline, minutes.to_string());
    }
    let mut seen = Vec::new();
    for expected in [1, 30, 60] {
        seen.extend(turn(&mut engine, &simulation).unwrap());
        assert_eq!(simulation.now().duration_since(start), Duration::from_secs(60 * expected));
    }
    assert_eq!(seen, ["1", "1", "30", "60"]);
    assert_eq!(simulation.waits(), 3);
}

#[test]
fn a_timer_one_nanosecond_away_is_not_due() {
    let (mut engine, simulation) = Simulated::simulated();
    let deadline = simulation.now().saturating_add(Duration::from_nanos(1));
    engine.add_timer(deadline, "timer".into());
    engine.collect(simulation.now(), |_, _, _, _| {});
    assert_eq!(engine.ready_len(), 0);
    assert_eq!(engine.timeout(simulation.now()), Timeout::Until(deadline));
    simulation.advance(Duration::from_nanos(1));
    assert_eq!(engine.timeout(simulation.now()), Timeout::Zero);
    engine.collect(simulation.now(), |_, _, _, _| {});
    assert_eq!(engine.ready_len(), 1);
}

#[test]
fn a_wait_that_nothing_could_end_is_reported() {
    let (mut engine, simulation) = Simulated::simulated();
    let error = turn(&mut engine, &simulation).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Deadlock);
    engine.inbox().wake();
    assert_eq!(turn(&mut engine, &simulation).unwrap(), Vec::<String>::new());
}

#[test]
fn nothing_registered_means_no_call_and_no_interest_no_registration() {
    let (mut engine, simulation) = Simulated::simulated();
    engine.push("soon".into());
    turn(&mut engine, &simulation).unwrap();
    assert_eq!(simulation.waits(), 0);
    let key = engine.register(5, Interest::NONE, Trigger::Level, "source").unwrap();
    assert_eq!(simulation.interest(5), None);
    engine.set_interest(key, Interest::BOTH).unwrap();
    assert_eq!(simulation.interest(5), Some(Interest::BOTH));
    engine.set_interest(key, Interest::NONE).unwrap();
    assert_eq!(simulation.interest(5), None);
    engine.push("soon".into());
    turn(&mut engine, &simulation).unwrap();
    assert_eq!(simulation.waits(), 0);
    assert_eq!(engine.deregister(key), Some("source"));
}

#[test]
fn an_event_for_a_source_that_went_meanwhile_goes_nowhere() {
    let (mut engine, simulation) = Simulated::simulated();
    let key = engine.register(5, Interest::READ, Trigger::Level, "old").unwrap();
    simulation.set_ready(5, Readiness::READABLE);
    assert_eq!(engine.poll_now().unwrap(), 1);
    engine.deregister(key);
    // The slot has a new tenant by the time the event is handed out.
    engine.register(6, Interest::READ, Trigger::Level, "new").unwrap();
    engine.collect(simulation.now(), |_, _, source, _| panic!("{source} got an old event"));
}

#[test]
fn polling_again_before_collecting_loses_no_edge() {
    let (mut engine, simulation) = Simulated::simulated();
    engine.register(5, Interest::READ, Trigger::Edge, "source").unwrap();
    simulation.set_ready(5, Readiness::READABLE);
    assert_eq!(engine.poll_now().unwrap(), 1);
    assert_eq!(engine.poll_now().unwrap(), 1);
    let mut wait = engine.begin_wait(Timeout::Forever, simulation.now());
    assert_eq!(wait.block().unwrap(), 1);
    engine.end_wait(wait);
    assert_eq!(turn(&mut engine, &simulation).unwrap(), ["source in"]);
}

#[test]
fn an_edge_is_reported_once_and_a_level_until_it_ends() {
    let (mut engine, simulation) = Simulated::simulated();
    engine.register(1, Interest::READ, Trigger::Edge, "edge").unwrap();
    engine.register(2, Interest::READ, Trigger::Level, "level").unwrap();
    simulation.set_ready(1, Readiness::READABLE);
    simulation.set_ready(2, Readiness::READABLE);
    assert_eq!(turn(&mut engine, &simulation).unwrap(), ["edge in", "level in"]);
    assert_eq!(turn(&mut engine, &simulation).unwrap(), ["level in"]);
    simulation.set_ready(2, Readiness::NONE);
    assert!(turn(&mut engine, &simulation).is_err());
}
