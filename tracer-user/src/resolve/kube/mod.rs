//! Names from the API server: pods, services, slices of endpoints and nodes, each listed and watched on its own.
//!
//! Keeps nothing of what it tells. To watch one more resource: a variant of `convert::Resource` and its trimmed object.
#![forbid(unsafe_code)]

mod convert;
mod credentials;
mod discover;
mod follow;
mod health;
mod objects;
mod wire;

#[cfg(test)]
mod tests;

use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Duration};

use tokio::task::LocalSet;

use self::{
    convert::Resource,
    discover::{Access, Connection, Environment},
    follow::{Follower, Timing},
    health::Board,
};
use super::{Resolver, Teller};
use crate::signal::Degraded;

/// How often the end of the run is noticed.
const NOTICE: Duration = Duration::from_millis(100);
/// How long the server is away before the kubeconfig is read again: certificates and addresses change.
const RENEW: Duration = Duration::from_mins(1);
/// After credentials that cannot be used: someone may repair the file.
const AGAIN: Duration = Duration::from_secs(30);

/// What the user wants of the API server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The kubeconfig to use, if asked for one.
    pub kubeconfig: Option<PathBuf>,
    /// What the cluster calls this node; its host name in lower case, as the kubelet does, when absent.
    pub node: Option<String>,
    /// Pods of all nodes, not only of this one.
    pub cluster_pods: bool,
    /// Root of the host's file system.
    pub host_root: PathBuf,
}

/// Whether there is an API server to ask.
#[expect(missing_debug_implementations, reason = "a resolver has nothing to show")]
pub enum Discovery {
    /// There is.
    Use(Box<dyn Resolver>),
    /// There is no Kubernetes here: nothing to say.
    Absent,
    /// There is Kubernetes, but no credentials that may be used.
    Hint(Degraded),
}

/// Finds credentials: those asked for, the pod's service account, `KUBECONFIG`, `~/.kube/config`.
pub fn discover(options: Options) -> Discovery {
    let environment = Environment::of_process(options.kubeconfig.clone());
    match environment.access() {
        Some(access) => Discovery::Use(Box::new(ApiServer {
            access,
            node: (!options.cluster_pods).then(|| options.node.unwrap_or_else(host_name)),
            timing: Timing::USUAL,
        })),
        None => discover::hint(&options.host_root).map_or(Discovery::Absent, Discovery::Hint),
    }
}

/// The kubelet's default for the node's name.
fn host_name() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().trim().to_lowercase()
}

/// The API server.
struct ApiServer {
    access: Access,
    /// Whose pods; none for all.
    node: Option<String>,
    timing: Timing,
}

impl Resolver for ApiServer {
    fn name(&self) -> String {
        "API server".to_owned()
    }

    fn run(self: Box<Self>, teller: &Teller) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                // If nobody listens there is nobody to tell.
                let _heard = teller.fails(Degraded {
                    what: "pods, services and nodes are not named by the API server".to_owned(),
                    why: format!("its client could not be started: {error}"),
                    remedy: "raise the limit of open files (ulimit -n)".to_owned(),
                });
                return;
            }
        };
        LocalSet::new().block_on(&runtime, self.follow(teller));
        // A look-up of a name that hangs is not waited for.
        runtime.shutdown_background();
    }
}

impl ApiServer {
    async fn follow(&self, teller: &Teller) {
        let Connection {
            client,
            server,
            mut renew,
        } = loop {
            match discover::connect(&self.access, teller.children()).await {
                Ok(connection) => break connection,
                Err(error) => {
                    let fault = Degraded {
                        what: "pods, services and nodes are not named by the API server".to_owned(),
                        why: format!("{}: {error}", self.access),
                        remedy: "see that kubectl works with it, or name another (--kubeconfig)".to_owned(),
                    };
                    if teller.fails(fault).is_err() || !teller.pause(AGAIN) {
                        return;
                    }
                }
            }
        };
        let client = Rc::new(RefCell::new(client));
        let board = Rc::new(RefCell::new(Board::new(teller.clone(), server)));
        for resource in Resource::ALL {
            let node = self.node.clone();
            let selector = node.as_deref().map(follow::own_pods);
            let follower = Follower {
                client: Rc::clone(&client),
                resource,
                selector: selector.filter(|_| resource == Resource::Pods),
                timing: self.timing,
                teller: teller.clone(),
                board: Rc::clone(&board),
                own_node: node.filter(|_| resource == Resource::Nodes),
                version: None,
                unreadable: 0,
                why: String::new(),
            };
            // Ends with the run; it is not waited for.
            drop(tokio::task::spawn_local(follower.run()));
        }
        let (mut down, mut age) = (Duration::ZERO, Duration::ZERO);
        while !teller.is_over() {
            tokio::time::sleep(NOTICE).await;
            down = if board.borrow().is_down() {
                down + NOTICE
            } else {
                Duration::ZERO
            };
            age += NOTICE;
            if down >= RENEW || renew.is_some_and(|renew| age >= renew) {
                (down, age) = (Duration::ZERO, Duration::ZERO);
                match discover::connect(&self.access, teller.children()).await {
                    Ok(renewed) => {
                        client.replace(renewed.client);
                        renew = renewed.renew;
                    }
                    // While the server answers nothing is wrong; when it refuses, it is told. The old client may come
                    // to work again too.
                    Err(_) => renew = renew.map(|_| AGAIN),
                }
            }
        }
    }
}
