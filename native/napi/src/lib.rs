//! Node-API glue: turns JavaScript values into the device's types and back, and decides nothing.
//!
//! electron/dataplane/native-dataplane.ts is the other half and the only caller. Errors carry `code`, a code of its interface.

#[cfg(not(target_os = "linux"))]
compile_error!("the data plane exists for Linux only so far");

mod relay;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::bindgen_prelude::{Function, Uint8ArraySlice, Uint32ArraySlice};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi::{Env, Error};
use napi_derive::napi;
use peerway_device::device::{DestinationSpec, Device, DeviceError, Leg, Options, PeerId, PeerSpec, RuleSpec};
use peerway_device::tun::TunSpec;
use zeroize::Zeroizing;

type Result<T> = std::result::Result<T, Error<String>>;

#[napi(object)]
pub struct OpenOptions<'a> {
    pub private_key: Uint8ArraySlice<'a>,
    /// One of both.
    pub tun_name: Option<String>,
    pub tun_fd: Option<i32>,
    pub mtu_bytes: u32,
    pub udp_port: u32,
    pub firewall_mark: u32,
    /// What the monotonic clock showed when `performance.now()` was 0.
    pub origin_ms: f64,
}

#[napi(object)]
pub struct PeerInput<'a> {
    pub id: u32,
    pub public_key: Uint8ArraySlice<'a>,
    pub allowed_ips: Vec<String>,
    pub persistent_keepalive_seconds: u32,
}

/// `endpoint` for a direct leg, with `vni` for a relayed one; `region` for DERP.
#[napi(object)]
pub struct LegInput {
    pub endpoint: Option<String>,
    pub vni: Option<u32>,
    pub region: Option<u32>,
}

#[napi(object)]
pub struct RuleInput {
    pub sources: Vec<String>,
    pub destinations: Vec<DestinationInput>,
    pub protocols: Vec<u32>,
}

#[napi(object)]
pub struct DestinationInput {
    pub ip: String,
    pub first_port: u32,
    pub last_port: u32,
}

#[napi(object)]
pub struct Total {
    pub name: String,
    pub count: f64,
}

#[napi(object)]
pub struct PeerCounters {
    pub id: u32,
    pub rx_bytes: f64,
    pub tx_bytes: f64,
    pub last_handshake_at: f64,
    pub last_receive_ms: f64,
    pub last_send_ms: f64,
    pub asking_since_ms: f64,
}

#[napi(object)]
pub struct Ports {
    pub v4: u32,
    pub v6: Option<u32>,
}

#[napi]
pub struct NativeDataplane {
    /// None once closed. Shared with the hook that runs when the environment dies before `close`.
    device: Arc<Mutex<Option<Device>>>,
}

#[napi]
impl NativeDataplane {
    /// `wake` is called, without arguments, once after each `arm` when records wait.
    #[napi(factory)]
    pub fn open(env: Env, options: OpenOptions<'_>, wake: Function<'_, (), ()>) -> Result<Self> {
        let wake = wake
            .build_threadsafe_function::<()>()
            .max_queue_size::<1>()
            .weak::<true>()
            .callee_handled::<false>()
            .build()
            .map_err(|error| failed(&error.reason))?;
        let mtu = narrow(options.mtu_bytes, "mtuBytes")?;
        let tun = match (options.tun_name, options.tun_fd) {
            (Some(name), None) => TunSpec::Name { name, mtu },
            (None, Some(fd)) => TunSpec::Fd { fd, mtu },
            _ => return Err(failed("either a TUN name or a descriptor is needed")),
        };
        let device = Device::open(Options {
            private_key: Zeroizing::new(key(&options.private_key)?),
            tun,
            udp_port: narrow(options.udp_port, "udpPort")?,
            firewall_mark: options.firewall_mark,
            js_origin_ms: options.origin_ms,
            wake: Box::new(move || {
                // The queue of one can only be full when a wake-up is pending already.
                wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }),
        });
        let device = Arc::new(Mutex::new(Some(device.map_err(device_error)?)));
        let at_exit = Arc::downgrade(&device);
        env.add_env_cleanup_hook(at_exit, |device| {
            if let Some(device) = device.upgrade() {
                lock(&device).take();
            }
        })
        .map_err(|error| failed(&error.reason))?;
        Ok(Self { device })
    }

    #[napi]
    pub fn tun_name(&self) -> Result<String> {
        self.with(|device| device.tun_name().to_owned())
    }

    #[napi]
    pub fn ports(&self) -> Result<Ports> {
        let (v4, v6) = self.with(Device::ports)?;
        Ok(Ports { v4: v4.into(), v6: v6.map(u32::from) })
    }

    #[napi]
    pub fn set_peers(&self, peers: Vec<PeerInput<'_>>) -> Result<()> {
        let specs = peers.into_iter().map(|peer| {
            Ok(PeerSpec {
                id: peer_id(peer.id)?,
                public_key: key(&peer.public_key)?,
                allowed_ips: peer.allowed_ips,
                persistent_keepalive_s: narrow(peer.persistent_keepalive_seconds, "persistentKeepaliveSeconds")?,
            })
        });
        let specs: Vec<PeerSpec> = specs.collect::<Result<_>>()?;
        self.with(|device| device.set_peers(&specs))
    }

    #[napi]
    pub fn set_filter(&self, rules: Vec<RuleInput>, local_addresses: Vec<String>) -> Result<()> {
        let specs: Vec<RuleSpec> =
            rules.into_iter().filter_map(|rule| rule_spec(rule).transpose()).collect::<Result<_>>()?;
        self.with(|device| device.set_filter(&specs, &local_addresses))
    }

