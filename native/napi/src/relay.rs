//! The peer relay's glue; electron/dataplane/native-relay-forwarder.ts is the other half and the only caller.

use std::sync::{Arc, Mutex};

use napi::Env;
use napi::bindgen_prelude::{Function, Uint8ArraySlice};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use peerway_device::relay::{Relay, RelayOptions};

use super::{Ports, Result, Total, device_error, endpoint, failed, lock, narrow};

#[napi(object)]
pub struct RelayOpenOptions {
    pub udp_port: u32,
    pub firewall_mark: u32,
    /// What the monotonic clock showed when `performance.now()` was 0.
    pub origin_ms: f64,
}

#[napi(object)]
pub struct RelaySession {
    pub vni: u32,
    pub sides: Vec<RelaySide>,
}

#[napi(object)]
pub struct RelaySide {
    pub last_seen_ms: f64,
    pub packets: f64,
    pub bytes: f64,
}

#[napi]
pub struct NativeRelay {
    /// None once closed. Shared with the hook that runs when the environment dies before `close`.
    relay: Arc<Mutex<Option<Relay>>>,
}

#[napi]
impl NativeRelay {
    /// `wake` is called, without arguments, once after each `arm` when records wait.
    #[napi(factory)]
    pub fn open(env: Env, options: RelayOpenOptions, wake: Function<'_, (), ()>) -> Result<Self> {
        let wake = wake
            .build_threadsafe_function::<()>()
            .max_queue_size::<1>()
            .weak::<true>()
            .callee_handled::<false>()
            .build()
            .map_err(|error| failed(&error.reason))?;
        let relay = Relay::open(RelayOptions {
            udp_port: narrow(options.udp_port, "udpPort")?,
            firewall_mark: options.firewall_mark,
            js_origin_ms: options.origin_ms,
            wake: Box::new(move || {
                // The queue of one can only be full when a wake-up is pending already.
                wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }),
        });
        let relay = Arc::new(Mutex::new(Some(relay.map_err(device_error)?)));
        let at_exit = Arc::downgrade(&relay);
        env.add_env_cleanup_hook(at_exit, |relay| {
            if let Some(relay) = relay.upgrade() {
                lock(&relay).take();
            }
        })
        .map_err(|error| failed(&error.reason))?;
        Ok(Self { relay })
    }

    #[napi]
    pub fn ports(&self) -> Result<Ports> {
        let (v4, v6) = self.with(Relay::ports)?;
        Ok(Ports { v4: v4.into(), v6: v6.map(u32::from) })
    }

    #[napi]
    pub fn bind(&self, vni: u32, first: Option<String>, second: Option<String>) -> Result<()> {
        let ends = [first.as_deref().map(endpoint).transpose()?, second.as_deref().map(endpoint).transpose()?];
        if self.with(|relay| relay.bind(vni, ends))? { Ok(()) } else { Err(failed("there are too many sessions")) }
    }

    #[napi]
    pub fn unbind(&self, vni: u32) -> Result<()> {
        self.with(|relay| relay.unbind(vni))
    }

    /// The errno name when the send failed.
    #[napi]
    pub fn send(
        &self,
        to: String,
        bytes: Uint8ArraySlice<'_>,
        vni: Option<u32>,
        control: bool,
    ) -> Result<Option<String>> {
        let to = endpoint(&to)?;
        self.with(|relay| relay.send(to, &bytes, vni.map(|vni| (vni, control))).err())
    }

    /// So many discovery packets from the endpoint's address come up beyond the limit for a source.
    #[napi]
    pub fn expect(&self, from: String, packets: u32) -> Result<()> {
        let from = endpoint(&from)?;
        self.with(|relay| relay.expect(from.ip(), packets))
    }

    #[napi]
    pub fn set_rate(&self, bytes_per_second: f64) -> Result<()> {
        // `as` saturates and makes 0 of NaN.
        self.with(|relay| relay.set_rate(bytes_per_second as u64))
    }

    /// How many bytes of records were copied into `into`; 0 also when closed.
    #[napi]
    pub fn drain(&self, mut into: Uint8ArraySlice<'_>) -> u32 {
        // SAFETY: JavaScript waits in this call, so nothing else touches the memory while it is written.
        let into = unsafe { into.as_mut() };
        lock(&self.relay).as_ref().map_or(0, |relay| relay.drain(into) as u32)
    }

    /// Asks for the next wake-up; true when records wait already.
    #[napi]
    pub fn arm(&self) -> bool {
        lock(&self.relay).as_ref().is_some_and(Relay::arm)
    }

    #[napi]
    pub fn sessions(&self) -> Result<Vec<RelaySession>> {
        let sessions = self.with(Relay::sessions)?;
        let converted = sessions.into_iter().map(|(vni, sides)| RelaySession {
            vni,
            sides: sides
                .into_iter()
                .map(|side| RelaySide {
                    last_seen_ms: side.last_seen_ms,
                    packets: side.packets as f64,
                    bytes: side.bytes as f64,
                })
                .collect(),
        });
        Ok(converted.collect())
    }

    #[napi]
    pub fn totals(&self) -> Result<Vec<Total>> {
        let list = self.with(Relay::totals)?;
        Ok(list.into_iter().map(|(name, count)| Total { name: name.to_owned(), count: count as f64 }).collect())
    }

    #[napi]
    pub fn close(&self) {
        lock(&self.relay).take();
    }

    fn with<T>(&self, act: impl FnOnce(&Relay) -> T) -> Result<T> {
        match lock(&self.relay).as_ref() {
            Some(relay) => Ok(act(relay)),
            None => Err(failed("the relay is closed")),
        }
    }
}
