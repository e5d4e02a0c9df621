//! What goes up to TypeScript: records in bounded queues and one wake-up per batch.
//!
//!   offset  bytes  field         little endian; a record is padded to a multiple of 8
//!        0      4  recordBytes   all of it, with header and padding
//!        4      1  kind          see `kind`
//!        5      1  textBytes
//!        6      2  peer          0 for none
//!        8      4  vni           all ones for none
//!       12      4  region        all ones for none
//!       16      8  timeMs        float, `performance.now()` of the receive call
//!       24      4  bodyBytes
//!       28      4  reserved
//!       32      -  text, then body
//!
//! Events, messages from the network and packets for DERP have a queue each, so that neither bulk data nor a flood of
//! strangers' disco crowds out what matters more. Reading takes a queue's whole buffer at once, so producers never wait
//! for the copy to JavaScript.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::counters::{Totals, add};

const HEADER_BYTES: usize = 32;
const NONE: u32 = u32::MAX;
/// 25 ms of DERP data at 1 Gbit/s; JavaScript seldom pauses longer.
const BULK_BYTES: usize = 4 << 20;
/// A few thousand disco messages.
const MESSAGE_BYTES: usize = 512 << 10;
/// An event or two for each of a few thousand peers.
const EVENT_BYTES: usize = 256 << 10;

/// Numbers on the border to TypeScript (native-dataplane.ts has the same list).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Disco = 1,
    Stun = 2,
    GeneveControl = 3,
    DerpOut = 4,
    Tsmp = 5,
    NeedPath = 6,
    PathStale = 7,
    PeerActive = 8,
    PeerSeen = 9,
    Handshake = 10,
    HandshakeFailed = 11,
    SendError = 12,
    Fatal = 13,
    Refused = 14,
}

#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub kind: Kind,
    pub peer: u16,
    pub vni: Option<u32>,
    pub region: Option<u32>,
    pub time_ms: f64,
    /// An endpoint; for `SendError` also the error's name after a space; for `Fatal` nothing (the message is the body).
    pub text: &'a str,
    pub body: &'a [u8],
}

impl Record<'_> {
    pub fn event(kind: Kind, peer: u16) -> Self {
        Self { kind, peer, vni: None, region: None, time_ms: 0.0, text: "", body: &[] }
    }

    fn encoded_bytes(&self) -> usize {
        (HEADER_BYTES + self.text.len() + self.body.len()).next_multiple_of(8)
    }

    fn write(&self, to: &mut Vec<u8>) {
        let bytes = self.encoded_bytes();
        let end = to.len() + bytes;
        to.extend_from_slice(&(bytes as u32).to_le_bytes());
        to.push(self.kind as u8);
        to.push(self.text.len() as u8);
        to.extend_from_slice(&self.peer.to_le_bytes());
        to.extend_from_slice(&self.vni.unwrap_or(NONE).to_le_bytes());
        to.extend_from_slice(&self.region.unwrap_or(NONE).to_le_bytes());
        to.extend_from_slice(&self.time_ms.to_le_bytes());
        to.extend_from_slice(&(self.body.len() as u32).to_le_bytes());
        to.extend_from_slice(&[0; 4]);
        to.extend_from_slice(self.text.as_bytes());
        to.extend_from_slice(self.body);
        to.resize(end, 0);
    }
}

struct Queue {
    limit_bytes: usize,
    /// Producers append here.
    back: Mutex<Vec<u8>>,
    /// The consumer reads here, from `at`.
    front: Mutex<Front>,
}

#[derive(Default)]
struct Front {
    bytes: Vec<u8>,
    at: usize,
}

