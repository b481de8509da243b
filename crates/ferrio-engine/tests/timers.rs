//! Promise: a timer is never early, whatever the driver rounds, and due ones come in order.

mod host;

use std::time::{Duration, Instant as RealInstant};

use ferrio_engine::{Engine, Instant};
use host::{HANG, on_every_driver, turn};

#[test]
fn none_of_a_hundred_thousand_is_early_or_out_of_order() {
    const COUNT: u64 = 100_000;
    on_every_driver(|driver| {
        let mut engine: Engine<Instant, ()> = Engine::new(driver).unwrap();
        let begin = Instant::now();
        // Spread over 300 ms in steps that no millisecond divides, set in a scrambled order.
        for number in 0..COUNT {
            let step = number * 48_271 % COUNT;
            let deadline = begin.saturating_add(Duration::from_nanos(step * 2_999));
            engine.add_timer(deadline, deadline);
        }
        let (mut fired, mut last) = (0, Instant::MIN);
        let start = RealInstant::now();
        while fired < COUNT {
            assert!(start.elapsed() < HANG);
            for deadline in turn(&mut engine, HANG, |_, _, (), _| {}) {
                assert!(deadline <= Instant::now(), "early");
                assert!(deadline >= last, "out of order");
                last = deadline;
                fired += 1;
            }
        }
        assert_eq!(engine.timer_len(), 0);
    });
}

/// Sub-millisecond deadlines are met by sleeping, not by turning round and round.
#[test]
fn a_short_sleep_is_one_wait() {
    on_every_driver(|driver| {
        let mut engine: Engine<(), ()> = Engine::new(driver).unwrap();
        let mut turns = 0;
        for _ in 0..20 {
            engine.add_timer(Instant::now().saturating_add(Duration::from_micros(300)), ());
            while turn(&mut engine, HANG, |_, _, (), _| {}).is_empty() {
                turns += 1;
            }
        }
        assert!(turns <= 20, "{turns} turns without a timer");
    });
}
