//! [`DatagramQueue`] against a list.

use std::collections::VecDeque;

use ferrio_engine::{DatagramQueue, Flow};

use crate::input::Input;

/// Pushes, sends with a kernel that has room or has not, and changes limits, as `bytes` say.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut limits = input.limits();
    let header = input.below(16);
    let mut queue: DatagramQueue<u32> = DatagramQueue::new(limits, header);
    let mut model: VecDeque<(u32, usize)> = VecDeque::new();
    let mut is_paused = false;
    let mut next = 0;
    while !input.is_empty() {
        let size = |model: &VecDeque<(u32, usize)>| -> usize {
            model.iter().map(|(_, bytes)| bytes + header).sum()
        };
        match input.below(8) {
            0..=3 => {
                let bytes = input.size();
                model.push_back((next, bytes));
                let pauses = !is_paused && size(&model) > limits.high();
                is_paused |= pauses;
                assert_eq!(queue.push(next, bytes), pauses.then_some(Flow::Pause));
                next += 1;
            }
            // A flush: so many are taken, then the kernel is full.
            4 | 5 => {
                let room = input.below(8);
                for _ in 0..room {
                    let sent = queue.pop().map(|queued| queued.datagram);
                    assert_eq!(sent, model.pop_front().map(|(datagram, _)| datagram));
                }
                if let Some(queued) = queue.pop() {
                    assert_eq!(Some(queued.datagram), model.front().map(|(datagram, _)| *datagram));
                    queue.put_back(queued);
                }
                let resumes = is_paused && size(&model) <= limits.low();
                is_paused &= !resumes;
                assert_eq!(queue.settle(), resumes.then_some(Flow::Resume));
            }
            6 => {
                limits = input.limits();
                let pauses = !is_paused && size(&model) > limits.high();
                is_paused |= pauses;
                assert_eq!(queue.set_limits(limits), pauses.then_some(Flow::Pause));
                assert_eq!(queue.limits(), limits);
            }
            _ => {
                let taken: Vec<u32> = queue.take().collect();
                let expected: Vec<u32> = model.drain(..).map(|(datagram, _)| datagram).collect();
                assert_eq!(taken, expected);
            }
        }
        assert_eq!(queue.len_bytes(), size(&model));
        assert_eq!(queue.is_empty(), model.is_empty());
        assert!(queue.iter().eq(model.iter().map(|(datagram, _)| datagram)));
    }
}
