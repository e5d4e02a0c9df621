//! The data plane of one node: a TUN, two UDP sockets, two threads, and the commands of the caller.

pub(crate) mod clock;
pub(crate) mod counters;
pub(crate) mod errno;
mod filter;
mod flows;
mod inbound;
mod path;
mod peer_side;
mod peers;
pub(crate) mod poller;
mod prefix;
mod published;
pub(crate) mod records;
mod routes;
mod rx;
mod shared;
mod tx;

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use peerway_wireguard::{Tunnel, TunnelConfig};
use zeroize::Zeroizing;

use crate::packet::classify::{VNI_MAX, geneve_header, looks_like_disco};
use crate::tun::{OpenError, Tun, TunSpec};
use crate::udp::socket::Sockets;

use clock::{JsTime, NS_PER_MS, now, unix_ns};
use counters::add;
use path::Path;
use rx::Rx;
use shared::{Shared, lock};
use tx::Tx;

pub use filter::{DestinationSpec, RuleSpec};
pub use path::Leg;
pub use peers::PeerSpec;
pub use routes::PeerId;

pub struct Options {
    pub private_key: Zeroizing<[u8; 32]>,
    pub tun: TunSpec,
    pub udp_port: u16,
    /// 0 for none.
    pub firewall_mark: u32,
    /// What the monotonic clock showed when `performance.now()` was 0.
    pub js_origin_ms: f64,
    /// Called on a data thread when records wait and the caller asked to be woken.
    pub wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug)]
pub struct DeviceError {
    /// A code of the TypeScript interface.
    pub code: &'static str,
    pub source: io::Error,
}

/// Dropping it closes it.
pub struct Device {
    shared: Arc<Shared>,
    firewall_mark: u32,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

pub struct PeerCounters {
    pub id: PeerId,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    /// Milliseconds since the epoch; 0 for never.
    pub last_handshake_at: f64,
    /// `performance.now()`; 0 for never.
    pub last_receive_ms: f64,
    pub last_send_ms: f64,
    pub asking_since_ms: f64,
}

impl Device {
    pub fn open(options: Options) -> Result<Self, DeviceError> {
        let Options { private_key, tun, udp_port, firewall_mark, js_origin_ms, wake } = options;
        let sockets = Sockets::bind(udp_port, firewall_mark).map_err(bind_error)?;
        let tun = Tun::open(&tun).map_err(tun_error)?;
        let now = now();
        let config = TunnelConfig::new(*private_key);
        let tunnel = Tunnel::new(&config, now.boot_ns, unix_ns())
            .map_err(|_| failed(io::Error::other("the system gave no random bytes")))?;
        let time = JsTime::new(js_origin_ms);
        let shared = Arc::new(Shared::new(tun, sockets, time, wake).map_err(failed)?);
        let mut tx = Tx::new(Arc::clone(&shared)).map_err(failed)?;
        let mut rx = Rx::new(Arc::clone(&shared), tunnel).map_err(failed)?;
        let device = Self { shared, firewall_mark, threads: Mutex::default() };
        device.start("peerway-tx", move || tx.run()).map_err(failed)?;
        device.start("peerway-rx", move || rx.run()).map_err(failed)?;
        Ok(device)
    }

