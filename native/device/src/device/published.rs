//! A value that one thread replaces and others read at every packet.
//!
//! Readers keep their own reference and compare one counter, so reading costs an atomic load; the lock is taken only by
//! whoever replaces the value and, once each, by the readers that notice. A reader sees the old value or the new one,
//! never a mixture, and the old one is freed when its last reader has moved on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug)]
pub struct Published<T> {
    generation: AtomicU64,
    value: Mutex<Arc<T>>,
}

#[derive(Debug)]
pub struct Reader<T> {
    generation: u64,
    value: Arc<T>,
}

impl<T> Published<T> {
    pub fn new(value: T) -> Self {
        Self { generation: AtomicU64::new(0), value: Mutex::new(Arc::new(value)) }
    }

    /// Gives back the old value.
    pub fn replace(&self, value: T) -> Arc<T> {
        let mut current = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, Arc::new(value));
        self.generation.fetch_add(1, Ordering::Release);
        old
    }

    pub fn load(&self) -> Arc<T> {
        Arc::clone(&self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn reader(&self) -> Reader<T> {
        let current = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        Reader { generation: self.generation.load(Ordering::Acquire), value: Arc::clone(&current) }
    }
}

impl<T> Reader<T> {
    /// The current value of `from`, which must be the one this reader was made by.
    pub fn get(&mut self, from: &Published<T>) -> &Arc<T> {
        self.refresh(from);
        &self.value
    }

    /// Whether the value changed since the last look.
    pub fn refresh(&mut self, from: &Published<T>) -> bool {
        if from.generation.load(Ordering::Acquire) == self.generation {
            return false;
        }
        *self = from.reader();
        true
    }

    /// The value as of the last look.
    pub fn seen(&self) -> &Arc<T> {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_a_replacement_at_the_next_look() {
        let published = Published::new(1);
        let mut reader = published.reader();
        assert!(!reader.refresh(&published));
        assert_eq!(*published.replace(2), 1);
        assert_eq!(**reader.seen(), 1);
        assert_eq!(**reader.get(&published), 2);
        assert!(!reader.refresh(&published));
    }

    #[test]
    fn values_are_never_torn_between_threads() {
        let published = Arc::new(Published::new([0u64; 16]));
        let writer = std::thread::spawn({
            let published = Arc::clone(&published);
            move || (1..2000).for_each(|n| drop(published.replace([n; 16])))
        });
        let mut reader = published.reader();
        let mut last = 0;
        while last < 1999 {
            let value = reader.get(&published);
            assert!(value.iter().all(|n| *n == value[0]) && value[0] >= last);
            last = value[0];
        }
        writer.join().expect("writer ends");
    }
}
