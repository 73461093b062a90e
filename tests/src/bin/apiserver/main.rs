//! Plays an API server: list, get, watch and changes of a few resources over plain HTTP, with faults on request.
//!
//! `kube-apiserver [--listen ADDR:PORT] [--objects DIR] [--etcd ADDR:PORT] [--etcd-connections N]
//! [--kubeconfig-out FILE] [--faults JSON] [--history N] [--bookmark-ms N]`. It prints its port when it is ready. The
//! same words, one a line, may be in `KCN_APISERVER`; then its arguments are only for show.
//! Objects come from lists (`DIR/pods.json` and so on), or from etcd where that has any of an earlier run.
//! Its parent's death ends it. Faults are listed in faults.rs; `GET /standin/requests` tells what was asked.

mod api;
mod base64;
mod etcd;
mod faults;
mod http;
mod list;
mod object;
mod options;
mod resource;
mod route;
mod selector;
mod server;
mod store;
mod watch;

use etcd::Etcd;
use options::Options;
use resource::RESOURCES;
use rustix::process::{Signal, set_parent_process_death_signal};
use server::Server;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use store::Store;
use tests::listener::{Transport, listen};

/// As Go listens: the kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Where stderr is closed as well, the exit code has to do.
            drop(writeln!(io::stderr(), "apiserver: {reason}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot tie this process to its parent: {error}"))?;
    let options = Options::read()?;
    let store = open(&options)?;
    let server = Arc::new(Server::new(store, options.bookmark));
    if let Some(orders) = &options.faults {
        faults::obey(&server, orders.as_bytes()).map_err(|refusal| refusal.message)?;
    }
    let listener = listen(options.listen, BACKLOG, Transport::Mptcp)
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    if let Some(path) = &options.kubeconfig {
        fs::write(path, options::kubeconfig(address).to_string())
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    writeln!(io::stdout(), "{}", address.port()).map_err(|error| error.to_string())?;
    server.run(&listener);
    Ok(())
}

fn open(options: &Options) -> Result<Store, String> {
    let etcd = match options.etcd {
        // A real one holds at least one connection for each resource.
        Some(address) => Some(
            Etcd::connect(address, options.etcd_connections.max(RESOURCES.len()))
                .map_err(|error| format!("cannot use etcd on {address}: {error}"))?,
        ),
        None => None,
    };
    let store = Store::open(etcd, options.history).map_err(|error| error.to_string())?;
    let Some(directory) = &options.objects else {
        return Ok(store);
    };
    if !store.lock().objects.is_empty() {
        return Ok(store);
    }
    for resource in RESOURCES {
        let path = directory.join(format!("{}.json", resource.plural));
        let refused = |error: &dyn std::fmt::Display| format!("cannot use {}: {error}", path.display());
        if path.exists() {
            let text = fs::read(&path).map_err(|error| refused(&error))?;
            let list = serde_json::from_slice(&text).map_err(|error| refused(&error))?;
            store.load(resource, list).map_err(|error| refused(&error))?;
        }
    }
    Ok(store)
}

/// A uid that no two objects share.
fn uid(path: &str, version: u64) -> String {
    let mut hasher = DefaultHasher::new();
    (path, version).hash(&mut hasher);
    let hash = hasher.finish();
    format!(
        "{:08x}-{:04x}-4000-8000-{:012x}",
        hash >> 32,
        hash >> 16 & 0xffff,
        version & 0xffff_ffff_ffff
    )
}