    #[napi]
    pub fn set_path(
        &self,
        peer: u32,
        leg: Option<LegInput>,
        fallback: Option<LegInput>,
        trusted_until_ms: f64,
    ) -> Result<()> {
        let (leg, fallback) = (leg.map(leg_of).transpose()?, fallback.map(leg_of).transpose()?);
        let peer = peer_id(peer)?;
        self.with(|device| device.set_path(peer, leg, fallback, trusted_until_ms))
    }

    #[napi]
    pub fn trust(&self, peer: u32, until_ms: f64) -> Result<()> {
        let peer = peer_id(peer)?;
        self.with(|device| device.trust(peer, until_ms))
    }

    /// The errno name when the send failed.
    #[napi]
    pub fn send_raw(
        &self,
        to: String,
        bytes: Uint8ArraySlice<'_>,
        vni: Option<u32>,
        control: bool,
    ) -> Result<Option<String>> {
        let to = endpoint(&to)?;
        self.with(|device| device.send_raw(to, &bytes, vni.map(|vni| (vni, control))).err())
    }

    #[napi]
    pub fn inject_derp(&self, region: u32, chunk: Uint8ArraySlice<'_>, spans: Uint32ArraySlice<'_>) -> Result<()> {
        self.with(|device| device.inject_derp(region, &chunk, &spans))
    }

    #[napi]
    pub fn send_tunnel(&self, peer: u32, packet: Uint8ArraySlice<'_>) -> Result<()> {
        let peer = peer_id(peer)?;
        self.with(|device| device.send_tunnel(peer, packet.to_vec()))
    }

    /// How many bytes of records were copied into `into`; 0 also when closed.
    #[napi]
    pub fn drain(&self, mut into: Uint8ArraySlice<'_>) -> u32 {
        // SAFETY: JavaScript waits in this call, so nothing else touches the memory while it is written.
        let into = unsafe { into.as_mut() };
        lock(&self.device).as_ref().map_or(0, |device| device.drain(into) as u32)
    }

    /// Asks for the next wake-up; true when records wait already.
    #[napi]
    pub fn arm(&self) -> bool {
        lock(&self.device).as_ref().is_some_and(Device::arm)
    }

    #[napi]
    pub fn totals(&self) -> Result<Vec<Total>> {
        let list = self.with(Device::totals)?;
        Ok(list.into_iter().map(|(name, count)| Total { name: name.to_owned(), count: count as f64 }).collect())
    }

    #[napi]
    pub fn peer_counters(&self) -> Result<Vec<PeerCounters>> {
        let counters = self.with(Device::peer_counters)?;
        let converted = counters.into_iter().map(|peer| PeerCounters {
            id: peer.id.into(),
            rx_bytes: peer.rx_bytes as f64,
            tx_bytes: peer.tx_bytes as f64,
            last_handshake_at: peer.last_handshake_at,
            last_receive_ms: peer.last_receive_ms,
            last_send_ms: peer.last_send_ms,
            asking_since_ms: peer.asking_since_ms,
        });
        Ok(converted.collect())
    }

    #[napi]
    pub fn rebind(&self, udp_port: u32) -> Result<()> {
        let port = narrow(udp_port, "udpPort")?;
        self.with(|device| device.rebind(port))?.map_err(device_error)
    }

    #[napi]
    pub fn close(&self) {
        lock(&self.device).take();
    }

    fn with<T>(&self, act: impl FnOnce(&Device) -> T) -> Result<T> {
        match lock(&self.device).as_ref() {
            Some(device) => Ok(act(device)),
            None => Err(failed("the data plane is closed")),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(reason: &str) -> Error<String> {
    Error::new("dataplane/failed".to_owned(), reason)
}

fn device_error(error: DeviceError) -> Error<String> {
    Error::new(error.code.to_owned(), error.source.to_string())
}

fn narrow(value: u32, name: &str) -> Result<u16> {
    u16::try_from(value).map_err(|_| failed(&format!("{name} is above 65535")))
}

fn peer_id(id: u32) -> Result<PeerId> {
    match narrow(id, "a peer id")? {
        0 => Err(failed("0 is no peer id")),
        id => Ok(id),
    }
}

fn key(bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| failed("a key has 32 bytes"))
}

fn endpoint(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| failed(&format!("\"{text}\" is no endpoint")))
}

fn leg_of(leg: LegInput) -> Result<Leg> {
    match (leg.endpoint, leg.region) {
        (Some(to), None) => Ok(Leg::Udp { to: endpoint(&to)?, vni: leg.vni }),
        (None, Some(region)) => Ok(Leg::Derp { region }),
        _ => Err(failed("a leg has an endpoint or a region")),
    }
}

/// None for a rule that only lists protocol numbers no packet can carry (control.md 9.1).
fn rule_spec(rule: RuleInput) -> Result<Option<RuleSpec>> {
    let protocols: Vec<u8> = rule.protocols.iter().filter_map(|protocol| u8::try_from(*protocol).ok()).collect();
    if protocols.is_empty() && !rule.protocols.is_empty() {
        return Ok(None);
    }
    let destinations = rule.destinations.into_iter().map(|to| {
        Ok(DestinationSpec {
            ip: to.ip,
            first_port: narrow(to.first_port, "firstPort")?,
            last_port: narrow(to.last_port, "lastPort")?,
        })
    });
    let destinations = destinations.collect::<Result<_>>()?;
    Ok(Some(RuleSpec { sources: rule.sources, destinations, protocols }))
}
