//! The peer relay: its own UDP sockets and a thread that forwards between bound clients. TypeScript allocates sessions and
//! runs the bind handshake (paths.md 6); what it must see comes up as records, data packets never do.

mod forward;
mod limit;
mod shaper;
mod table;

use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use crate::device::DeviceError;
use crate::device::clock::{JsTime, Now, now};
use crate::device::counters::Totals;
use crate::device::errno::errno_name;
use crate::device::poller::Wake;
use crate::device::records::{Kind, Record, Records};
use crate::device::{bind_error, failed, panic_text};
use crate::packet::classify::{VNI_MAX, geneve_header};
use crate::udp::socket::Sockets;

use forward::Forward;
use table::Table;

pub struct RelayOptions {
    pub udp_port: u16,
    /// 0 for none.
    pub firewall_mark: u32,
    /// What the monotonic clock showed when `performance.now()` was 0.
    pub js_origin_ms: f64,
    /// Called on the forwarding thread when records wait and the caller asked to be woken.
    pub wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SideCounters {
    /// `performance.now()`; 0 for never.
    pub last_seen_ms: f64,
    pub packets: u64,
    pub bytes: u64,
}

/// Dropping it closes it.
pub struct Relay {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    sockets: Sockets,
    table: Table,
    records: Records,
    counters: Counters,
    ring: Totals,
    time: JsTime,
    wake: Wake,
    stop: AtomicBool,
    /// Bytes per second; 0 for no limit.
    rate: AtomicU64,
    /// A source that was asked for more discovery packets than any may send unasked, and how many of them are still due.
    expected: Mutex<Option<(IpAddr, u32)>>,
}

#[derive(Default)]
struct Counters {
    forwarded_packets: AtomicU64,
    forwarded_bytes: AtomicU64,
    not_bound: AtomicU64,
    unknown_vni: AtomicU64,
    limited: AtomicU64,
    malformed: AtomicU64,
    shaped_dropped: AtomicU64,
    send_failed: AtomicU64,
    rx_error: AtomicU64,
}

impl Shared {
    fn takes_expected(&self, from: IpAddr) -> bool {
        match &mut *self.expected.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((source, left)) if *source == from && *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    fn tell(&self, kind: Kind, from: SocketAddr, vni: Option<u32>, body: &[u8], now: Now) {
        let text = from.to_string();
        let time_ms = self.time.ms_of(now.mono_ns);
        self.records.push(&Record { vni, time_ms, text: &text, body, ..Record::event(kind, 0) }, &self.ring);
    }
}

impl Relay {
    pub fn open(options: RelayOptions) -> Result<Self, DeviceError> {
        let shared = Arc::new(Shared {
            sockets: Sockets::bind(options.udp_port, options.firewall_mark).map_err(bind_error)?,
            table: Table::default(),
            records: Records::new(options.wake),
            counters: Counters::default(),
            ring: Totals::default(),
            time: JsTime::new(options.js_origin_ms),
            wake: Wake::new().map_err(failed)?,
            stop: AtomicBool::new(false),
            rate: AtomicU64::new(0),
            expected: Mutex::new(None),
        });
        let mut forward = Forward::new(Arc::clone(&shared)).map_err(failed)?;
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("peerway-relay".to_owned()).spawn(move || {
            // The thread's state is dropped with the closure, so nothing broken by a panic is looked at again.
            let message = match catch_unwind(AssertUnwindSafe(move || forward.run())) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => format!("peerway-relay ended: {error}"),
                Err(panic) => format!("peerway-relay panicked: {}", panic_text(&*panic)),
            };
            let record = Record { body: message.as_bytes(), ..Record::event(Kind::Fatal, 0) };
            of_thread.records.push_now(&record, &of_thread.ring);
        });
        Ok(Self { shared, thread: Mutex::new(Some(thread.map_err(failed)?)) })
    }

    pub fn ports(&self) -> (u16, Option<u16>) {
        let sockets = &self.shared.sockets;
        (sockets.v4.port(), sockets.v6.as_ref().map(|socket| socket.port()))
    }

    /// False when there are too many sessions.
    pub fn bind(&self, vni: u32, ends: [Option<SocketAddr>; 2]) -> bool {
        let Some(early) = self.shared.table.bind(vni & VNI_MAX, ends, now().mono_ns) else { return false };
        for (to, packet) in early {
            // A loss, as any other on the way.
            let _ = self.shared.sockets.send_now(to, &packet);
        }
        true
    }

    pub fn unbind(&self, vni: u32) {
        self.shared.table.unbind(vni & VNI_MAX);
    }

