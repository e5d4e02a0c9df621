//! Totals by name. Each is written by one thread mostly; readers only want a recent value.

use std::sync::atomic::{AtomicU64, Ordering};

pub fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

macro_rules! totals {
    ($($field:ident = $name:literal,)*) => {
        #[derive(Debug, Default)]
        pub struct Totals {
            $(pub $field: AtomicU64,)*
        }

        impl Totals {
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$(($name, self.$field.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

totals! {
    tx_packets = "tx.packets",
    tx_bytes = "tx.bytes",
    tx_no_route = "tx.no-route",
    tx_malformed = "tx.malformed",
    tx_staged_dropped = "tx.staged-dropped",
    tx_send_failed = "tx.send-failed",
    tx_no_leg = "tx.no-leg",
    rx_packets = "rx.packets",
    rx_bytes = "rx.bytes",
    rx_undecryptable = "rx.undecryptable",
    rx_replayed = "rx.replayed",
    rx_refused = "rx.refused",
    rx_wrong_source = "rx.wrong-source",
    rx_malformed = "rx.malformed",
    rx_bad_peer = "rx.bad-peer",
    rx_inject_dropped = "rx.inject-dropped",
    rx_error = "rx.error",
    filter_dropped = "filter.dropped",
    ring_dropped = "ring.dropped",
    tun_write_error = "tun.write-error",
    tun_writes = "tun.writes",
    tun_reads = "tun.reads",
    unreadable_addresses = "config.unreadable-addresses",
}
