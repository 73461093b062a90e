//! What containerd is told: where everything of it is, and the network of its pods.

use super::{Containerd, PAUSE};
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian has the plugins.
const CNI: &str = "/usr/lib/cni";

impl Containerd {
    /// Writes its configuration.
    pub(super) fn configure(&self) -> Result<()> {
        let socket = self.socket();
        fs::create_dir_all(socket.parent().context("the socket has no directory")?)?;
        fs::create_dir_all(self.file("cni"))?;
        fs::write(self.file("config.toml"), self.config())?;
        let ipam = json!({
            "type": "host-local",
            "ranges": [[{"subnet": format!("10.244.{}.0/24", self.subnet())}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": self.file("ipam"),
        });
        let bridge = json!({
            "type": "bridge", "bridge": "cni0", "isGateway": true,
            "hairpinMode": true, "ipMasq": false, "ipam": ipam,
        });
        let network = json!({"cniVersion": "1.0.0", "name": "kcn", "plugins": [bridge]});
        fs::write(self.file("cni/10-bridge.conflist"), network.to_string())?;
        Ok(())
    }

    fn config(&self) -> String {
        let (root, state) = (self.file("root"), self.file("state"));
        let (root, state) = (root.display(), state.display());
        let (socket, conf) = (self.socket(), self.file("cni"));
        let (socket, conf) = (socket.display(), conf.display());
        format!(
            r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.overlayfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]
[grpc]
address = "{socket}"
[ttrpc]
address = "{socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
# Lowering a score needs CAP_SYS_RESOURCE, which root may lack.
restrict_oom_score_adj = true
sandbox_image = "{PAUSE}"
disable_tcp_service = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI}"
conf_dir = "{conf}"
"#
        )
    }
}

/// A plugin that a pod's network needs and that is not installed.
pub(crate) fn missing_plugin() -> Option<PathBuf> {
    ["bridge", "host-local", "loopback"]
        .iter()
        .map(|plugin| Path::new(CNI).join(plugin))
        .find(|plugin| !plugin.is_file())
}