    /// The name of the system's error when it failed.
    pub fn send(&self, to: SocketAddr, bytes: &[u8], geneve: Option<(u32, bool)>) -> Result<(), String> {
        let result = match geneve {
            None => self.shared.sockets.send_now(to, bytes),
            Some((vni, control)) => {
                let header = geneve_header(vni & VNI_MAX, false, control);
                self.shared.sockets.send_now(to, &[&header[..], bytes].concat())
            }
        };
        result.map_err(|error| errno_name(error.raw_os_error().unwrap_or(0)))
    }

    /// So many discovery packets from there come up beyond the limit for a source, instead of those expected before.
    pub fn expect(&self, from: IpAddr, packets: u32) {
        *self.shared.expected.lock().unwrap_or_else(PoisonError::into_inner) = Some((from, packets));
    }

    pub fn set_rate(&self, bytes_per_second: u64) {
        self.shared.rate.store(bytes_per_second, Ordering::Relaxed);
        self.shared.wake.wake();
    }

    /// Copies waiting records into `into`; 0 when there are none.
    pub fn drain(&self, into: &mut [u8]) -> usize {
        self.shared.records.drain(into)
    }

    /// Asks for one wake-up; true when records wait already.
    pub fn arm(&self) -> bool {
        self.shared.records.arm()
    }

    pub fn sessions(&self) -> Vec<(u32, [SideCounters; 2])> {
        let sessions = self.shared.table.read();
        let counters = sessions.iter().map(|(vni, session)| {
            let sides = session.sides.each_ref().map(|side| SideCounters {
                last_seen_ms: match side.last_seen_ns.load(Ordering::Relaxed) {
                    0 => 0.0,
                    seen => self.shared.time.ms_of(seen),
                },
                packets: side.packets.load(Ordering::Relaxed),
                bytes: side.bytes.load(Ordering::Relaxed),
            });
            (*vni, sides)
        });
        counters.collect()
    }

    pub fn totals(&self) -> Vec<(&'static str, u64)> {
        let of = &self.shared.counters;
        let named = [
            ("forwarded.packets", &of.forwarded_packets),
            ("forwarded.bytes", &of.forwarded_bytes),
            ("rx.not-bound", &of.not_bound),
            ("rx.unknown-vni", &of.unknown_vni),
            ("rx.limited", &of.limited),
            ("rx.malformed", &of.malformed),
            ("rx.error", &of.rx_error),
            ("shaper.dropped", &of.shaped_dropped),
            ("tx.send-failed", &of.send_failed),
            ("ring.dropped", &self.shared.ring.ring_dropped),
        ];
        named.map(|(name, count)| (name, count.load(Ordering::Relaxed))).into()
    }

    /// Ends the thread and waits for it. Idempotent.
    pub fn close(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.wake.wake();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    fn relay() -> Relay {
        let wake = Box::new(|| {});
        Relay::open(RelayOptions { udp_port: 0, firewall_mark: 0, js_origin_ms: 0.0, wake }).expect("opens")
    }

    fn client(at: &str) -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind(at).expect("binds");
        socket.set_read_timeout(Some(Duration::from_secs(3))).expect("sets");
        let address = socket.local_addr().expect("bound");
        (socket, address)
    }

    fn packet(vni: u32, fill: u8, len: usize) -> Vec<u8> {
        [&geneve_header(vni, true, false)[..], &vec![fill; len]].concat()
    }

    fn hears_nothing(socket: &UdpSocket) -> bool {
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("sets");
        socket.recv(&mut [0; 10]).is_err()
    }

    #[test]
    fn forwards_unchanged_between_bound_clients_of_both_families_and_counts() {
        let relay = relay();
        let (a, a_at) = client("127.0.0.1:0");
        let (b, b_at) = client("[::1]:0");
        let (v4, v6) = relay.ports();
        assert!(relay.bind(7, [Some(a_at), Some(b_at)]));
        let sent = packet(7, 1, 1200);
        a.send_to(&sent, ("127.0.0.1", v4)).expect("sends");
        let mut buffer = [0; 2000];
        let (len, from) = b.recv_from(&mut buffer).expect("arrives");
        assert_eq!((&buffer[..len], from.port()), (&sent[..], v6.expect("v6")));
        b.send_to(&packet(7, 2, 10), from).expect("sends");
        assert_eq!(a.recv(&mut buffer).expect("arrives"), 18);
        let sessions = relay.sessions();
        assert_eq!((sessions[0].0, sessions[0].1[0].packets, sessions[0].1[0].bytes), (7, 1, 1208));
        assert!(sessions[0].1[1].bytes == 18 && sessions[0].1[1].last_seen_ms > 0.0);
    }

