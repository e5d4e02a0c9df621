//! What the two data threads and the caller's thread have in common.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::packet::classify::{GENEVE_BYTES, geneve_header};
use crate::tun::Tun;
use crate::udp::socket::Sockets;

use super::clock::{JsTime, Now};
use super::counters::{Totals, add};
use super::errno::errno_name;
use super::filter::Filter;
use super::flows::Flows;
use super::path::{Leg, Legs};
use super::peers::{OncePerSecond, PeerTable};
use super::poller::Wake;
use super::published::Published;
use super::records::{Kind, Record, Records};
use super::routes::PeerId;

/// 20 ms of DERP data at 1 Gbit/s.
const MAX_INJECTED_BYTES: usize = 2 << 20;
const MAX_TUNNEL_PACKETS: usize = 256;

pub struct Shared {
    pub tun: Tun,
    pub sockets: Published<Sockets>,
    pub table: Published<PeerTable>,
    pub filter: Published<Filter>,
    pub flows: Mutex<Flows>,
    pub records: Records,
    pub totals: Totals,
    pub time: JsTime,
    pub stop: AtomicBool,
    pub tx_wake: Wake,
    pub rx_wake: Wake,
    injected: Mutex<Injected>,
    tunnel_packets: Mutex<VecDeque<(PeerId, Vec<u8>)>>,
}

/// WireGuard packets that came through DERP, one after another.
#[derive(Default)]
pub struct Injected {
    pub bytes: Vec<u8>,
    pub packets: Vec<InjectedPacket>,
}

#[derive(Clone, Copy, Debug)]
pub struct InjectedPacket {
    pub region: u32,
    pub start: usize,
    pub len: usize,
}

impl Injected {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }
}

impl Shared {
    pub fn new(tun: Tun, sockets: Sockets, time: JsTime, wake: Box<dyn Fn() + Send + Sync>) -> io::Result<Self> {
        Ok(Self {
            tun,
            sockets: Published::new(sockets),
            table: Published::new(PeerTable::default()),
            filter: Published::new(Filter::default()),
            flows: Mutex::default(),
            records: Records::new(wake),
            totals: Totals::default(),
            time,
            stop: AtomicBool::new(false),
            tx_wake: Wake::new()?,
            rx_wake: Wake::new()?,
            injected: Mutex::default(),
            tunnel_packets: Mutex::default(),
        })
    }

    pub fn wake_all(&self) {
        self.tx_wake.wake();
        self.rx_wake.wake();
    }

    pub fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub fn event(&self, kind: Kind, peer: PeerId) {
        self.records.push(&Record::event(kind, peer), &self.totals);
    }

    /// Copies packets for rx. Spans that do not lie in `chunk` are left out.
    pub fn inject(&self, region: u32, chunk: &[u8], spans: impl Iterator<Item = (usize, usize)>) {
        let mut injected = lock(&self.injected);
        for (start, len) in spans {
            let packet = start.checked_add(len).and_then(|end| chunk.get(start..end));
            match packet {
                Some(packet) if injected.bytes.len() + len <= MAX_INJECTED_BYTES => {
                    let start = injected.bytes.len();
                    injected.bytes.extend_from_slice(packet);
                    injected.packets.push(InjectedPacket { region, start, len });
                }
                _ => add(&self.totals.rx_inject_dropped, 1),
            }
        }
        drop(injected);
        self.rx_wake.wake();
    }

    /// Gives rx what was injected and takes its empty buffers in exchange.
    pub fn swap_injected(&self, empty: &mut Injected) {
        std::mem::swap(&mut *lock(&self.injected), empty);
    }

    pub fn queue_tunnel_packet(&self, peer: PeerId, packet: Vec<u8>) {
        let mut packets = lock(&self.tunnel_packets);
        if packets.len() < MAX_TUNNEL_PACKETS {
            packets.push_back((peer, packet));
            drop(packets);
            self.tx_wake.wake();
        } else {
            add(&self.totals.tx_staged_dropped, 1);
        }
    }

    pub fn take_tunnel_packets(&self) -> VecDeque<(PeerId, Vec<u8>)> {
        std::mem::take(&mut *lock(&self.tunnel_packets))
    }

    /// One small message, now, on each leg.
    pub fn send_message(&self, peer: PeerId, legs: Legs, message: &[u8]) -> Result<(), (SocketAddr, io::Error)> {
        let first = self.send_on(peer, legs.first, message);
        match legs.second {
            Some(second) => first.and(self.send_on(peer, second, message)),
            None => first,
        }
    }

    fn send_on(&self, peer: PeerId, leg: Leg, message: &[u8]) -> Result<(), (SocketAddr, io::Error)> {
        match leg {
            Leg::Udp { to, vni } => self.send_datagram(to, vni, message).map_err(|error| (to, error)),
            Leg::Derp { region } => {
                self.derp_out(peer, region, message);
                Ok(())
            }
        }
    }

    pub fn send_datagram(&self, to: SocketAddr, vni: Option<u32>, message: &[u8]) -> io::Result<()> {
        let sockets = self.sockets.load();
        match vni {
            None => sockets.send_now(to, message),
            Some(vni) => {
                let mut wrapped = Vec::with_capacity(GENEVE_BYTES + message.len());
                wrapped.extend_from_slice(&geneve_header(vni, true, false));
                wrapped.extend_from_slice(message);
                sockets.send_now(to, &wrapped)
            }
        }
    }

    pub fn derp_out(&self, peer: PeerId, region: u32, packet: &[u8]) {
        let record = Record { region: Some(region), body: packet, ..Record::event(Kind::DerpOut, peer) };
        self.records.push(&record, &self.totals);
    }

    /// Counts, and tells of it at most once a second and endpoint. A full buffer is no news.
    pub fn send_failed(&self, limit: &mut OncePerSecond, to: SocketAddr, error: &io::Error, now: Now) {
        add(&self.totals.tx_send_failed, 1);
        let errno = error.raw_os_error().unwrap_or(0);
        if matches!(errno, libc::EAGAIN | libc::ENOBUFS) || !limit.allows(to, now.mono_ns) {
            return;
        }
        let text = to.to_string();
        let name = errno_name(errno);
        let record = Record { text: &text, body: name.as_bytes(), ..Record::event(Kind::SendError, 0) };
        self.records.push(&record, &self.totals);
    }

    /// A data thread ended without being asked to: the other must not go on alone.
    pub fn fatal(&self, message: &str) {
        if !self.stop.swap(true, Ordering::SeqCst) {
            let record = Record { body: message.as_bytes(), ..Record::event(Kind::Fatal, 0) };
            self.records.push_now(&record, &self.totals);
        }
        self.wake_all();
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