impl Queue {
    fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, back: Mutex::default(), front: Mutex::default() }
    }

    fn push(&self, record: &Record<'_>) -> bool {
        let mut back = lock(&self.back);
        let fits = back.len() + record.encoded_bytes() <= self.limit_bytes;
        if fits {
            record.write(&mut back);
        }
        fits
    }

    /// Copies whole records; 0 when none is left or the next does not fit.
    fn drain(&self, into: &mut [u8]) -> usize {
        let mut front = lock(&self.front);
        if front.at == front.bytes.len() {
            front.bytes.clear();
            front.at = 0;
            std::mem::swap(&mut front.bytes, &mut *lock(&self.back));
        }
        let rest = &front.bytes[front.at..];
        let mut taken = 0;
        while let Some(header) = rest.get(taken..).and_then(|rest| rest.first_chunk::<4>()) {
            let next = taken + u32::from_le_bytes(*header) as usize;
            if next > into.len() || next > rest.len() {
                break;
            }
            taken = next;
        }
        into[..taken].copy_from_slice(&rest[..taken]);
        front.at += taken;
        taken
    }

    fn is_empty(&self) -> bool {
        let front = lock(&self.front);
        front.at == front.bytes.len() && lock(&self.back).is_empty()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Records {
    /// Most important first: that is also the order of reading.
    queues: [Queue; 3],
    /// Something was pushed since the last wake-up.
    pushed: AtomicBool,
    /// JavaScript wants to be woken by the next record.
    armed: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Records {
    pub fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            queues: [EVENT_BYTES, MESSAGE_BYTES, BULK_BYTES].map(Queue::new),
            pushed: AtomicBool::new(false),
            armed: AtomicBool::new(true),
            wake,
        }
    }

    /// Queues without waking: for producers that push many and then call `notify`.
    pub fn push(&self, record: &Record<'_>, totals: &Totals) {
        let queue = match record.kind {
            Kind::Disco | Kind::Stun | Kind::GeneveControl | Kind::Tsmp | Kind::Refused => 1,
            Kind::DerpOut => 2,
            _ => 0,
        };
        if self.queues[queue].push(record) {
            self.pushed.store(true, Ordering::SeqCst);
        } else {
            add(&totals.ring_dropped, 1);
        }
    }

    /// Cheap when nothing was pushed. While JavaScript is not armed it reads, and finds what is new when it arms again.
    pub fn notify(&self) {
        if self.pushed.load(Ordering::SeqCst) && self.armed.swap(false, Ordering::SeqCst) {
            self.pushed.store(false, Ordering::SeqCst);
            (self.wake)();
        }
    }

    pub fn push_now(&self, record: &Record<'_>, totals: &Totals) {
        self.push(record, totals);
        self.notify();
    }

    /// Copies records into `into`, which holds at least one of the longest. 0 means that everything was read.
    pub fn drain(&self, into: &mut [u8]) -> usize {
        self.queues.iter().fold(0, |taken, queue| taken + queue.drain(&mut into[taken..]))
    }

    fn is_empty(&self) -> bool {
        self.queues.iter().all(Queue::is_empty)
    }

    /// Asks for a wake-up; true when something came in meanwhile and should be read first.
    pub fn arm(&self) -> bool {
        self.armed.store(true, Ordering::SeqCst);
        !self.is_empty() && self.armed.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    fn records() -> (Records, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&wakes);
        (
            Records::new(Box::new(move || {
                counted.fetch_add(1, Ordering::SeqCst);
            })),
            wakes,
        )
    }

    fn derp(body: &[u8]) -> Record<'_> {
        Record { region: Some(9), body, ..Record::event(Kind::DerpOut, 3) }
    }

    fn kinds(mut bytes: &[u8]) -> Vec<u8> {
        let mut kinds = Vec::new();
        while let Some(header) = bytes.first_chunk::<4>() {
            kinds.push(bytes[4]);
            bytes = &bytes[u32::from_le_bytes(*header) as usize..];
        }
        kinds
    }

    #[test]
    fn lays_a_record_out_as_documented() {
        let (records, _) = records();
        let record = Record {
            kind: Kind::Disco,
            peer: 0x0102,
            vni: Some(0x030405),
            region: None,
            time_ms: 1.5,
            text: "1.2.3.4:5",
            body: b"abc",
        };
        records.push(&record, &Totals::default());
        let mut out = [0; 100];
        assert_eq!(records.drain(&mut out), 48);
        assert_eq!(out[..8], [48, 0, 0, 0, 1, 9, 2, 1]);
        assert_eq!(out[8..16], [5, 4, 3, 0, 255, 255, 255, 255]);
        assert_eq!(out[16..24], 1.5f64.to_le_bytes());
        assert_eq!(out[24..32], [3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out[32..48], *b"1.2.3.4:5abc\0\0\0\0");
    }

    #[test]
    fn a_flood_for_derp_leaves_room_for_everything_else() {
        let (records, _) = records();
        let totals = Totals::default();
        let body = [0; 1400];
        for _ in 0..BULK_BYTES / 1400 + 10 {
            records.push(&derp(&body), &totals);
        }
        assert!(totals.ring_dropped.load(Ordering::Relaxed) > 0);
        records.push(&Record::event(Kind::NeedPath, 1), &totals);
        let mut out = vec![0; 4096];
        let taken = records.drain(&mut out);
        assert_eq!(kinds(&out[..taken]), [Kind::NeedPath as u8, Kind::DerpOut as u8, Kind::DerpOut as u8]);
    }

    #[test]
    fn wakes_once_until_armed_again_and_arming_tells_of_what_waits() {
        let (records, wakes) = records();
        let totals = Totals::default();
        records.notify();
        assert_eq!(wakes.load(Ordering::SeqCst), 0);
        records.push_now(&Record::event(Kind::NeedPath, 1), &totals);
        records.push_now(&Record::event(Kind::NeedPath, 2), &totals);
        assert_eq!(wakes.load(Ordering::SeqCst), 1);
        assert!(records.arm());
        let mut out = [0; 1000];
        assert_eq!(records.drain(&mut out), 64);
        assert_eq!(records.drain(&mut out), 0);
        assert!(!records.arm());
        records.push_now(&Record::event(Kind::NeedPath, 3), &totals);
        assert_eq!(wakes.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn nothing_is_lost_or_reordered_between_threads() {
        let (records, _) = records();
        let records = Arc::new(records);
        let producer = std::thread::spawn({
            let records = Arc::clone(&records);
            move || {
                let totals = Totals::default();
                for n in 0..20_000u32 {
                    records.push(&derp(&n.to_le_bytes()), &totals);
                }
                totals.ring_dropped.load(Ordering::Relaxed)
            }
        });
        let mut expected = 0u32;
        let mut out = vec![0; 10_000];
        while expected < 20_000 {
            let taken = records.drain(&mut out);
            let mut bytes = &out[..taken];
            while let Some(header) = bytes.first_chunk::<4>() {
                let body: [u8; 4] = bytes[32..36].try_into().expect("four bytes");
                assert_eq!(u32::from_le_bytes(body), expected);
                expected += 1;
                bytes = &bytes[u32::from_le_bytes(*header) as usize..];
            }
            std::thread::yield_now();
        }
        assert_eq!(producer.join().expect("producer ends"), 0);
    }
}