    #[test]
    fn other_sources_other_sessions_and_the_unbound_get_nothing_through() {
        let relay = relay();
        let (a, a_at) = client("127.0.0.1:0");
        let (b, b_at) = client("127.0.0.1:0");
        let (stranger, _) = client("127.0.0.1:0");
        let to = ("127.0.0.1", relay.ports().0);
        relay.bind(7, [Some(a_at), Some(b_at)]);
        relay.bind(8, [Some(a_at), None]);
        stranger.send_to(&packet(7, 1, 100), to).expect("sends");
        a.send_to(&packet(8, 1, 100), to).expect("sends");
        a.send_to(&packet(9, 1, 100), to).expect("sends");
        a.send_to(&[0; 3], to).expect("sends");
        assert!(hears_nothing(&b));
        let totals: std::collections::HashMap<_, _> = relay.totals().into_iter().collect();
        assert_eq!((totals["rx.not-bound"], totals["rx.malformed"], totals["forwarded.packets"]), (3, 1, 0));
        relay.unbind(7);
        a.send_to(&packet(7, 1, 100), to).expect("sends");
        assert!(hears_nothing(&b));
    }

    #[test]
    fn tells_of_control_packets_for_known_sessions_and_of_stun() {
        let relay = relay();
        let (a, _) = client("127.0.0.1:0");
        let to = ("127.0.0.1", relay.ports().0);
        relay.bind(7, [None, None]);
        let control = |vni| [&geneve_header(vni, false, true)[..], b"bind"].concat();
        a.send_to(&control(7), to).expect("sends");
        a.send_to(&control(8), to).expect("sends");
        let mut records = Vec::new();
        let until = Instant::now() + Duration::from_secs(3);
        while records.len() < 56 && Instant::now() < until {
            let mut out = [0; 1024];
            let taken = relay.drain(&mut out);
            records.extend_from_slice(&out[..taken]);
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!((records[4], records[8], records.len()), (Kind::GeneveControl as u8, 7, 56));
        assert!(records.windows(4).any(|window| window == b"bind"));
    }

    #[test]
    fn a_ping_right_behind_the_answer_that_binds_is_not_lost() {
        let relay = relay();
        let (a, a_at) = client("127.0.0.1:0");
        let (b, b_at) = client("127.0.0.1:0");
        relay.bind(7, [Some(a_at), None]);
        let ping = [&geneve_header(7, false, false)[..], b"ping"].concat();
        b.send_to(&ping, ("127.0.0.1", relay.ports().0)).expect("sends");
        std::thread::sleep(Duration::from_millis(30));
        relay.bind(7, [Some(a_at), Some(b_at)]);
        let mut buffer = [0; 100];
        assert_eq!(a.recv(&mut buffer).expect("arrives"), ping.len());
    }

    #[test]
    fn a_rate_holds_back_what_exceeds_it() {
        let relay = relay();
        let (a, a_at) = client("127.0.0.1:0");
        let (b, b_at) = client("127.0.0.1:0");
        relay.bind(7, [Some(a_at), Some(b_at)]);
        relay.set_rate(1_000_000);
        let started = Instant::now();
        let sent = packet(7, 1, 992);
        for _ in 0..150 {
            a.send_to(&sent, ("127.0.0.1", relay.ports().0)).expect("sends");
        }
        let mut buffer = [0; 2000];
        for _ in 0..150 {
            b.recv(&mut buffer).expect("shaped, not lost");
        }
        let took = started.elapsed();
        assert!(took > Duration::from_millis(90) && took < Duration::from_millis(1_000), "{took:?}");
    }

    #[test]
    fn more_than_the_limit_comes_up_only_from_where_it_is_expected() {
        let relay = relay();
        let (a, a_at) = client("127.0.0.1:0");
        let mut disco = vec![0u8; 100];
        disco[..6].copy_from_slice(b"TS\xf0\x9f\x92\xac");
        let flood = |packets: usize| {
            for _ in 0..packets {
                a.send_to(&disco, ("127.0.0.1", relay.ports().0)).expect("sends");
                relay.drain(&mut [0; 65536]);
            }
            std::thread::sleep(Duration::from_millis(50));
            let totals: std::collections::HashMap<_, _> = relay.totals().into_iter().collect();
            totals["rx.limited"]
        };
        let unasked = flood(4_000);
        assert!(unasked > 300, "{unasked}");
        relay.expect(a_at.ip(), 500);
        let asked = flood(500) - unasked;
        assert!(asked == 0, "{asked}");
        assert!(flood(500) - unasked > 300);
    }

    #[test]
    fn close_frees_the_port() {
        let relay = relay();
        let port = relay.ports().0;
        relay.close();
        drop(relay);
        UdpSocket::bind(("127.0.0.1", port)).expect("free again");
    }
}