    fn start(&self, name: &'static str, run: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // The thread's state is dropped inside `run`'s closure, so nothing broken by a panic is looked at again.
            let message = match catch_unwind(AssertUnwindSafe(run)) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => format!("{name} ended: {error}"),
                Err(panic) => format!("{name} panicked: {}", panic_text(&*panic)),
            };
            shared.fatal(&message);
        })?;
        lock(&self.threads).push(thread);
        Ok(())
    }

    pub fn tun_name(&self) -> &str {
        self.shared.tun.name()
    }

    pub fn ports(&self) -> (u16, Option<u16>) {
        let sockets = self.shared.sockets.load();
        (sockets.v4.port(), sockets.v6.as_ref().map(|socket| socket.port()))
    }

    pub fn set_peers(&self, specs: &[PeerSpec]) {
        let mut unreadable = 0;
        let table = peers::PeerTable::new(specs, &self.shared.table.load(), &mut unreadable);
        self.shared.table.replace(table);
        self.shared.wake_all();
        add(&self.shared.totals.unreadable_addresses, unreadable as u64);
    }

    pub fn set_filter(&self, rules: &[RuleSpec], local_addresses: &[String]) {
        let mut unreadable = 0;
        self.shared.filter.replace(filter::Filter::new(rules, local_addresses, &mut unreadable));
        add(&self.shared.totals.unreadable_addresses, unreadable as u64);
    }

    pub fn set_path(&self, id: PeerId, leg: Option<Leg>, fallback: Option<Leg>, trusted_until_ms: f64) {
        if let Some(peer) = self.shared.table.load().get(id) {
            let until = self.shared.time.ns_of(trusted_until_ms);
            peer.path.replace(Path::new(leg, fallback, until));
            // Staged packets and waiting handshakes go out at once.
            self.shared.wake_all();
        }
    }

    pub fn trust(&self, id: PeerId, until_ms: f64) {
        if let Some(peer) = self.shared.table.load().get(id) {
            peer.path.load().trust(self.shared.time.ns_of(until_ms));
        }
    }

    /// The name of the system's error when it failed.
    pub fn send_raw(&self, to: SocketAddr, bytes: &[u8], geneve: Option<(u32, bool)>) -> Result<(), String> {
        let sockets = self.shared.sockets.load();
        let result = match geneve {
            None => sockets.send_now(to, bytes),
            Some((vni, control)) => {
                let wireguard = !control && !looks_like_disco(bytes);
                let header = geneve_header(vni & VNI_MAX, wireguard, control);
                sockets.send_now(to, &[&header[..], bytes].concat())
            }
        };
        result.map_err(|error| errno::errno_name(error.raw_os_error().unwrap_or(0)))
    }

    pub fn inject_derp(&self, region: u32, chunk: &[u8], spans: &[u32]) {
        let spans = spans.chunks_exact(2).map(|span| (span[0] as usize, span[1] as usize));
        self.shared.inject(region, chunk, spans);
    }

    pub fn send_tunnel(&self, id: PeerId, packet: Vec<u8>) {
        self.shared.queue_tunnel_packet(id, packet);
    }

    /// Copies waiting records into `into`; 0 when there are none.
    pub fn drain(&self, into: &mut [u8]) -> usize {
        self.shared.records.drain(into)
    }

    /// Asks for one wake-up; true when records wait already.
    pub fn arm(&self) -> bool {
        self.shared.records.arm()
    }

    pub fn totals(&self) -> Vec<(&'static str, u64)> {
        self.shared.totals.list()
    }

    pub fn peer_counters(&self) -> Vec<PeerCounters> {
        let now = now();
        let unix_ms = unix_ns() as f64 / NS_PER_MS as f64;
        let js_ms = self.shared.time.ms_of(now.mono_ns);
        let ago_ms = |then_ns: u64| now.boot_ns.saturating_sub(then_ns) as f64 / NS_PER_MS as f64;
        let table = self.shared.table.load();
        let counters = table.iter().map(|peer| {
            let activity = peer.activity.get();
            let when = |base_ms: f64, then_ns: Option<u64>| match then_ns {
                None | Some(0) => 0.0,
                Some(then_ns) => base_ms - ago_ms(then_ns),
            };
            PeerCounters {
                id: peer.id,
                rx_bytes: peer.rx_bytes.load(Ordering::Relaxed),
                tx_bytes: peer.tx_bytes.load(Ordering::Relaxed),
                last_handshake_at: when(unix_ms, activity.map(|a| a.last_handshake_ns())),
                last_receive_ms: when(js_ms, activity.map(|a| a.last_received_ns())),
                last_send_ms: when(js_ms, activity.map(|a| a.last_data_sent_ns())),
                asking_since_ms: when(js_ms, activity.map(|a| a.asking_since_ns())),
            }
        });
        counters.collect()
    }

    /// New sockets. When the port is that of the old ones, those have to go first; the wait for it is bounded.
    pub fn rebind(&self, port: u16) -> Result<(), DeviceError> {
        let bind = |port| Sockets::bind(port, self.firewall_mark);
        let taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
        let sockets = match bind(port) {
            Err(error) if taken(&error) && self.ports().0 == port => {
                let old = self.shared.sockets.replace(bind(0).map_err(bind_error)?);
                self.shared.wake_all();
                wait_until_unused(&old);
                drop(old);
                bind(port)
            }
            other => other,
        };
        self.shared.sockets.replace(sockets.map_err(bind_error)?);
        self.shared.wake_all();
        Ok(())
    }

    /// Ends the threads and waits for them. Idempotent.
    pub fn close(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.wake_all();
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.close();
    }
}

/// Both threads let go of the old sockets at their next turn.
fn wait_until_unused(sockets: &Arc<Sockets>) {
    for _ in 0..200 {
        if Arc::strong_count(sockets) == 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

pub(crate) fn failed(source: io::Error) -> DeviceError {
    DeviceError { code: "dataplane/failed", source }
}

pub(crate) fn bind_error(source: io::Error) -> DeviceError {
    let code = match source.raw_os_error() {
        Some(libc::EADDRINUSE) => "dataplane/port-in-use",
        Some(libc::EPERM | libc::EACCES) => "dataplane/no-rights",
        _ => "dataplane/failed",
    };
    DeviceError { code, source }
}

fn tun_error(error: OpenError) -> DeviceError {
    let code = match &error {
        OpenError::NoDevice(_) => "dataplane/no-tun-device",
        OpenError::NoRights(_) => "dataplane/no-rights",
        OpenError::Busy(_) => "dataplane/tun-busy",
        OpenError::Failed(_) => "dataplane/failed",
    };
    DeviceError { code, source: error.into() }
}
