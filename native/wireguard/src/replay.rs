//! Which counters of a session were seen: a sliding window over the newest 8192 (RFC 6479's idea, exact at its edge).

const WINDOW: u64 = 8192;
const WORDS: usize = (WINDOW / 64) as usize;

pub(crate) struct ReplayWindow {
    /// One more than the greatest counter seen, so that 0 means "none yet".
    next: u64,
    /// Bit `c % WINDOW` stands for counter `c` of the window.
    seen: [u64; WORDS],
}

impl ReplayWindow {
    pub fn new() -> Self {
        Self { next: 0, seen: [0; WORDS] }
    }

    /// Cheap test before the AEAD runs. It promises nothing about the sender: only `mark` after a good open may change state.
    pub fn is_fresh(&self, counter: u64) -> bool {
        if counter >= self.next {
            return true;
        }
        self.next - counter <= WINDOW && self.seen[word(counter)] & bit(counter) == 0
    }

    /// Notes an authenticated counter for which `is_fresh` held, below `REJECT_AFTER_MESSAGES`.
    pub fn mark(&mut self, counter: u64) {
        if counter >= self.next {
            self.forget(self.next, counter - self.next);
            self.next = counter + 1;
        }
        self.seen[word(counter)] |= bit(counter);
    }

    /// Clears the bits of `count` counters from `first` on, which still hold older counters.
    fn forget(&mut self, first: u64, count: u64) {
        if count >= WINDOW {
            self.seen = [0; WORDS];
            return;
        }
        let (mut at, end) = (first, first + count);
        while at < end {
            let run = (64 - at % 64).min(end - at);
            let mask = if run == 64 { u64::MAX } else { ((1 << run) - 1) << (at % 64) };
            self.seen[word(at)] &= !mask;
            at += run;
        }
        // The new greatest counter's own bit is set right after; it may still carry the counter 8192 before it.
        self.seen[word(end)] &= !bit(end);
    }
}

fn word(counter: u64) -> usize {
    (counter % WINDOW / 64) as usize
}

fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[derive(Default)]
    struct Naive {
        seen: HashSet<u64>,
        greatest: Option<u64>,
    }

    impl Naive {
        fn accept(&mut self, counter: u64) -> bool {
            let old = self.greatest.is_some_and(|g| g >= WINDOW && counter <= g - WINDOW);
            if old || !self.seen.insert(counter) {
                return false;
            }
            self.greatest = self.greatest.max(Some(counter));
            true
        }
    }

    fn accept(window: &mut ReplayWindow, counter: u64) -> bool {
        let fresh = window.is_fresh(counter);
        if fresh {
            window.mark(counter);
        }
        fresh
    }

    #[test]
    fn takes_each_counter_of_the_window_once() {
        let mut window = ReplayWindow::new();
        assert!(accept(&mut window, 0));
        assert!(!accept(&mut window, 0));
        assert!(accept(&mut window, WINDOW));
        assert!(!accept(&mut window, 0), "left the window");
        assert!(accept(&mut window, 1), "the oldest one inside");
        assert!(!accept(&mut window, 1));
        let far = u64::MAX - (1 << 13) - 1;
        assert!(accept(&mut window, far));
        assert!(!accept(&mut window, far));
        assert!(!accept(&mut window, far - WINDOW));
        assert!(accept(&mut window, far - WINDOW + 1));
    }

    /// Counters near each other, so that runs overlap, with jumps about the window's size.
    fn walk() -> impl Strategy<Value = Vec<i64>> {
        let step = prop_oneof![
            6 => -3i64..6,
            2 => -200i64..200,
            2 => -9000i64..9000,
            1 => Just(WINDOW as i64),
            1 => Just(-(WINDOW as i64)),
            1 => 20_000i64..40_000,
        ];
        proptest::collection::vec(step, 1..400)
    }

    proptest! {
        #[test]
        fn agrees_with_a_set_of_all_counters(start in 0i64..20_000, steps in walk()) {
            let (mut window, mut naive) = (ReplayWindow::new(), Naive::default());
            let mut at = start;
            for step in steps {
                at = (at + step).max(0);
                prop_assert_eq!(accept(&mut window, at as u64), naive.accept(at as u64), "counter {}", at);
            }
        }
    }
}
