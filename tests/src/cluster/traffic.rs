//! Who is connected to whom in the cluster, and its faults: an API server that goes away and returns.

use super::roles::ROLES;
use super::services::{API, WEB, WEB_NODE_PORT};
use super::{APISERVER, CLIENT_TO_WEB, Cluster};
use crate::scenario::NODE;
use crate::wait::{patience, until_true};
use anyhow::{Context, Result};

/// The API server's clients besides the kubelet and coredns.
const APISERVER_CLIENTS: &[&str] = &["kube-controller-manager", "kube-scheduler", "kube-proxy"];

impl Cluster {
    /// Opens all connections, and returns once all were accepted.
    pub fn connect(&mut self) -> Result<()> {
        self.connect_apiserver()?;
        let web = self.address("web-0", 8080)?;
        self.orders("client")?.dial(&WEB.to_string(), CLIENT_TO_WEB)?;
        self.orders("client")?.dial(&web, 1)?;
        self.kubelet.dial(&web, 1)?;
        self.visitor.dial(&format!("{NODE}:{WEB_NODE_PORT}"), 1)?;
        // All of these, whichever of the two they reach.
        let expected = u64::try_from(CLIENT_TO_WEB)? + 3;
        until_true("the web pods accept", patience(), || {
            let accepted =
                self.orders("web-0")?.count("accepted")? + self.orders("web-1")?.count("accepted")?;
            Ok(accepted >= expected)
        })
    }

    /// Has the client visit the web application every so many milliseconds from now on, through its service's address; its
    /// figures `beats` and `missed` tell how that goes.
    pub fn visit_every(&mut self, milliseconds: u32) -> Result<()> {
        let order = format!("beat {WEB} {milliseconds}");
        self.orders("client")?.ask(order).map(drop)
    }

    /// Has the client visit no more.
    pub fn rest(&mut self) -> Result<()> {
        self.orders("client")?.ask("rest".to_owned()).map(drop)
    }

    /// Opens the connections to the API server, which holds its own to etcd.
    pub fn connect_apiserver(&mut self) -> Result<()> {
        for client in APISERVER_CLIENTS {
            self.orders(client)?.dial(APISERVER, 1)?;
        }
        self.kubelet.dial(APISERVER, 1)?;
        self.orders("coredns")?.dial(&API.to_string(), 1).map(drop)
    }

    /// Ends the API server's container at once, and with it all its connections.
    pub fn stop_apiserver(&mut self) -> Result<()> {
        let pod = self.pods.get_mut("kube-apiserver").context("a pod is missing")?;
        pod.stop(&self.containerd)
    }

    /// Starts the API server again in a new container, and tells the others to connect again.
    pub fn resume_apiserver(&mut self) -> Result<()> {
        let role = ROLES.iter().find(|role| role.key == "kube-apiserver");
        let pod = self.pods.get_mut("kube-apiserver").context("a pod is missing")?;
        pod.renew(&self.containerd)?;
        self.write_objects()?;
        self.begin(role.context("there is no API server")?)?;
        self.connect_apiserver()
    }
}
