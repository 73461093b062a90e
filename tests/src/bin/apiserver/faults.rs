//! What the stand-in does wrong on request.
//!
//! `POST /standin/faults` (and `--faults`) take a JSON object. These stay until they are changed:
//!
//! - `forbidden`: resources that answer 403, such as `["pods"]`
//! - `error`: every request answers 500
//! - `echo`: every request answers 401, and repeats whose it was
//! - `hang`: requests are read and never answered, open watches fall silent
//! - `slow_ms`: how long every answer and every watch event is held back
//! - `gone`: how many of the next watches get an ERROR event with code 410; `gone_status`: the HTTP status 410
//!
//! These are done once, at once:
//!
//! - `drop_watches`: cuts off all watches
//! - `garbage`: sends a line that is no JSON into all watches
//! - `compact`: ends all watches and forgets the history and all continue tokens
//! - `restart_at`: the same, and all versions go back to this number
//! - `giant_mib`: puts a pod `giant` with an annotation of so many MiB into `default`
//! - `flood_pods`: puts so many pods into the namespace `flood`. Watches follow if `--history` is no less, and are cut
//!   otherwise, as slow ones are

use crate::http::Refusal;
use crate::server::Server;
use crate::store::Store;
use crate::{object, resource::Resource};
use serde_json::{Value, json};

/// Upper bounds of what one request may ask for.
const MAX_GIANT_MIB: u64 = 256;
const MAX_FLOOD: u64 = 500_000;

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) forbidden: Vec<String>,
    pub(crate) error: bool,
    pub(crate) echo: bool,
    pub(crate) hang: bool,
    pub(crate) slow_ms: u64,
    pub(crate) gone: u64,
    pub(crate) gone_status: u64,
    /// How often watches were cut off, and how often they got garbage: a watch looks whether it has risen.
    pub(crate) drops: u64,
    pub(crate) garbage: u64,
}

impl Faults {
    /// Whether the next watch is to be told that its version is gone; takes one from the counter that says so.
    pub(crate) fn take(counter: &mut u64) -> bool {
        let any = *counter > 0;
        *counter = counter.saturating_sub(1);
        any
    }

    pub(crate) fn shown(&self) -> Value {
        json!({
            "forbidden": self.forbidden,
            "error": self.error,
            "echo": self.echo,
            "hang": self.hang,
            "slow_ms": self.slow_ms,
            "gone": self.gone,
            "gone_status": self.gone_status,
        })
    }
}

/// Does what a request for faults says.
pub(crate) fn obey(server: &Server, body: &[u8]) -> Result<(), Refusal> {
    let orders: Value =
        serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let orders = orders
        .as_object()
        .ok_or_else(|| Refusal::bad_request("faults are a JSON object"))?;
    for (fault, value) in orders {
        match fault.as_str() {
            "compact" => server.compact(),
            "restart_at" => {
                server.store.restart(number(fault, value)?)?;
                server.compact();
            }
            "giant_mib" => giant(&server.store, number(fault, value)?)?,
            "flood_pods" => flood(&server.store, number(fault, value)?)?,
            _ => set(&mut server.faults(), fault, value)?,
        }
    }
    server.store.wake();
    Ok(())
}

fn set(faults: &mut Faults, fault: &str, value: &Value) -> Result<(), Refusal> {
    match fault {
        "forbidden" => {
            let names = value.as_array().ok_or_else(|| wrong(fault, "a list"))?;
            faults.forbidden = names
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
        }
        "error" => faults.error = flag(fault, value)?,
        "echo" => faults.echo = flag(fault, value)?,
        "hang" => faults.hang = flag(fault, value)?,
        "slow_ms" => faults.slow_ms = number(fault, value)?,
        "gone" => faults.gone = number(fault, value)?,
        "gone_status" => faults.gone_status = number(fault, value)?,
        "drop_watches" => faults.drops += u64::from(flag(fault, value)?),
        "garbage" => faults.garbage += u64::from(flag(fault, value)?),
        _ => return Err(Refusal::bad_request(format!("there is no fault {fault}"))),
    }
    Ok(())
}

fn giant(store: &Store, mib: u64) -> Result<(), Refusal> {
    if mib > MAX_GIANT_MIB {
        return Err(wrong("giant_mib", "at most 256"));
    }
    let annotation = "x".repeat(usize::try_from(mib << 20).unwrap_or(0));
    let mut pod = generated("default", "giant", 0);
    if let Some(metadata) = pod.get_mut("metadata") {
        object::set(metadata, "annotations", json!({"standin/giant": annotation}));
    }
    put(store, pod)
}

fn flood(store: &Store, count: u64) -> Result<(), Refusal> {
    if count > MAX_FLOOD {
        return Err(wrong("flood_pods", "at most 500000"));
    }
    for index in 0..count {
        put(store, generated("flood", &format!("flood-{index:06}"), index))?;
    }
    Ok(())
}

fn put(store: &Store, mut pod: Value) -> Result<(), Refusal> {
    let resource = Resource::called("pods").ok_or_else(|| Refusal::bad_request("there are no pods"))?;
    let key = object::prepare(resource, "", "", &mut pod)?;
    let mut state = store.lock();
    store.put(&mut state, resource, key, pod)?;
    Ok(())
}

/// A pod as small as a running one can be. Its address is in 100.64.0.0/10, which no fixture uses.
fn generated(namespace: &str, name: &str, index: u64) -> Value {
    let address = format!(
        "100.{}.{}.{}",
        64 + (index >> 16 & 63),
        index >> 8 & 255,
        index & 255
    );
    json!({
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": format!("00000000-0000-4000-8000-{index:012x}"),
            "labels": {"app": namespace},
        },
        "spec": {
            "nodeName": format!("node-{}", index / 110),
            "containers": [{"name": "main", "image": "example.org/main:1"}],
        },
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    })
}

fn flag(fault: &str, value: &Value) -> Result<bool, Refusal> {
    value.as_bool().ok_or_else(|| wrong(fault, "true or false"))
}

fn number(fault: &str, value: &Value) -> Result<u64, Refusal> {
    value.as_u64().ok_or_else(|| wrong(fault, "a number"))
}

fn wrong(fault: &str, expected: &str) -> Refusal {
    Refusal::bad_request(format!("{fault} must be {expected}"))
}
